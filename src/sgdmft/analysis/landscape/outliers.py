"""Eigenvalues of the Hessian off the bulk, and all of them at a random start, equation (10.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdmft.analysis.landscape.law import Bulk, bulk
from sgdmft.problem.models import GaussianLeastSquares, Start, Teacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """An eigenvalue off the bulk.

    Attributes
    ----------
    eigenvalue : float
    overlap : float
        Squared overlap of its unit eigenvector with the direction of the signal, x*/sqrt(N).
    """

    eigenvalue: float
    overlap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """The Hessian at one time of a trajectory: its bulk, and its outliers, ascending; None where they are not known."""

    time: int
    bulk: Bulk
    outliers: tuple[Outlier, ...] | None

    @property
    def descent(self) -> Outlier | None:
        """The outlier below the bulk with the largest overlap with the signal: a way down towards it.

        None if there is none; one of NaN where the outliers are not known.
        """
        if self.outliers is None:
            return Outlier(eigenvalue=math.nan, overlap=math.nan)
        below = [outlier for outlier in self.outliers if outlier.eigenvalue < self.bulk.lower_edge]
        return max(below, key=lambda outlier: outlier.overlap, default=None)

    @property
    def lowest(self) -> float:
        """The lowest eigenvalue for N -> infinity; NaN where the outliers are not known."""
        if self.outliers is None:
            return math.nan
        return min([self.bulk.lower_edge, *(outlier.eigenvalue for outlier in self.outliers)])


def start_spectrum(model: GaussianLeastSquares, start: Start | None = None, *, weight_decay: float = 0.0) -> Spectrum:
    """The Hessian at a random point, with all its outliers, exactly: equations (10.1) and (10.2).

    Examples
    --------
    >>> from sgdmft import GaussianLeastSquares, Start
    >>> start_spectrum(GaussianLeastSquares(alpha=1.3), Start(magnetization=0.0)).descent   # alpha^3 < alpha + 1
    >>> outlier = start_spectrum(GaussianLeastSquares(alpha=2.0), Start(magnetization=0.0)).descent
    >>> print(f"{outlier.eigenvalue:.4f} {outlier.overlap:.4f}")
    -1.6667 0.2778
    """
    start = start or Start()
    f, alpha, q, m = model.covariance, model.alpha, start.norm, start.magnetization
    teacher = isinstance(model.labels, Teacher)
    w, f2, f3 = (float(f.derivative(q, order=order)) for order in (1, 2, 3))
    f1_signal, f2_signal = (float(f.derivative(m, order=order)) * teacher for order in (1, 2))
    residual2 = _start_residual(model, m, q)

    along = np.array([1.0, 0.0])
    signal = np.array([m, math.sqrt(max(q - m * m, 0.0))]) / math.sqrt(q)
    derivative = np.diag([w + q * f2, w])
    s = math.sqrt(q) * w * along - f1_signal * signal
    c = math.sqrt(q) * f2 / w * along
    weighted = derivative + np.outer(c, s) + np.outer(s, c) + residual2 * np.outer(c, c)
    constant = derivative + f2 * q * np.outer(along, along) - f2_signal * np.outer(signal, signal)
    curvature = residual2 * np.diag([f2 + q * f3 - q * f2 * f2 / w, f2])

    law = bulk(model, norm=q, loss=0.5 * alpha * residual2, weight_decay=weight_decay)
    block = (alpha * constant + weight_decay * np.eye(2), alpha * weighted, alpha * curvature)
    return Spectrum(time=0, bulk=law, outliers=off_bulk(law, *block, signal * teacher))


def off_bulk(
    law: Bulk, constant: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, signal: np.ndarray
) -> tuple[Outlier, ...]:
    """Zeros of det K off the bulk, K(g) = z(g) - constant - gradient f' g/(1 - f' g) - curvature g.

    K is the inverse of the resolvent's block, so each of its eigenvalues increases with z: below the bulk it has a zero
    if it is positive at the edge, above if negative there. With K n = 0, the overlap is (signal.n)^2/(n.dK/dz n).
    """
    from scipy.optimize import brentq

    w = law.gradient_variance

    def inverse(g: float) -> np.ndarray:
        return law.point(g) * np.eye(len(constant)) - constant - gradient * w * g / (1.0 - w * g) - curvature * g

    found = []
    for edge, sign in ((law.critical[0], -1.0), (law.critical[-1], 1.0)):
        if not (edge * sign > 0.0 and math.isfinite(edge)):  # without semicircle part: nothing lies below
            continue
        far = 1e-9 * edge  # z -> -+ infinity, where K has the sign of z
        for i in range(len(constant)):
            if np.linalg.eigvalsh(inverse(edge))[i] * edge >= 0.0:
                continue
            g: Any = brentq(lambda g, i=i: g * np.linalg.eigvalsh(inverse(g))[i], far, edge, xtol=1e-300)
            n = np.linalg.eigh(inverse(g))[1][:, i]
            slope = law.point(g, order=1) * np.eye(len(n)) - gradient * w / (1.0 - w * g) ** 2 - curvature
            overlap = float((signal @ n) ** 2 * law.point(g, order=1) / (n @ slope @ n))
            found.append(Outlier(eigenvalue=float(law.point(g)), overlap=overlap))
    return tuple(sorted(found, key=lambda outlier: outlier.eigenvalue))


def _start_residual(model: GaussianLeastSquares, m: float, q: float) -> float:
    """E r^2 at a random point."""
    noise = model.labels.noise if isinstance(model.labels, Teacher) else 0.0
    return 2.0 * float(model.generalization_error(m, q)) + noise
