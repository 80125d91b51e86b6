"""`sgdmft solve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sgdmft.cli import arguments as call
from sgdmft.run import parameters


def solve(
    file: Annotated[Path | None, Parameter(help="TOML file of the run.")] = None,
    /,
    *,
    output: call.Output,
    overwrite: call.Overwrite = False,
    quiet: call.Quiet = False,
    flags: call.Flags = call.Flags(),  # noqa: B008 - immutable
) -> int:
    """Theory: integrate the mean-field equations of a run and save the trajectory as netCDF.

    The run is described by a TOML file, by flags, or by both; a flag replaces the file's entry.

        sgdmft solve --alpha 2.5 --learning-rate 0.1 --batch-fraction 0.3 --steps 500 -o run.nc
    """
    import sgdmft as sg

    given = call.read(file, flags)
    call.check_output(output, overwrite)
    method = theory_method(given)
    return call.run(
        lambda: sg.solve(given.model, given.algorithm, method=method, progress=not quiet, **given.common),
        output,
        overwrite=overwrite,
        quiet=quiet,
    )


def theory_method(given: call.Call) -> Any:
    """The method of table [method], or None for the one that suits the run."""
    from sgdmft.dmft import Compressed, Dense

    return None if given.method is None else parameters.rebuild("method", given.method, classes=(Dense, Compressed))
