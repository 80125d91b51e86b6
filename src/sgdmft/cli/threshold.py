"""`sgdmft threshold`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Parameter

from sgdmft.cli import arguments
from sgdmft.errors import InvalidArgument
from sgdmft.run import files, parameters

_FITTED = ("batch_fractions", "alphas", "magnetizations", "level", "window", "points", "confidence")
_LINEARIZED = ("batch_fractions", "alphas", "tolerance")
_Pair: TypeAlias = tuple[float, float] | None


def threshold(
    file: Annotated[Path | None, Parameter(help="TOML file of the arguments.")] = None,
    /,
    *,
    output: arguments.Output,
    batch_fractions: Annotated[
        list[float] | None, arguments.several("One threshold for each b; 1 is the full batch.")
    ] = None,
    alphas: Annotated[_Pair, arguments.flag("Where to look (default 0.5 to 5; linearized: to 4).")] = None,
    magnetizations: Annotated[list[float] | None, arguments.several("One threshold for each start m(0).")] = None,
    level: Annotated[float | None, Parameter(help="Level of Delta that counts as recovered (default 0.01).")] = None,
    window: Annotated[_Pair, arguments.flag("Relaxation times to fit (default steps/100 to steps).")] = None,
    points: Annotated[arguments.Whole, Parameter(help="Points in the window (default 14).")] = None,
    confidence: Annotated[float | None, Parameter(help="Of the interval of alpha* (default 0.68).")] = None,
    linearized: Annotated[
        bool, arguments.flag("No start: where an infinitesimal overlap grows, and where it decays.")
    ] = False,
    tolerance: Annotated[float | None, Parameter(help="In alpha, with --linearized (default 0.02).")] = None,
    no_cache: Annotated[bool, arguments.flag("Compute everything anew, keep nothing.")] = False,
    overwrite: arguments.Overwrite = False,
    quiet: arguments.Quiet = False,
    flags: arguments.Flags = arguments.Flags(),  # noqa: B008 - immutable
) -> int:
    """Recovery thresholds: fit relaxation times by tau0 (alpha - alpha*)^(-nu), for several b and starts.

    With --linearized there is no start, level or fit: it says from which alpha on an infinitesimal overlap is seen to grow,
    up to which it is seen to decay, and what is left undecided by runs of that length.

    The algorithm is described by a TOML file, by flags, or by both; its table [threshold] holds the options of this
    command by the same names. `--steps` (default 5000, linearized 16 384) is the longest run; the model's alpha plays no
    part. Saved as netCDF, with a picture of the same name ending in .png. What was computed once is kept in the user's
    cache folder (or the one named by SGDMFT_CACHE).

        sgdmft threshold --learning-rate 0.05 --batch-fractions 1 0.3 0.1 --magnetizations 0.1 0.01 -o thresholds.nc
        sgdmft threshold --learning-rate 0.1 --batch-fractions 1 0.2 --linearized --steps 4096 -o linear.nc
    """
    from sgdmft import plotting

    given = arguments.read(file, flags, steps=5000, alpha=1.0)
    stated = dict(given.threshold)
    parameters.check_keys(stated, {*_FITTED, *_LINEARIZED, "linearized"}, "[threshold]")
    wanted = stated.pop("linearized", False)
    if not isinstance(wanted, bool):
        raise InvalidArgument(f"Entry `linearized` of [threshold] must be true or false, but is {wanted!r}.")
    if linearized := linearized or wanted:
        given = arguments.read(file, flags, steps=16_384, alpha=1.0)
    passed = {
        "batch_fractions": batch_fractions, "alphas": alphas, "magnetizations": magnetizations, "level": level,
        "window": window, "points": points, "confidence": confidence, "tolerance": tolerance,
    }  # fmt: skip
    options = stated | {name: value for name, value in passed.items() if value is not None}
    foreign = [name for name in options if name not in (_LINEARIZED if linearized else _FITTED)]
    if foreign:
        raise InvalidArgument(
            f"The option `{foreign[0]}` means nothing {'with' if linearized else 'without'} `linearized`. Leave it out."
        )
    for name in [name for name in ("alphas", "window") if name in options]:
        if not isinstance(options[name], (list, tuple)) or len(options[name]) != 2:
            raise InvalidArgument(f"The option `{name}` must hold two numbers, but is {options[name]!r}.")
        options[name] = tuple(options[name])
    arguments.check_output(output, overwrite)
    if (image := output.with_suffix(".png")) == output:
        raise InvalidArgument(f"The output `{output}` is a netCDF file, with a picture beside it. Let it end in .nc.")
    arguments.check_output(image, overwrite)
    fractions = options.pop("batch_fractions", None)
    algorithms = [given.algorithm] if fractions is None else [given.algorithm.at_fraction(b) for b in fractions]
    work = _linearize if linearized else _fit
    text, table, picture = work(given, algorithms, options | {"cache": False if no_cache else None}, quiet)
    files.write_dataset(output, table)
    files.write(image, plotting.png(picture))
    if not quiet:
        print(f"{text}\n  saved in {output} and {image}")
    return 0


def _fit(given: arguments.Call, algorithms: list[Any], options: Mapping[str, Any], quiet: bool) -> tuple[str, Any, Any]:
    """What to print, the table and the picture of fitted thresholds."""
    import sgdmft as sg
    from sgdmft import plotting
    from sgdmft.analysis.thresholds import threshold_table

    options = dict(options)
    starts = options.pop("magnetizations", None)
    answers = sg.recovery_thresholds(
        given.model,
        algorithms,
        [given.start] if starts is None else [dataclasses.replace(given.start, magnetization=m) for m in starts],
        steps=given.steps,
        progress=not quiet,
        **options,
    )
    return "\n".join(map(str, answers)), threshold_table(answers), plotting.threshold_figure(answers)


def _linearize(
    given: arguments.Call, algorithms: list[Any], options: Mapping[str, Any], quiet: bool
) -> tuple[str, Any, Any]:
    """The same of the equations linearized in the overlap."""
    import sgdmft as sg
    from sgdmft import plotting, progress
    from sgdmft.analysis.thresholds import linear_table

    answers = []
    with progress.reporter(not quiet, "growth of an infinitesimal overlap") as report:
        for algorithm in algorithms:
            answers.append(sg.linear_threshold(given.model, algorithm, steps=given.steps, **options))
            report.update(len(answers), len(algorithms))
    text = "\n".join(f"{answer}\n  {algorithm!r}" for algorithm, answer in zip(algorithms, answers, strict=True))
    return text, linear_table(algorithms, answers), plotting.linear_threshold_figure(algorithms, answers)
