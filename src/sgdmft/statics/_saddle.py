r"""Saddle points of the replica free energy at fixed norm and overlap: replica symmetric, and k steps of breaking.

Replica symmetric saddles are roots of one equation in one unknown; all roots are found on a fine grid in log(C - q) and
bisected. Broken ones are optimized by BFGS with exact gradients in coordinates that keep the order of levels and of
breakpoints (softmax of their increments), from several starts; the k-step optimum starts from that of k - 1 steps, so
the free energy cannot decrease with k. The maximum over step functions is unique in all cases met, not by proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from sgdmft.errors import NotConverged
from sgdmft.statics._functional import Problem, Slopes, ground, thermal, threshold
from sgdmft.statics._roots import root


class Form(NamedTuple):
    """A functional, the sign that makes it a minimization, whether x lives in (0, 1), whether chi is a variable."""

    name: str
    functional: Callable[..., Slopes]
    sign: float
    bounded: bool
    with_chi: bool


THERMAL = Form("thermal", thermal, 1.0, True, False)
GROUND = Form("ground", ground, -1.0, False, True)
THRESHOLD = Form("threshold", threshold, 1.0, False, False)

#: energies below are rounding
ZERO_ENERGY = 1e-13
_TINY = 1e-13
_GRADIENT_TOLERANCE = 1e-9
#: a further breakpoint that changes the functional by less does not count
NO_GAIN = 1e-10


@dataclass(frozen=True, slots=True)
class Saddle:
    """A stationary point at fixed norm and overlap: `form` is the functional it extremizes."""

    form: Form
    problem: Problem
    q: np.ndarray
    x: np.ndarray
    chi: float
    residual: float
    slopes: Slopes

    @property
    def value(self) -> float:
        return self.slopes.value

    @property
    def levels(self) -> int:
        return len(self.x)


def make(form: Form, problem: Problem, q, x=(), chi: float = 1.0, residual: float = math.nan) -> Saddle:
    """The saddle at given levels. With one level and no `residual` given: the slope along log chi or log(C - q)."""
    q, x = np.asarray(q, dtype=float), np.asarray(x, dtype=float)
    slopes = form.functional(problem, q, x, chi)
    if math.isnan(residual):
        residual = abs(slopes.chi * chi if form is GROUND else slopes.q[-1] * (problem.norm - q[-1]))
    return Saddle(form, problem, q, x, float(chi), float(residual), slopes)


# ------------------------------------------------------------------------------------------------ replica symmetric


def symmetric_ground(problem: Problem) -> Saddle | None:
    """Replica-symmetric ground state, or None where the zero-loss equations are satisfiable.

    dE/dchi = 0 is solved by chi sqrt(alpha A f'(C)) = sqrt(C - m^2) (1 + chi f'(C)), A = f(C) + c, that is
    E = [sqrt(alpha A) - sqrt((C - m^2) f'(C))]_+^2 / 2.
    """
    f, alpha = problem.model.covariance, problem.model.alpha
    stiffness = float(f.derivative(problem.norm))
    spread = math.sqrt(max(problem.norm - problem.overlap**2, 0.0))
    pull = math.sqrt(max(alpha * (float(f(problem.norm)) + problem.constant) * stiffness, 0.0))
    if spread == 0.0 or pull <= spread * stiffness * (1 + 1e-12):
        return None
    return make(GROUND, problem, [problem.norm], (), spread / (pull - spread * stiffness))


def symmetric_thermal(problem: Problem) -> Saddle | None:
    """Replica-symmetric saddle at T > 0, or of the zero-loss manifold at T = 0 (None where that is empty).

    dPhi/dq = 0:  (q - m^2) / (C - q)^2 = alpha f'(q) [f(q) + c] / [T + f(C) - f(q)]^2.
    Of several roots the one of least Phi (largest free energy) counts.
    """
    f, alpha, norm = problem.model.covariance, problem.model.alpha, problem.norm
    m2, c, temperature = problem.overlap**2, problem.constant, problem.temperature

    def secant(w):
        """[T + f(C) - f(C - w)] / w, without cancellation."""
        return temperature / w + _divided_difference(problem, w)

    def equation(log_w):
        w = np.exp(log_w)
        q = norm - w
        return (q - m2) * secant(w) ** 2 - alpha * f.derivative(q) * (f(q) + c)

    high = math.log(norm - m2)
    grid = np.linspace(high, high - 25.0, 401)  # below, C - q is rounding
    values = equation(grid)
    roots = [math.exp(high)] if abs(values[0]) <= 1e-15 else []
    values[0] = -1.0 if abs(values[0]) <= 1e-15 and values[1] < 0 else values[0]
    for i in np.flatnonzero((values[:-1] * values[1:] < 0) & (np.abs(values[:-1]) > 1e-15)):
        roots.append(math.exp(root(equation, grid[i], grid[i + 1])))
    if not roots:
        return None
    if temperature == 0.0 and values[-1] < 0:
        return None  # Phi -> - infinity as q -> C: no zero of the loss at this overlap
    saddles = [make(THERMAL, problem, [norm - w]) for w in roots]
    return min(saddles, key=lambda saddle: saddle.value)


def _divided_difference(problem: Problem, w):
    """[f(C) - f(C - w)]/w as a polynomial in w (Taylor at C)."""
    f, norm = problem.model.covariance, problem.norm
    total = np.zeros_like(np.asarray(w, dtype=float))
    for order in range(1, len(f.coefficients)):
        total = total - float(f.derivative(norm, order)) * (-w) ** order / math.factorial(order) / w
    return total


def symmetric_threshold(problem: Problem) -> Saddle:
    """Replica-symmetric satisfiability threshold alpha = (C - m^2) f'(C) / [f(C) + c]."""
    return make(THRESHOLD, problem, [problem.norm], (), residual=0.0)


# -------------------------------------------------------------------------------------------------- broken symmetry


def break_symmetry(base: Saddle, levels: int) -> Saddle:
    """The best saddle with up to `levels` breakpoints, starting from one with fewer; it stops where a further
    breakpoint gains nothing (then the symmetry is broken in that many steps, exactly)."""
    sign, saddle = base.form.sign, base
    while saddle.levels < levels:
        finer = _optimize_best(base.form, base.problem, _starts(saddle))
        if not sign * finer.value < sign * saddle.value - NO_GAIN * max(1.0, abs(saddle.value)):
            break
        saddle = finer
    return saddle


def reoptimize(saddle: Saddle, problem: Problem) -> Saddle:
    """The saddle of a neighbouring problem, followed from a known one."""
    old_low, old_norm = saddle.problem.overlap**2, saddle.problem.norm
    low, norm = problem.overlap**2, problem.norm
    q = low + (saddle.q - old_low) * (norm - low) / (old_norm - old_low)
    return _optimize_best(saddle.form, problem, [(q, saddle.x, saddle.chi)])


def _starts(saddle: Saddle) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Starts with one breakpoint more than `saddle`."""
    problem, k, q, x, chi = saddle.problem, saddle.levels, saddle.q, saddle.x, saddle.chi
    low, norm = problem.overlap**2, problem.norm
    if k == 0:
        if saddle.form is not THERMAL:
            return [
                (np.array([low + (norm - low) * a, norm]), np.array([b * (1.0 / chi)]), chi * shrink)
                for a in (0.05, 0.5)
                for b, shrink in ((0.5, 0.7), (5.0, 0.3))
            ]
        gap, first = norm - q[0], q[0]
        return [
            (np.array([max(first - (first - low) * a, low + 1e-6), norm - gap * b]), np.array([c]), chi)
            for a, b, c in ((0.3, 0.8, 0.5), (0.9, 0.9, 0.3), (0.05, 0.3, 0.7), (0.05, 0.05, 0.8))
        ]
    index = np.linspace(0.0, 1.0, k + 1)
    new_q = np.interp(np.linspace(0.0, 1.0, k + 2), index, q)
    new_x = np.interp(np.linspace(0.0, 1.0, k + 1), (np.arange(k) + 0.5) / k, x)
    new_x[0] *= 0.8
    starts = [(new_q, new_x, chi)]
    if k <= 2:
        for i in range(k + 1):  # split one interval (the lowest reaches down to m^2)
            below = q[i - 1] if i else low
            split = 0.5 * (below + q[i])
            value = x[i - 1] if i else 0.6 * x[0]
            starts.append((np.insert(q, i, split), np.sort(np.insert(x, max(i - 1, 0), 0.97 * value)), chi))
    return starts


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # breakpoints may run to infinity
def _optimize_best(form: Form, problem: Problem, starts) -> Saddle:
    levels, sign = len(starts[0][1]), form.sign
    layout = _Layout(problem, levels, form.bounded, form.with_chi)

    def objective(v):
        point = layout.decode(v)
        slopes = form.functional(problem, point.q, point.x, point.chi)
        if not math.isfinite(slopes.value):
            return 1e300, np.zeros_like(v)
        return sign * slopes.value, sign * point.pull_back(slopes)

    best: Saddle | None = None
    for start in starts:
        result = minimize(
            objective, layout.encode(*start), jac=True, method="BFGS",
            options={"gtol": _GRADIENT_TOLERANCE, "maxiter": 3000},
        )  # fmt: skip
        gradient = float(np.max(np.abs(result.jac)))
        if not math.isfinite(float(result.fun)) or result.fun >= 1e299:
            continue
        point = layout.decode(result.x)
        saddle = make(form, problem, point.q, point.x, point.chi, residual=gradient)
        if best is None or sign * saddle.value < sign * best.value - 1e-14:
            best = saddle
    if best is None:
        raise NotConverged(
            f"The {levels}-step replica-symmetry-breaking optimization of the {form.name} functional found no finite value "
            f"for {problem.model!r} at overlap {problem.overlap:g} and norm {problem.norm:g}."
        )
    return best


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # breakpoints may run to infinity
def ground_saddle(problem: Problem, levels: int) -> Saddle | None:
    """A saddle of the energy with E > 0, None where E = 0 within `levels` steps of breaking."""
    saddle = symmetric_ground(problem)
    if saddle is not None:
        return saddle if saddle.value > ZERO_ENERGY else None
    if levels == 0 or problem.model.alpha <= satisfiable_up_to(problem, 1):
        if levels <= 1:
            return None
        if problem.model.alpha <= satisfiable_up_to(problem, levels):
            return None
    base = break_symmetry(symmetric_threshold(problem), levels)
    best = None
    for chi in np.geomspace(0.1, 1e3, 9):
        start = make(GROUND, problem, base.q, base.x / chi, chi)
        found = reoptimize(start, problem)
        if found.value > ZERO_ENERGY and (best is None or found.value > best.value):
            best = found
    return best


def satisfiable_up_to(problem: Problem, levels: int) -> float:
    """alpha up to which zero loss is reached at this norm and overlap, within `levels` steps of breaking.

    Infinitely large breakpoints give S_q/S_f -> 1 for any f: no more equations than unknowns can be solved.
    """
    value = break_symmetry(symmetric_threshold(problem), levels).value
    return min(value, 1.0) if levels else value


# ------------------------------------------------------------------------------------------------------ coordinates


class _Point(NamedTuple):
    q: np.ndarray
    x: np.ndarray
    chi: float
    pull_back: Callable[[Slopes], np.ndarray]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Unconstrained coordinates: logits of the increments of q (and of x if bounded, else their logarithms), log chi."""

    problem: Problem
    levels: int
    bounded: bool
    with_chi: bool

    @property
    def _increments(self) -> int:
        """Increments of q that share norm - m^2: the last one is norm - q_k where x is bounded by 1."""
        return self.levels + 1 + self.bounded

    def encode(self, q: np.ndarray, x: np.ndarray, chi: float) -> np.ndarray:
        low, norm = self.problem.overlap**2, self.problem.norm
        levels = np.append(q, norm) if self.bounded else np.append(q[:-1], norm)
        dq = np.maximum(np.diff(np.append(low, levels)), _TINY * norm)
        dx = np.diff(np.append(0.0, np.append(x, 1.0) if self.bounded else x))
        dx = np.maximum(dx, 1e-4 * (x[-1] if self.levels else 1.0) / (self.levels + 1))
        a = np.log(dq / dq[-1])[:-1]
        b = np.log(dx / dx[-1])[:-1] if self.bounded else np.log(dx)
        return np.concatenate([a, b, [math.log(chi)] if self.with_chi else []])

    def decode(self, v: np.ndarray) -> _Point:
        low, norm = self.problem.overlap**2, self.problem.norm
        n = self._increments - 1
        k = self.levels
        shares = softmax(np.append(v[:n], 0.0))
        edges = low + (norm - low) * np.cumsum(shares)
        q = edges[: k + 1].copy()
        if not self.bounded:
            q[-1] = norm
        y = v[n : n + k]
        if self.bounded:
            x_shares = softmax(np.append(y, 0.0))
            x = np.cumsum(x_shares)[:k]
        else:
            x_shares = np.exp(y)
            x = np.cumsum(x_shares)
        chi = math.exp(min(v[-1], 700.0)) if self.with_chi else 1.0

        def pull_back(slopes: Slopes) -> np.ndarray:
            by_share = np.zeros(self._increments)
            by_share[: k + 1] = (norm - low) * np.cumsum(slopes.q[::-1])[::-1]
            by_a = shares * (by_share - shares @ by_share)
            by_dx = np.zeros(len(x_shares))
            by_dx[:k] = np.cumsum(slopes.x[::-1])[::-1]
            by_b = x_shares * (by_dx - x_shares @ by_dx) if self.bounded else x_shares * by_dx
            return np.concatenate([by_a[:n], by_b[:k], [slopes.chi * chi] if self.with_chi else []])

        return _Point(q, x, chi, pull_back)
