"""The law of the bulk of the Hessian's eigenvalues, equation (10.1): edges, density, fractions, extremes at finite N."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdmft import _validation as check
from sgdmft.problem.models import GaussianLeastSquares

#: Mean of the Tracy-Widom law of real symmetric matrices (largest eigenvalue) and its standard deviation.
TRACY_WIDOM_MEAN, TRACY_WIDOM_STD = -1.2065335745820, 1.2679957


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """The law of the bulk of eigenvalues, equation (10.1).

    Parameters
    ----------
    alpha : float > 0
        Ratio of the Marchenko-Pastur part, samples per weight.
    gradient_variance : float > 0
        f'(q), N times the variance of a component of grad h_mu.
    curvature_variance : float >= 0
        v = 2 f''(q) loss, N times the variance of an entry of the semicircle part.
    shift : float
        Weight decay.

    Examples
    --------
    >>> bulk = Bulk(alpha=4.0, gradient_variance=1.0, curvature_variance=0.0)   # Marchenko-Pastur: (1 -+ sqrt(alpha))^2
    >>> [round(float(edge), 9) for edge in bulk.edges]
    [1.0, 9.0]
    >>> bulk = Bulk(alpha=2.0, gradient_variance=1.0, curvature_variance=2.0)
    >>> f"{bulk.lower_edge:.4f} {bulk.negative_fraction():.4f}"
    '-1.6167 0.1896'
    """

    alpha: float
    gradient_variance: float
    curvature_variance: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        for name in ("alpha", "gradient_variance"):
            check.settle(self, name, above=0.0)
        check.settle(self, "curvature_variance", at_least=0.0)
        check.settle(self, "shift")

    def point(self, g, order: int = 0):
        """z(g) of (10.1) or its first or second derivative, elementwise."""
        a, w, v = self.alpha, self.gradient_variance, self.curvature_variance
        if order == 0:
            return 1.0 / g + a * w / (1.0 - w * g) + v * g + self.shift
        if order == 1:
            return -1.0 / g**2 + a * w**2 / (1.0 - w * g) ** 2 + v
        return 2.0 / g**3 + 2.0 * a * w**3 / (1.0 - w * g) ** 3

    @property
    def critical(self) -> np.ndarray:
        """g at the edges of the bulk, in the order of `edges`: real roots of g^2 (1 - w g)^2 dz/dg.

        One is negative and one in (0, 1/w); the two beyond 1/w, if any, are found by s = w g - 1, which may be tiny.
        """
        a, w, v = self.alpha, self.gradient_variance, self.curvature_variance
        if v == 0.0:
            return np.array(
                [1.0 / (w * (1.0 - math.sqrt(a))) if a != 1.0 else -math.inf, 1.0 / (w * (1.0 + math.sqrt(a)))]
            )

        def real(polynomial):
            roots = polynomial.roots()
            return roots[np.abs(roots.imag) < 1e-7 * np.abs(roots)].real

        g = s = np.polynomial.Polynomial([0.0, 1.0])
        outer = real(g**2 * (v * (1.0 - w * g) ** 2 + a * w * w) - (1.0 - w * g) ** 2)
        beyond = real((1.0 + s) ** 2 * (v / w**2 * s**2 + a) - s**2)
        edges = np.array([outer[outer < 0.0].max(), outer[outer > 0.0].min(), *(1.0 + beyond[beyond > 0.0]) / w])
        return edges[np.argsort(self.point(edges))]

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bulk, ascending: two, or four when there is a gap (one part then holds the 1 - alpha flat directions).

        Without semicircle part and with alpha < 1, a mass 1 - alpha sits exactly at `shift`, outside of these edges.
        """
        if self.curvature_variance == 0.0:
            return self.shift + self.gradient_variance * (1.0 + np.array([-1.0, 1.0]) * math.sqrt(self.alpha)) ** 2
        return self.point(self.critical)

    @property
    def lower_edge(self) -> float:
        """Lower edge of the bulk; the flat directions are counted in."""
        flat = [self.shift] if self.curvature_variance == 0.0 and self.alpha < 1.0 else []
        return float(min([self.edges[0], *flat]))

    @property
    def upper_edge(self) -> float:
        return float(self.edges[-1])

    def stieltjes(self, z) -> np.ndarray:
        """g(z + i0): for real z in the bulk the root with Im g < 0, outside the real one; shape of z."""
        z = np.atleast_1d(np.asarray(z, dtype=float))
        a, w, v = self.alpha, self.gradient_variance, self.curvature_variance
        y = z.ravel() - self.shift
        if v == 0.0:  # a density may diverge at 0
            y[np.abs(y) < 1e-15 * w] = 1e-15 * w
        # v w g^3 - (v + w y) g^2 + (y + w - a w) g - 1 = 0
        table = np.stack([np.full_like(y, v * w), -(v + w * y), y + w - a * w, np.full_like(y, -1.0)], axis=1)
        roots = np.array([np.roots(row) for row in table], dtype=complex)
        inside = np.argmin(np.imag(roots), axis=1)
        g = np.take_along_axis(roots, inside[:, None], axis=1)[:, 0]
        g[np.imag(g) > -1e-9 * np.abs(g)] = np.nan
        return g.reshape(z.shape)

    def density(self, z) -> np.ndarray:
        """Eigenvalues per weight and unit of z, elementwise; zero outside the bulk (the flat directions' peak left out)."""
        g = self.stieltjes(z)
        return np.where(np.isnan(g), 0.0, -np.imag(g) / math.pi)

    def fraction_below(self, z: float) -> float:
        """Fraction of eigenvalues below z: 1 - Im[g z - log g + alpha log(1 - f' g) - v g^2/2 - lambda g]/pi.

        (The antiderivative of g dz is that of g dz/dg dg, with z(g) of (10.1).)
        """
        edges = self.edges
        parts = np.searchsorted(edges, z)
        if parts % 2 == 0:  # off the bulk: below it, in the gap above the flat directions, or above it
            flat = 1.0 - self.alpha if self.alpha < 1.0 else 0.0
            if self.curvature_variance == 0.0:
                return 1.0 if parts else flat * (z > self.shift)
            return [0.0, flat if len(edges) == 4 else 1.0, 1.0][parts // 2]
        g = self.stieltjes(z)[0]
        if np.isnan(g):  # at an edge, to rounding
            return self.fraction_below(z - 1e-12 * max(1.0, abs(z)))
        phase = g * z - np.log(g) + self.alpha * np.log(1.0 - self.gradient_variance * g)
        phase -= 0.5 * self.curvature_variance * g * g + self.shift * g
        return float(1.0 - np.imag(phase) / math.pi)

    def negative_fraction(self) -> float:
        """Fraction of directions of negative curvature (the index per weight)."""
        return self.fraction_below(0.0)

    def extreme(self, size: int, *, upper: bool = False) -> tuple[float, float]:
        """Mean and standard deviation of the lowest (or largest) eigenvalue at N = `size`, without outliers.

        Edge plus (|z''|/2)^(1/3) N^(-2/3) times the Tracy-Widom law; corrections are of higher order in 1/N.
        """
        g = self.critical[-1 if upper else 0]
        scale = (abs(float(self.point(g, order=2))) / 2.0) ** (1.0 / 3.0) * size ** (-2.0 / 3.0)
        sign = 1.0 if upper else -1.0
        return float(self.point(g)) + sign * scale * TRACY_WIDOM_MEAN, scale * TRACY_WIDOM_STD


def bulk(model: GaussianLeastSquares, *, norm: float, loss: float, weight_decay: float = 0.0) -> Bulk:
    """The bulk of the Hessian at a point of C(t,t) = `norm` and `loss` per weight, equation (10.1).

    >>> bulk(GaussianLeastSquares(alpha=2.0), norm=1.0, loss=1.0)
    Bulk(alpha=2.0, gradient_variance=1.0, curvature_variance=2.0, shift=0.0)
    """
    f = model.covariance
    return Bulk(
        alpha=model.alpha,
        gradient_variance=float(f.derivative(norm)),
        curvature_variance=2.0 * float(f.derivative(norm, order=2)) * max(loss, 0.0),  # a loss of 0 rounds either way
        shift=weight_decay,
    )
