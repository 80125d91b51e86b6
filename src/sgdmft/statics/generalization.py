r"""Generalization of a perceptron that learns a perceptron: Gibbs, Bayes and maximum margin.

A student on the sphere sees alpha N Gaussian examples labelled by a teacher; R is its overlap with the teacher, and it
errs on a fresh example with probability  epsilon = arccos(R)/pi.

Gibbs learning (a random student without training error) lies on the line q = R, and with gamma = sqrt(R/(1 - R))

    S = extr_R [log(1 - R) + R]/2 + 2 alpha E[H(gamma z) log H(gamma z)],   R = 2 alpha E[phi(gamma z)^2/H(gamma z)];  (8.6)

the centre of the version space, Bayes' classifier, has overlap sqrt(R). The student of maximum margin kappa has q = 1 and,
with v = 1 - R^2,

    v = 2 alpha E[Phi(R z/sqrt v) (kappa - z)_+^2],
    R = (alpha/(pi sqrt v)) Int_{-inf}^kappa dz (kappa - z) e^{-z^2/(2v)}.                                (8.7)

The problems are convex (or on Nishimori's line), replica symmetry is stable. References: Gyorgyi 1990 Phys. Rev. Lett.
64 2957; Opper, Kinzel, Kleinz and Nehl 1990 J. Phys. A 23 L581; Opper and Haussler 1991 Phys. Rev. Lett. 66 2677;
Engel and Van den Broeck 2001, Statistical Mechanics of Learning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sgdmft import _validation as check
from sgdmft.statics import _normal as normal
from sgdmft.statics._roots import root


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptronLearning:
    """A student perceptron at alpha examples per weight."""

    rule: str
    alpha: float
    overlap: float
    margin: float | None
    entropy: float | None
    residual: float

    @property
    def error(self) -> float:
        """Probability arccos(R)/pi of an error on a fresh example."""
        return math.acos(min(self.overlap, 1.0)) / math.pi

    def __repr__(self) -> str:
        extra = "" if self.margin is None else f", margin {self.margin:.6g}"
        extra += "" if self.entropy is None else f", entropy {self.entropy:.6g}"
        return (
            f"PerceptronLearning({self.rule}, alpha = {self.alpha:g}: generalization error {self.error:.8g}, overlap "
            f"{self.overlap:.8g}{extra}, stable, residual {self.residual:.1g})"
        )


def gibbs_learning(alpha: float) -> PerceptronLearning:
    """Random student of the version space, equation (8.6); error 0.625/alpha for large alpha.

    Examples
    --------
    >>> state = gibbs_learning(5.0)
    >>> state.error < gibbs_learning(2.0).error
    True
    """
    alpha = check.number("alpha", alpha, above=0.0)

    def hazard_mean(gamma: float) -> float:
        return normal.mean(
            lambda z: normal.hazard(gamma * z) ** 2 * np.exp(normal.log_tail(gamma * z)), width=1.0 / gamma
        )

    def equation(logit: float) -> float:
        overlap, _ = normal.from_logit(logit)
        return math.log(overlap) - math.log(2.0 * alpha * hazard_mean(math.exp(0.5 * logit)))

    logit = root(equation, -40.0, 35.0, tolerance=1e-13)
    overlap, gap = normal.from_logit(logit)
    gamma = math.exp(0.5 * logit)
    log_volume = normal.mean(
        lambda z: np.exp(normal.log_tail(gamma * z)) * normal.log_tail(gamma * z), width=1.0 / gamma
    )
    return PerceptronLearning(
        rule="Gibbs", alpha=alpha, overlap=overlap, margin=None,
        entropy=0.5 * (math.log(gap) + overlap) + 2.0 * alpha * log_volume, residual=abs(equation(logit)),
    )  # fmt: skip


def bayes_learning(alpha: float) -> PerceptronLearning:
    """Bayes' optimal classifier, of overlap sqrt(R) with R of Gibbs learning; error 0.442/alpha for large alpha."""
    random = gibbs_learning(alpha)
    return replace(random, rule="Bayes", overlap=math.sqrt(random.overlap))


def maximum_margin_learning(alpha: float) -> PerceptronLearning:
    """Student of maximum margin, equation (8.7); error 0.5005/alpha for large alpha."""
    alpha = check.number("alpha", alpha, above=0.0)

    def margin_of(v: float) -> float:
        """kappa from the second equation (8.7): E[(k - z)_+] of the normal law of variance v is first moment."""
        target = math.sqrt(1.0 - v) * math.pi / (alpha * math.sqrt(2.0 * math.pi) * math.sqrt(v))
        return math.sqrt(v) * root(lambda k: normal.first_moment(k) - target, -40.0, 2.0 + 2.0 * target)

    def equation(logit: float) -> float:
        overlap2, v = normal.from_logit(logit)
        kappa = margin_of(v)
        slope = math.sqrt(overlap2 / v)

        def integrand(z: np.ndarray) -> np.ndarray:
            return np.exp(normal.log_tail(-slope * z)) * np.maximum(kappa - z, 0.0) ** 2

        # the integrand lives on |z| of order sqrt(v); its kink at kappa lies there too
        total = normal.mean(integrand, kappa, min(math.sqrt(v), abs(kappa) + 1e-300, 0.5))
        return math.log(2.0 * alpha * total / v)

    logit = root(equation, -12.0 + min(0.0, math.log(alpha)), 25.0, tolerance=1e-13)
    overlap2, v = normal.from_logit(logit)
    return PerceptronLearning(
        rule="maximum margin", alpha=alpha, overlap=math.sqrt(overlap2), margin=margin_of(v), entropy=None,
        residual=abs(equation(logit)),
    )  # fmt: skip
