"""`sgdmft simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sgdmft.cli import arguments as call
from sgdmft.run import parameters


def simulate(
    file: Annotated[Path | None, Parameter(help="TOML file of the run.")] = None,
    /,
    *,
    output: call.Output,
    size: Annotated[call.Whole, Parameter(help="Number of weights N (default 500).")] = None,
    samples: Annotated[call.Whole, Parameter(help="Number of independent samples (default 16).")] = None,
    seed: Annotated[call.Whole, Parameter(help="Seed of the random streams (default 0).")] = None,
    overwrite: call.Overwrite = False,
    quiet: call.Quiet = False,
    flags: call.Flags = call.Flags(),  # noqa: B008 - immutable
) -> int:
    """Experiment: run the algorithm on random data sets of finite size, and save means with standard errors.

    The run is described by a TOML file, by flags, or by both; a flag replaces the file's entry.

        sgdmft simulate --alpha 2.5 --learning-rate 0.1 --batch-fraction 0.3 --steps 500 --size 400 -o data.nc
    """
    import sgdmft as sg

    given = call.read(file, flags)
    call.check_output(output, overwrite)
    options = simulation_options(given, default_size=500, size=size, samples=samples, seed=seed)
    return call.run(
        lambda: sg.simulate(given.model, given.algorithm, progress=not quiet, **given.common, **options),
        output,
        overwrite=overwrite,
        quiet=quiet,
    )


def simulation_options(given: call.Call, default_size: int, **flags: int | None) -> dict[str, Any]:
    """Size, samples and seed: from the flags, else from the table [simulation], else the defaults."""
    parameters.check_keys(given.simulation, flags, "[simulation]")
    stated = {name: value for name, value in flags.items() if value is not None}
    return {"size": default_size, "samples": 16, "seed": 0, **given.simulation, **stated}
