r"""What can be known of a signal: spectral estimator, Bayes-optimal estimator, thresholds on one alpha axis.

Spectral estimator. Given its label y, the quadratic part of h_mu is a Gaussian matrix with a spike along x*:
M = sum_mu y_mu d2h_mu(0) is a spiked Wigner matrix of strength

    theta^2 = alpha f''(0) / (f(1) + noise),     overlap^2 = max(0, 1 - 1/theta^2)                       (8.8)

[Baik, Ben Arous and Peche 2005; Benaych-Georges and Nadakuditi 2011]. Exact for N -> infinity. No preprocessing T(y) of
the labels improves on T(y) = y, labels being jointly Gaussian with the measurements. For the talk's f = q^2/2 without
noise the threshold is alpha = 1/2 and overlap^2 = 1 - 1/(2 alpha).

Bayes-optimal estimator. The posterior of x* on the sphere is a Gibbs measure at T = noise on Nishimori's line, q = m:
its replica free energy is the replica-symmetric one,

    Phi(q) = [log(1 - q) + q]/2 - (alpha/2) log(noise + f(1) - f(q)),                                    (8.9)

to be maximized; its stationary points are the fixed points of state evolution,

    q <- g/(1 + g),       g = alpha f'(q) / (noise + f(1) - f(q)).                                       (8.10)

The maximum is the information-theoretic overlap q = |<x>|^2/N = m (the optimal overlap cosine is sqrt(q)). The fixed point
reached from an infinitesimal q is what message passing is believed to reach in polynomial time. Both rest on the
replica method and are not proven here; on Nishimori's line replica symmetry is not broken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import Covariance, GaussianLeastSquares, Teacher
from sgdmft.statics._roots import boundary


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralOverlap:
    """Squared overlap cosine of the spectral estimate with the signal, equation (8.8)."""

    alpha: float
    threshold: float
    overlap_squared: float

    def __repr__(self) -> str:
        return (
            f"SpectralOverlap(alpha = {self.alpha:g}: overlap² {self.overlap_squared:.8g}, "
            f"threshold alpha = {self.threshold:.8g})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BayesOverlap:
    """Bayes-optimal overlap q = |<x>|^2/N with the signal: squared cosine of the angle between <x> and x*.

    `overlap` is the best possible, `algorithmic` what state evolution reaches from an infinitesimal overlap; where they
    differ, recovery is believed hard.
    """

    alpha: float
    noise: float
    overlap: float
    algorithmic: float
    residual: float

    @property
    def hard(self) -> bool:
        """Whether the best overlap is above what state evolution reaches."""
        return self.overlap > self.algorithmic + 1e-9

    def __repr__(self) -> str:
        verdict = "hard: state evolution reaches" if self.hard else "state evolution reaches"
        return (
            f"BayesOverlap(alpha = {self.alpha:g}, noise {self.noise:g}: overlap {self.overlap:.8g}, {verdict} "
            f"{self.algorithmic:.8g}, replica symmetric (Nishimori), residual {self.residual:.1g})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceThresholds:
    """Thresholds in alpha for recovering a signal, infinite where a quantity never becomes positive.

    weak_information    the Bayes-optimal overlap becomes positive
    weak_algorithmic    state evolution leaves zero overlap
    spectral            the spectral estimate becomes informative
    exact_information   the signal is determined (noise-free labels; infinite with noise)
    exact_algorithmic   state evolution reaches it
    """

    covariance: Covariance
    noise: float
    weak_information: float
    weak_algorithmic: float
    spectral: float
    exact_information: float
    exact_algorithmic: float

    def __repr__(self) -> str:
        return (
            f"InferenceThresholds({self.covariance}, noise {self.noise:g}: weak recovery at alpha = "
            f"{self.weak_information:.6g} (information), {self.weak_algorithmic:.6g} (state evolution), "
            f"{self.spectral:.6g} (spectral); exact at {self.exact_information:.6g} (information), "
            f"{self.exact_algorithmic:.6g} (state evolution))"
        )


def spectral_overlap(model: GaussianLeastSquares) -> SpectralOverlap:
    """Overlap of the spectral estimate of the signal, equation (8.8).

    Examples
    --------
    >>> spectral_overlap(GaussianLeastSquares(alpha=1.0))
    SpectralOverlap(alpha = 1: overlap² 0.5, threshold alpha = 0.5)
    """
    f, noise = model.covariance, _noise(model)
    threshold = _spectral_threshold(f, noise)
    return SpectralOverlap(
        alpha=model.alpha, threshold=threshold, overlap_squared=max(0.0, 1.0 - threshold / model.alpha)
    )


def bayes_overlap(model: GaussianLeastSquares) -> BayesOverlap:
    """Bayes-optimal overlap with the signal on the sphere, equations (8.9) and (8.10).

    Examples
    --------
    >>> bayes_overlap(GaussianLeastSquares(alpha=0.75)).overlap     # f = q²/2 without noise: 2 alpha - 1
    0.5
    """
    f, noise, alpha = model.covariance, _noise(model), model.alpha
    points = _fixed_points(f, noise, alpha)
    best = max(points, key=lambda q: _potential(f, noise, alpha, q))
    reached = next((q for q in points if _stable(f, noise, alpha, q)), points[-1])
    residual = max(abs(_evolve(f, noise, alpha, q) - q) for q in (best, reached))
    return BayesOverlap(alpha=alpha, noise=noise, overlap=best, algorithmic=reached, residual=residual)


def inference_thresholds(covariance: Covariance | None = None, *, noise: float = 0.0) -> InferenceThresholds:
    """Thresholds in alpha of what can be inferred of a signal, whatever the method of descent.

    Examples
    --------
    >>> inference_thresholds()       # the talk's model
    InferenceThresholds(f(q) = 0.5 q², noise 0: weak recovery at alpha = 0.5 (information), 0.5 (state evolution), \
0.5 (spectral); exact at 1 (information), 1 (state evolution))
    """
    f = Covariance({2: 0.5}) if covariance is None else covariance
    noise = check.number("noise", noise, at_least=0.0)
    spectral = _spectral_threshold(f, noise)
    if f.derivative(0.0) > 0:
        weak_algorithmic = weak_information = 0.0
    else:
        weak_algorithmic = spectral
        weak_information = _weak_information(f, noise, weak_algorithmic)
    if noise > 0:
        exact_information = exact_algorithmic = math.inf
    else:
        exact_information = 1.0
        # state evolution passes every q on its way: alpha > q D(q)/f'(q), D(q) = [f(1) - f(q)]/(1 - q), D(1) = f'(1)
        q = np.linspace(0.0, 1.0, 20001)[1:]
        exact_algorithmic = float(np.max(q * _secant(f, q) / f.derivative(q)))
        if not f.derivative(0.0) > 0:
            exact_algorithmic = max(exact_algorithmic, weak_algorithmic)
    return InferenceThresholds(
        covariance=f, noise=noise, weak_information=weak_information, weak_algorithmic=weak_algorithmic,
        spectral=spectral, exact_information=exact_information, exact_algorithmic=exact_algorithmic,
    )  # fmt: skip


def _noise(model: GaussianLeastSquares) -> float:
    if not isinstance(model.labels, Teacher):
        raise InvalidArgument(
            f"Recovery needs the labels of a teacher, but the model has {model.labels!r}: it holds no signal."
        )
    return model.labels.noise


def _spectral_threshold(f: Covariance, noise: float) -> float:
    curvature = float(f.derivative(0.0, 2))
    return (float(f(1.0)) + noise) / curvature if curvature > 0 else math.inf


def _secant(f: Covariance, q):
    """D(q) = [f(1) - f(q)]/(1 - q) as a polynomial, without cancellation at q = 1."""
    return np.polynomial.polynomial.polyval(q, _secant_coefficients(f))


def _secant_coefficients(f: Covariance) -> np.ndarray:
    """(1 - q^p)/(1 - q) = 1 + q + ... + q^(p-1): coefficient of q^k is sum_{p > k} a_p."""
    return np.cumsum(np.array(f.coefficients)[:0:-1])[::-1]


def _evolve(f: Covariance, noise: float, alpha: float, q: float) -> float:
    """One step of state evolution (8.10)."""
    if noise == 0.0 and q == 1.0:
        return 1.0
    g = alpha * float(f.derivative(q)) / (noise + (1.0 - q) * float(_secant(f, q)))
    return g / (1.0 + g)


def _potential(f: Covariance, noise: float, alpha: float, q: float) -> float:
    """Phi of equation (8.9)."""
    if q == 1.0:  # only without noise: [(1 - alpha) log(1 - q) + 1 - alpha log f'(1)]/2 at q -> 1
        at_one = 0.5 - 0.5 * math.log(float(f.derivative(1.0)))
        return at_one if alpha == 1.0 else math.copysign(math.inf, alpha - 1.0)
    return 0.5 * (math.log1p(-q) + q) - 0.5 * alpha * math.log(noise + (1.0 - q) * float(_secant(f, q)))


def _fixed_points(f: Covariance, noise: float, alpha: float) -> list[float]:
    """Fixed points of state evolution in [0, 1], ascending: roots of a polynomial.

    q (noise + (1 - q) D(q)) = alpha f'(q) (1 - q); without noise the factor 1 - q is the signal itself.
    """
    q, secant, slope = map(np.polynomial.Polynomial, ([0.0, 1.0], _secant_coefficients(f), f.derived(1)))
    balance = q * secant - alpha * slope
    if noise > 0:
        balance = (1.0 - q) * balance + noise * q
    roots = balance.roots()
    points = [float(r.real) for r in roots if abs(r.imag) < 1e-9 and -1e-12 < r.real < 1.0 - 1e-12]
    points = [0.0 if abs(q) < 1e-12 else q for q in points]
    return sorted({*points, *([] if noise > 0 else [1.0])})


def _stable(f: Covariance, noise: float, alpha: float, q: float) -> bool:
    """Whether state evolution approaches the fixed point from below."""
    if q == 0.0:
        return alpha * float(f.derivative(0.0, 2)) <= noise + float(f(1.0))
    below = q * (1.0 - 1e-6)
    return _evolve(f, noise, alpha, below) >= below


def _weak_information(f: Covariance, noise: float, upper: float) -> float:
    """Smallest alpha with a positive Bayes-optimal overlap: at `upper` continuously, before it by a jump."""
    upper = min(upper, 1.0) if noise == 0.0 else upper

    def informed(alpha: float) -> bool:
        points = [q for q in _fixed_points(f, noise, alpha) if q > 1e-9]
        return any(_potential(f, noise, alpha, q) > _potential(f, noise, alpha, 0.0) + 1e-13 for q in points)

    if math.isinf(upper):
        upper = 1.0
        while not informed(upper):
            upper *= 2.0
    return boundary(informed, 0.0, upper, 1e-12 * upper) if informed(upper * (1.0 - 1e-6)) else upper
