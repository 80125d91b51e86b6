r"""The replica free energy of least squares on Gaussian functions, for a step function x(q), with exact gradients.

The average of Z^n over Gaussian residuals needs two determinants of n x n overlap matrices, and both are Parisi
matrices: C delta + q_ab - m^2 (the weights) and f(q_ab) + c (the residuals). For a Parisi matrix with entries g_a on
the k + 1 levels q_0 < ... < q_k, breakpoints x_1 <= ... <= x_k and eigenvalues

    H_k = its replicon,      H_{i-1} = H_i + x_i (g_i - g_{i-1}),

lim_{n -> 0} (1/n) log det = log H_k + S,

    S = (g_0 + c) / H_0 + sum_i (1/x_i) log(H_{i-1} / H_i).                                          (8.1)

With the norm C = |x|^2/N, the overlap m with the signal, c = f(1) + noise - 2 f(m) (teacher) or target^2, and
kappa = T, the free energy F per weight is

    - F / T = (alpha/2) log T + Phi,
    Phi = [log(C - q_k) + S_q]/2 - (alpha/2) [log(kappa + f(C) - f(q_k)) + S_f],                      (8.2)

(S_q: g = q, c = -m^2, H_k = C - q_k; S_f: g = f(q), H_k = kappa + f(C) - f(q_k)), to be minimized over q and x and
maximized over m and C: replica theory turns the extremum over overlaps around. At T = 0, kappa = 0, Phi is the entropy
of the zero-loss manifold (its volume in weights, less alpha log of the codimension's width). Where no zero of the loss
exists q_k = C - T chi, x -> T x, and the ground-state energy is

    E = (alpha/2) S_f - S_q / 2,     S_q: H_k = chi;   S_f: H_k = 1 + chi f'(C),                      (8.3)

to be maximized over q, x, chi and minimized over m and C. Steps: Crisanti and Sommers 1992 for the algebra,
Fyodorov arXiv:1805.06982 for this model.

Notation: levels q (k+1,), breakpoints x (k,), both ascending.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdmft.problem.models import GaussianLeastSquares, Teacher


@dataclass(frozen=True, slots=True)
class Problem:
    """Numbers that the functionals need: the model at given norm C, overlap m and temperature kappa."""

    model: GaussianLeastSquares
    norm: float = 1.0
    overlap: float = 0.0
    temperature: float = 0.0

    @property
    def constant(self) -> float:
        """c of equation (8.2): f(1) + noise - 2 f(m) for a teacher, target^2 for a constant target."""
        f, labels = self.model.covariance, self.model.labels
        if isinstance(labels, Teacher):
            return float(f(1.0) + labels.noise - 2.0 * f(self.overlap))
        return labels.value**2


def parisi_sum(g: np.ndarray, x: np.ndarray, top: float, shift: float):
    """S of equation (8.1) and its derivatives with respect to g_0 (the others following), increments of g, x and H_k."""
    d = np.diff(g)
    h = np.empty(len(g))
    h[-1] = top
    h[:-1] = top + np.cumsum((x * d)[::-1])[::-1]
    upper, lower = h[:-1], h[1:]
    z = x * d / lower
    value = float((g[0] + shift) / h[0] + np.sum(d / lower * _log1p_over(z)))
    adjoint = np.empty(len(g))
    adjoint[0] = -(g[0] + shift) / h[0] ** 2
    adjoint[1:] = adjoint[0] - np.cumsum(d / (upper * lower))
    by_increment = 1.0 / upper + adjoint[:-1] * x
    by_x = (d / lower) ** 2 * _log1p_over_slope(z) + adjoint[:-1] * d
    return value, float(1.0 / h[0]), by_increment, by_x, float(adjoint[-1])


@dataclass(frozen=True, slots=True)
class Slopes:
    """Value of a functional and its derivatives, the arrays along levels and breakpoints."""

    value: float
    q: np.ndarray
    x: np.ndarray
    overlap: float
    norm: float
    chi: float = 0.0
    temperature: float = 0.0
    replicon: float = math.nan


def thermal(problem: Problem, q: np.ndarray, x: np.ndarray, chi: float = 0.0) -> Slopes:
    """Phi of equation (8.2)."""
    f, alpha, norm, m = problem.model.covariance, problem.model.alpha, problem.norm, problem.overlap
    width_q = norm - q[-1]
    width_f = problem.temperature + (f(norm) - f(q[-1]))  # a numpy number: 0 gives an infinite slope, and no error
    s_q, q0, qd, qx, qt = parisi_sum(q, x, width_q, -(m**2))
    s_f, f0, fd, fx, ft = parisi_sum(f(q), x, width_f, problem.constant)
    slope = f.derivative(q)
    by_q = 0.5 * _by_levels(q0, qd) - 0.5 * alpha * _by_levels(f0, fd) * slope
    by_top, by_width = 0.5 * (1.0 / width_q + qt), 0.5 * alpha * (1.0 / width_f + ft)
    by_q[-1] += by_width * slope[-1] - by_top
    return Slopes(
        value=float(0.5 * (np.log(width_q) + s_q) - 0.5 * alpha * (np.log(width_f) + s_f)),
        q=by_q,
        x=0.5 * (qx - alpha * fx),
        overlap=-m * q0 - 0.5 * alpha * f0 * _constant_slope(problem),
        norm=by_top - by_width * float(f.derivative(norm)),
        temperature=-by_width,
        replicon=_replicon(problem, float(q[-1]), width_q, width_f, ft),
    )


def ground(problem: Problem, q: np.ndarray, x: np.ndarray, chi: float) -> Slopes:
    """E of equation (8.3); the top level q_k is the norm."""
    f, alpha, norm, m = problem.model.covariance, problem.model.alpha, problem.norm, problem.overlap
    stiffness = float(f.derivative(norm))
    s_q, q0, qd, qx, qt = parisi_sum(q, x, chi, -(m**2))
    s_f, f0, fd, fx, ft = parisi_sum(f(q), x, 1.0 + chi * stiffness, problem.constant)
    by_q = 0.5 * alpha * _by_levels(f0, fd) * f.derivative(q) - 0.5 * _by_levels(q0, qd)
    return Slopes(
        value=0.5 * (alpha * s_f - s_q),
        q=by_q,
        x=0.5 * (alpha * fx - qx),
        chi=0.5 * (alpha * ft * stiffness - qt),
        overlap=m * q0 + 0.5 * alpha * f0 * _constant_slope(problem),
        norm=float(by_q[-1]) + 0.5 * alpha * ft * chi * float(f.derivative(norm, 2)),
        replicon=_replicon(problem, norm, chi, 1.0 + chi * stiffness, ft),
    )


def threshold(problem: Problem, q: np.ndarray, x: np.ndarray, chi: float = 1.0) -> Slopes:
    """S_q / S_f for chi -> infinity (x in units of 1/chi): its minimum is the satisfiability threshold in alpha."""
    f, m = problem.model.covariance, problem.overlap
    top = float(f.derivative(problem.norm))
    s_q, q0, qd, qx, _ = parisi_sum(q, x, 1.0, -(m**2))
    s_f, f0, fd, fx, ft = parisi_sum(f(q), x, top, problem.constant)
    ratio = s_q / s_f
    by_q = (_by_levels(q0, qd) - ratio * _by_levels(f0, fd) * f.derivative(q)) / s_f
    return Slopes(
        value=ratio,
        q=by_q,
        x=(qx - ratio * fx) / s_f,
        overlap=(-2.0 * m * q0 - ratio * f0 * _constant_slope(problem)) / s_f,
        norm=float(by_q[-1]) - ratio * ft * float(f.derivative(problem.norm, 2)) / s_f,
    )


def _constant_slope(problem: Problem) -> float:
    """dc/dm."""
    if isinstance(problem.model.labels, Teacher):
        return -2.0 * float(problem.model.covariance.derivative(problem.overlap))
    return 0.0


def _replicon(problem: Problem, q: float, width_q: float, width_f: float, adjoint: float) -> float:
    """1 - alpha H_q^2 [f'(q)^2 / H_f^2 + f''(q) M], M = -dS_f/dH_f, at the top level: negative means unstable.

    For one level M = (f(q) + c)/H_f^2: the criterion of de Almeida and Thouless. It is the coefficient of
    -Tr(delta q^2) / (4 H_q^2) in N^-1 log Z^n for variations whose rows sum to zero.
    """
    f = problem.model.covariance
    curvature = (float(f.derivative(q)) / width_f) ** 2 - float(f.derivative(q, 2)) * adjoint
    return float(1.0 - problem.model.alpha * np.float64(width_q) ** 2 * curvature)  # no error where it overflows


def _by_levels(first: float, by_increment: np.ndarray) -> np.ndarray:
    """Derivatives with respect to levels from those with respect to the first level and the increments."""
    out = np.append(first, by_increment)
    out[:-1] -= by_increment
    return out


def _log1p_over(z: np.ndarray) -> np.ndarray:
    """log(1 + z)/z, 1 at z = 0."""
    small = np.abs(z) < 1e-4
    safe = np.where(small, 1.0, z)
    return np.where(small, 1.0 - z / 2 + z**2 / 3 - z**3 / 4, np.log1p(safe) / safe)


def _log1p_over_slope(z: np.ndarray) -> np.ndarray:
    """Derivative of log(1 + z)/z."""
    small = np.abs(z) < 1e-3
    safe = np.where(small, 1.0, z)
    return np.where(
        small, -0.5 + 2 * z / 3 - 3 * z**2 / 4 + 4 * z**3 / 5, (1.0 / (1.0 + safe) - np.log1p(safe) / safe) / safe
    )
