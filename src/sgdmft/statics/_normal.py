"""Averages over the normal law whose integrand has a kink, and the hazard of that law without cancellation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.special import erfcx, log_ndtr

_REACH = 12.0  # the normal law beyond is below 1e-32
_legendre = cache(np.polynomial.legendre.leggauss)


def pdf(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def first_moment(x: float) -> float:
    """E[(x - z)_+]."""
    return x * cdf(x) + pdf(x)


def second_moment(x: float) -> float:
    """E[(x - z)_+^2]."""
    return (1.0 + x * x) * cdf(x) + x * pdf(x)


def from_logit(logit: float) -> tuple[float, float]:
    """q and 1 - q, both without cancellation."""
    return 1.0 / (1.0 + math.exp(-logit)), 1.0 / (1.0 + math.exp(logit))


def log_tail(u: np.ndarray) -> np.ndarray:
    """log H(u), H(u) = P(z > u)."""
    return log_ndtr(-u)


def hazard(u: np.ndarray) -> np.ndarray:
    """A(u) = phi(u)/H(u) = -(log H)'."""
    return math.sqrt(2.0 / math.pi) / erfcx(u / math.sqrt(2.0))


def curvature(u: np.ndarray) -> np.ndarray:
    """(log H)''(u) = -A (A - u), for large u by its asymptotic series (relative error below 1e-11)."""
    rate = hazard(u)
    inverse = 1.0 / np.maximum(u, 100.0) ** 2
    return -np.where(u > 100.0, 1.0 - inverse + 6.0 * inverse**2, rate * (rate - u))


def sech(x: np.ndarray) -> np.ndarray:
    """1/cosh(x) without overflow."""
    return 2.0 * np.exp(-np.logaddexp(x, -x))


def nodes(centre: np.ndarray | float, width: float, order: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z and weights of E f(z), one row for each `centre`: Gauss-Legendre on panels of width 2 that shrink
    towards the centre down to `width`."""
    centre = np.atleast_1d(np.asarray(centre, dtype=float))[:, None]
    edges = [np.broadcast_to(np.arange(-_REACH, _REACH + 1.0, 2.0), (len(centre), int(_REACH) + 1))]
    if width < 1.0:
        steps = width * 2.0 ** np.arange(0.0, math.ceil(math.log2(1.0 / width)) + 1.0)
        edges.append(centre + np.concatenate([-steps, [0.0], steps]))
    edge = np.sort(np.clip(np.concatenate(edges, axis=1), -_REACH, _REACH), axis=1)
    at, share = _legendre(order)
    half = 0.5 * np.diff(edge)[..., None]
    z = edge[:, :-1, None] + half * (1.0 + at)
    weights = half * share * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return z.reshape(len(centre), -1), weights.reshape(len(centre), -1)


def mean(function: Callable[[np.ndarray], np.ndarray], centre: float = 0.0, width: float = 1.0) -> float:
    """E function(z), with panels that shrink towards `centre` down to `width`."""
    z, weights = nodes(centre, width)
    return float(np.sum(weights * function(z)))


def mean_of_field(function: Callable[[np.ndarray], np.ndarray], q: float, gap: float, margin: float) -> float:
    """E function((margin - sqrt(q) z)/sqrt(gap)), gap = 1 - q."""
    spread, width = math.sqrt(q), math.sqrt(gap)
    return mean(lambda z: function((margin - spread * z) / width), margin / spread, width / spread)
