r"""Recovery at finite size: how often, and how fast, runs of N weights find the signal that the theory says they find.

For N -> infinity all runs recover at the same step tau(alpha), so that the fraction of runs that have recovered within T
steps is a step function of alpha, from 0 to 1 where tau(alpha) = T. At finite N it is rounded, and its middle may drift.

Of k recoveries in n runs, the fraction p has Wilson's interval: all p with |k/n - p| <= z sqrt(p (1 - p)/n),

    [k + z^2/2 -+ z sqrt(k (n - k)/n + z^2/4)] / (n + z^2).                                                (7.7)
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.algorithm.descent import Descent
from sgdmft.analysis.thresholds.relaxation import Setting
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares, Start
from sgdmft.progress import Progress, reporter
from sgdmft.run.request import Recovered, Save
from sgdmft.simulation import simulate
from sgdmft.sweeps import Store, side_by_side

_BLOCK = 8  # runs between two visits to the disk


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecoverySteps:
    """Steps at which runs of finite size recover; what `recovery_steps` returns.

    Attributes
    ----------
    alphas : ndarray, shape (n,)
        Ascending.
    runs : dict from N to int ndarray, shape (n, samples)
        The first step at which Delta(t) < level, for each alpha and run; -1 where there is none.
    setting : Setting
        Model, algorithm, start, level and steps; the alpha of the model plays no part.
    """

    alphas: np.ndarray
    runs: dict[int, np.ndarray]
    setting: Setting

    def recovered(self, size: int, within: int | None = None) -> np.ndarray:
        """Whether each run of N = `size` recovered within so many steps (default all), bool, shape (n, samples)."""
        if size not in self.runs:
            raise InvalidArgument(f"There are no runs of N = {size}, only of N = {', '.join(map(str, self.runs))}.")
        longest = self.setting.steps
        within = longest if within is None else check.integer("within", within, at_least=0)
        if within > longest:
            raise InvalidArgument(f"Argument `within` is {within}, but the runs have {longest} steps only.")
        return (self.runs[size] >= 0) & (self.runs[size] <= within)

    def fraction(self, size: int, within: int | None = None) -> np.ndarray:
        """Fraction of the runs of N = `size` that recovered within so many steps (default all), shape (n,)."""
        return self.recovered(size, within).mean(axis=1)

    def interval(self, size: int, within: int | None = None, *, confidence: float = 0.68) -> np.ndarray:
        """Interval (7.7) of that fraction: lower and upper ends, shape (2, n)."""
        recovered = self.recovered(size, within)
        return wilson_interval(recovered.sum(axis=1), recovered.shape[1], confidence=confidence)

    def quantile(self, size: int, probability: float) -> np.ndarray:
        """Step by which that part of the runs of N = `size` has recovered, inf where fewer do, shape (n,)."""
        times = np.where(self.recovered(size), self.runs[size], math.inf)
        return np.quantile(times, probability, axis=1, method="inverted_cdf")

    def alpha_at(self, size: int, fraction: float = 0.5, within: int | None = None) -> tuple[float, float]:
        """The alpha at which the fraction of recovered runs of N = `size` passes `fraction`, and its standard error.

        Interpolated linearly between the points of the ascending sequence nearest to the measured fractions, which takes
        for granted that they do not fall with alpha; the error is that of 1000 sets of runs drawn from this sequence.

        Raises
        ------
        InvalidArgument
            When one in 100 of these sets, or more, does not pass `fraction`.
        """
        recovered = self.recovered(size, within)
        measured, n = _ascending(recovered.mean(axis=1)), recovered.shape[1]
        drawn = np.random.default_rng(0).binomial(n, measured.clip(0.0, 1.0), size=(1000, len(measured))) / n
        rows = _ascending(np.concatenate([measured[None], drawn]))
        inside = (rows[:, 0] < fraction) & (fraction < rows[:, -1])
        if not inside[0] or inside.mean() < 0.99:
            raise InvalidArgument(
                f"The fraction of recovered runs of N = {size} does not pass {fraction:g} clearly: it is "
                f"{measured.round(3).tolist()}. Add alphas or runs."
            )
        best, *others = (np.interp(fraction, row, self.alphas) for row in rows[inside])
        return float(best), float(np.std(others))


def _ascending(fractions: np.ndarray) -> np.ndarray:
    """Nearest ascending sequence to each row, shape (..., n)."""
    from scipy.optimize import isotonic_regression

    return np.apply_along_axis(lambda row: isotonic_regression(row).x, -1, fractions)


def recovery_steps(
    model: GaussianLeastSquares,
    algorithm: Descent,
    alphas: Sequence[float],
    samples: Mapping[int, int],
    *,
    start: Start | None = None,
    level: float = 0.01,
    steps: int = 300,
    seed: int = 0,
    workers: int | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
    progress: Progress = False,
    cancel: threading.Event | None = None,
) -> RecoverySteps:
    """Steps at which independent runs of finite size recover the signal, at several alphas and sizes.

    Each run has data, start and selections of its own, from a seed made of `seed`, N, alpha and the number of the
    run; it stops on recovery, and is computed in single precision. More samples continue what is on disk, where results
    are kept every few runs.

    Parameters
    ----------
    model : GaussianLeastSquares
        With a teacher; its `alpha` is replaced by each of `alphas`.
    algorithm, alphas, start, level : as in `relaxation_times`
    samples : dict from N to the number of runs
        A run needs about 2 alpha N^3 bytes.
    steps : int, default 300
        Longest run. One that diverges does not recover.

    Other parameters
    ----------------
    seed : int, default 0
    workers : int, default all cores
        Runs at a time.
    cache, progress, cancel : as in `relaxation_times`

    Examples
    --------
    >>> import sgdmft as sg
    >>> model, algorithm = sg.GaussianLeastSquares(alpha=1.0), sg.SGD(0.1, 0.2)
    >>> found = sg.recovery_steps(model, algorithm, [1.0, 4.0], {40: 20}, steps=100, cache=False)
    >>> (found.fraction(40) > 0.5).tolist(), found.interval(40).shape
    ([False, True], (2, 2))
    """
    setting = Setting(
        model=model, algorithm=algorithm, start=start or Start(), level=level, steps=steps, method="simulation"
    )
    points = sorted({check.number("alphas", alpha, above=0.0) for alpha in alphas})
    wanted = {
        check.integer("samples", size, at_least=2): check.integer("samples", count, at_least=1)
        for size, count in samples.items()
    }
    seed = check.integer("seed", seed, at_least=0)
    store = Store(cache)
    total = sum(count * size**3 for size, count in wanted.items()) * len(points)
    runs, done = {}, 0
    with reporter(progress, "recovery at finite size") as report:
        for size, count in wanted.items():
            rows = []
            for alpha in points:
                key = partial(setting.key, alpha, what="recovery steps", steps=setting.steps, size=size, seed=seed)
                known: list[int] = (store.get(key) or {"recovery_steps": []})["recovery_steps"]
                while len(known) < count:
                    block = range(len(known), min(len(known) + _BLOCK, count))
                    jobs = {k: (1.0, partial(_recovery_step, setting, alpha, size, seed, k)) for k in block}
                    known = [*known, *side_by_side(jobs, workers=workers, cancel=cancel).values()]
                    store.put(key, {"recovery_steps": known})
                    report.update(done + len(known) * size**3, total)
                rows.append(known[:count])
                done += count * size**3
            runs[size] = np.array(rows)
        report.update(total, total)
    return RecoverySteps(alphas=np.array(points), runs=runs, setting=setting)


def _recovery_step(
    setting: Setting, alpha: float, size: int, seed: int, sample: int, progress: Progress, cancel: threading.Event
) -> int:
    """When one run recovers; -1 if it does not."""
    entropy = np.random.SeedSequence((seed, size, round(1e6 * alpha), sample)).generate_state(1, np.uint64)
    trajectory = simulate(
        setting.at(alpha), setting.algorithm, steps=setting.steps, start=setting.start, size=size, samples=1,
        seed=int(entropy[0] >> np.uint64(1)), save=Save(two_time=0, loss_times=()),
        stop=Recovered(distance=setting.level), dtype="float32", workers=1, strict=False, progress=progress, cancel=cancel,
    )  # fmt: skip
    return int(trajectory.dataset.attrs["recovery_step"][0])


def wilson_interval(successes: Any, trials: Any, *, confidence: float = 0.68) -> np.ndarray:
    """Interval (7.7) of a probability, of that many successes in independent trials: lower and upper ends, shape (2, ...).

    Examples
    --------
    >>> wilson_interval(0, 10, confidence=0.95).round(3).tolist()
    [0.0, 0.278]
    """
    from scipy.special import ndtri

    k, n = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    z = float(ndtri(0.5 * (1 + check.number("confidence", confidence, above=0.0, at_most=1 - 1e-6))))
    middle, half = k + 0.5 * z**2, z * np.sqrt(k * (n - k) / n + 0.25 * z**2)
    return np.clip(np.array([middle - half, middle + half]) / (n + z**2), 0.0, 1.0)
