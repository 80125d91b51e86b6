"""`sgdmft aging`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from sgdmft.cli import arguments


def aging(
    file: arguments.File = None,
    /,
    *,
    output: arguments.Output,
    tolerance: Annotated[float, Parameter(help="Difference of correlations that counts as none.")] = 0.02,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
    flags: arguments.Flags = arguments.Flags(),  # noqa: B008 - immutable
) -> int:
    """Theory of a run, saved as netCDF at the times an analysis of aging needs, and that analysis.

    Printed are the verdict (aging, stationary, frozen), the exponent of t_w^mu, the plateau, effective temperatures of
    one step and of the slow half of the decay, each with its uncertainty. A file's table [save] is not used.

        sgdmft aging --alpha 2 --target 0.7071 --learning-rate 0.1 --batch-fraction 0.2 --steps 10000 -o aging.nc
    """
    import sgdmft as sg
    from sgdmft.analysis import aging as analysis

    given = arguments.read(file, flags)
    arguments.check_output(output, overwrite)
    given = replace(given, save=sg.Save(two_time=analysis.times(given.steps)))
    code = arguments.run(lambda: given.solve(quiet), output, overwrite=overwrite, quiet=quiet)
    if code == 0:
        print(analysis.analyse(sg.load(output), tolerance=tolerance))
    return code
