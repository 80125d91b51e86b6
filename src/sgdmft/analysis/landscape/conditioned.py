"""The Hessian in the span of a path and the signal, given all that the path knows of the data: equations (10.2) to (10.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sgdmft.algorithm.descent import Descent
from sgdmft.problem.models import GaussianLeastSquares, Teacher


class Path(NamedTuple):
    """Order parameters at the steps 0, ..., t of a path.

    correlation, response : shape (t + 1, t + 1)
    magnetization : shape (t + 1,)
    residuals : E u(s) u(s'), in its last row and column with r(t) in place of u(t), shape (t + 1, t + 1)
    responses : dE u(s)/dxi(s'), the last row of r(t), shape (t + 1, t + 1)
    learning_rate, temperature : shape (t,)
    """

    correlation: np.ndarray
    response: np.ndarray
    magnetization: np.ndarray
    residuals: np.ndarray
    responses: np.ndarray
    learning_rate: np.ndarray
    temperature: np.ndarray


def path_of(
    model: GaussianLeastSquares, algorithm: Descent | None, C: np.ndarray, R: np.ndarray, m: np.ndarray
) -> Path:
    """The residuals' part of a path from C, R and m at all its steps: equations (4.1) to (4.6), with P = 1 in the last row."""
    f, t = model.covariance, len(m) - 1
    rates = algorithm.rates(max(t, 1)) if algorithm else None
    eta, b, T = (np.zeros(t),) * 3 if rates is None else (rates[0][:t], rates.batch_fraction[:t], rates.temperature[:t])
    if isinstance(model.labels, Teacher):
        K = f(C) - f(m)[:, None] - f(m) + f(1.0) + model.labels.noise
    else:
        K = f(C) + model.labels.value**2
    k = np.tril(f.derivative(C[:, :t]) * R[:, :t] * eta, -1)
    L, G = np.eye(t + 1), np.zeros((t + 1, t + 1))
    for s in range(t + 1):
        P = algorithm.batches.reselection(s, np.arange(s)) if algorithm and s < t else np.ones(s)
        kept, later = k[s, :s], np.maximum.outer(np.arange(s), np.arange(s))
        between = P[later] * G[:s, :s]
        A = L[:s, :s] @ K[s, :s]
        L[s, :s] = -(kept * P) @ L[:s, :s]
        G[s, :s] = G[:s, s] = P * A - kept @ between
        G[s, s] = (K[s, s] - 2.0 * kept @ (P * A) + kept @ between @ kept) / (b[s] if s < t else 1.0)
    return Path(C, R, m, G, L, eta, T)


@dataclass(frozen=True, slots=True)
class Conditioned:
    """M(g) of equation (10.2) in an orthonormal basis of the path and the signal, in the modes of the samples.

    signal : components of x*/sqrt(N); plane : M(0); linear : the part of M proportional to g; modes : eigenvalues of S;
    direct, crossed : components of d and of cov(a, beta) on the modes, shape (basis, modes).
    """

    signal: np.ndarray
    plane: np.ndarray
    linear: np.ndarray
    modes: np.ndarray
    direct: np.ndarray
    crossed: np.ndarray

    def inner(self, g: float) -> np.ndarray:
        """M(g)."""
        weight, d, c = g / (1.0 - g * self.modes), self.direct, self.crossed
        both = (d * weight) @ c.T
        return self.plane + g * self.linear + (d * weight * self.modes) @ d.T + both + both.T + (c * (g * weight)) @ c.T


class Slopes(NamedTuple):
    """Averages over samples at the end of a path, for w, w' = x(0), ..., x(t), x*.

    forces : E D_w h(x(t)) u(s), the last column with r(t), shape (t + 2, t + 1)
    products : E D_w h D_w' h, shape (t + 2, t + 2)
    curvatures : E r(t) D_w D_w' h, shape (t + 2, t + 2)
    """

    forces: np.ndarray
    products: np.ndarray
    curvatures: np.ndarray


def plane_of(path: Path) -> np.ndarray:
    """Inner products of x(0), ..., x(t), x*."""
    return np.block([[path.correlation, path.magnetization[:, None]], [path.magnetization, 1.0]])


def slopes(model: GaussianLeastSquares, path: Path) -> Slopes:
    """Derivatives of h along the path and the signal, correlated with the residuals: equations (10.4) and (10.5)."""
    f, (C, R, m, G, L, eta, _), plane = model.covariance, path, plane_of(path)
    t = len(eta)
    now, signal = plane[:, t], plane[:, -1]
    f1, f2, f3 = (f.derivative(C[t], order=order) for order in (1, 2, 3))
    pull, pull2 = (float(f.derivative(m[t], k)) * isinstance(model.labels, Teacher) for k in (1, 2))
    before, kicked, kick = plane[:, :t], eta * np.vstack([R[:, :t], np.zeros(t)]), eta * R[t, :t]
    own = kicked * f1[:t] + kick * f2[:t] * before
    xi = (f1 * plane[:, : t + 1] - pull * signal[:, None]) @ L.T
    mixed = own @ xi[:, :t].T
    products = f1[t] * plane + f2[t] * np.outer(now, now) - mixed - mixed.T + own @ G[:t, :t] @ own.T
    second = (plane[:, : t + 1] * (L[t] * f2)) @ plane[:, : t + 1].T - L[t].sum() * pull2 * np.outer(signal, signal)
    mixed = (kicked * (G[:t, t] * f2[:t])) @ before.T
    second -= mixed + mixed.T + (before * (G[:t, t] * kick * f3[:t])) @ before.T
    return Slopes(xi - own @ G[:t], products, second)


def conditioned(model: GaussianLeastSquares, path: Path, weight_decay: float, resolution: float) -> Conditioned:
    """The Hessian at the end of a path, equations (10.2) to (10.5).

    Combinations of unit vectors (points of the path, residuals, forces) whose square is below `resolution` are left out.
    """
    f, alpha, (C, _, _, G, _, eta, T), plane = model.covariance, model.alpha, path, plane_of(path)
    t = len(eta)
    now, before, signal = plane[:, t], plane[:, :t], plane[:, -1]
    f1, f2, f3 = (f.derivative(C[t], order=order) for order in (1, 2, 3))
    du, dd, second = slopes(model, path)

    # directions off the plane: forces vanish there
    force = alpha * G[:t, :t] * f.derivative(C[:t, :t]) + np.diag(np.divide(2.0 * T, eta))
    whiten = _whitening(force, resolution)
    used = whiten.T * f1[:t]
    beta = whiten.T @ (alpha * G[:t, t:] * (f2[:t] * before).T)
    linear = alpha * G[t, t] * (f2[t] * plane + f3[t] * np.outer(now, now)) - beta.T @ beta

    # an orthonormal basis of the samples' vectors u(s), d_w, r, then of the plane
    everything = np.block(
        [[G[:t, :t], du[:, :t].T, G[:t, t:]], [du[:, :t], dd, du[:, t:]], [G[t:, :t], du[:, t:].T, G[t:, t:]]]
    )
    root = _root(alpha * everything, resolution)
    U = used @ root[:t]
    modes, vectors = np.linalg.eigh(f1[t] * np.eye(root.shape[1]) - U.T @ U)
    basis = _whitening(plane, resolution)
    crossed = np.outer(f2[t] * now, root[-1]) - beta.T @ U
    return Conditioned(
        signal=basis.T @ signal * isinstance(model.labels, Teacher),
        plane=basis.T @ (alpha * (second + dd) + weight_decay * plane) @ basis,
        linear=basis.T @ linear @ basis,
        modes=modes,
        direct=basis.T @ root[t:-1] @ vectors,
        crossed=basis.T @ crossed @ vectors,
    )


def _scaled_modes(matrix: np.ndarray, resolution: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, eigenvalues and eigenvectors of the correlation matrix of a covariance, above the resolution."""
    scale = np.sqrt(np.maximum(np.diagonal(matrix), 0.0))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
    values, vectors = np.linalg.eigh(matrix * np.outer(inverse, inverse))
    kept = values > resolution * max(values.max(initial=0.0), 1e-300)
    return scale, values[kept], vectors[:, kept]


def _whitening(matrix: np.ndarray, resolution: float) -> np.ndarray:
    """W with W^T matrix W = 1 on what is resolved."""
    scale, values, vectors = _scaled_modes(matrix, resolution)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
    return inverse[:, None] * vectors / np.sqrt(values)


def _root(matrix: np.ndarray, resolution: float) -> np.ndarray:
    """Q with Q Q^T = matrix on what is resolved."""
    scale, values, vectors = _scaled_modes(matrix, resolution)
    return scale[:, None] * vectors * np.sqrt(values)
