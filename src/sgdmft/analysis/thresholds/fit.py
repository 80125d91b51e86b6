r"""The power law of relaxation times near a recovery threshold, with the uncertainty it deserves.

    log tau(alpha) = log tau0 - nu log(alpha - alpha*) + residual                                           (7.1)

For a given alpha* this is a straight line, so that all that has to be searched is the profile RSS(alpha*), the least
sum of squares over tau0 and nu.

The *statistical* profile interval,

    RSS(alpha*) <= RSS_min [1 + F_{1, n-3}(confidence) / (n - 3)],                                          (7.2)

is exact for independent normal errors of equal size. Relaxation times of the theory do not scatter: what lies off the
line is the error of the law, smooth in alpha, and alpha* moves with the window. So the quoted interval allows for both: it
is that of `posterior`, with a local exponent that wanders over the window by an amount taken from the data. Where the
deviation has a clear sign it lies on one side of the best fit, which then is one of its ends.

*What it covers.* On synthetic data of 21 kinds (docs/thresholds.md has the table, the tests repeat some) it covers more
often than it says where the law holds up to scatter, at the price of 2 to 5 times the width of (7.2); and as often as it says
or more where corrections to scaling, offsets, logarithms, or smooth or correlated errors come on top, but for smooth errors
at 95 per cent (90). *What it cannot know*: what happens nearer to the threshold than the nearest point. Exact data with a
crossover between two exponents inside the window are covered in 32 (68 per cent) and 53 (95 per cent) of all cases, and a
law that is no power at all may never be: it looks like a power law with another alpha*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.analysis.thresholds import posterior
from sgdmft.errors import FitRefused, InvalidArgument

_MINIMUM_POINTS = 6
_DECADES = 1.0
_DOUBT = 0.5
_ACCURACY = 1e-6  # of log tau: a smaller misfit means nothing
_GRID = np.linspace(math.log(1e-4), math.log(30.0), 240)  # log of (least alpha - alpha*) / (range of alpha)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerLaw:
    """A fit of (7.1); what `fit_power_law` returns.

    Attributes
    ----------
    threshold : float
        alpha*, the best value on the whole window.
    interval : (float, float)
        Where alpha* lies at `confidence` if the local exponent wanders, equation (7.6), extended to hold `threshold`.
    statistical : (float, float)
        For comparison: the profile interval (7.2), of a law without error.
    nearer : float
        For comparison: alpha* of the nearer half of the points.
    probability : float
        That independent errors leave residuals as smooth as these.
    exponent, amplitude : float
        nu and tau0.
    alphas, times : ndarray, shape (n,)
        The points of the fit, ascending in alpha.
    residuals : ndarray, shape (n,)
        log tau minus the law.
    confidence : float
    """

    threshold: float
    interval: tuple[float, float]
    statistical: tuple[float, float]
    nearer: float
    probability: float
    exponent: float
    amplitude: float
    confidence: float
    alphas: np.ndarray = field(repr=False)
    times: np.ndarray = field(repr=False)
    residuals: np.ndarray = field(repr=False)

    def __call__(self, alphas):
        """tau0 (alpha - alpha*)^(-nu), infinite at and below alpha*, elementwise."""
        distance = np.asarray(alphas, dtype=float) - self.threshold
        with np.errstate(divide="ignore", over="ignore"):
            return self.amplitude * np.maximum(distance, 0.0) ** -self.exponent

    @property
    def doubtful(self) -> bool:
        """Whether the misfit looks like an error of the law more than like scatter."""
        return self.probability < _DOUBT

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"alpha* = {self.threshold:.4g} in [{low:.4g}, {high:.4g}] ({self.confidence:.0%}), "
            f"nu = {self.exponent:.3g}, "
            f"{len(self.alphas)} points with tau from {self.times.min():.4g} to {self.times.max():.4g}, "
            f"rms residual {np.sqrt(np.mean(self.residuals**2)):.2g}{', law doubtful' if self.doubtful else ''}"
        )


def fit_power_law(alphas, times, *, confidence: float = 0.68, seed: int = 0) -> PowerLaw:
    """Fit tau = tau0 (alpha - alpha*)^(-nu) to relaxation times above a threshold, equation (7.1).

    Parameters
    ----------
    alphas, times : array-like, shape (n,)
        Points in any order; those with an infinite time are left out.
    confidence : in (0, 1), default 0.68
        Of the intervals of alpha*.
    seed : int, default 0
        Of the errors that `probability` is sampled with.

    Raises
    ------
    FitRefused
        With fewer than 6 finite points, less than a decade of tau, a threshold farther below the data than half their
        range, or an interval of alpha* that is open; `error.provisional` holds the fit, or None where there is none.

    Examples
    --------
    >>> import numpy as np
    >>> alphas = np.array([2.1, 2.15, 2.2, 2.3, 2.4, 2.6, 2.8, 3.0])
    >>> noise = 1 + 0.01 * np.array([1, -1, -1, 1, 1, 0, -1, 1])
    >>> fit = fit_power_law(alphas, 20 * (alphas - 2.0) ** -1.5 * noise)
    >>> print(round(fit.threshold, 2), round(fit.exponent, 1), fit.interval[0] < 2.0 < fit.interval[1])
    2.0 1.5 True
    """
    confidence = check.number("confidence", confidence, above=0.0, at_most=1 - 1e-6)
    x, y = _clean(alphas, times)
    span, decades = (float(np.ptp(x)), float(np.ptp(y)) / math.log(10.0)) if len(x) else (0.0, 0.0)
    provisional = _fit(x, y, confidence, seed) if len(x) >= 4 and span > 0 else None
    problem = ""
    if len(x) < _MINIMUM_POINTS:
        problem = f"{len(x)} points with a finite relaxation time are too few; give at least {_MINIMUM_POINTS}"
    elif decades < _DECADES:
        problem = (
            f"the relaxation times span a factor of {10**decades:.3g} only, and a power law needs a decade at least; "
            "go closer to the threshold with longer runs"
        )
    elif provisional is None:
        problem = "no power law with a threshold below the data fits better than an exponential or a jump"
    elif x[0] - provisional.threshold > 0.5 * span:
        problem = (
            f"the threshold {provisional.threshold:.4g} lies {x[0] - provisional.threshold:.3g} below the data, farther "
            f"than half their range {span:.3g}; go closer to it with longer runs"
        )
    elif not np.isfinite(provisional.interval).all():
        problem = "the data do not bound the threshold from both sides; add points near it, or lower `confidence`"
    if problem or provisional is None:
        raise FitRefused(f"No threshold can be fitted: {problem}. `error.provisional` is {provisional}.", provisional)
    return provisional


def _clean(alphas, times) -> tuple[np.ndarray, np.ndarray]:
    """Finite points, ascending in alpha: alpha and log tau."""
    alphas, times = np.asarray(alphas, dtype=float), np.asarray(times, dtype=float)
    if alphas.ndim != 1 or alphas.shape != times.shape:
        raise InvalidArgument(
            f"Arguments `alphas` and `times` must be arrays of one dimension and equal length, but have the shapes "
            f"{alphas.shape} and {times.shape}."
        )
    if np.isnan(alphas).any() or np.isnan(times).any() or (times <= 0).any():
        raise InvalidArgument("Arguments `alphas` and `times` must not be NaN, and relaxation times must be positive.")
    keep = np.isfinite(times)
    alphas, times = alphas[keep], times[keep]
    order = np.argsort(alphas)
    if (np.diff(alphas[order]) == 0).any():
        raise InvalidArgument("Argument `alphas` must hold each value once: repeated points are no new information.")
    return alphas[order], np.log(times[order])


def _profile(x: np.ndarray, y: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Least sum of squares over tau0 and nu > 0 at the thresholds x_0 - span e^g, shape (len(g),)."""
    u = np.log(x - (x[0] - np.ptp(x) * np.exp(g))[:, None])
    y, uu = y - y.mean(), (u**2).sum(axis=1) - u.sum(axis=1) ** 2 / len(x)
    return y @ y - np.minimum(u @ y, 0.0) ** 2 / np.maximum(uu, 1e-300)


def _rss(x: np.ndarray, y: np.ndarray, g: float) -> float:
    return float(_profile(x, y, np.array([g]))[0])


def _minimum(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Least RSS over thresholds x_0 - span e^g, and its g; None where it lies at the end of the grid."""
    from scipy.optimize import minimize_scalar

    best = int(np.argmin(_profile(x, y, _GRID)))
    if best in (0, len(_GRID) - 1):
        return None
    bounds = (_GRID[best - 1], _GRID[best + 1])
    result: Any = minimize_scalar(lambda g: _rss(x, y, g), bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(result.fun), float(result.x)


def _fit(x: np.ndarray, y: np.ndarray, confidence: float, seed: int) -> PowerLaw | None:
    from scipy.optimize import brentq
    from scipy.stats import f as f_distribution

    n, span = len(x), np.ptp(x)
    minimum = _minimum(x, y)
    if minimum is None:
        return None
    least, g = max(minimum[0], n * _ACCURACY**2), minimum[1]
    threshold = float(x[0] - span * math.exp(g))
    level = least * (1 + float(f_distribution.ppf(confidence, 1, max(n - 3, 1))) / max(n - 3, 1))

    def edge(grid: np.ndarray, none: float) -> float:
        """Where the profile first leaves (7.2) along the grid; `none` if it does not."""
        outside = next((float(v) for v in grid if _rss(x, y, v) > level), None)
        if outside is None:
            return none
        root: Any = brentq(lambda v: _rss(x, y, v) - level, *sorted((outside, g)), xtol=1e-9)
        return float(x[0] - span * np.exp(root))

    beyond = int(np.searchsorted(_GRID, g))
    statistical = (edge(_GRID[beyond:], -math.inf), edge(_GRID[:beyond][::-1], float(x[0])))
    half = max(4, (n + 1) // 2)
    near = _minimum(x[:half], y[:half])
    nearer = float(x[0] - (np.ptp(x[:half]) * math.exp(near[1]) if near else 0.0))
    u = np.log(x - threshold)
    intercept, slope = np.polynomial.polynomial.polyfit(u, y, 1)
    residuals = y - intercept - slope * u
    smooth = float(np.sqrt(np.mean(residuals**2))) > _ACCURACY
    probability = _independence(residuals, np.stack([np.ones(n), u, np.exp(-u)], axis=1), seed) if smooth else 1.0
    lower, upper = posterior.interval(x, y, confidence, _ACCURACY)
    return PowerLaw(
        threshold=threshold,
        interval=(min(lower, threshold), max(upper, threshold)),
        statistical=statistical,
        nearer=nearer,
        probability=probability,
        exponent=-float(slope),
        amplitude=float(np.exp(intercept)),
        confidence=confidence,
        alphas=x,
        times=np.exp(y),
        residuals=residuals,
    )


def _independence(residuals: np.ndarray, tangents: np.ndarray, seed: int) -> float:
    """Probability that independent errors leave residuals as smooth as these: of Durbin and Watson's ratio

        sum_i (r_{i+1} - r_i)^2 / sum_i r_i^2,

    for normal errors with the directions that the fit takes out (the columns of `tangents`) removed; by sampling.
    """
    basis, _ = np.linalg.qr(tangents)
    errors = np.random.default_rng(seed).standard_normal((1000, len(residuals)))
    errors -= (errors @ basis) @ basis.T

    def ratio(r: np.ndarray) -> np.ndarray:
        return (np.diff(r, axis=-1) ** 2).sum(axis=-1) / (r**2).sum(axis=-1)

    return float(np.mean(ratio(errors) <= ratio(residuals)))
