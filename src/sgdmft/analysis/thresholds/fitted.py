r"""Recovery thresholds from relaxation times: where tau(alpha) is said to diverge.

The fitted alpha* of tau = tau0 (alpha - alpha*)^(-nu) is a statement about the start m(0), the level on Delta, the
learning rate and the window of tau that was fitted; the answer carries them all, and prints them.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.algorithm.descent import Descent
from sgdmft.analysis.thresholds.fit import PowerLaw
from sgdmft.analysis.thresholds.relaxation import RelaxationTimes, Runs, Setting
from sgdmft.errors import FitRefused, InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares, Start
from sgdmft.progress import Progress, reporter
from sgdmft.run.stability import stability_limit
from sgdmft.run.trajectory import provenance
from sgdmft.sweeps import Store, side_by_side

if TYPE_CHECKING:
    import xarray

_DESCENTS = 40
_LADDER = 5  # runs on the way to the window, for the progress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecoveryThreshold:
    """A fitted recovery threshold, with everything it is a statement about.

    Attributes
    ----------
    fit : PowerLaw or None
        None where no threshold can be fitted.
    problem : str
        Why not; empty if it can.
    window : (float, float)
        Of the relaxation times that were fitted, in steps.
    data : RelaxationTimes
        All computed points, with the setting (model, algorithm, start, level, steps).
    """

    fit: PowerLaw | None
    problem: str
    window: tuple[float, float]
    data: RelaxationTimes

    def __str__(self) -> str:
        setting = self.data.setting
        low, high = self.window
        return (
            f"{self.fit or self.problem}\n  {setting.algorithm!r}, m(0) = {setting.start.magnetization:g}, "
            f"level {setting.level:g}, window {low:g} to {high:g} steps"
        )


def recovery_threshold(
    model: GaussianLeastSquares,
    algorithm: Descent,
    *,
    start: Start | None = None,
    level: float = 0.01,
    steps: int = 5000,
    window: tuple[float, float] | None = None,
    alphas: tuple[float, float] = (0.5, 5.0),
    points: int = 14,
    confidence: float = 0.68,
    method: Any = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
    progress: Progress = False,
    cancel: threading.Event | None = None,
) -> RecoveryThreshold:
    """Recovery threshold alpha* of a descent, by the power-law fit of its relaxation times.

    Runs descend in alpha from the upper end of `alphas` until the longest ones take `steps`, then fill the window evenly
    in log tau, then `fit_power_law` is asked.

    Parameters
    ----------
    model : GaussianLeastSquares
        Its `alpha` plays no part.
    algorithm, start, level : as in `relaxation_times`

    Other parameters
    ----------------
    steps : int, default 5000
        Longest run, and upper end of the window.
    window : (float, float), default (steps/100, steps)
        Relaxation times to fit.
    alphas : (float, float), default (0.5, 5)
        Where to look.
    points : int, default 14
        In the window.
    confidence : float, default 0.68
        Of the interval of alpha*.
    method, workers, cache, progress, cancel : as in `relaxation_times`

    Raises
    ------
    FitRefused
        When the data do not determine a threshold; `error.provisional` is the `RecoveryThreshold` all the same.
    InvalidArgument

    Examples
    --------
    >>> import sgdmft as sg
    >>> model, algorithm = sg.GaussianLeastSquares(alpha=1.0), sg.GradientDescent(0.1)
    >>> answer = sg.recovery_threshold(model, algorithm, start=sg.Start(magnetization=0.01), steps=2000, cache=False)
    >>> print(f"{answer.fit.threshold:.2f} in [{answer.fit.interval[0]:.2f}, {answer.fit.interval[1]:.2f}]")
    2.06 in [1.96, 2.06]
    """
    steps = check.integer("steps", steps, at_least=10)
    points = check.integer("points", points, at_least=6)
    low, high = (check.number("alphas", alpha, above=0.0) for alpha in alphas)
    window = window or (steps / 100, float(steps))
    if not (low < high and 0 <= window[0] < window[1] <= steps):
        raise InvalidArgument(
            f"Arguments `alphas` and `window` must be ascending pairs, and `window` must end at `steps` = {steps} or before, "
            f"but they are {alphas!r} and {window!r}."
        )
    setting = Setting(model=model, algorithm=algorithm, start=start or Start(), level=level, steps=steps, method=method)
    with reporter(progress, "recovery threshold") as report:
        total = points + _LADDER
        runs = Runs(setting, Store(cache), workers, cancel, lambda known: report.update(min(known, total), total))
        answer = _threshold(runs, (low, high), window, points, confidence)
        report.update(total, total)
    if answer.problem:
        raise FitRefused(answer.problem, answer)
    return answer


def recovery_thresholds(
    model: GaussianLeastSquares,
    algorithms: Sequence[Descent],
    starts: Sequence[Start],
    *,
    workers: int | None = None,
    progress: Progress = False,
    cancel: threading.Event | None = None,
    **options: Any,
) -> list[RecoveryThreshold]:
    """Table of `recovery_threshold`, which takes the options, over algorithms and starts; refusals are entries.

    In the order of itertools.product(algorithms, starts), worked out side by side on the cores.
    """
    pairs = list(itertools.product(algorithms, starts))
    options["workers"] = workers if len(pairs) == 1 else 1

    def one(algorithm: Descent, start: Start, **control: Any) -> RecoveryThreshold:
        try:
            return recovery_threshold(model, algorithm, start=start, **options, **control)
        except FitRefused as refusal:
            return refusal.provisional  # type: ignore[return-value]

    jobs = {f"threshold {i} of {len(pairs)}": (1.0, partial(one, *pair)) for i, pair in enumerate(pairs, 1)}
    with reporter(progress, "recovery thresholds") as report:
        return list(side_by_side(jobs, report.update, workers=workers, cancel=cancel).values())


def _threshold(
    runs: Runs, alphas: tuple[float, float], window: tuple[float, float], points: int, confidence: float
) -> RecoveryThreshold:
    setting, fit, problem = runs.setting, None, ""
    if _descend(runs, alphas, window[1]):
        runs.refine(points, window)
        try:
            fit = runs.result().fit(window, confidence=confidence)
        except FitRefused as refusal:
            problem = str(refusal)
    else:
        limit, rate = stability_limit(setting.at(alphas[1]), setting.algorithm), setting.algorithm.learning_rate
        problem = f"The signal is not recovered within {setting.steps} steps at any alpha tried up to {alphas[1]:g}."
        if limit.learning_rate is not None and isinstance(rate, float) and rate > limit.learning_rate:
            problem += (
                f" At alpha = {alphas[1]:g} the learning rate {rate:g} is above the stability limit "
                f"{limit.learning_rate:.4g} at the signal ({limit.reason}). Lower the learning rate."
            )
    return RecoveryThreshold(fit=fit, problem=problem, window=window, data=runs.result())


def _descend(runs: Runs, alphas: tuple[float, float], longest: float) -> bool:
    """Make known a ladder of times from the upper alpha down to one of at least 0.7 `longest`; False if there is none.

    The next alpha is where 1/tau, continued as a straight line, falls to 1/(0.85 longest). As 1/tau is convex near a
    threshold, this stops short of it; where it does not, the step is halved.
    """
    low, high = alphas
    ladder = [high, high - 0.1 * (high - low)]
    runs.add(ladder)
    while not runs.finite():  # the upper end may be beyond the stability limit
        ladder.append(ladder[-1] - 0.1 * (high - low))
        if ladder[-1] <= low:
            return False
        runs.add(ladder[-1:])
    failed = low
    for _ in range(_DESCENTS):
        (lowest, time), *above = runs.finite()
        if time >= 0.7 * longest or lowest - failed < 1e-4 * lowest:
            break
        alpha = 0.5 * (failed + lowest)
        if above:
            second, shorter = above[0]
            slope = (1 / shorter - 1 / time) / (second - lowest)
            if slope > 0:
                alpha = max(alpha, lowest - (1 / time - 1 / (0.85 * longest)) / slope)
        runs.add([alpha])
        if not math.isfinite(runs.known[alpha]):
            failed = alpha
    return True


def threshold_table(answers: Sequence[RecoveryThreshold]) -> xarray.Dataset:
    """Recovery thresholds as a dataset over `row`, with all relaxation times over (`row`, `point`), padded with NaN."""
    import xarray as xr

    length = max((len(answer.data.alphas) for answer in answers), default=0)
    points = np.full((2, len(answers), length), np.nan)
    for i, answer in enumerate(answers):
        points[:, i, : len(answer.data.alphas)] = answer.data.alphas, answer.data.times
    fits = [answer.fit for answer in answers]
    settings = [answer.data.setting for answer in answers]
    columns = {
        "algorithm": [repr(setting.algorithm) for setting in settings],
        "batch_fraction": [setting.algorithm.batch_fraction for setting in settings],
        "magnetization": [setting.start.magnetization for setting in settings],
        "level": [setting.level for setting in settings],
        "shortest": [answer.window[0] for answer in answers],
        "longest": [answer.window[1] for answer in answers],
        "threshold": [fit.threshold if fit else math.nan for fit in fits],
        "threshold_low": [fit.interval[0] if fit else math.nan for fit in fits],
        "threshold_high": [fit.interval[1] if fit else math.nan for fit in fits],
        "exponent": [fit.exponent if fit else math.nan for fit in fits],
        "amplitude": [fit.amplitude if fit else math.nan for fit in fits],
        "points_fitted": [len(fit.alphas) if fit else 0 for fit in fits],
        "law_doubtful": [int(fit.doubtful) if fit else 0 for fit in fits],
        "problem": [answer.problem for answer in answers],
    }
    return xr.Dataset(
        {name: ("row", np.array(values)) for name, values in columns.items()}
        | {
            "alpha": (("row", "point"), points[0]),
            "relaxation_time": (("row", "point"), points[1], {"units": "steps"}),
        },
        attrs={"confidence": next((fit.confidence for fit in fits if fit), math.nan)} | provenance(),
    )
