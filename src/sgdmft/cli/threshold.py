"""`sgdmft threshold`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sgdmft import parameters
from sgdmft.cli import call

_OPTIONS = ("batch_fractions", "magnetizations", "level", "window", "points", "confidence")


def _several(text: str) -> Parameter:
    return Parameter(help=text, consume_multiple=True, negative="")


def threshold(
    file: Annotated[Path | None, Parameter(help="TOML file of the call.")] = None,
    /,
    *,
    output: call.Output,
    batch_fractions: Annotated[list[float] | None, _several("One threshold for each b; 1 is the full batch.")] = None,
    magnetizations: Annotated[list[float] | None, _several("One threshold for each start m(0).")] = None,
    level: Annotated[float | None, Parameter(help="Level of Delta that counts as recovered (default 0.01).")] = None,
    window: Annotated[
        tuple[float, float] | None, Parameter(help="Relaxation times to fit (default steps/100 to steps).")
    ] = None,
    points: Annotated[call.Whole, Parameter(help="Points in the window (default 14).")] = None,
    confidence: Annotated[float | None, Parameter(help="Of the interval of alpha* (default 0.68).")] = None,
    no_cache: Annotated[bool, Parameter(help="Compute everything anew, keep nothing.", negative="")] = False,
    overwrite: call.Overwrite = False,
    quiet: call.Quiet = False,
    flags: call.Flags = call.Flags(),  # noqa: B008 - immutable
) -> int:
    """Recovery thresholds: fit relaxation times by tau0 (alpha - alpha*)^(-nu), for several b and starts.

    The algorithm is described by a TOML file, by flags, or by both; its table [threshold] holds the options of this
    command by the same names. `--steps` (default 5000) is the longest run; the model's alpha plays no part. Times
    computed once are kept in the user's cache folder (or the one named by SGDMFT_CACHE). Saved as netCDF.

        sgdmft threshold --learning-rate 0.05 --batch-fractions 1 0.3 0.1 --magnetizations 0.1 0.01 -o thresholds.nc
    """
    import sgdmft as sg
    from sgdmft.thresholds import threshold_table

    given = call.read(file, flags, steps=5000, alpha=1.0)
    call.check_output(output, overwrite)
    parameters.check_keys(given.threshold, _OPTIONS, "[threshold]")
    values = (batch_fractions, magnetizations, level, window, points, confidence)
    passed = {name: value for name, value in zip(_OPTIONS, values, strict=True) if value is not None}
    options: dict[str, Any] = {**given.threshold, **passed}
    if "window" in options:
        options["window"] = tuple(options["window"])
    fractions, starts = options.pop("batch_fractions", None), options.pop("magnetizations", None)
    algorithms = [given.algorithm] if fractions is None else [_with(given.algorithm, b) for b in fractions]
    answers = sg.recovery_thresholds(
        given.model,
        algorithms,
        [given.start] if starts is None else [dataclasses.replace(given.start, magnetization=m) for m in starts],
        steps=given.steps,
        cache=False if no_cache else None,
        progress=not quiet,
        **options,
    )
    threshold_table(answers).to_netcdf(output, engine="h5netcdf")
    if not quiet:
        print("\n".join(map(str, answers)))
        print(f"  saved in {output}")
    return 0


def _with(algorithm: Any, fraction: float) -> Any:
    import sgdmft as sg

    return dataclasses.replace(algorithm, batches=sg.FullBatch() if fraction == 1.0 else sg.Bernoulli(fraction))
