"""`sgdmft reproduce`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from sgdmft.cli import INTERRUPTED, INVALID, arguments


def reproduce(
    *,
    output: arguments.Output,
    quick: Annotated[
        bool,
        arguments.flag("The sections on the talk itself (or those of --only), with shorter runs and smaller samples."),
    ] = False,
    only: Annotated[list[str] | None, Parameter(help="Names of sections to build, instead of all.")] = None,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
) -> int:
    """Reproduce the results of the talk, theory and simulation side by side, in a new folder.

    The folder holds one self-contained page (report.html), the figures (PNG), the data (netCDF), and the exact
    parameters (TOML). Finished sections survive when a later one fails or is interrupted.

        sgdmft reproduce -o talk-results
    """
    from sgdmft import reports

    folder = arguments.check_output(output, overwrite, folder=True)
    outcome = reports.write(folder, quick=quick, only=only, progress=not quiet)
    if not quiet:
        print(outcome)
    return INTERRUPTED if outcome.interrupted else INVALID if outcome.failed else 0
