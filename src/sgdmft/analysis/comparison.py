r"""Theory against simulation: z-scores at a few well separated times, and a verdict at a stated false-alarm rate.

For each compared entry of a quantity q (loss, m(t), C(t,t), and where both have them C(t,t'), R(t,t'), C12(t,t'))

    z = (q_simulation - q_theory) / standard error.                                                   (12.1)

A standard error from n samples makes z a Student variable of n - 1 degrees of freedom (the fluctuations being Gaussian, as
they are for large N). The verdict is `consistent` when no |z| exceeds the threshold t* with Pr[|z| > t*] = rate / number
of entries (Bonferroni): whatever the correlations between times and quantities, a right theory is rejected with
probability at most the rate. Entries at neighbouring times say the same thing, so few are taken, evenly spaced in
log(1 + t). Few samples mean a high threshold, hence a weak test.

A z-score cannot see a mistake that also inflates the error. So each quantity has a resolution, its median standard error
over the range of the theory (of the compared entries and 0; 1, the scale of the signal, where the theory is 0 throughout),
and a comparison in which one exceeds 1 is not consistent: it has resolved nothing there.

The theory holds for N -> infinity; a run of size N differs by O(1/N), which many samples resolve. Given two runs of sizes
N1 < N2, the comparison is with q = (N2 q2 - N1 q1) / (N2 - N1), in which the term 1/N cancels.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.run import parameters
from sgdmft.run.trajectory import Trajectory, time_unit

_ONE_TIME = ("loss", "magnetization", "norm")
_WEAK = 1.75  # thresholds beyond so many times that of many samples are called weak: below about 11 samples
_TWO_TIME = ("correlation", "response", "replica_correlation")


class Score(NamedTuple):
    """One compared entry; `earlier_time` is None for one-time quantities."""

    quantity: str
    time: float
    earlier_time: float | None
    theory: float
    simulation: float
    error: float
    z: float


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """Answer of `compare`.

    Attributes
    ----------
    scores : tuple of Score
        All compared entries.
    threshold : float
        The largest |z| that passes.
    false_alarm_rate : float
        Largest probability that a right theory fails.
    sizes : tuple of int
        N of the simulation; two where the size was extrapolated.
    time_unit : str
        Of the times of the scores.
    """

    scores: tuple[Score, ...]
    threshold: float
    false_alarm_rate: float
    sizes: tuple[int, ...]
    time_unit: str = "steps"

    @property
    def consistent(self) -> bool:
        """Whether every |z| is at most the threshold and every quantity is resolved."""
        return abs(self.worst.z) <= self.threshold and not self.unresolved

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The quantities whose `resolution` exceeds 1."""
        return tuple(name for name in self.quantities if not self.resolution(name) <= 1.0)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the compared quantities."""
        return tuple(dict.fromkeys(score.quantity for score in self.scores))

    def resolution(self, quantity: str) -> float:
        """Median standard error of a quantity over the range of the theory, both of the compared entries."""
        scores = [score for score in self.scores if score.quantity == quantity]
        spread = np.ptp([0.0, *(score.theory for score in scores)]) or 1.0
        return float(np.median([score.error for score in scores]) / spread)

    @property
    def worst(self) -> Score:
        """The entry of largest |z|."""
        return max(self.scores, key=lambda score: abs(score.z))

    def of(self, quantity: str) -> np.ndarray:
        """The z-scores of one quantity."""
        return np.array([score.z for score in self.scores if score.quantity == quantity])

    def __repr__(self) -> str:
        lines = [f"Theory against simulation at N = {' and '.join(map(str, self.sizes))}: {len(self.scores)} z-scores"]
        for name in self.quantities:
            z = self.of(name)
            lines.append(
                f"  {name:<20} {len(z):>3} entries   rms z {np.sqrt(np.mean(z**2)):.2f}   max |z| {np.abs(z).max():.2f}"
                f"   error {100 * self.resolution(name):.2g} % of the range"
            )
        where, rate = self.worst, f"false-alarm rate {self.false_alarm_rate:g}"
        if abs(where.z) <= self.threshold:
            many = threshold_of(self.false_alarm_rate, len(self.scores), 10**6)
            weak = f"; so few samples make a weak test: with many the bound is {many:.2f}"
            weak = weak if self.threshold > _WEAK * many else ""
            blurred = f"not resolved: {', '.join(self.unresolved)} (error above the range); else"
            verdict = blurred if self.unresolved else "consistent:"
            return "\n".join([*lines, f"  {verdict} no |z| above {self.threshold:.2f} ({rate}){weak}"])
        place = f"t = {where.time}" + (f", t' = {where.earlier_time}" if where.earlier_time is not None else "")
        lines.append(
            f"  NOT consistent: {where.quantity} at {place} is {where.simulation:.6g} ± {where.error:.2g}, "
            f"the theory {where.theory:.6g}; z = {where.z:.2f} beyond {self.threshold:.2f} ({rate})."
        )
        if len(self.sizes) == 1:
            lines.append("  Differences of order 1/N are real; a second, larger size lets them be extrapolated away.")
        return "\n".join(lines)


def compare(theory: Trajectory, *simulations: Trajectory, times: int = 5, false_alarm_rate: float = 1e-3) -> Comparison:
    """Compare a solution of the theory with one simulation, or with two of different sizes extrapolated in 1/N.

    Parameters
    ----------
    theory, simulations : Trajectory
    times : int
        How many common times are compared, evenly spaced in log(1 + t); of two-time functions all their pairs t > t'.
    false_alarm_rate : float in (0, 1)
        Largest probability that a right theory is found not `consistent`.

    Raises
    ------
    InvalidArgument
        When there is nothing to compare, a simulation has one sample, or the trajectories are of different models,
        algorithms or starts, or count time in different units.

    Examples
    --------
    >>> import sgdmft as sg
    >>> model, algorithm = sg.GaussianLeastSquares(alpha=1.5), sg.SGD(learning_rate=0.1, batch_fraction=0.5)
    >>> theory = sg.solve(model, algorithm, steps=10)
    >>> compare(theory, sg.simulate(model, algorithm, steps=10, size=80, samples=8)).consistent
    True
    """
    rate = check.number("false_alarm_rate", false_alarm_rate, above=0.0, at_most=0.5)
    times = check.integer("times", times, at_least=1)
    _check(theory, simulations)
    sizes = tuple(int(data.dataset.attrs["size"]) for data in simulations)
    freedom = min(int(data.dataset.attrs["samples"]) for data in simulations) - 1
    scores = []
    for name in (*_ONE_TIME, *_TWO_TIME):
        if all(name in run.dataset for run in (theory, *simulations)):
            scores += _scores(name, theory, simulations, sizes, times)
    if not scores:
        raise InvalidArgument(
            "There is nothing to compare: theory and simulation have no common times with a statistical error. "
            "Run both with the same `steps` and `save`."
        )
    return Comparison(tuple(scores), threshold_of(rate, len(scores), freedom), rate, sizes, theory.time_unit)


def threshold_of(rate: float, entries: int, freedom: int) -> float:
    """t* of that many two-sided Student z-scores, one of which lies beyond it with probability `rate` at most."""
    from scipy.stats import t as student

    return float(student.isf(rate / (2 * entries), freedom))


def _check(theory: Trajectory, simulations: tuple[Trajectory, ...]) -> None:
    if theory.kind != "theory" or any(data.kind != "simulation" for data in simulations):
        kinds = ", ".join(run.kind for run in (theory, *simulations))
        raise InvalidArgument(f"`compare` takes first the theory, then one or two simulations, but got: {kinds}.")
    if len(simulations) not in (1, 2):
        raise InvalidArgument(f"`compare` takes one simulation, or two of different sizes, but got {len(simulations)}.")
    for data in simulations:
        if data.dataset.attrs["samples"] < 2:
            raise InvalidArgument("A simulation of one sample has no standard error. Use `samples` of at least 2.")
    runs = (theory, *simulations)
    time_unit(*runs)
    for name in ("model", "algorithm", "start"):
        texts = _texts(name, runs)
        if len(set(texts)) > 1:
            shown = [run.dataset.attrs[name] for run in runs]
            if len(set(shown)) == 1:  # they print alike: show where they differ
                same = next(k for k, letters in enumerate(zip_longest(*texts)) if len(set(letters)) > 1)
                shown = [f"...{text[max(same - 60, 0) : same + 40]}..." for text in texts]
            raise InvalidArgument(
                f"The trajectories are not of the same {name}: theory {shown[0]}, simulation {', '.join(shown[1:])}."
            )
    if len(simulations) == 2 and simulations[0].dataset.attrs["size"] == simulations[1].dataset.attrs["size"]:
        raise InvalidArgument("Two simulations must differ in `size` to be extrapolated.")


def _texts(name: str, runs: Sequence[Trajectory]) -> list[str]:
    """What each run says of its model, algorithm or start: in full over their common steps; else as it was saved; else
    as it prints. All of them are read in the same way.
    """
    values = [getattr(run, name) for run in runs]
    lasts = [run.time[-1] for run in runs if run.time_unit == "steps" and len(run.time)]
    if all(value is not None and not callable(value) for value in values):
        with contextlib.suppress(InvalidArgument):
            return [parameters.canonical(value=value, steps=int(min(lasts, default=0))) for value in values]
    saved = [json.loads(run.dataset.attrs.get("parameters", "{}")) for run in runs]
    if all(name in table for table in saved):
        return [json.dumps(table[name], sort_keys=True) for table in saved]
    return [run.dataset.attrs[name] for run in runs]


def _scores(
    name: str, theory: Trajectory, simulations: tuple[Trajectory, ...], sizes: tuple[int, ...], times: int
) -> Iterator[Score]:
    """The scores of one quantity.

    An entry without statistical error (m(0), R(t'+1,t')) is left out if it agrees, and has z = inf if it does not (or
    if the theory is not a number).
    """
    axes = ["time"] if name in _ONE_TIME else ["saved_time"] * 2
    runs = (theory, *simulations)
    known = [run.dataset[axes[0]].values for run in runs]
    common = functools.reduce(np.intersect1d, known)
    entries = [np.ix_(*[np.searchsorted(times, common) for _ in axes]) for times in known]
    expectation, *values = (run[name][entry] for run, entry in zip(runs, entries, strict=True))
    errors = (run.error(name)[entry] for run, entry in zip(simulations, entries[1:], strict=True))
    value, error = values[0], next(errors)
    if len(sizes) == 2:  # to 1/N -> 0, linearly in 1/N
        first, second = np.array([-sizes[0], sizes[1]]) / (sizes[1] - sizes[0])
        value, error = first * value + second * values[1], np.hypot(first * error, second * next(errors))
    if len(axes) == 1:
        places = [(k,) for k in _spread(common, np.flatnonzero(np.isfinite(value)), times)]
    else:
        columns = _spread(common, np.flatnonzero(np.isfinite(value).any(axis=0)), times)
        rows = _spread(common, np.arange(len(common)), times)
        places = [(t, s) for s in columns for t in np.union1d(rows, columns) if t > s and np.isfinite(value[t, s])]
    for place in places:
        q, expected, spread = value[place], expectation[place], error[place]
        if spread > 1e-12 + 1e-8 * abs(expected):
            z = (q - expected) / spread
        elif abs(q - expected) <= 1e-6 * max(1.0, abs(expected)):
            continue
        else:
            z = np.inf
        when = [common[k].item() for k in place]
        yield Score(name, when[0], when[1] if len(when) > 1 else None, *map(float, (expected, q, spread, z)))


def _spread(times: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the candidate positions, evenly spaced in log(1 + t), first and last among them."""
    if len(candidates) <= count:
        return candidates
    positions = np.log1p(times[candidates])
    wanted = np.linspace(positions[0], positions[-1], count)
    return np.unique(candidates[np.abs(positions[:, None] - wanted).argmin(axis=0)])
