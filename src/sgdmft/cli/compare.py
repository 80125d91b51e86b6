"""`sgdmft compare`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from sgdmft.cli import arguments
from sgdmft.run import files, parameters


def compare(
    file: arguments.File = None,
    /,
    *,
    output: arguments.Output,
    size: Annotated[arguments.Whole, Parameter(help="Number of weights N (default 200).")] = None,
    samples: Annotated[arguments.Whole, Parameter(help="Number of independent samples (default 16).")] = None,
    seed: Annotated[arguments.Whole, Parameter(help="Seed of the random streams (default 0).")] = None,
    false_alarm_rate: Annotated[float, Parameter(help="Probability that a right theory is rejected.")] = 1e-3,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
    flags: arguments.Flags = arguments.Flags(),  # noqa: B008 - immutable
) -> int:
    """Theory against experiment: run both, judge their difference by z-scores, and draw them together.

    The new folder holds theory.nc, simulation.nc, comparison.png and parameters.toml. The exit code is 0 whatever the
    verdict, which is printed.

        sgdmft compare --alpha 2 --learning-rate 0.1 --batch-fraction 0.3 --magnetization 0.3 --steps 100 -o check
    """
    import sgdmft as sg
    from sgdmft import plotting

    given = arguments.read(file, flags)
    options = given.finite(200, size=size, samples=samples, seed=seed)
    folder = arguments.check_output(output, overwrite, folder=True)
    files.write(folder / "parameters.toml", parameters.toml({**given.plain(), "simulation": options}))
    works = {"theory": lambda: given.solve(quiet), "simulation": lambda: given.simulate(quiet, options)}
    runs = []
    for name, work in works.items():
        trajectory, code = arguments.finish(work, folder / f"{name}.nc", overwrite=overwrite)
        if code:
            return code
        runs.append(trajectory)
    found = sg.compare(*runs, false_alarm_rate=false_alarm_rate)
    picture, panels = plotting.figure(4, 1, width=3.5, height=3.0)
    plotting.learning_curves(*runs, axes=panels[0, :3])
    plotting.z_scores({"all quantities": found}, axes=panels[0, 3])
    files.write(folder / "comparison.png", plotting.png(picture))
    if not quiet:
        print(f"{found}\n  saved in {folder}")
    return 0
