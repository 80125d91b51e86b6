"""How the relaxation depends on the waiting time: tau ~ t_w^mu, and whether aging is interrupted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sgdmft.analysis.aging.decay import Decay
from sgdmft.errors import InvalidArgument


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaling:
    """tau_c(t_w) = a_c t_w^mu, the lag at which q falls to the level c.

    Attributes
    ----------
    exponent, error : mu over all waiting times and levels
        The error adds in quadrature the jackknife's over waiting times, half the drift, and the spread between levels.
    drift : mu of the later half of the waiting times minus mu of the earlier half
    levels : shape (n,);  waiting_times : (k,);  lags : (k, n), NaN where a level is not reached
    """

    exponent: float
    error: float
    drift: float
    levels: np.ndarray
    waiting_times: np.ndarray
    lags: np.ndarray


def rescaling(curves: Sequence[Decay], levels: Sequence[float] | None = None) -> Rescaling:
    """The exponent mu of t_w^mu that superposes the decays, from the lags at which they cross common levels.

    Levels by default: five, between 10 and 70 % of the way up from the value that all decays reach at tau = t_w to
    the latest one's plateau, or its value at the first lag if there is no plateau.

    Raises
    ------
    InvalidArgument
        When fewer than four waiting times cross a common level.
    """
    waiting = np.array([curve.waiting_time for curve in curves], dtype=float)
    heights = np.asarray(() if levels is None else levels, dtype=float)
    if levels is None:
        floor = max(float(np.nanmax([curve.at(max(curve.waiting_time, 1)) for curve in curves])), 0.0)
        linger = curves[-1].plateau()
        top = linger[0] if linger and linger[0] > floor else float(curves[-1].correlation[0])
        heights = floor + np.linspace(0.1, 0.7, 5) * (top - floor)
    table = np.array([[curve.time_to(level) for level in heights] for curve in curves])
    known = np.isfinite(table)
    used = known.sum(axis=1) > 0
    if used.sum() < 4 or known.sum(axis=0).max() < 4:
        raise InvalidArgument(
            "Fewer than four waiting times cross a common level of the correlation: an exponent cannot be fitted. "
            "Run longer, save more lags, or name other `levels`."
        )

    def fit(rows: np.ndarray, columns: slice = slice(None)) -> float:
        y = np.log(table[rows, columns])  # NaN where a level is not reached
        y = y[:, np.isfinite(y).sum(axis=0) > 1]
        if not y.size:
            return math.nan
        x = np.where(np.isfinite(y), np.log(waiting)[rows, None], np.nan)
        dx, dy = x - np.nanmean(x, axis=0), y - np.nanmean(y, axis=0)
        return float(np.nansum(dx * dy) / np.nansum(dx * dx))

    rows = np.flatnonzero(used)
    exponent = fit(rows)
    left_out = np.array([fit(np.delete(rows, i)) for i in range(len(rows))])
    jackknife = math.sqrt((len(rows) - 1) * float(np.var(left_out)))
    spread = float(np.nanstd([fit(rows, slice(i, i + 1)) for i in range(len(heights)) if known[:, i].sum() > 1]))
    half = (len(rows) + 1) // 2
    drift = fit(rows[-half:]) - fit(rows[:half])
    return Rescaling(
        exponent=exponent,
        error=math.hypot(jackknife, spread, 0.5 * drift if math.isfinite(drift) else 0.0),
        drift=drift,
        levels=heights,
        waiting_times=waiting.astype(int),
        lags=table,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """Answer of the test for interrupted aging.

    Attributes
    ----------
    verdict : 'stationary', 'aging' or 'frozen'
        Stationary: from some waiting time on, q depends on tau alone, and decays. Aging: not within this run. Frozen:
        nothing moves any more at the latest waiting time, so that the question has no answer.
    time, error : the waiting time beyond which |q - q_latest| stays below `tolerance` at all lags; NaN unless stationary
        The error is half the distance of the waiting times that bracket it, and the change with the reference taken one
        waiting time earlier, in quadrature. Stationary before the first waiting time: `time` is that one, an upper bound.
    deviations : max over lags of |q - q_latest| for each of `waiting_times` but the last
    """

    verdict: Literal["stationary", "aging", "frozen"]
    time: float
    error: float
    tolerance: float
    waiting_times: np.ndarray
    deviations: np.ndarray

    def __str__(self) -> str:
        if self.verdict == "stationary":
            if self.time <= self.waiting_times[0]:
                return f"stationary from t_w <= {self.time:.0f} on (within {self.tolerance:g})"
            return f"stationary from t_w = {self.time:.3g} ± {self.error:.2g} on (within {self.tolerance:g})"
        if self.verdict == "frozen":
            return f"frozen: beyond t_w = {self.waiting_times[-1]} nothing moves by more than {self.tolerance:g}"
        return f"aging up to t_w = {self.waiting_times[-1]}: not interrupted within this run"


def interruption(curves: Sequence[Decay], *, tolerance: float = 0.02) -> Interruption:
    """Test for interrupted aging: is there a waiting time beyond which q depends on tau alone?

    Decays are compared with that of the latest waiting time, at all lags up to that waiting time. 'Stationary' needs
    agreement within `tolerance` over a factor of four in waiting times before the latest: aging with tau ~ t_w cannot pass.
    """
    if len(curves) < 3:
        raise InvalidArgument(f"The test needs three waiting times or more, but got {len(curves)}.")
    waiting = np.array([curve.waiting_time for curve in curves])
    deviations = _deviations(curves)
    latest = curves[-1]
    reach = latest.lag <= max(latest.waiting_time, 1)
    result = {"tolerance": tolerance, "waiting_times": waiting, "deviations": deviations}
    if 1.0 - float(latest.correlation[reach].min()) < tolerance:
        return Interruption(verdict="frozen", time=math.nan, error=math.nan, **result)
    time, bracket = _crossing(waiting, deviations, tolerance)
    if not time <= waiting[-1] / 4.0:
        return Interruption(verdict="aging", time=math.nan, error=math.nan, **result)
    other, _ = _crossing(waiting[:-1], _deviations(curves[:-1]), tolerance)
    shift = other - time if math.isfinite(other) else time
    return Interruption(verdict="stationary", time=time, error=math.hypot(bracket, shift), **result)


def _deviations(curves: Sequence[Decay]) -> np.ndarray:
    latest = curves[-1]
    lags = latest.lag[latest.lag <= max(latest.waiting_time, 1)]
    return np.array([np.nanmax(np.abs(curve.at(lags) - latest.at(lags))) for curve in curves[:-1]])


def _crossing(waiting: np.ndarray, deviations: np.ndarray, tolerance: float) -> tuple[float, float]:
    """Waiting time beyond which the deviations stay below the tolerance, and half the bracket; NaN if they do not."""
    above = np.flatnonzero(deviations >= tolerance)
    if len(above) == 0:
        return float(waiting[0]), 0.0
    i = above[-1]
    if i + 1 >= len(deviations):
        return math.nan, math.nan
    x, y = np.log(waiting[i : i + 2]), np.log(np.maximum(deviations[i : i + 2], 1e-300))
    time = math.exp(x[0] + (y[0] - math.log(tolerance)) / (y[0] - y[1]) * (x[1] - x[0]))
    return time, 0.5 * float(waiting[i + 1] - waiting[i])
