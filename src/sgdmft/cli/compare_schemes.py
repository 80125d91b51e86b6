"""`sgdmft compare-schemes`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from sgdmft.cli import arguments


def compare_schemes(
    *,
    output: arguments.Output,
    alphas: Annotated[list[float] | None, arguments.several("Samples per weight.")] = None,
    batch_fractions: Annotated[
        list[float] | None, arguments.several("b; shuffled and cyclic batches need 1/b whole.")
    ] = None,
    learning_rate: Annotated[float, Parameter(help="eta.")] = 0.1,
    momentum: Annotated[float, Parameter(help="Heavy-ball coefficient.")] = 0.0,
    magnetization: Annotated[float, Parameter(help="Overlap with the signal at the start.")] = 0.01,
    level: Annotated[float, Parameter(help="Recovered when Delta(t) falls below this.")] = 0.01,
    steps: Annotated[arguments.Whole, Parameter(help="Runs are given up after so many steps (default 3000).")] = None,
    size: Annotated[arguments.Whole, Parameter(help="Number of weights N of the simulation (default 150).")] = None,
    quick: Annotated[bool, arguments.flag("Fewer settings, shorter runs, smaller samples.")] = False,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
) -> int:
    """Compare all minibatch schemes at equal batch fraction and learning rate, in a new folder.

    One figure and one table: learning curves (theory and simulation) and relaxation times against alpha and against b,
    of full batches, batches redrawn at every step, shuffled epochs, fixed batches in turn, and batches that persist.

        sgdmft compare-schemes --alphas 2.0 2.2 2.5 --batch-fractions 0.5 0.2 0.1 -o schemes
    """
    from sgdmft import progress
    from sgdmft.reports import page
    from sgdmft.reports.sections import schemes

    folder = arguments.check_output(output, overwrite, folder=True)
    with progress.reporter(not quiet, "schemes") as report:
        grid: dict[str, Any] = {"alphas": alphas, "fractions": batch_fractions, "steps": steps, "size": size}
        rates: dict[str, Any] = {"learning_rate": learning_rate, "momentum": momentum}
        section = schemes.build(quick, report.update, magnetization=magnetization, level=level, **grid, **rates)
    page.save_files(folder, section)
    target = page.save_page(folder, [section], failed={}, interrupted=False, quick=quick)
    if not quiet:
        print(f"{schemes.summary(section)}\n\n{target}")
    return 0
