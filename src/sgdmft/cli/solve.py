"""`sgdmft solve`."""

from __future__ import annotations

from sgdmft.cli import arguments


def solve(
    file: arguments.File = None,
    /,
    *,
    output: arguments.Output,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
    flags: arguments.Flags = arguments.Flags(),  # noqa: B008 - immutable
) -> int:
    """Theory: integrate the mean-field equations of a run and save the trajectory as netCDF.

    The run is described by a TOML file, by flags, or by both; a flag replaces the file's entry.

        sgdmft solve --alpha 2.5 --learning-rate 0.1 --batch-fraction 0.3 --steps 500 -o run.nc
    """
    given = arguments.read(file, flags)
    arguments.check_output(output, overwrite)
    return arguments.run(lambda: given.solve(quiet), output, overwrite=overwrite, quiet=quiet)
