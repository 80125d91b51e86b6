r"""Relaxation times: when the squared distance to the signal, Delta(t) = 1 - 2 m(t) + C(t,t), first falls below a level.

    tau = first t with Delta(t) < level                                                                     (7.3)

with log Delta interpolated linearly between the steps around the crossing, so that tau is a smooth function of alpha.
"""

from __future__ import annotations

import dataclasses
import math
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.algorithm.descent import Descent
from sgdmft.analysis.thresholds.fit import PowerLaw, fit_power_law
from sgdmft.dmft import Compressed, solve
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import ConstantTarget, GaussianLeastSquares, Start
from sgdmft.progress import Progress, reporter
from sgdmft.run import rounding
from sgdmft.run.parameters import plain
from sgdmft.run.request import Recovered, Save
from sgdmft.run.trajectory import Trajectory
from sgdmft.sweeps import Store, side_by_side, uninterrupted

#: Relaxation times agree with the dense sweep to better than 1e-6 of themselves with these settings.
METHOD = Compressed(tolerance=1e-8, order=8)
_ROUND = 4  # points placed at once; a constant, so that the points do not depend on the number of cores


def relaxation_time(trajectory: Trajectory, level: float = 0.01) -> float:
    """First time, in steps, at which the squared distance to the signal falls below `level`; equation (7.3).

    Parameters
    ----------
    trajectory : Trajectory
        Of the theory. Of a simulation it is the time at which the mean distance over the samples falls below the level.
    level : float, default 0.01
        Above the rounding floor of Delta, `run.rounding.FLOOR` = 5.7e-14.

    Returns
    -------
    float
        0 if the start lies below the level already, inf if the trajectory never does. Between two recorded times, log
        Delta is taken as linear; where Delta is not positive (rounding), Delta is.

    Examples
    --------
    >>> import sgdmft as sg
    >>> theory = sg.solve(sg.GaussianLeastSquares(alpha=3.0), sg.GradientDescent(0.1), steps=100)
    >>> round(sg.relaxation_time(theory, 0.01), 3)
    39.686
    """
    level = rounding.level("level", level)
    distance, time = trajectory.distance, trajectory.time
    below = np.flatnonzero(distance < level)
    if not len(below):
        return math.inf
    i = int(below[0])
    if i == 0:
        return float(time[0])
    before, after = float(distance[i - 1]), float(distance[i])
    if after > 0:
        before, after, level = math.log(before), math.log(after), math.log(level)
    return float(time[i - 1] + (time[i] - time[i - 1]) * (before - level) / (before - after))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a relaxation time depends on besides alpha; the alpha of `model` plays no part."""

    model: GaussianLeastSquares
    algorithm: Descent
    start: Start
    level: float
    steps: int
    method: Any = None  # `METHOD` after the check

    def __post_init__(self) -> None:
        if isinstance(self.model.labels, ConstantTarget):
            raise InvalidArgument("A constant target has no signal to recover; give `labels=Teacher(...)`.")
        object.__setattr__(self, "method", self.method or METHOD)
        object.__setattr__(self, "level", rounding.level("level", self.level))
        object.__setattr__(self, "steps", check.integer("steps", self.steps, at_least=1))

    def at(self, alpha: float) -> GaussianLeastSquares:
        """The model at another number of samples per weight."""
        return dataclasses.replace(self.model, alpha=alpha)

    def key(self, alpha: float, **more: Any) -> dict[str, Any]:
        """Everything the time depends on; the number of steps only through schedules that are functions."""
        return {
            "what": "relaxation time",
            "model": self.at(alpha),
            "algorithm": plain(self.algorithm, steps=self.steps, identity=True),
            "start": self.start,
            "level": self.level,
            "method": self.method,
            **more,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelaxationTimes:
    """Relaxation times against alpha; what `relaxation_times` returns.

    Attributes
    ----------
    alphas, times : ndarray, shape (n,)
        Ascending in alpha; a time is inf where the signal was not recovered within `setting.steps`.
    setting : Setting
        Model, algorithm, start, level, steps and method.
    """

    alphas: np.ndarray
    times: np.ndarray
    setting: Setting

    def fit(self, window: tuple[float, float] | None = None, **options: Any) -> PowerLaw:
        """`fit_power_law` of the points whose time lies in `window`; see there for options and errors."""
        low, high = window or (0.0, math.inf)
        inside = (self.times >= low) & (self.times <= high)
        return fit_power_law(self.alphas[inside], self.times[inside], **options)

    def alpha_at(self, time: float) -> float:
        """The alpha at which tau passes `time`, interpolated linearly in log tau between two neighbouring points.

        Raises
        ------
        InvalidArgument
            Where there is no such pair of points, or more than one.
        """
        time = check.number("time", time, above=0.0)
        x, beyond = self.alphas, self.times > time
        (pairs,) = np.nonzero((beyond[1:] != beyond[:-1]) & np.isfinite(self.times[1:]) & np.isfinite(self.times[:-1]))
        if len(pairs) != 1:
            raise InvalidArgument(
                f"The relaxation times pass {time:g} steps between {len(pairs)} pairs of neighbouring finite points; "
                "one is needed. Give alphas on both sides, and longer runs."
            )
        i = int(pairs[0])
        part = math.log(time / self.times[i]) / math.log(self.times[i + 1] / self.times[i])
        return float(x[i] + part * (x[i + 1] - x[i]))


@dataclass(slots=True)
class Runs:
    """Relaxation times at given alphas: from the store, else computed (side by side) and stored.

    `tell` is called with the number of known times, of which a run in progress is a part.
    """

    setting: Setting
    store: Store
    workers: int | None
    cancel: threading.Event | None
    tell: Callable[[float], None]
    known: dict[float, float] = field(default_factory=dict)

    def add(self, alphas: Iterable[float]) -> None:
        """Make the times at these alphas known."""
        jobs = {alpha: (1.0, partial(self._time, alpha)) for alpha in map(float, alphas) if alpha not in self.known}
        known = len(self.known)
        self.known |= side_by_side(
            jobs, lambda done, total, label: self.tell(known + done), workers=self.workers, cancel=self.cancel
        )

    def refine(self, points: int, window: tuple[float, float]) -> None:
        """Add alphas until that many times lie in the window: always in the middle of the largest steps of log tau.

        An infinite time counts as twice the number of steps. Steps below one alpha in 10 000 are not divided.
        """
        low, high = window
        while True:
            alphas, times = np.array(sorted(self.known.items())).T
            inside = np.count_nonzero((low <= times) & (times <= high))
            capped = np.clip(np.where(np.isfinite(times), times, 2 * self.setting.steps), low, 2 * high)
            jumps = np.abs(np.diff(np.log(capped)))
            jumps[(np.diff(alphas) < 1e-4 * alphas[1:]) | (jumps == 0)] = -1.0
            chosen = np.argsort(-jumps, kind="stable")[: min(_ROUND, points - inside)]
            chosen = chosen[jumps[chosen] > 0.5 * max(jumps.max(), 0.0)]
            if inside >= points or not len(chosen):
                return
            self.add(0.5 * (alphas[chosen] + alphas[chosen + 1]))

    def finite(self) -> list[tuple[float, float]]:
        """(alpha, time) where the signal was recovered, ascending in alpha."""
        return sorted(point for point in self.known.items() if math.isfinite(point[1]))

    def result(self) -> RelaxationTimes:
        alphas, times = np.array(sorted(self.known.items())).reshape(-1, 2).T
        return RelaxationTimes(alphas=alphas, times=times, setting=self.setting)

    def _time(self, alpha: float, progress: Progress, cancel: threading.Event) -> float:
        setting = self.setting
        key = partial(setting.key, alpha)
        kept = self.store.get(key)
        if kept and (kept["time"] is not None or kept["steps"] >= setting.steps):
            return kept["time"] if kept["time"] is not None and kept["time"] <= setting.steps else math.inf
        trajectory = solve(
            setting.at(alpha), setting.algorithm, steps=setting.steps, start=setting.start, method=setting.method,
            save=Save(two_time=0), stop=Recovered(distance=setting.level), progress=progress, cancel=cancel,
            strict=False,  # a run that diverges does not recover
        )  # fmt: skip
        time = relaxation_time(uninterrupted(trajectory), setting.level)
        self.store.put(key, {"time": time if math.isfinite(time) else None, "steps": setting.steps})
        return time


def relaxation_times(
    model: GaussianLeastSquares,
    algorithm: Descent,
    alphas: Sequence[float],
    *,
    start: Start | None = None,
    level: float = 0.01,
    steps: int = 10_000,
    points: int = 0,
    method: Any = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
    progress: Progress = False,
    cancel: threading.Event | None = None,
) -> RelaxationTimes:
    """Relaxation times (7.3) of the theory at several numbers of samples per weight.

    Each run stops on recovery. Runs go side by side on threads; each result is kept on disk as soon as it is there.

    Parameters
    ----------
    model : GaussianLeastSquares
        Its `alpha` is replaced by each of `alphas`.
    algorithm : Descent
    alphas : sequence of float
    start : Start, default Start()
    level : float > 0, default 0.01
        On the squared distance to the signal.
    steps : int, default 10 000
        Longest run.

    Other parameters
    ----------------
    points : int, default 0
        Put further alphas between the given ones, where log tau changes most, until so many times are finite.
    method : Dense, Compressed or None
        None is `Compressed(tolerance=1e-8, order=8)`, good to 1e-6 of tau.
    workers : int, default all cores
    cache : folder, None or False
        Where results are kept; None is the user's cache folder (or the environment variable SGDMFT_CACHE).
    progress : bool or callable(done, total, label)
    cancel : threading.Event or None
        When it is set, the runs stop, and `KeyboardInterrupt` is raised as on Ctrl-C; those that are finished are kept.

    Examples
    --------
    >>> import sgdmft as sg
    >>> model = sg.GaussianLeastSquares(alpha=1.0)
    >>> result = sg.relaxation_times(model, sg.GradientDescent(0.1), [2.5, 3.5], steps=500, cache=False)
    >>> [round(float(time), 2) for time in result.times]
    [61.41, 29.02]
    """
    alphas = [check.number("alphas", alpha, above=0.0) for alpha in alphas]
    points = check.integer("points", points, at_least=0)
    if points and len(set(alphas)) < 2:
        raise InvalidArgument("To place points adaptively, `alphas` must hold at least two different values.")
    setting = Setting(model=model, algorithm=algorithm, start=start or Start(), level=level, steps=steps, method=method)
    with reporter(progress, "relaxation times") as report:
        total = max(points, len(alphas))
        runs = Runs(setting, Store(cache), workers, cancel, lambda known: report.update(min(known, total), total))
        runs.add(alphas)
        if points:
            runs.refine(points, (1e-9, steps))
        report.update(total, total)
    return runs.result()
