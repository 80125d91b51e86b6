r"""Aging, effective temperature and interrupted aging: two-time functions of one trajectory, read as physicists do.

    q(t_w + tau, t_w) = C(t,t_w) / sqrt(C(t,t) C(t_w,t_w))      the normalized correlation
    chi(t,t_w) = sum_{t_w <= s < t} R(t,s) eta_s                the response to a field switched on at t_w
    T_eff = - dC(t,t_w)/dchi(t,t_w) at fixed t,   X = T/T_eff   the fluctuation-dissipation ratio       (11.1)

In equilibrium q depends on tau alone and X = 1. A system that ages relaxes at lags that grow with its age, tau ~ t_w^mu;
mu = 1 is full aging, mu = 0 stationarity. Aging is interrupted if beyond some t_w correlations depend on tau alone while
they still decay. Sources: [CugliandoloKurchan1993; BouchaudEtAl1998; CugliandoloKurchanPeliti1997].

A unit step is no small step: the effective temperature of lags of a few steps contains the discreteness (a Langevin
mode of curvature k has T_eff = T/(1 - eta k/2)). What cannot be read off from the saved times is refused or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.trajectory import Trajectory

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


# -- relaxation after a waiting time -----------------------------------------------------------------------------------


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
    response = trajectory["integrated_response"] if "integrated_response" in trajectory.dataset else None
    found = []
    for w in wanted:
        j = int(np.searchsorted(saved, w))
        later = slice(j + 1, None)
        found.append(
            Decay(
                waiting_time=int(w),
                lag=saved[later] - w,
                correlation=correlation[later, j] / (norm[later] * norm[j]),
                integrated_response=np.full(len(saved) - j - 1, np.nan) if response is None else response[later, j],
            )
        )
    return found


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
        x, y = np.broadcast_to(np.log(waiting)[:, None], table.shape)[rows, columns], np.log(table[rows, columns])
        weight = known[rows, columns]
        shared = weight.sum(axis=0) > 1
        x, y, weight = x[:, shared], y[:, shared], weight[:, shared]
        if not weight.any():
            return math.nan
        x_mean = np.where(weight, x, 0.0).sum(axis=0) / weight.sum(axis=0)
        y_mean = np.where(weight, y, 0.0).sum(axis=0) / weight.sum(axis=0)
        dx, dy = np.where(weight, x - x_mean, 0.0), np.where(weight, y - y_mean, 0.0)
        return float((dx * dy).sum() / (dx * dx).sum())

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


# -- fluctuation and dissipation ---------------------------------------------------------------------------------------


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

    `short` is that of the last step, [C(t,t) - C(t,t-1)]/chi(t,t-1); in a stationary state this is |x(t) - x(t-1)|^2/(2 eta N),
    the noise of the batches. `long` is that of the slow half of the decay, q between its value at lag t/2 (or 0.02) and
    halfway up to 1, or the lower end of the plateau if that is lower. The errors are the change from t/2 to t; that of
    `long` has also half the difference between the two halves of the window, in quadrature.
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
    ...                save=sg.Save(two_time=times(600)))
    >>> found = effective_temperature(run)
    >>> print(f"{found.short:.4f} ± {found.short_error:.4f}, {found.long:.2f} ± {found.long_error:.2f}")
    0.0911 ± 0.0015, 0.30 ± 0.06
    """
    steps = int(trajectory.two_time[-1]) if len(trajectory.two_time) else 0
    late, early = (fluctuation_dissipation(trajectory, time) for time in (steps, steps // 2))
    if late.waiting_time[-2] != late.time - 1 or early.waiting_time[-2] != early.time - 1:
        raise InvalidArgument("The effective temperature needs the times of `Save(two_time=aging.times(steps))`.")
    shorts = [float(plot.effective_temperature[-1]) for plot in (late, early)]
    longs, halves = [], []
    for plot in (late, early):
        q = plot.correlation / plot.correlation[-1]
        floor = max(float(np.interp(0.5 * plot.time, plot.waiting_time, q)), 0.02)
        ceiling = 0.5 * (1.0 + floor)
        if (linger := plot.plateau()) and linger[0] - linger[1] > floor:
            ceiling = min(ceiling, linger[0] - linger[1])
        middle = 0.5 * (ceiling + floor)
        longs.append(plot.chord(ceiling, floor))
        halves.append(plot.chord(ceiling, middle) - plot.chord(middle, floor))
    return EffectiveTemperature(
        short=shorts[0],
        short_error=abs(shorts[0] - shorts[1]),
        long=longs[0],
        long_error=math.hypot(longs[0] - longs[1], 0.5 * halves[0]),
    )


def _ascending(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve with x made to rise: lowered, from its end on back, to the least x met (rounding, and the first times)."""
    return np.minimum.accumulate(x[::-1])[::-1], y


# -- all of it ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Aging:
    """Everything this module says about a run; prints itself.

    `loss` is that of the end, `loss_error` its change since half of the run (the error of the stationary value, if the
    run is stationary). `rescaling` is None where no exponent can be fitted.
    """

    decays: list[Decay]
    plateau: tuple[float, float] | None
    rescaling: Rescaling | None
    interruption: Interruption
    temperature: EffectiveTemperature
    loss: float
    loss_error: float

    def __str__(self) -> str:
        t = self.temperature
        lines = [
            str(self.interruption),
            "plateau               " + (f"{self.plateau[0]:.4f} ± {self.plateau[1]:.1g}" if self.plateau else "none"),
            f"T_eff, one step       {t.short:.4g} ± {t.short_error:.2g}",
            f"T_eff, slow half      {t.long:.4g} ± {t.long_error:.2g}",
            f"loss at the end       {self.loss:.6g}, changed by {self.loss_error:.1g} since half of the run",
        ]
        if self.rescaling:
            r = self.rescaling
            lines.insert(1, f"tau ~ t_w^mu with mu  {r.exponent:.3f} ± {r.error:.1g}, drift {r.drift:+.1g}")
        return "\n".join(lines)


def analyse(trajectory: Trajectory, *, tolerance: float = 0.02) -> Aging:
    """Aging, plateau, interruption and effective temperatures of a run saved at `times(steps)`."""
    curves = decays(trajectory)
    try:
        scale = rescaling(curves)
    except InvalidArgument:
        scale = None
    half = int(np.searchsorted(trajectory.time, trajectory.time[-1] / 2))
    return Aging(
        decays=curves,
        plateau=curves[-1].plateau(),
        rescaling=scale,
        interruption=interruption(curves, tolerance=tolerance),
        temperature=effective_temperature(trajectory),
        loss=float(trajectory.loss[-1]),
        loss_error=abs(float(trajectory.loss[-1] - trajectory.loss[half])),
    )
