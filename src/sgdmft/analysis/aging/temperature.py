"""Fluctuation and dissipation: chi against C at a fixed time, and the effective temperature, equation (11.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sgdmft.analysis.aging.decay import Decay
from sgdmft.errors import InvalidArgument
from sgdmft.run.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class FluctuationDissipation:
    """chi(t,t_w) against C(t,t_w) at a fixed time t, all arrays over t_w ascending (the last one is t itself)."""

    time: int
    waiting_time: np.ndarray
    correlation: np.ndarray
    integrated_response: np.ndarray

    @property
    def effective_temperature(self) -> np.ndarray:
        """-dC/dchi between neighbouring waiting times, shape (n - 1,); NaN where the response is flat."""
        dc, dchi = np.diff(self.correlation), np.diff(self.integrated_response)
        flat = np.abs(dchi) <= 1e-9 * np.abs(self.integrated_response).max()
        return np.where(flat, np.nan, -dc / np.where(flat, 1.0, dchi))

    def ratio(self, temperature: float) -> tuple[np.ndarray, np.ndarray]:
        """C at the middle of neighbouring waiting times, and X(C) = temperature / T_eff."""
        middle = 0.5 * (self.correlation[1:] + self.correlation[:-1])
        with np.errstate(divide="ignore"):
            return middle, temperature / self.effective_temperature

    def plateau(self) -> tuple[float, float] | None:
        """The plateau of C(t,t_w)/C(t,t) against the lag t - t_w up to t/2, as `Decay.plateau`."""
        lag = self.time - self.waiting_time[-2::-1]
        near = lag <= max(self.time // 2, 1)
        q = self.correlation[-2::-1] / self.correlation[-1]
        response = self.integrated_response[-2::-1]
        return Decay(waiting_time=0, lag=lag[near], correlation=q[near], integrated_response=response[near]).plateau()

    def chord(self, high: float, low: float) -> float:
        """T_eff between two values of the normalized correlation C(t,t_w)/C(t,t), high > low."""
        q = self.correlation / self.correlation[-1]
        chi = np.interp([low, high], *_ascending(q, self.integrated_response))
        return float(self.correlation[-1] * (high - low) / (chi[0] - chi[1])) if chi[0] > chi[1] else math.nan


def fluctuation_dissipation(trajectory: Trajectory, time: int | None = None) -> FluctuationDissipation:
    """The fluctuation-dissipation plot at a saved time t (the last one by default), over all saved t_w <= t."""
    saved = trajectory.two_time
    if len(saved) < 3:
        raise InvalidArgument("The fluctuation-dissipation plot needs saved two-times: `Save(two_time=...)`.")
    i = len(saved) - 1 if time is None else int(np.searchsorted(saved, time))
    if i == len(saved) or (time is not None and saved[i] != time):
        raise InvalidArgument(f"Step {time} is not among the saved times.")
    return FluctuationDissipation(
        time=int(saved[i]),
        waiting_time=saved[: i + 1],
        correlation=trajectory.correlation[i, : i + 1],
        integrated_response=trajectory["integrated_response"][i, : i + 1],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveTemperature:
    """T_eff of equation (11.1) at short and long lags, with uncertainties.

    `short` is that of the last step, [C(t,t) - C(t,t-1)]/chi(t,t-1); in a stationary state this is
    |x(t) - x(t-1)|^2/(2 eta R(t,t-1) N), the noise of the batches, where R(t,t-1) = 1 but on the sphere. `long` is that of
    the slow half of the decay, q between its value at lag t/2 (or 0.02) and halfway up to 1, or the lower end of the plateau
    if that is lower: one slope for a window in which the slope drifts. The errors are the change from t/2 to t; that of
    `long` has also the largest distance from it of the slope in a quarter of the window, in quadrature.
    """

    short: float
    short_error: float
    long: float
    long_error: float


def effective_temperature(trajectory: Trajectory) -> EffectiveTemperature:
    """Effective temperatures at the end of a run saved at `times(steps)`.

    Examples
    --------
    >>> import sgdmft as sg
    >>> run = sg.solve(sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(0.7)), sg.SGD(0.1, 0.2), steps=600,
    ...                save=sg.Save(two_time=sg.aging.times(600)))
    >>> found = effective_temperature(run)
    >>> print(f"{found.short:.4f} ± {found.short_error:.4f}, {found.long:.2f} ± {found.long_error:.2f}")
    0.0911 ± 0.0015, 0.30 ± 0.09
    """
    steps = int(trajectory.two_time[-1]) if len(trajectory.two_time) else 0
    late, early = (fluctuation_dissipation(trajectory, time) for time in (steps, steps // 2))
    if late.waiting_time[-2] != late.time - 1 or early.waiting_time[-2] != early.time - 1:
        raise InvalidArgument("The effective temperature needs the times of `Save(two_time=aging.times(steps))`.")
    shorts = [float(plot.effective_temperature[-1]) for plot in (late, early)]
    longs, quarters = [], []
    for plot in (late, early):
        q = plot.correlation / plot.correlation[-1]
        floor = max(float(np.interp(0.5 * plot.time, plot.waiting_time, q)), 0.02)
        ceiling = 0.5 * (1.0 + floor)
        if (linger := plot.plateau()) and linger[0] - linger[1] > floor:
            ceiling = min(ceiling, linger[0] - linger[1])
        longs.append(plot.chord(ceiling, floor))
        ends = np.linspace(ceiling, floor, 5)
        quarters.append([plot.chord(high, low) for high, low in pairwise(ends)])
    return EffectiveTemperature(
        short=shorts[0],
        short_error=abs(shorts[0] - shorts[1]),
        long=longs[0],
        long_error=math.hypot(longs[0] - longs[1], float(np.abs(np.array(quarters[0]) - longs[0]).max())),
    )


def _ascending(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve with x made to rise: lowered, from its end on back, to the least x met (rounding, and the first times)."""
    return np.minimum.accumulate(x[::-1])[::-1], y
