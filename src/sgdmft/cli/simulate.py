"""`sgdmft simulate`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from sgdmft.cli import arguments


def simulate(
    file: arguments.File = None,
    /,
    *,
    output: arguments.Output,
    size: Annotated[arguments.Whole, Parameter(help="Number of weights N (default 500).")] = None,
    samples: Annotated[arguments.Whole, Parameter(help="Number of independent samples (default 16).")] = None,
    seed: Annotated[arguments.Whole, Parameter(help="Seed of the random streams (default 0).")] = None,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
    flags: arguments.Flags = arguments.Flags(),  # noqa: B008 - immutable
) -> int:
    """Experiment: run the algorithm on random data sets of finite size, and save means with standard errors.

    The run is described by a TOML file, by flags, or by both; a flag replaces the file's entry.

        sgdmft simulate --alpha 2.5 --learning-rate 0.1 --batch-fraction 0.3 --steps 500 --size 400 -o data.nc
    """
    given = arguments.read(file, flags)
    arguments.check_output(output, overwrite)
    options = given.finite(500, size=size, samples=samples, seed=seed)
    return arguments.run(lambda: given.simulate(quiet, options), output, overwrite=overwrite, quiet=quiet)
