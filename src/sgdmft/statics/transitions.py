r"""Transitions of the constant-target model and of recovery by least squares, on the sphere.

Satisfiability (rigidity) alpha_J: up to it zero loss can be reached. With chi -> infinity in the ground-state energy
(8.3), E > 0 is possible when alpha S_f > S_q for some breakpoints, so

    alpha_J = min over levels and breakpoints of  S_q / S_f      (replica symmetric: f'(1)/(f(1) + y^2)),        (8.11)

and breakpoints -> infinity give S_q/S_f -> 1: never more equations than unknowns. For a teacher alpha_J is the largest
over overlaps m with the signal. The manifold of zero loss is replica symmetric up to alpha_RSB, where its replicon
vanishes [Urbani arXiv:2208.11730]; for f = q^2/2, 1/(4 y^2).

Recovery of a noisy signal: with f'(0) = 0 the ground state forgets the signal (m = 0) where d^2E/dm^2 = 0 at m = 0. With
symmetry broken continuously from q = 0 on, the variational equation at q -> 0, (1 + Lambda_0)^2 = alpha f''(0) c
lambda_0^2, turns that into

    noise_c = alpha f''(0) - f(1)                                                                          (8.12)

(f = q^2/2: alpha - 1/2), the noise at which the spectral estimate forgets it, too. References: Fyodorov arXiv:1805.06982.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

from scipy.optimize import minimize_scalar

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.problem.models import ConstantTarget, GaussianLeastSquares, Teacher
from sgdmft.statics._functional import Problem
from sgdmft.statics._roots import boundary, root
from sgdmft.statics._saddle import break_symmetry, symmetric_thermal, symmetric_threshold

#: breakpoints above this are on their way to infinity
_RUNAWAY = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A transition in alpha.

    `uncertainty` is k/4 times the last gain over k steps of symmetry breaking; `reason` says what decides it.
    """

    name: str
    alpha: float
    levels: int
    uncertainty: float
    reason: str
    magnetization: float = 0.0
    gains: tuple[float, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Transition({self.name} at alpha = {self.alpha:.10g} ± {self.uncertainty:.1g}, "
            f"{'replica symmetric' if not self.levels else f'{self.levels}-step broken replica symmetry'}, {self.reason})"
        )


def satisfiability(model: GaussianLeastSquares, *, levels: int = 0, norm: float = 1.0) -> Transition:
    """alpha up to which the loss can be zero, equation (8.11); `model.alpha` plays no part.

    Examples
    --------
    >>> model = GaussianLeastSquares(alpha=1, labels=ConstantTarget(1.0))
    >>> round(satisfiability(model).alpha, 6), round(satisfiability(model, levels=3).alpha, 3)
    (0.666667, 0.645)
    """
    levels = check.integer("levels", levels, at_least=0)
    norm = check.number("norm", norm, above=0.0)
    if isinstance(model.labels, ConstantTarget):
        return _satisfiability_at(model, 0.0, levels, norm)
    if model.labels.noise == 0.0:
        raise InvalidArgument(
            "Noise-free labels of a teacher have zero loss at the signal for every alpha: there is no satisfiability "
            "transition. Use `Teacher(noise=...)` with positive noise, or `ConstantTarget`."
        )
    grid = [i / 40 * math.sqrt(norm) for i in range(40)]
    rough = [_satisfiability_at(model, m, 0, norm).alpha for m in grid]
    top = max(range(len(grid)), key=lambda i: rough[i])
    if levels:
        near = [i for i in (0, 8, 16, 24, 32, top) if rough[i] > 0.9 * min(rough[top], 1.0)]
        top = max(near, key=lambda i: _satisfiability_at(model, grid[i], 1, norm).alpha)
    bounds = (grid[max(top - 1, 0)], grid[min(top + 1, len(grid) - 1)])
    best: Any = minimize_scalar(
        lambda m: -_satisfiability_at(model, m, levels, norm).alpha, bounds=bounds, method="bounded",
        options={"xatol": 1e-4},
    )  # fmt: skip
    candidates = [_satisfiability_at(model, m, levels, norm) for m in (float(best.x), grid[top])]
    return max(candidates, key=lambda transition: transition.alpha)


def _satisfiability_at(model: GaussianLeastSquares, overlap: float, levels: int, norm: float) -> Transition:
    saddle = symmetric_threshold(Problem(model, norm, overlap))
    values, reason = [saddle.value], "all steps used" if levels else "steps not tried"
    for k in range(1, levels + 1):
        finer = break_symmetry(saddle, k)
        if finer is saddle:
            reason = "further steps gain nothing"
            break
        saddle = finer
        values.append(saddle.value)
        if saddle.x[-1] * norm > _RUNAWAY:
            break
    runaway = levels and (saddle.value >= 1.0 or (saddle.levels and saddle.x[-1] * norm > _RUNAWAY))
    if runaway:  # the infimum 1 lies at infinite breakpoints
        return Transition(
            name="satisfiability", alpha=1.0, levels=max(saddle.levels, 1), uncertainty=0.0,
            reason="as many equations as unknowns", magnetization=overlap,
        )  # fmt: skip
    gains = tuple(b - a for a, b in itertools.pairwise(values))
    exact = levels == 0 or reason.startswith("further")
    uncertainty = 1e-10 * saddle.value if exact else abs(gains[-1]) * saddle.levels / 4
    return Transition(
        name="satisfiability", alpha=saddle.value, levels=saddle.levels, uncertainty=uncertainty, reason=reason,
        magnetization=overlap, gains=gains,
    )  # fmt: skip


def symmetry_breaking(model: GaussianLeastSquares, *, norm: float = 1.0) -> Transition:
    """alpha at which replica symmetry breaks on the manifold of zero loss of a constant-target model, at T = 0.

    The lowest alpha at which the replicon vanishes, unless one step of breaking gains before: then the transition is
    discontinuous, and its alpha is where that gain begins (to 1e-6).

    Raises
    ------
    NotConverged
        When replica symmetry holds up to the satisfiability threshold; `value` holds that.

    Examples
    --------
    >>> symmetry_breaking(GaussianLeastSquares(alpha=1, labels=ConstantTarget(1.0))).alpha    # 1/(4 y^2)
    0.25
    """
    if isinstance(model.labels, Teacher):
        raise InvalidArgument("`symmetry_breaking` is for models with `ConstantTarget` labels.")
    end = satisfiability(model, levels=0, norm=norm).alpha

    def replicon(alpha: float) -> float:
        saddle = symmetric_thermal(Problem(replace(model, alpha=alpha), norm))
        return -1.0 if saddle is None else saddle.slopes.replicon

    limit = min(end, 1.0) * (1.0 - 1e-9)
    grid = [limit * i / 64 for i in range(1, 65)]
    first = next((i for i, alpha in enumerate(grid) if replicon(alpha) <= 0.0), None)
    if first is None:
        continuous = limit
    else:
        low = grid[first - 1] if first else 1e-9 * limit
        continuous = root(replicon, low, grid[first])

    def gains(alpha: float) -> bool:
        saddle = symmetric_thermal(Problem(replace(model, alpha=alpha), norm))
        return saddle is not None and break_symmetry(saddle, 1) is not saddle

    probe = continuous * (1.0 - 1e-3)
    if gains(probe):
        alpha = boundary(gains, 0.5 * continuous, probe, 1e-6)
        return Transition(
            name="symmetry breaking", alpha=alpha, levels=1, uncertainty=1e-6, reason="discontinuous (one step)"
        )
    if first is None:
        raise NotConverged(
            f"Replica symmetry holds up to the satisfiability threshold {end:.6g} (or alpha = 1): no transition below.",
            end,
        )
    return Transition(
        name="symmetry breaking", alpha=continuous, levels=0, uncertainty=1e-12, reason="continuous (replicon)"
    )


def recovery_noise(model: GaussianLeastSquares) -> float:
    """Variance of label noise above which the least-squares ground state has no overlap with the signal, (8.12).

    Holds where f'(0) = 0 and symmetry is broken continuously from q = 0 on (f = q^2/2: always near the transition);
    where a linear term is present the overlap never vanishes and the value is infinite.

    Examples
    --------
    >>> recovery_noise(GaussianLeastSquares(alpha=2.5, labels=Teacher(noise=1.0)))
    2.0
    """
    f = model.covariance
    if f.derivative(0.0) > 0:
        return math.inf
    return max(0.0, model.alpha * float(f.derivative(0.0, 2)) - float(f(1.0)))
