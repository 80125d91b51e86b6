"""The times an analysis of aging needs, and the relaxation of the correlation after a waiting time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.run.trajectory import Trajectory

_FIRST = 10  # shortest waiting time by default


def waiting_times(steps: int, *, first: int = _FIRST, per_decade: int = 4) -> np.ndarray:
    """Waiting times spaced evenly in log t_w from `first` to a third of the run.

    >>> waiting_times(1000, per_decade=2).tolist()
    [10, 32, 100, 316]
    """
    steps = check.integer("steps", steps, at_least=3 * first)
    count = math.floor(per_decade * math.log10(steps / 3.0 / first) + 1e-9) + 1
    return np.unique(np.round(first * 10.0 ** (np.arange(count) / per_decade)).astype(np.int64))


def times(steps: int, *, first: int = _FIRST, per_decade: int = 4, lags_per_decade: int = 8) -> tuple[int, ...]:
    """The times to save for this module's analysis: `solve(..., save=Save(two_time=aging.times(steps)))`.

    From every waiting time on and back from the end and from half of the run, lags spaced evenly in their logarithm.

    >>> len(times(1000)), times(1000)[-3:]
    (173, (998, 999, 1000))
    """
    chosen = waiting_times(steps, first=first, per_decade=per_decade)
    lags = np.unique(np.round(10.0 ** np.arange(0.0, math.log10(steps), 1.0 / lags_per_decade)).astype(np.int64))
    forward = (chosen[:, None] + np.append(0, lags)).ravel()
    backward = (np.array([[steps], [steps // 2]]) - np.append(0, lags)).ravel()
    wanted = np.concatenate([forward, backward, [0]])
    return tuple(np.unique(wanted[(wanted >= 0) & (wanted <= steps)]).tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay:
    """q(t_w + tau, t_w) and chi(t_w + tau, t_w) against tau >= 1, arrays of one shape; NaN where not measured."""

    waiting_time: int
    lag: np.ndarray
    correlation: np.ndarray
    integrated_response: np.ndarray

    def at(self, lag) -> np.ndarray:
        """q at other lags, linear in log tau; NaN beyond the saved ones."""
        return np.interp(np.log(lag), np.log(self.lag), self.correlation, left=np.nan, right=np.nan)

    def time_to(self, level: float) -> float:
        """The first lag at which q falls to `level`; NaN if it does not, or has before the first saved lag."""
        below = np.flatnonzero(self.correlation <= level)
        if len(below) == 0 or below[0] == 0:
            return math.nan
        i = below[0]
        x, y = np.log(self.lag[i - 1 : i + 1]), self.correlation[i - 1 : i + 1]
        return float(np.exp(x[0] + (y[0] - level) / (y[0] - y[1]) * (x[1] - x[0])))

    def plateau(self) -> tuple[float, float] | None:
        """Where q lingers in log tau: its value at the least slope and the spread within 1.5 times that slope.

        None where there is no plateau: the slope must be at most half of the largest one before and after, and q must
        fall by more than 0.02 beyond.
        """
        x, q = np.log(self.lag), self.correlation
        slope = -np.diff(q) / np.diff(x)
        inner = np.arange(1, len(slope) - 1)
        if len(inner) == 0:
            return None
        before = np.maximum.accumulate(np.append(1.0 - q[0], slope))[inner]  # the first step counts as a decay
        after = np.maximum.accumulate(slope[::-1])[::-1][inner + 1]
        good = inner[(slope[inner] <= 0.5 * np.minimum(before, after)) & (q[inner + 1] - q[-1] > 0.02)]
        if len(good) == 0:
            return None
        least = good[np.argmin(slope[good])]
        near = 0.5 * (q[:-1] + q[1:])[slope <= 1.5 * max(slope[least], 1e-12)]
        middle = 0.5 * (q[least] + q[least + 1])
        return float(middle), float(max(np.max(np.abs(near - middle)), 0.5 * (q[least] - q[least + 1])))


def decays(trajectory: Trajectory, waiting: Sequence[int] | None = None) -> list[Decay]:
    """The relaxation after each waiting time, by default after those of `waiting_times` that were saved.

    Raises
    ------
    InvalidArgument
        When a waiting time was not saved, or fewer than two of the default ones were.

    Examples
    --------
    >>> import sgdmft as sg
    >>> run = sg.solve(sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(0.7)), sg.SGD(0.1, 0.2), steps=300,
    ...                save=sg.Save(two_time=times(300)))
    >>> [f"{decay.waiting_time}: {decay.time_to(0.8):.1f}" for decay in decays(run)[::2]]
    ['10: 21.3', '32: 73.7', '100: nan']
    """
    saved = trajectory.two_time
    if waiting is None:
        steps = int(saved[-1]) if len(saved) else 0
        wanted = np.intersect1d(waiting_times(steps), saved) if steps >= 3 * _FIRST else saved[:0]
        if len(wanted) < 2:
            raise InvalidArgument(
                "This trajectory was not saved at the times that an analysis of aging needs. Save them by "
                "`Save(two_time=aging.times(steps))`, or name the waiting times."
            )
    else:
        wanted = np.array([check.integer("waiting", w, at_least=0) for w in waiting], dtype=np.int64)
        missing = np.setdiff1d(wanted, saved[:-1])
        if len(missing):
            raise InvalidArgument(
                f"The waiting time {missing[0]} is not among the saved times (the last one excepted)."
            )
    correlation = trajectory.correlation
    norm = np.sqrt(np.diag(correlation))
    known = "integrated_response" in trajectory
    response = trajectory["integrated_response"] if known else np.full_like(correlation, np.nan)
    return [
        Decay(
            waiting_time=int(saved[j]),
            lag=saved[j + 1 :] - saved[j],
            correlation=correlation[j + 1 :, j] / (norm[j + 1 :] * norm[j]),
            integrated_response=response[j + 1 :, j],
        )
        for j in np.searchsorted(saved, wanted)
    ]
