"""Eigenvalues of the Hessian off the bulk, where det(z - M) of equation (10.2) vanishes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdmft.analysis.landscape.conditioned import Conditioned, Path, conditioned, path_of
from sgdmft.analysis.landscape.law import Bulk, bulk
from sgdmft.problem.models import GaussianLeastSquares, Start

#: Squares of combinations of unit vectors below which they are left out, and the coarser limit that gives the error.
RESOLUTIONS = 1e-12, 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """An eigenvalue off the bulk.

    Attributes
    ----------
    eigenvalue : float
    overlap : float
        Squared overlap of its unit eigenvector with the direction of the signal, x*/sqrt(N); 0 without a signal.
    error : float
        Numerical error of the eigenvalue: its change between two resolutions of nearly dependent directions of the path.
    """

    eigenvalue: float
    overlap: float
    error: float


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
            return Outlier(eigenvalue=math.nan, overlap=math.nan, error=math.nan)
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
    m, q = start.magnetization, start.norm
    path = path_of(model, None, np.array([[q]]), np.zeros((1, 1)), np.array([m]))
    law = bulk(model, norm=q, loss=0.5 * model.alpha * float(path.residuals[0, 0]), weight_decay=weight_decay)
    return Spectrum(time=0, bulk=law, outliers=known_outliers(model, law, path, weight_decay))


def known_outliers(model: GaussianLeastSquares, law: Bulk, path: Path, weight_decay: float) -> tuple[Outlier, ...]:
    """All outliers at the end of a path, each with its change between two resolutions of directions as its error."""
    fine, coarse = (off_bulk(law, conditioned(model, path, weight_decay, limit)) for limit in RESOLUTIONS)
    answer = []
    for outlier in fine:
        edge = law.lower_edge if outlier.eigenvalue < law.lower_edge else law.upper_edge
        same = [edge, *(o.eigenvalue for o in coarse if (o.eigenvalue < edge) == (outlier.eigenvalue < edge))]
        answer.append(replace(outlier, error=min(abs(value - outlier.eigenvalue) for value in same)))
    return tuple(answer)


def off_bulk(law: Bulk, block: Conditioned) -> tuple[Outlier, ...]:
    """Zeros of det K off the bulk, K(g) = z(g) - M(g), ascending.

    K is the inverse of the resolvent's block, so each of its eigenvalues increases with z: below the bulk it has a zero
    if it is positive at the edge, above if negative there. With K n = 0, the overlap is (signal.n)^2/(n.dK/dz n).
    """
    from scipy.optimize import brentq

    def inverse(g: float) -> np.ndarray:
        return law.point(g) * np.eye(len(block.signal)) - block.inner(g)

    found = []
    for edge, sign in ((law.critical[0], -1.0), (law.critical[-1], 1.0)):
        if not (edge * sign > 0.0 and math.isfinite(edge)):  # without semicircle part: nothing lies below
            continue
        near, far = edge * (1.0 - 1e-9), 1e-9 * edge  # z -> -+ infinity, where K has the sign of z
        for i in np.flatnonzero(np.linalg.eigvalsh(inverse(near)) * edge < 0.0):
            g: Any = brentq(lambda g, i=i: g * np.linalg.eigvalsh(inverse(g))[i], far, near, xtol=1e-300)
            n = np.linalg.eigh(inverse(g))[1][:, i]
            slope = n @ (inverse(g * (1.0 + 1e-5)) - inverse(g * (1.0 - 1e-5))) @ n / (2e-5 * g)
            overlap = float((block.signal @ n) ** 2 * law.point(g, order=1) / slope)
            found.append(Outlier(eigenvalue=float(law.point(g)), overlap=overlap, error=0.0))
    return tuple(sorted(found, key=lambda outlier: outlier.eigenvalue))
