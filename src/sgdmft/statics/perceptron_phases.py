r"""Where replica symmetry ends for the spherical perceptron with a negative margin: three lines in alpha.

With one step of breaking at Parisi parameter m, overlaps q0 < q1, the volume of (8.4) becomes

    Phi(m) = [log(1-q1) + log(1 + m d/(1-q1))/m + q0/(1-q1 + m d)]/2 + (alpha/m) E log E_1 G^m,   d = q1 - q0,     (8.13)

G = H((kappa - sqrt(q0) z0 - sqrt(d) z1)/sqrt(1-q1)), E_1 over z1. At m = 1 it does not depend on q1 and q0 is the
replica-symmetric overlap; -dPhi/dm at m = 1 is the logarithm per weight of the number of clusters of overlap q1,

    Sigma = [log((1-q0)/(1-q1)) - t + q0 t/(1-q0)]/2 - alpha E[<log G> - log F],   t = d/(1-q0),                   (8.14)

F = E_1 G, <.> = E_1[G .]/F, where it is stationary: with the hazard A of the normal law

    alpha E <A^2> / (1-q1) = 1/(1-q1) - 1/(1-q0) + q0/(1-q0)^2.                                                    (8.15)

- *dynamical*: from here on (8.15) has a root q1 > q0. Most solutions lie in exponentially many clusters, volume and
  overlap stay those of (8.4). At its onset the replicon of a cluster, 1 - alpha E <((log H)'')^2>, vanishes.
- *condensation* (Kauzmann): Sigma = 0 on the outer root. From here on (8.4) is wrong.
- *instability* (de Almeida, Thouless): (8.15) has the root q1 = q0 twice. The symmetric saddle itself is unstable.

For margins above the tricritical one the last comes first and is all there is; below it the other two come before.
There the onset moves to q1 = q0:  alpha E[c'^2 - 2 c^3] = 2  on the line of instability, c = (log H)''.           (8.16)

References: Franz, Parisi, Sevelev, Urbani and Zamponi 2017 SciPost Phys. 2 019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.statics import _normal as normal
from sgdmft.statics._roots import root

#: lowest margin at which the lines are resolved
LOWEST_MARGIN = -4.0
#: onsets at smaller t are not told from the instability; the lines then agree to the second number, relative
_CLOSEST, _MERGED = 2e-3, 1e-6
_COARSE, _FINE = 8, 14  # nodes a panel of two quadratures; the difference of their results is the uncertainty

_DEFINING = "replicon", "complexity"  # of a cluster, zero at the onset and at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptronTransitions:
    """Transitions in alpha of the spherical perceptron at a negative margin.

    Attributes
    ----------
    margin : float
    instability : float
        de Almeida-Thouless line.
    dynamical, condensation : float or None
        None where symmetry breaks continuously, at the instability.
    overlaps : tuple
        (q0, q1) between and within clusters at condensation; empty without one.
    uncertainty : float
        Of all three, absolute: the difference of two quadratures, and rounding.
    """

    margin: float
    instability: float
    dynamical: float | None
    condensation: float | None
    overlaps: tuple[float, ...]
    uncertainty: float

    @property
    def alpha(self) -> float:
        """alpha up to which the replica-symmetric volume is right: condensation, else the instability."""
        return self.instability if self.condensation is None else self.condensation

    def phase(self, alpha: float) -> str:
        """'replica symmetric', 'clustered', 'condensed', 'continuously broken'; 'undecided' within the uncertainty."""
        if any(abs(alpha - line) <= self.uncertainty for line in (self.alpha, self.dynamical) if line is not None):
            return "undecided"
        if self.condensation is None or self.dynamical is None:
            return "replica symmetric" if alpha < self.instability else "continuously broken"
        if alpha < self.dynamical:
            return "replica symmetric"
        return "clustered" if alpha < self.condensation else "condensed"

    def __repr__(self) -> str:
        if self.condensation is None:
            lines = f"continuous at alpha = {self.instability:.8g}"
        else:
            lines = (
                f"discontinuous: dynamical {self.dynamical:.8g}, condensation {self.condensation:.8g}, before the "
                f"instability {self.instability:.8g}"
            )
        return f"PerceptronTransitions(margin {self.margin:g}: {lines}, ± {self.uncertainty:.1g})"


@lru_cache(maxsize=256)
def perceptron_transitions(margin: float) -> PerceptronTransitions:
    """The lines at which replica symmetry ends, equations (8.13) to (8.16), for a negative margin.

    Raises
    ------
    InvalidArgument
        For margins >= 0: the problem is convex, replica symmetry holds up to capacity.
    NotConverged
        Below margin -4, where the lines are not resolved.

    Examples
    --------
    >>> lines = perceptron_transitions(-2.5)
    >>> round(lines.dynamical, 2), round(lines.condensation, 2), round(lines.instability, 2)
    (280.81, 287.12, 328.71)
    >>> perceptron_transitions(-1.0).condensation is None
    True
    """
    margin = check.number("margin", margin)
    if margin >= 0.0:
        raise InvalidArgument(
            f"Argument `margin` must be negative, but is {margin:g}: at margins >= 0 the problem is convex, and replica "
            "symmetry holds up to the capacity. See `spherical_capacity`."
        )
    if margin < LOWEST_MARGIN:
        raise NotConverged(
            f"The transitions at margin {margin:g} are not resolved: clusters are narrow and quadratures no longer agree. "
            f"Margins from {LOWEST_MARGIN:g} on are."
        )
    logit = root(lambda x: _symmetric(x, margin)[1], -12.0, 20.0)
    instability = _symmetric(logit, margin)[0]
    rounding = 1e-10 * instability
    if margin >= tricritical_margin():
        return PerceptronTransitions(
            margin=margin, instability=instability, dynamical=None, condensation=None, overlaps=(), uncertainty=rounding
        )
    coarse = _discontinuous(margin, logit)
    if coarse is None:
        return PerceptronTransitions(
            margin=margin, instability=instability, dynamical=instability, condensation=instability, overlaps=(),
            uncertainty=_MERGED * instability,
        )  # fmt: skip
    onset, end = (_polished(cluster, margin, name) for cluster, name in zip(coarse, _DEFINING, strict=True))
    error = max(abs(a.alpha - b.alpha) for a, b in zip(coarse, (onset, end), strict=True))
    if not error < 1e-5 * onset.alpha:
        raise NotConverged(f"At margin {margin:g} two quadratures differ by {error:.1g} in alpha.", onset.alpha)
    return PerceptronTransitions(
        margin=margin, instability=instability, dynamical=onset.alpha, condensation=end.alpha,
        overlaps=(end.q0, end.q1), uncertainty=max(error, rounding),
    )  # fmt: skip


@lru_cache(maxsize=1)
def tricritical_margin() -> float:
    """Margin below which the transition is discontinuous, equation (8.16).

    Examples
    --------
    >>> round(tricritical_margin(), 4)
    -2.0431
    """

    def equations(point: np.ndarray) -> list[float]:
        margin, logit = map(float, point)
        alpha, replicon = _symmetric(logit, margin)
        q, gap = normal.from_logit(logit)

        def cubic(u: np.ndarray) -> np.ndarray:
            rate, second = normal.hazard(u), normal.curvature(u)
            third = second * (2.0 * rate - u) + rate  # (log H)'''
            return third**2 - 2.0 * second**3

        return [replicon, alpha * normal.mean_of_field(cubic, q, gap, margin) - 2.0]

    found: Any = optimize.root(equations, [-2.0, -0.8], tol=1e-13)
    return float(found.x[0])


def _symmetric(logit: float, margin: float) -> tuple[float, float]:
    """alpha at which (8.4) has the overlap q, log q/(1-q) = `logit`, and the replicon there."""
    q, gap = normal.from_logit(logit)
    alpha = q / (gap * normal.mean_of_field(lambda u: normal.hazard(u) ** 2, q, gap, margin))
    return alpha, 1.0 - alpha * normal.mean_of_field(lambda u: normal.curvature(u) ** 2, q, gap, margin)


class _Cluster(NamedTuple):
    """One step of breaking at m = 1: `slope` is zero on a solution of (8.15), `replicon` is that of a cluster."""

    alpha: float
    q0: float
    q1: float
    slope: float
    complexity: float
    replicon: float


def _cluster(logit: float, t: float, margin: float, order: int) -> _Cluster:
    """Equations (8.14) and (8.15) at overlap q0 (its logit) and q1 = q0 + t (1 - q0)."""
    alpha, (q0, gap0) = _symmetric(logit, margin)[0], normal.from_logit(logit)
    gap, outer, inner = gap0 * (1.0 - t), math.sqrt(q0), math.sqrt(gap0 * t)
    (z0,), (w0,) = normal.nodes(margin / outer, math.sqrt(gap0) / outer, order)
    z0, w0 = z0[w0 > 1e-24], w0[w0 > 1e-24]
    left = margin - outer * z0
    z1, w1 = normal.nodes(left / inner, math.sqrt(gap) / inner, order)
    u = (left[:, None] - inner * z1) / math.sqrt(gap)
    log_g, log_f = normal.log_tail(u), normal.log_tail(left / math.sqrt(gap0))
    share = w1 * np.exp(log_g - log_f[:, None])
    rate, curvature = normal.hazard(u), normal.curvature(u)

    def mean(values: np.ndarray) -> float:
        return float(w0 @ np.sum(share * values, axis=1))

    force = t + q0 * (1.0 - t) / gap0  # 1 - gap/gap0 + q0 gap/gap0^2
    entropy = 0.5 * (-math.log1p(-t) - t + q0 * t / gap0)
    information = float(w0 @ (np.sum(share * log_g, axis=1) - log_f))
    return _Cluster(
        alpha=alpha, q0=q0, q1=q0 + t * gap0, slope=(alpha * mean(rate**2) - force) / t,
        complexity=(entropy - alpha * information) / t**3, replicon=(1.0 - alpha * mean(curvature**2)) / t,
    )  # fmt: skip


def _polished(cluster: _Cluster, margin: float, name: str) -> _Cluster:
    """The solution of (8.15) with a zero `name` near a given one, both unknowns at once, by the finer quadrature."""

    def at(point: np.ndarray) -> _Cluster:
        return _cluster(float(point[0]), float(point[1]), margin, _FINE)

    def equations(point: np.ndarray) -> list[float]:
        found = at(point)
        return [found.slope, getattr(found, name)]

    start = [math.log(cluster.q0 / (1.0 - cluster.q0)), (cluster.q1 - cluster.q0) / (1.0 - cluster.q0)]
    found: Any = optimize.root(equations, start, tol=1e-13)
    return at(found.x)


def _discontinuous(margin: float, start: float) -> tuple[_Cluster, _Cluster] | None:
    """Onset and end of the clustered phase, following the solutions of (8.15) from t = 0; None where the onset is at
    t = 0 within the resolution."""
    logit = start

    def solution(t: float) -> _Cluster:
        nonlocal logit

        def slope(x: float) -> float:
            return _cluster(x, t, margin, _COARSE).slope

        step = 0.02
        while slope(logit - step) * slope(logit + step) > 0.0:
            step *= 2.0
            if step > 4.0:
                raise NotConverged(f"The clusters at margin {margin:g} were lost at t = {t:.3g}.")
        logit = root(slope, logit - step, logit + step, tolerance=1e-12)
        return _cluster(logit, t, margin, _COARSE)

    def first_zero(name: str, low: float) -> float:
        """The first t from `low` on at which a quantity of the cluster changes its sign."""

        def value(t: float) -> float:
            return getattr(solution(t), name)

        sign = math.copysign(1.0, value(low))
        grid = [low + (1.0 - low) * s for s in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.97, 0.985)]
        for high in grid:
            if sign * value(high) < 0.0:
                return root(value, low, high, tolerance=1e-11)
            low = high
        raise NotConverged(f"The {name} of the clusters at margin {margin:g} keeps its sign up to t = {low:.3g}.")

    if solution(_CLOSEST).replicon >= 0.0:
        return None
    onset = first_zero("replicon", _CLOSEST)
    begin = solution(onset)
    return begin, solution(first_zero("complexity", onset))
