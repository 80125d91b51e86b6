r"""Gardner's capacities: how many random patterns a perceptron can store, and how many errors it must make beyond.

P = alpha N patterns xi_mu with random signs are stored with margin kappa when  w.xi_mu / sqrt(N) >= kappa  for all mu.
The volume of weights that do it is, replica symmetric with overlap q between two of them,

    S = extr_q  [log(1 - q) + q/(1 - q)]/2 + alpha E log H(u),    u = (kappa - sqrt(q) z)/sqrt(1 - q)         (8.4)

for weights on the sphere, z standard normal, H(u) = P(z > u), and

    S = extr  -qhat (1 - q)/2 + E log 2 cosh(sqrt(qhat) z) + alpha E log H(u)                                 (8.5)

for weights +-1. Spherical weights run out of volume when q -> 1, at  alpha_c = 1/E[(z + kappa)_+^2]; Ising weights when
S = 0, at q < 1. Beyond capacity the least number of errors follows from q = 1 - chi T, T -> 0:
alpha E[(kappa - z)^2; kappa - s < z < kappa] = 1, s = sqrt(2 chi), and a share P(z < kappa - s) of patterns is wrong.

References: Gardner 1988 J. Phys. A 21 257; Gardner and Derrida 1988 J. Phys. A 21 271; Krauth and Mezard 1989
J. Phys. France 50 3057; Bouten 1994 J. Phys. A 27 6021 (the instability of the last).

Notation: A = phi/H, the hazard of the normal law; (log H)' = -A, (log H)'' = -A (A - u).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, log_ndtr

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.statics._roots import root

_LEGENDRE = np.polynomial.legendre.leggauss(24)
_REACH = 12.0  # the normal law beyond is below 1e-32


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Largest number of patterns per weight that can be stored with a margin."""

    weights: str
    margin: float
    alpha: float
    overlap: float
    replicon: float
    residual: float

    @property
    def stable(self) -> bool:
        """Whether replica symmetry holds at capacity (marginal counts as stable to 1e-9)."""
        return self.replicon > -1e-9

    def __repr__(self) -> str:
        verdict = "stable" if self.stable else "UNSTABLE: an upper bound"
        return (
            f"Capacity({self.weights} weights, margin {self.margin:g}: alpha = {self.alpha:.10g}, overlap "
            f"{self.overlap:.6g}, replica symmetry {verdict} (replicon {self.replicon:.3g}), residual {self.residual:.1g})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSpace:
    """Weights that store alpha N patterns with a margin: their overlap and entropy per weight."""

    weights: str
    alpha: float
    margin: float
    overlap: float
    entropy: float
    replicon: float
    residual: float

    @property
    def stable(self) -> bool:
        """Whether replica symmetry holds (de Almeida and Thouless)."""
        return self.replicon > 0.0

    def __repr__(self) -> str:
        verdict = "stable" if self.stable else "UNSTABLE"
        return (
            f"VersionSpace({self.weights} weights, alpha = {self.alpha:g}, margin {self.margin:g}: overlap "
            f"{self.overlap:.8g}, entropy {self.entropy:.8g}, {verdict} (replicon {self.replicon:.3g}), "
            f"residual {self.residual:.1g})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimalErrors:
    """Least share of patterns stored wrongly, replica symmetric; `stable` is False beyond capacity.

    The response jumps where a pattern is given up, so that the replicon is minus infinity: the share is a lower bound.
    """

    alpha: float
    margin: float
    fraction: float
    gap: float
    susceptibility: float
    stable: bool
    residual: float

    def __repr__(self) -> str:
        verdict = "stable" if self.stable else "UNSTABLE: a lower bound"
        return (
            f"MinimalErrors(alpha = {self.alpha:g}, margin {self.margin:g}: fraction {self.fraction:.8g}, gap "
            f"{self.gap:.6g}, replica symmetry {verdict}, residual {self.residual:.1g})"
        )


def spherical_capacity(margin: float = 0.0) -> Capacity:
    """Capacity of the spherical perceptron, 1/alpha_c = (1 + kappa^2) Phi(kappa) + kappa phi(kappa).

    Replica symmetry holds for margins of at least 0; below, the value is an upper bound.

    Examples
    --------
    >>> spherical_capacity(0.0).alpha
    2.0
    """
    margin = check.number("margin", margin)
    alpha = 1.0 / _second_moment(margin)
    return Capacity(
        weights="spherical", margin=margin, alpha=alpha, overlap=1.0, replicon=1.0 - alpha * _cdf(margin), residual=0.0
    )


def version_space(alpha: float, margin: float = 0.0) -> VersionSpace:
    """Replica-symmetric version space of the spherical perceptron below capacity, equation (8.4).

    Saddle: q/(1 - q) = alpha E[A(u)^2]. Replicon: 1 - alpha E[((log H)'')^2].

    Raises
    ------
    InvalidArgument
        At or above capacity.
    """
    margin, alpha = check.number("margin", margin), check.number("alpha", alpha, above=0.0)
    capacity = spherical_capacity(margin).alpha
    if alpha >= capacity:
        raise InvalidArgument(
            f"Argument `alpha` must lie below the capacity {capacity:.6g} at margin {margin:g}, but is {alpha:g}. "
            "Beyond it use `minimal_errors`."
        )

    def equation(logit: float) -> float:
        q, gap = _from_logit(logit)
        return math.log(q / gap) - math.log(alpha * _mean(lambda u: _hazard(u) ** 2, q, gap, margin))

    logit = root(equation, -40.0, 30.0)
    q, gap = _from_logit(logit)
    entropy = 0.5 * (math.log(gap) + q / gap) + alpha * _mean(_log_tail, q, gap, margin)
    return VersionSpace(
        weights="spherical", alpha=alpha, margin=margin, overlap=q, entropy=entropy,
        replicon=1.0 - alpha * _mean(lambda u: _curvature(u) ** 2, q, gap, margin), residual=abs(equation(logit)),
    )  # fmt: skip


def stability_line(margin: float) -> float:
    """alpha at which replica symmetry breaks, for a negative margin (for margins >= 0 it holds up to capacity).

    Examples
    --------
    >>> round(stability_line(-1e-3), 3)
    2.003
    """
    margin = check.number("margin", margin)
    capacity = spherical_capacity(margin)
    if margin >= 0.0:
        raise InvalidArgument(
            f"Argument `margin` must be negative, but is {margin:g}: at margins >= 0 replica symmetry holds up to the "
            f"capacity {capacity.alpha:.6g}."
        )
    low, high = 1e-6 * capacity.alpha, (1.0 - 1e-9) * capacity.alpha
    return root(lambda a: version_space(a, margin).replicon, low, high, tolerance=1e-12)


def minimal_errors(alpha: float, margin: float = 0.0) -> MinimalErrors:
    """Least share of errors of the spherical perceptron [Gardner and Derrida 1988]; 0 up to capacity.

    Examples
    --------
    >>> minimal_errors(1.5).fraction
    0.0
    >>> minimal_errors(3.0).stable
    False
    """
    margin, alpha = check.number("margin", margin), check.number("alpha", alpha, above=0.0)
    capacity = spherical_capacity(margin)
    if alpha <= capacity.alpha:
        return MinimalErrors(
            alpha=alpha, margin=margin, fraction=0.0, gap=math.inf, susceptibility=math.inf, stable=capacity.stable,
            residual=0.0,
        )  # fmt: skip

    def equation(gap: float) -> float:
        # E[(kappa - z)^2; kappa - gap < z < kappa]
        edge = margin - gap
        tail = _second_moment(edge) + 2 * gap * _first_moment(edge) + gap**2 * _cdf(edge)
        return alpha * (_second_moment(margin) - tail) - 1.0

    gap = root(equation, 1e-9, 40.0 + abs(margin))
    return MinimalErrors(
        alpha=alpha, margin=margin, fraction=_cdf(margin - gap), gap=gap, susceptibility=0.5 * gap**2, stable=False,
        residual=abs(equation(gap)),
    )  # fmt: skip


def ising_version_space(alpha: float, margin: float = 0.0) -> VersionSpace:
    """Replica-symmetric version space of the perceptron with weights +-1, equation (8.5).

    Saddle: q = E tanh^2(sqrt(qhat) z), qhat = alpha E[A(u)^2]/(1 - q). Replicon:
    1 - alpha E[((log H)'')^2] E[sech^4(sqrt(qhat) z)]/(1 - q)^2. A negative entropy means that no weights exist.
    """
    margin, alpha = check.number("margin", margin), check.number("alpha", alpha, above=0.0)

    def conjugate(q: float, gap: float) -> float:
        return alpha * _mean(lambda u: _hazard(u) ** 2, q, gap, margin) / gap

    def equation(logit: float) -> float:
        q, gap = _from_logit(logit)
        return gap - _normal_mean(lambda z: _sech(math.sqrt(conjugate(q, gap)) * z) ** 2, 0.0, 1.0)

    grid = np.linspace(-15.0, 12.0, 55)
    values = np.array([equation(x) for x in grid])
    changes = np.flatnonzero(values[:-1] * values[1:] <= 0.0)
    if len(changes) == 0:
        raise NotConverged(f"No replica-symmetric saddle was found at alpha = {alpha:g}, margin {margin:g}.")
    logit = root(equation, *map(float, grid[changes[0] : changes[0] + 2]))
    q, gap = _from_logit(logit)
    qhat = conjugate(q, gap)
    field = math.sqrt(qhat)
    log_cosh = _normal_mean(lambda z: np.logaddexp(field * z, -field * z), 0.0, 1.0)
    sech4 = _normal_mean(lambda z: _sech(field * z) ** 4, 0.0, 1.0)
    return VersionSpace(
        weights="Ising", alpha=alpha, margin=margin, overlap=q,
        entropy=-0.5 * qhat * gap + log_cosh + alpha * _mean(_log_tail, q, gap, margin),
        replicon=1.0 - alpha * _mean(lambda u: _curvature(u) ** 2, q, gap, margin) * sech4 / gap**2,
        residual=abs(equation(logit)),
    )  # fmt: skip


def ising_capacity(margin: float = 0.0) -> Capacity:
    """Capacity of the perceptron with weights +-1: the alpha of zero entropy [Krauth and Mezard 1989].

    Examples
    --------
    >>> round(ising_capacity().alpha, 3)
    0.833
    """
    margin = check.number("margin", margin)

    def entropy(alpha: float) -> float:
        return ising_version_space(alpha, margin).entropy

    # the spherical capacity is a scale: the entropy at alpha -> 0 is log 2
    low, high = 0.0, 0.05 * spherical_capacity(margin).alpha
    while entropy(high) > 0.0:
        low, high = high, 1.25 * high
    alpha = root(entropy, low or 1e-6 * high, high, tolerance=1e-12)
    space = ising_version_space(alpha, margin)
    return Capacity(
        weights="Ising", margin=margin, alpha=alpha, overlap=space.overlap, replicon=space.replicon,
        residual=max(space.residual, abs(space.entropy)),
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------- normal integrals


def _pdf(x: float) -> float:
    return math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def _first_moment(x: float) -> float:
    """E[(x - z)_+]."""
    return x * _cdf(x) + _pdf(x)


def _second_moment(x: float) -> float:
    """E[(x - z)_+^2]."""
    return (1.0 + x * x) * _cdf(x) + x * _pdf(x)


def _from_logit(logit: float) -> tuple[float, float]:
    """q and 1 - q, both without cancellation."""
    return 1.0 / (1.0 + math.exp(-logit)), 1.0 / (1.0 + math.exp(logit))


def _log_tail(u: np.ndarray) -> np.ndarray:
    """log H(u)."""
    return log_ndtr(-u)


def _hazard(u: np.ndarray) -> np.ndarray:
    """A(u) = phi(u)/H(u) = -(log H)'."""
    return math.sqrt(2.0 / math.pi) / erfcx(u / math.sqrt(2.0))


def _curvature(u: np.ndarray) -> np.ndarray:
    """(log H)''(u) = -A (A - u), for large u by its asymptotic series (relative error below 1e-11)."""
    hazard = _hazard(u)
    inverse = 1.0 / np.maximum(u, 100.0) ** 2
    return -np.where(u > 100.0, 1.0 - inverse + 6.0 * inverse**2, hazard * (hazard - u))


def _sech(x: np.ndarray) -> np.ndarray:
    """1/cosh(x) without overflow."""
    return 2.0 * np.exp(-np.logaddexp(x, -x))


def _mean(function: Callable[[np.ndarray], np.ndarray], q: float, gap: float, margin: float) -> float:
    """E function((margin - sqrt(q) z)/sqrt(gap)), gap = 1 - q, the panels refined where the argument changes sign."""
    spread, width = math.sqrt(q), math.sqrt(gap)
    return _normal_mean(lambda z: function((margin - spread * z) / width), margin / spread, width / spread)


def _normal_mean(function: Callable[[np.ndarray], np.ndarray], centre: float, width: float) -> float:
    """E function(z) by Gauss-Legendre on panels of width about 2 that shrink towards `centre` down to `width`."""
    edges = np.arange(-_REACH, _REACH + 1.0, 2.0)
    if width < 1.0 and abs(centre) < _REACH:
        steps = width * 2.0 ** np.arange(0.0, math.ceil(math.log2(1.0 / width)) + 1.0)
        edges = np.unique(np.concatenate([edges, centre - steps, [centre], centre + steps]))
        edges = edges[(edges >= -_REACH) & (edges <= _REACH)]
    half = 0.5 * np.diff(edges)[:, None]
    z = edges[:-1, None] + half * (1.0 + _LEGENDRE[0])
    weight = half * _LEGENDRE[1] * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return float(np.sum(weight * function(z)))
