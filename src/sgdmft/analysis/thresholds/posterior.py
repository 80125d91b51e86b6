r"""Where a threshold may lie when the power law holds only nearly.

    log tau = log tau0 - integral of nu(u) du + scatter,        u = log(alpha - alpha*),                    (7.5)
    <[nu(u) - nu(u')]^2> = s^2 |u - u'|^1.8

The scatter is independent and normal. The local exponent nu(u) = -d log tau/d log(alpha - alpha*) wanders over the window:
a Gaussian process without a scale of its own, close to the power 2, where nu would drift linearly at an unknown rate.

Priors: flat in the log of the scatter; half-Cauchy in the ratio r of wandering to scatter (roots of their mean variance
over what (1, u) leaves of the points), which says that they are of one order unless the data say otherwise; and Jeffreys'
in alpha*, log tau0 and nu, so that the answer knows no units and for r = 0 is Student's t of regression. All but alpha* are
integrated out. With A an orthonormal basis of what (1, u) leaves, D = 1 + r^2 x covariance of the wandering there, from
(7.5) as |u - u'|^3.8, y = log tau, and h = A^T (alpha - alpha*)^-1,

    p(alpha*) ~ nu |h| integral dr/(1 + r^2) |D|^(-1/2) [y^T A D^-1 A^T y]^(-(n-2)/2).                      (7.6)

The power 1.8 is the one thing chosen: once, as that for which intervals cover exact corrections to scaling of random
power and amplitude as often as they say (`benchmarks/coverage_thresholds.py development`; 68 per cent intervals cover in 69
of 100 cases with it, in 62 with 1.7, in 46 with 1.9, more when extended to the best fit as `fit_power_law` does). Rougher
processes count neighbouring points as independent, smoother ones are extrapolated with too much trust.
"""

from __future__ import annotations

import math

import numpy as np

_POWER = 1.8
_RATIOS = 10.0 ** np.arange(-1.0, 5.25, 0.25)  # r
_CELLS = 60


def interval(x: np.ndarray, y: np.ndarray, confidence: float, accuracy: float) -> tuple[float, float]:
    """Central interval of (7.6) for log times `y` at ascending `x`, each known to `accuracy` at best.

    The lower end is -inf where it lies more than 30 times the range of x below the data.
    """
    span = float(np.ptp(x))
    first = low, high = math.log(1e-6), math.log(30.0)  # of log[(x_0 - alpha*) / span]
    for _ in range(20):  # until the cells resolve where the mass is
        grid = np.linspace(low, high, _CELLS)
        density = _density(x, y, x[0] - span * np.exp(grid), accuracy) * np.exp(grid)
        mass = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
        mass /= mass[-1]
        i, j = max(int(np.searchsorted(mass, 1e-3)) - 2, 0), min(int(np.searchsorted(mass, 1 - 1e-3)) + 1, _CELLS - 1)
        if j - i > _CELLS // 2:
            break
        low, high = grid[i], grid[j]
    near, far = np.interp([0.5 * (1 - confidence), 0.5 * (1 + confidence)], mass, grid)
    beyond = far > first[1] - 0.05
    return (-math.inf if beyond else float(x[0] - span * math.exp(far))), float(x[0] - span * math.exp(near))


def _density(x: np.ndarray, y: np.ndarray, thresholds: np.ndarray, accuracy: float) -> np.ndarray:
    """(7.6) at several thresholds, up to a factor."""
    n = len(x)
    distance = x - thresholds[:, None]
    u = np.log(distance)
    basis = np.linalg.qr(np.stack([np.ones_like(u), u], axis=-1), mode="complete")[0][:, :, 2:]
    transposed = np.swapaxes(basis, 1, 2)
    covariance = transposed @ np.abs(u[:, :, None] - u[:, None, :]) ** (_POWER + 2) @ basis
    covariance *= (n - 2) / np.trace(covariance, axis1=1, axis2=2)[:, None, None]
    values, vectors = np.linalg.eigh(covariance)
    data = (np.swapaxes(vectors, 1, 2) @ (transposed @ y)[:, :, None])[:, :, 0] ** 2
    slope = (transposed @ (1 / distance)[:, :, None])[:, :, 0]
    variance = 1 + _RATIOS[:, None] ** 2 * np.maximum(values, 0.0)[:, None, :]  # (threshold, ratio, mode)
    squares = np.maximum((data[:, None] / variance).sum(axis=-1), n * accuracy**2)
    log_likelihood = -0.5 * (np.log(variance).sum(axis=-1) + (n - 2) * np.log(squares))
    likelihood = np.exp(log_likelihood - log_likelihood.max()) @ (_RATIOS / (1 + _RATIOS**2))  # even in log r
    centred = u - u.mean(axis=1, keepdims=True)
    exponent = np.maximum(-(centred @ y) / (centred**2).sum(axis=1), 0.0)
    return exponent * np.linalg.norm(slope, axis=1) * likelihood
