r"""The pieces of Dyson's equation on whole matrices: the free motion K, and the self-energy of least squares.

Over the points * (the signal), 0, 1, ..., T the weights obey Q^-1 = K + Sigma[Q], equation (6.6), in the algebra of
`sgdmft.superfield`. As matrices over the points, with forces F from (6.7),

    motion @ x = force @ F + noise,                                                                            (6.8)

rows: x* and x(0) given; x(t+1) = z_t [(1 - eta lambda + beta) x(t) - beta x(t-1) + eta_t F(t) + sqrt(2 eta T) n(t)], where
z_t projects onto the sphere (1 without). For least squares

    Sigma = alpha Lambda o f'(Q),    Lambda^-1 = 1 + f(Q)_* + W,                                               (6.9)

f(Q)_* the superfield of the residuals without feedback, h(x) - y, and W = diag[(1/b - 1) E r^2] the noise of the
selection. For batches with memory, u = s r / b responds by L = (1 + P o k)^-1 and has the correlations

    G(t,s) = P(t,s) A(t,s) - sum_v k(t,v) P(t, max(v,s)) G(v,s),    A = K L^T,                                 (6.10)

and Lambda = (-G, L).

Notation: (K, k) the correlation and response of f(Q)_*, P(t,s) the reselection function (2.1), b the batch fraction.
"""

from __future__ import annotations

import numpy as np

from sgdmft.algorithm.descent import Descent
from sgdmft.problem.models import ConstantTarget, GaussianLeastSquares, Start
from sgdmft.superfield import Superfield, against_signal, onto_signal


class Motion:
    """Equation (6.8); with a spherical algorithm it also holds the factors z_t found so far, shape (steps,)."""

    def __init__(self, algorithm: Descent, start: Start, steps: int) -> None:
        self.rates = algorithm.rates(steps)
        self.start = start
        self.spherical = algorithm.spherical
        self.scale = np.ones(steps)

    def under(self, sigma: Superfield) -> Superfield | None:
        """(K + Sigma)^-1 on the points of Sigma, on the sphere if asked; None where it is not finite."""
        Q = self._invert(sigma)
        for _ in range(6 if self.spherical else 0):
            if Q is None or self._project(Q) < 1e-14:
                break
            Q = self._invert(sigma)
        return Q

    def free(self, points: int) -> Superfield:
        """K^-1."""
        nothing = np.zeros((points, points))
        Q = self._invert(Superfield(nothing, nothing))
        assert Q is not None
        return Q

    def _invert(self, sigma: Superfield) -> Superfield | None:
        motion, force, noise = self._matrices(len(sigma))
        forces = force @ sigma.correlation @ force.T
        kernel = Superfield(0.5 * (forces + forces.T) - noise, motion + force @ sigma.response)
        with np.errstate(over="ignore", invalid="ignore"):
            kicked = kernel.inverse()  # the response to a shift of x
            C, R = kicked.correlation, np.tril(kicked.response @ force, -1)
        return Superfield(C, R) if np.isfinite(C).all() and np.isfinite(R).all() else None

    def _project(self, Q: Superfield) -> float:
        """A Newton step on log z_t towards C(t,t) = norm; returns the largest |log C(t,t) / norm| before it.

        d log C(t,t) / d log z_u = 2 kick(t,u) C(t,u+1) / C(t,t), with kick(t,u) the response to a shift of x(u+1), which
        is the response R(t,u) to a force divided by its factor z_u eta_u.
        """
        from scipy.linalg import solve_triangular

        steps = len(Q) - 2
        if steps == 0:
            return 0.0
        C, norms = Q.correlation[2:, 2:], np.diagonal(Q.correlation)[2:]
        kick = Q.response[2:, 1:-1] / (self.scale[:steps] * self.rates.learning_rate[:steps])
        excess = np.log(norms / self.start.norm)
        step = solve_triangular(kick * C / norms[:, None], -0.5 * excess, lower=True)
        self.scale[:steps] *= np.exp(step)
        return float(np.max(np.abs(excess)))

    def _matrices(self, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`motion`, `force` and the covariance of `noise` of (6.8) on the first `points` points."""
        steps = points - 2
        eta, _, momentum, decay, temperature = (values[:steps] for values in self.rates)
        z = self.scale[:steps]
        now = np.arange(1, steps + 1)  # the point of time t; the row of x(t+1) is now + 1
        motion, force, noise = np.eye(points), np.zeros((points, points)), np.zeros((points, points))
        motion[now + 1, now] = -z * (1.0 - eta * decay + np.where(now == 1, 0.0, momentum))
        motion[now[1:] + 1, now[1:] - 1] = (z * momentum)[1:]
        force[now + 1, now] = z * eta
        noise[now + 1, now + 1] = z * z * 2.0 * eta * temperature
        m = self.start.magnetization
        noise[:2, :2] = [[1.0, m], [m, self.start.norm]]
        return motion, force, noise


class LeastSquares:
    """Sigma[Q] of equation (6.9), and the loss."""

    def __init__(self, model: GaussianLeastSquares, algorithm: Descent, steps: int) -> None:
        self.model = model
        # Nothing up to the last time needs the batch of the step that would follow it: 1 stands there, and at the signal.
        self.fraction = np.concatenate([[1.0], algorithm.batches.fractions(steps), [1.0]])
        self.reselection = None
        if not algorithm.batches.memoryless:
            self.reselection = np.ones((steps + 2, steps + 2))
            for t in range(steps):
                self.reselection[t + 1, 1 : t + 1] = algorithm.batches.reselection(t, np.arange(float(t)))

    def __call__(self, Q: Superfield) -> Superfield:
        multipliers = self.multipliers(Q)
        if not isinstance(self.model.labels, ConstantTarget):
            multipliers = onto_signal(multipliers)
        return self.model.alpha * multipliers * self.model.covariance.derivative(Q)

    def residuals(self, Q: Superfield) -> Superfield:
        """f(Q)_* = (K, k); nothing at the signal."""
        h = self.model.covariance(Q)
        labels = self.model.labels
        if isinstance(labels, ConstantTarget):
            K = h.correlation + labels.value**2
        else:
            K = against_signal(h).correlation + labels.noise
        K[0, :] = K[:, 0] = 0.0
        return Superfield(K, h.response)

    def multipliers(self, Q: Superfield) -> Superfield:
        """Lambda = (-G, L)."""
        residuals = self.residuals(Q)
        if self.reselection is not None:
            return self._with_memory(residuals)
        b = self.fraction[: len(Q)]
        quiet = (residuals.identity + residuals).inverse()
        L = quiet.response
        # W = (1 - b) diag G and G = L (K + W) L^T are linear equations for the diagonal of W.
        noise = np.linalg.solve(np.eye(len(Q)) - (1.0 - b)[:, None] * L**2, (b - 1.0) * np.diagonal(quiet.correlation))
        return (residuals.identity + residuals + Superfield(np.diag(noise), np.zeros_like(L))).inverse()

    def _with_memory(self, residuals: Superfield) -> Superfield:
        """Equation (6.10), iterated: each pass settles one more row, most pass many."""
        n = len(residuals)
        assert self.reselection is not None
        P, K, k = self.reselection[:n, :n], residuals.correlation, residuals.response
        L = (residuals.identity + Superfield(np.zeros_like(k), P * k)).inverse().response
        A = K @ L.T
        G = np.zeros((n, n))
        for _ in range(n):
            lower = np.tril(L @ np.tril(P * (A - k @ np.triu(G)), -1), -1)
            squares = 2.0 * k @ lower.T + k * np.diagonal(G)
            diagonal = np.diagonal(K) - (k * P * (2.0 * A - squares)).sum(axis=1)
            before, G = G, lower + lower.T + np.diag(diagonal / self.fraction[:n])
            if not np.max(np.abs(G - before)) > 1e-15 * np.max(np.abs(G)):
                break
        return Superfield(-G, L)

    def loss(self, Q: Superfield) -> np.ndarray:
        """alpha E[r(t)^2] / 2 with r = xi - k u, shape (points,)."""
        residuals, multipliers = self.residuals(Q), self.multipliers(Q)
        K, k, L, G = residuals.correlation, residuals.response, multipliers.response, -multipliers.correlation
        return 0.5 * self.model.alpha * (np.diagonal(K) + (k * (k @ G - 2.0 * K @ L.T)).sum(axis=1))
