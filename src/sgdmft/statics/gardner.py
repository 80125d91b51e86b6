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
from dataclasses import dataclass

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.statics import _normal as normal
from sgdmft.statics._roots import root
from sgdmft.statics.perceptron_phases import perceptron_transitions

#: replicons closer to 0 are rounding
_RESOLUTION = 1e-9


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
    def stable(self) -> bool | None:
        """Whether replica symmetry holds at capacity; None where the replicon is 0 to rounding (marginal)."""
        return None if abs(self.replicon) <= _RESOLUTION else self.replicon > 0.0

    def __repr__(self) -> str:
        verdict = {True: "stable", None: "marginal", False: "UNSTABLE: an upper bound"}[self.stable]
        return (
            f"Capacity({self.weights} weights, margin {self.margin:g}: alpha = {self.alpha:.10g}, overlap "
            f"{self.overlap:.6g}, replica symmetry {verdict} (replicon {self.replicon:.3g}), residual {self.residual:.1g})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSpace:
    """Weights that store alpha N patterns with a margin: their overlap and entropy per weight, replica symmetric.

    Attributes
    ----------
    phase : str
        'replica symmetric'; 'clustered' (beyond the dynamical transition: most weights lie in exponentially many
        clusters, overlap and entropy stay right); 'condensed' and 'continuously broken' (overlap and entropy are wrong,
        the entropy an upper bound); 'empty' (Ising: there are none); 'undecided' (`reason` says why).
    reason : str
        What decides the phase.
    replicon : float
        Of the symmetric saddle: negative beyond the de Almeida-Thouless line, which may come last.
    """

    weights: str
    alpha: float
    margin: float
    overlap: float
    entropy: float
    replicon: float
    residual: float
    phase: str
    reason: str

    @property
    def stable(self) -> bool | None:
        """Whether overlap and entropy of the replica-symmetric solution are right; None where this is undecided."""
        return None if self.phase == "undecided" else self.phase in ("replica symmetric", "clustered")

    def __repr__(self) -> str:
        verdict = {True: "", None: "", False: "; these numbers are WRONG"}[self.stable]
        return (
            f"VersionSpace({self.weights} weights, alpha = {self.alpha:g}, margin {self.margin:g}: overlap "
            f"{self.overlap:.8g}, entropy {self.entropy:.8g}, {self.phase} ({self.reason}){verdict}, replicon "
            f"{self.replicon:.3g}, residual {self.residual:.1g})"
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
    stable: bool | None
    residual: float

    def __repr__(self) -> str:
        verdict = "UNSTABLE: a lower bound" if self.stable is False else "stable"
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
    alpha = 1.0 / normal.second_moment(margin)
    return Capacity(
        weights="spherical",
        margin=margin,
        alpha=alpha,
        overlap=1.0,
        replicon=1.0 - alpha * normal.cdf(margin),
        residual=0.0,
    )


def version_space(alpha: float, margin: float = 0.0) -> VersionSpace:
    """Replica-symmetric version space of the spherical perceptron below capacity, equation (8.4).

    Saddle: q/(1 - q) = alpha E[A(u)^2]. Replicon: 1 - alpha E[((log H)'')^2]. At negative margins the solution may be
    wrong, see `perceptron_transitions`: `phase`, `reason` and `stable` say so.

    Examples
    --------
    >>> [version_space(alpha, -2.5).phase for alpha in (270, 284, 312)]    # stable to de Almeida and Thouless up to 328.7
    ['replica symmetric', 'clustered', 'condensed']

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
        q, gap = normal.from_logit(logit)
        return math.log(q / gap) - math.log(
            alpha * normal.mean_of_field(lambda u: normal.hazard(u) ** 2, q, gap, margin)
        )

    logit = root(equation, -40.0, 30.0)
    q, gap = normal.from_logit(logit)
    entropy = 0.5 * (math.log(gap) + q / gap) + alpha * normal.mean_of_field(normal.log_tail, q, gap, margin)
    replicon = 1.0 - alpha * normal.mean_of_field(lambda u: normal.curvature(u) ** 2, q, gap, margin)
    phase, reason = _phase(alpha, margin)
    return VersionSpace(
        weights="spherical", alpha=alpha, margin=margin, overlap=q, entropy=entropy, replicon=replicon,
        residual=abs(equation(logit)), phase=phase, reason=reason,
    )  # fmt: skip


def _phase(alpha: float, margin: float) -> tuple[str, str]:
    """The phase of the spherical perceptron and what decides it."""
    if margin >= 0.0:
        return "replica symmetric", "convex at margins of at least 0"
    try:
        lines = perceptron_transitions(margin)
    except NotConverged as error:
        return "undecided", str(error)
    phase = lines.phase(alpha)
    if lines.dynamical is None or lines.condensation is None:
        reason = f"de Almeida-Thouless line at {lines.instability:.6g}"
    else:
        reason = f"dynamical transition at {lines.dynamical:.6g}, condensation at {lines.condensation:.6g}"
    return phase, f"within the uncertainty of a line: {reason}" if phase == "undecided" else reason


def stability_line(margin: float) -> float:
    """alpha up to which the replica-symmetric version space is right, for a negative margin: the condensation transition
    below the tricritical margin -2.043, the de Almeida-Thouless line above it. `perceptron_transitions` has all lines.

    Raises
    ------
    InvalidArgument
        For margins >= 0, where it is right up to capacity.
    NotConverged
        Below margin -4, where clusters are not resolved.

    Examples
    --------
    >>> round(stability_line(-1e-3), 3), round(stability_line(-2.5), 1)
    (2.003, 287.1)
    """
    return perceptron_transitions(margin).alpha


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
        tail = normal.second_moment(edge) + 2 * gap * normal.first_moment(edge) + gap**2 * normal.cdf(edge)
        return alpha * (normal.second_moment(margin) - tail) - 1.0

    gap = root(equation, 1e-9, 40.0 + abs(margin))
    return MinimalErrors(
        alpha=alpha, margin=margin, fraction=normal.cdf(margin - gap), gap=gap, susceptibility=0.5 * gap**2, stable=False,
        residual=abs(equation(gap)),
    )  # fmt: skip


def ising_version_space(alpha: float, margin: float = 0.0) -> VersionSpace:
    """Replica-symmetric version space of the perceptron with weights +-1, equation (8.5).

    Saddle: q = E tanh^2(sqrt(qhat) z), qhat = alpha E[A(u)^2]/(1 - q). Replicon:
    1 - alpha E[((log H)'')^2] E[sech^4(sqrt(qhat) z)]/(1 - q)^2. A negative entropy means that no weights exist.
    """
    margin, alpha = check.number("margin", margin), check.number("alpha", alpha, above=0.0)

    def conjugate(q: float, gap: float) -> float:
        return alpha * normal.mean_of_field(lambda u: normal.hazard(u) ** 2, q, gap, margin) / gap

    def equation(logit: float) -> float:
        q, gap = normal.from_logit(logit)
        field = math.sqrt(conjugate(q, gap))
        if q < 0.5:  # neither side cancels
            return normal.mean(lambda z: np.tanh(field * z) ** 2) - q
        return gap - normal.mean(lambda z: normal.sech(field * z) ** 2)

    grid = np.linspace(-36.0, 12.0, 97)
    values = np.array([equation(x) for x in grid])
    changes = np.flatnonzero(values[:-1] * values[1:] <= 0.0)
    if len(changes) == 0:
        raise NotConverged(f"No replica-symmetric saddle was found at alpha = {alpha:g}, margin {margin:g}.")
    logit = root(equation, *map(float, grid[changes[0] : changes[0] + 2]))
    q, gap = normal.from_logit(logit)
    qhat = conjugate(q, gap)
    field = math.sqrt(qhat)
    log_cosh = normal.mean(lambda z: np.logaddexp(field * z, -field * z))
    sech4 = normal.mean(lambda z: normal.sech(field * z) ** 4)
    entropy = -0.5 * qhat * gap + log_cosh + alpha * normal.mean_of_field(normal.log_tail, q, gap, margin)
    replicon = 1.0 - alpha * normal.mean_of_field(lambda u: normal.curvature(u) ** 2, q, gap, margin) * sech4 / gap**2
    if min(abs(entropy), abs(replicon)) <= _RESOLUTION:
        phase, reason = "undecided", "entropy or replicon is 0 to rounding"
    elif entropy < 0.0:
        phase, reason = "empty", "negative entropy: no weights exist"
    elif replicon < 0.0:
        phase, reason = "continuously broken", "negative replicon"
    else:
        phase, reason = (
            "replica symmetric",
            "replicon and entropy are positive; overlaps between 0 and 1 were not tried",
        )
    return VersionSpace(
        weights="Ising", alpha=alpha, margin=margin, overlap=q, entropy=entropy, replicon=replicon,
        residual=abs(equation(logit)), phase=phase, reason=reason,
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
