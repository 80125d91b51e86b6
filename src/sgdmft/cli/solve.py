"""`sgdmft solve`."""

from __future__ import annotations

from sgdmft.cli import arguments as call


def solve(
    file: call.File = None,
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
    given = call.read(file, flags)
    call.check_output(output, overwrite)
    return call.run(lambda: given.solve(quiet), output, overwrite=overwrite, quiet=quiet)
