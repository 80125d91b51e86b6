r"""One data set: P = alpha N Gaussian random functions of N weights, their labels, and the loss with its derivatives.

    h_mu(x) = sum_p h_mu^(p)(x),     E[h_mu(x) h_mu(y)] = f(x.y/N) = sum_p a_p (x.y/N)^p                        (3.1)

    p = 0      sqrt(a_0) g
    p = 1      sqrt(a_1/N) sum_i g_i x_i
    p = 2      sqrt(2 a_2)/N sum_{i<j} J_ij x_i x_j                     the talk's; a_2 [q^2 - sum_i x_i^2 y_i^2/N^2]
    p >= 3     sqrt(a_p/N^p) sum_{i..l} J_{i..l} x_i .. x_l             stored as a symmetric tensor

with independent standard normal couplings. The missing diagonal of p = 2 is a correction of relative order 1/N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sgdmft import _validation as check
from sgdmft._kernels import simulation as kernels
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares, Teacher
from sgdmft.simulation.risk import Needs, data_needs, risk_of, stream


def data_size(model: GaussianLeastSquares, size: int) -> int:
    """P = alpha N, rounded to an integer."""
    count = round(model.alpha * size)
    if count < 1:
        raise InvalidArgument(
            f"Argument `size` is {size}: with alpha = {model.alpha:g} there are "
            f"P = alpha N = {model.alpha * size:g} data, which is none. "
            f"Use `size` of at least {math.ceil(1.0 / model.alpha)}."
        )
    return count


@data_needs.register
def _(model: GaussianLeastSquares, size: int, copies: int, dtype: Any) -> Needs:
    count, itemsize = data_size(model, size), precision(dtype).itemsize
    powers = model.covariance.powers
    entries = sum(size * (size - 1) // 2 if p == 2 else size**p for p in powers if p)
    tensors = sum(size**p for p in powers if p >= 3)
    while_made = 3 * max((_rows(count, size, p) * size**p for p in powers if p >= 3), default=0)
    read = count * copies * (size + 1) + 3 * tensors
    return Needs(count, (count * entries + max(read, while_made)) * itemsize)


@dataclass(frozen=True, slots=True)
class GaussianReading:
    """Residuals r_q(x_c), shape (copies, n), and gradients of h_q, shape (copies, >= n, N); l_q = r_q^2 / 2."""

    residuals: np.ndarray
    gradients: np.ndarray

    def loss(self, weights: np.ndarray) -> np.ndarray:
        return np.array([w @ r / 2 for w, r in zip(self._weighted(weights), self.residuals, strict=False)])

    def force(self, weights: np.ndarray, fraction: float) -> np.ndarray:
        force = np.empty((len(weights), self.gradients.shape[2]))
        kernels.weighted_sum(self._weighted(weights) / fraction, self.gradients[: len(weights)], force)
        return force

    def _weighted(self, weights: np.ndarray) -> np.ndarray:
        return np.where(weights, self.residuals[: len(weights)], 0.0) * weights


class Instance:
    """One sample of the data: the random functions, the signal and the labels, equation (3.1).

    Parameters
    ----------
    model : GaussianLeastSquares
    size : int >= 2
        N, the number of weights.
    seed, sample : int
        `Instance(model, size, seed, k)` holds exactly the data of sample k of `simulate(model, ..., seed=seed)`.
    dtype : 'float64' or 'float32'
        Precision of the couplings and of every sum over them.

    Attributes
    ----------
    signal : ndarray (N,)
        x*, uniform on the sphere |x*|^2 = N. With a constant target it is an arbitrary direction.
    labels : ndarray (P,)
        y_mu.
    couplings : dict from the power p >= 1 to the standard normal couplings
        g (P, N) for p = 1; the strict lower triangle of J row by row (P, N (N - 1) / 2) for p = 2; the symmetrized
        tensor (P, N^p) beyond.

    Examples
    --------
    >>> from sgdmft import GaussianLeastSquares
    >>> data = Instance(GaussianLeastSquares(alpha=1.5), size=20)
    >>> data.data_size, data.loss(data.signal)
    (30, 0.0)
    """

    def __init__(
        self,
        model: GaussianLeastSquares,
        size: int,
        seed: int = 0,
        sample: int = 0,
        *,
        dtype: Literal["float64", "float32"] | type | np.dtype = "float64",
    ) -> None:
        self.model = model
        self.size = check.integer("size", size, at_least=2)
        self.sample = check.integer("sample", sample, at_least=0)
        self.data_size = data_size(model, self.size)
        self.dtype = precision(dtype)
        rng = stream(check.integer("seed", seed, at_least=0), self.sample, "data")

        signal = rng.standard_normal(self.size)
        self.signal = signal * math.sqrt(self.size / (signal @ signal))
        noise = rng.standard_normal(self.data_size)
        self._constant = np.zeros(self.data_size)
        self.couplings: dict[int, np.ndarray] = {}
        for p, a in model.covariance.powers.items():
            if p == 0:
                self._constant = math.sqrt(a) * rng.standard_normal(self.data_size)
            else:
                entries = self.size * (self.size - 1) // 2 if p == 2 else self.size**p
                self.couplings[p] = rng.standard_normal((self.data_size, entries), dtype=self.dtype.type)
                if p >= 3:
                    _symmetrize(self.couplings[p], self.size, p)
        self._work: tuple[np.ndarray, np.ndarray] | None = None
        if isinstance(model.labels, Teacher):
            self.labels = self.values(self.signal) + math.sqrt(model.labels.noise) * noise
        else:
            self.labels = np.full(self.data_size, model.labels.value)

    def _scale(self, p: int) -> float:
        a = self.model.covariance.coefficients[p]
        return math.sqrt(2.0 * a) / self.size if p == 2 else math.sqrt(a) * self.size ** (-p / 2)

    # -- one reading of the couplings ------------------------------------------------------------------------------

    def read(self, points: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> GaussianReading:
        """The samples mu = rows[q] at several points (copies, N), from one reading of the couplings.

        Entries (c, q) that are not `wanted`, (copies, n), hold no meaning. The memory is used again by the next reading.
        """
        copies = len(points)
        if self._work is None or len(self._work[0]) < copies:
            self._work = None  # freed before the larger one is made
            self._work = self._memory(copies)
        values, gradients = (array[:copies] for array in self._work)
        self._fill(points, rows, wanted, values, gradients)
        return GaussianReading(values[:, : len(rows)] - self.labels[rows], gradients)

    def _fill(self, points: np.ndarray, rows: np.ndarray, wanted: np.ndarray, *out: np.ndarray) -> None:
        """Write values, (copies, P), and gradients, (copies, P, N), from one reading of the couplings."""
        points = np.ascontiguousarray(points, dtype=self.dtype)
        kernels.set_constant(self._constant, rows, wanted, *out)
        for p in sorted(self.couplings, key=lambda p: p != 2):  # the quadratic form comes first: it sums in place
            arguments = (self.dtype.type(self._scale(p)), rows, wanted, points, *out)
            if p == 1:
                kernels.add_linear(self.couplings[p], *arguments)
            elif p == 2:
                kernels.add_quadratic(self.couplings[p], *arguments)
            else:
                kernels.add_tensor(self.couplings[p], p, *arguments)

    def _read_all(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """h_mu(x), shape (P,), and its gradient, (P, N), in memory of their own."""
        x = np.asarray(x, dtype=float)
        if x.shape != (self.size,):
            raise InvalidArgument(f"A point must have shape ({self.size},), one entry per weight, but has {x.shape}.")
        values, gradients = self._memory(1)
        self._fill(x[None], np.arange(self.data_size), np.ones((1, self.data_size), dtype=bool), values, gradients)
        return values[0].astype(float), gradients[0].astype(float, copy=False)

    def _memory(self, copies: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (copies, self.data_size)
        return np.zeros(shape, self.dtype), np.empty((*shape, self.size), self.dtype)

    # -- the loss and its derivatives ------------------------------------------------------------------------------

    def values(self, x: np.ndarray) -> np.ndarray:
        """h_mu(x), shape (P,)."""
        return self._read_all(x)[0]

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """r_mu(x) = h_mu(x) - y_mu, shape (P,)."""
        return self.values(x) - self.labels

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """d h_mu / d x_i, shape (P, N)."""
        return self._read_all(x)[1]

    def loss(self, x: np.ndarray) -> float:
        """H(x)/N = sum_mu r_mu(x)^2 / (2 N)."""
        r = self.residuals(x)
        return float(r @ r) / (2 * self.size)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """dH/dx_i = sum_mu r_mu d_i h_mu, shape (N,)."""
        values, jacobian = self._read_all(x)
        return (values - self.labels) @ jacobian

    def curvature(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """sum_mu weights_mu d2h_mu(x) / dx_i dx_j, shape (N, N)."""
        matrix = np.zeros((self.size, self.size))
        for p, couplings in self.couplings.items():
            if p == 2:
                matrix[np.tril_indices(self.size, -1)] += self._scale(p) * (weights.astype(self.dtype) @ couplings)
            elif p >= 3:
                tensor = (weights.astype(self.dtype) @ couplings).astype(float)
                for _ in range(p - 2):
                    tensor = tensor.reshape(-1, self.size) @ x
                matrix += 0.5 * p * (p - 1) * self._scale(p) * tensor.reshape(self.size, self.size)
        return matrix + matrix.T

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """d2H / dx_i dx_j = sum_mu (d_i h_mu d_j h_mu + r_mu d_i d_j h_mu), shape (N, N)."""
        values, jacobian = self._read_all(x)
        return jacobian.T @ jacobian + self.curvature(x, values - self.labels)

    def hessian_product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Hessian times v, shape (N,). For many products at one x multiply with `hessian(x)`."""
        values, jacobian = self._read_all(x)
        return (jacobian @ v) @ jacobian + self.curvature(x, values - self.labels) @ v

    def __repr__(self) -> str:
        return f"Instance({self.model!r}, size={self.size}, {self.data_size} data, sample {self.sample})"


risk_of.register(GaussianLeastSquares)(Instance)


def precision(dtype: Any) -> np.dtype:
    """float64 or float32, or `InvalidArgument`."""
    for known in (np.dtype(np.float64), np.dtype(np.float32)):
        if dtype in (known, known.type, known.name):
            return known
    raise InvalidArgument(f"Argument `dtype` must be 'float64' or 'float32', but is {dtype!r}.")


def _rows(count: int, size: int, order: int) -> int:
    """Tensors that are symmetrized at a time, in some 4 MB."""
    return min(count, 1 + 500_000 // size**order)


def _symmetrize(couplings: np.ndarray, size: int, order: int) -> None:
    """Average each tensor over the permutations of its indices, in place; the form is unchanged.

    The mean over those of k + 1 indices is that over the k + 1 exchanges of the last with one of them, after that of k.
    """
    rows = _rows(len(couplings), size, order)
    for first in range(0, len(couplings), rows):
        tensors = couplings[first : first + rows].reshape((-1,) + (size,) * order)
        for last in range(2, order + 1):
            total = tensors.copy()
            for index in range(1, last):
                total += tensors.swapaxes(index, last)
            tensors = np.divide(total, last, out=total)
        couplings[first : first + rows] = tensors.reshape(len(tensors), -1)
