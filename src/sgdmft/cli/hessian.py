"""`sgdmft hessian`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from sgdmft.cli import arguments
from sgdmft.run import files


def hessian(
    file: arguments.File = None,
    /,
    *,
    output: arguments.Output,
    size: Annotated[arguments.Whole, Parameter(help="Also measure at this number of weights N.")] = None,
    samples: Annotated[arguments.Whole, Parameter(help="Number of independent samples (default 16).")] = None,
    seed: Annotated[arguments.Whole, Parameter(help="Seed of the random streams (default 0).")] = None,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
    flags: arguments.Flags = arguments.Flags(),  # noqa: B008 - immutable
) -> int:
    """The Hessian along a run at the times of --two-time (default 12), printed and saved as netCDF.

    Lower and upper edge of its bulk, the fraction of negative modes, and the outlier towards the signal below the bulk;
    with --size, or a table [simulation] in the file, also the lowest eigenvalue of samples of that size, to which
    fluctuations add some N^(-2/3).

        sgdmft hessian --alpha 3 --learning-rate 0.1 --batch-fraction 0.3 --magnetization 0 --steps 1000 -o hessian.nc
    """
    import sgdmft as sg
    from sgdmft.analysis import landscape
    from sgdmft.sweeps import uninterrupted

    given = arguments.read(file, flags)
    arguments.check_output(output, overwrite)
    if flags.two_time is None:
        given = replace(given, save=sg.Save(two_time=12))
    theory = uninterrupted(given.solve(quiet))
    table = landscape.evolution(theory)
    if size is not None or given.simulation:
        probe = sg.simulation.Probe(extremes=2)
        options = given.finite(200, size=size, samples=samples, seed=seed)
        uninterrupted(replace(given, save=replace(given.save, observe=probe)).simulate(quiet, options))
        seen = [probe.mean(int(time)) if any(key[0] == time for key in probe.found) else (np.nan, np.nan)
                for time in theory.two_time]  # fmt: skip
        for name, column in zip(("lowest", "lowest_error"), np.transpose(seen), strict=True):
            table[name] = ("saved_time", column)
        table.attrs.update(options)
    files.write_dataset(output, table)
    if not quiet:
        names = [name for name in table.data_vars if name not in ("outlier_known", "upper_edge")]
        print("step".rjust(9), *(str(name).replace("lowest_error", "±").rjust(18) for name in names))
        for i, time in enumerate(theory.two_time):
            print(f"{time:9d}", *(f"{float(table[name][i]):18.5g}" for name in names))
        if not table["outlier_known"].values.all():
            print(f"No number is given for the outlier after step {landscape.LONGEST}: nan.")
    return 0
