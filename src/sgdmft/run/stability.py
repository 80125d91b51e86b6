r"""The largest learning rate at which the signal is a stable point of the dynamics, in closed form.

Near the signal of a noiseless teacher x = x* + d, residuals are r_mu = g_mu.d with g_mu = grad h_mu(x*), and descent is
linear with the Hessian H = sum_mu g_mu g_mu^T. By (1.1) the components of g_mu are independent with variance

    f'(1)/N  across the signal,      [f'(1) + f''(1)]/N  along it.                                          (9.1)

So H has a Marchenko-Pastur bulk of upper edge f'(1) (1 + sqrt(alpha))^2, and, with l = 1 + f''(1)/f'(1), where
l > 1 + 1/sqrt(alpha), an outlier towards the signal at l f'(1) [alpha + 1/(l - 1)] > edge [BaikBenArousPeche2005]. The
outlier is a mode of m(t): the theory sees it. Descent with momentum beta needs eta lambda < 2 (1 + beta) for both.

Minibatches add multiplicative noise. With selections redrawn at every step, the loss obeys a renewal equation whose
kernel sums to

    (1/b - 1) (eta/alpha) (1+beta)/(1-beta) Int rho(l) l / [2 (1+beta) - eta l] dl,                         (9.2)

rho being the density of the bulk normalized to mass 1 over all N weights; the loss decays iff this is below 1. The
integral is a Stieltjes transform of Marchenko-Pastur's law, which inverts to

    eta < 2 (1+beta) / (f'(1) [1/q + alpha/(1-q)]),     q = b / [b + (1-b) (1+beta)/(1-beta)],              (9.3)

if q < 1/(1 + sqrt(alpha)); for larger q the bulk edge comes first. One pass meets a fresh sample every time, hence

    eta < 2 (1+beta) / (f'(1) [(1+beta)/(1-beta)/b + alpha])    and    eta alpha l f'(1) < 2 (1+beta).      (9.4)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sgdmft.algorithm.batches import Bernoulli, FullBatch, OnePass, Persistent
from sgdmft.algorithm.descent import Descent
from sgdmft.problem.models import ConstantTarget, GaussianLeastSquares


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityLimit:
    """Answer of `stability_limit`.

    Attributes
    ----------
    learning_rate : float or None
        The signal is stable below this learning rate and unstable above it; None where no closed form is known.
    reason : str
        What sets the limit, or why there is none.
    """

    learning_rate: float | None
    reason: str

    def __str__(self) -> str:
        if self.learning_rate is None:
            return f"undecided: {self.reason}"
        return f"{self.learning_rate:.6g} ({self.reason})"


_BULK = "upper edge of the Hessian's bulk at the signal"
_OUTLIER = "outlier of the Hessian towards the signal"
_NOISE = "noise of the minibatches at the signal"


def stability_limit(model: GaussianLeastSquares, algorithm: Descent) -> StabilityLimit:
    """Largest learning rate at which the signal of a noiseless teacher is stable, equations (9.1) to (9.4).

    Known for full batch, `Bernoulli`, `OnePass`, and `Persistent` with memory 0 or 1, each with constant momentum; the
    learning rate of `algorithm` plays no part. Stable means that small deviations do not grow: for alpha < 1 a subspace
    of zero curvature stays where it is. Far from the signal the dynamics may diverge at smaller learning rates already.
    A spherical descent is taken on the sphere of the signal, |x|^2 = N, where the outlier plays no part.

    Returns
    -------
    StabilityLimit
        Its `learning_rate` is None, with the reason, where the signal is no fixed point (label noise, weight decay,
        temperature, constant target) or no closed form is known (other schemes, schedules, momentum 1).

    Examples
    --------
    >>> from sgdmft import GaussianLeastSquares, GradientDescent, SGD
    >>> model = GaussianLeastSquares(alpha=4.0)
    >>> print(stability_limit(model, GradientDescent(learning_rate=0.1)))
    0.2 (outlier of the Hessian towards the signal)
    >>> print(stability_limit(model, SGD(learning_rate=0.1, batch_fraction=0.1)))
    0.138462 (noise of the minibatches at the signal)
    """
    obstacle = _obstacle(model, algorithm)
    if obstacle:
        return StabilityLimit(learning_rate=None, reason=obstacle)
    alpha, f = model.alpha, model.covariance
    variance = float(f.derivative(1.0))
    spike = 0.0 if algorithm.spherical else float(f.derivative(1.0, order=2)) / variance  # l - 1 of (9.1)
    beta = algorithm.momentum
    assert isinstance(beta, float)  # `_obstacle` let constants pass only
    memory_gain = (1 + beta) / (1 - beta)
    b, one_pass = 1.0, False
    match algorithm.batches:
        case OnePass(steps):
            b, one_pass = 1.0 / steps, True
        case Persistent(fraction, memory=1.0):  # descent on one subset: fewer samples of larger weight
            alpha, variance = alpha * fraction, variance / fraction
        case Persistent(fraction):
            b = fraction
        case Bernoulli(fraction):
            assert isinstance(fraction, float)
            b = fraction
    candidates = {}  # largest effective curvature eta lambda / [2 (1 + beta)] -> what it is
    if one_pass:
        candidates[variance * (memory_gain / b + alpha)] = _NOISE
        candidates[variance * alpha * (1 + spike)] = _OUTLIER
    else:
        candidates[variance * (1 + math.sqrt(alpha)) ** 2] = _BULK
        q = b / (b + (1 - b) * memory_gain)
        if q < 1 / (1 + math.sqrt(alpha)):
            candidates[variance * (1 / q + alpha / (1 - q))] = _NOISE
        if spike > 1 / math.sqrt(alpha):
            candidates[variance * (1 + spike) * (alpha + 1 / spike)] = _OUTLIER
    curvature = max(candidates)
    return StabilityLimit(learning_rate=2 * (1 + beta) / curvature, reason=candidates[curvature])


def _obstacle(model: GaussianLeastSquares, algorithm: Descent) -> str:
    """Why no closed form applies; empty if one does."""
    if isinstance(model.labels, ConstantTarget):
        return "a constant target has no signal"
    if model.labels.noise > 0:
        return "with label noise the signal is no fixed point"
    if algorithm.weight_decay != 0.0:
        return "with weight decay the signal is no fixed point"
    if algorithm.temperature != 0.0:
        return "at positive temperature the signal is no fixed point"
    if not isinstance(algorithm.momentum, float):
        return "no closed form is known for a schedule of the momentum"
    if algorithm.momentum == 1.0:
        return "with momentum 1 nothing decays"
    batches = algorithm.batches
    if isinstance(batches, Bernoulli) and not isinstance(batches.fraction, float):
        return "no closed form is known for a schedule of the batch fraction"
    if batches.memoryless or isinstance(batches, (FullBatch, Bernoulli, OnePass)):
        return ""
    if isinstance(batches, Persistent) and batches.memory == 1.0:
        return ""
    return f"no closed form is known for the scheme {batches!r}"
