r"""One data set: P = alpha N Gaussian random functions of N weights, their labels, and the loss with its derivatives.

    h_mu(x) = sum_p h_mu^(p)(x),     E[h_mu(x) h_mu(y)] = f(x.y/N) = sum_p a_p (x.y/N)^p                        (3.1)

    p = 0      sqrt(a_0) g
    p = 1      sqrt(a_1/N) sum_i g_i x_i
    p = 2      sqrt(2 a_2)/N sum_{i<j} J_ij x_i x_j                     the talk's; a_2 [q^2 - sum_i x_i^2 y_i^2/N^2]
    p >= 3     sqrt(a_p/N^p) sum_{i..l} J_{i..l} x_i .. x_l             stored as a symmetric tensor

with independent standard normal couplings. The missing diagonal of p = 2 is a correction of relative order 1/N.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sgdmft import _validation as check
from sgdmft._kernels import simulation as kernels
from sgdmft.errors import InvalidArgument
from sgdmft.models import GaussianLeastSquares, Teacher

#: First element of the key that a random stream of a sample is spawned with.
STREAMS = {"data": 0, "start": 1, "kick": 2, "selection": 3, "noise": 4}


def stream(seed: int, sample: int, name: str, replica: int = 0) -> np.random.Generator:
    """The random stream `name` of a sample: the same whatever else is simulated."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(sample, STREAMS[name], replica)))


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


def data_bytes(model: GaussianLeastSquares, size: int, dtype: Any = np.float64) -> int:
    """Memory of the couplings of one sample."""
    entries = sum(size * (size - 1) // 2 if p == 2 else size**p for p in model.covariance.powers)
    return data_size(model, size) * entries * np.dtype(dtype).itemsize


@dataclass(slots=True)
class Workspace:
    """Values h_mu(x_c), shape (copies, P), and gradients, shape (copies, P, N), of the samples read last."""

    values: np.ndarray
    gradients: np.ndarray


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
        self._everyone = np.arange(self.data_size)
        if isinstance(model.labels, Teacher):
            self.labels = self.values(self.signal) + math.sqrt(model.labels.noise) * noise
        else:
            self.labels = np.full(self.data_size, model.labels.value)

    def _scale(self, p: int) -> float:
        a = self.model.covariance.coefficients[p]
        return math.sqrt(2.0 * a) / self.size if p == 2 else math.sqrt(a) * self.size ** (-p / 2)

    # -- one reading of the couplings ------------------------------------------------------------------------------

    def workspace(self, copies: int = 1) -> Workspace:
        return Workspace(
            np.zeros((copies, self.data_size), self.dtype), np.empty((copies, self.data_size, self.size), self.dtype)
        )

    def read(self, points: np.ndarray, rows: np.ndarray, mask: np.ndarray, work: Workspace) -> None:
        """Fill `work` with h_mu and its gradient at several points from one reading of the couplings.

        `points` has shape (copies, N). Entry (c, q) is that of sample mu = rows[q] at points[c]; it is left alone
        where mask[c, q] is False.
        """
        points = np.ascontiguousarray(points, dtype=self.dtype)
        kernels.set_constant(self._constant, rows, mask, work.values, work.gradients)
        for p in sorted(self.couplings, key=lambda p: p != 2):  # the quadratic form comes first: it sums in place
            arguments = (self.dtype.type(self._scale(p)), rows, mask, points, work.values, work.gradients)
            if p == 1:
                kernels.add_linear(self.couplings[p], *arguments)
            elif p == 2:
                kernels.add_quadratic(self.couplings[p], *arguments)
            else:
                kernels.add_tensor(self.couplings[p], p, *arguments)

    def _read_all(self, x: np.ndarray) -> Workspace:
        x = np.asarray(x, dtype=float)
        if x.shape != (self.size,):
            raise InvalidArgument(f"A point must have shape ({self.size},), one entry per weight, but has {x.shape}.")
        work = self.workspace()
        self.read(x[None], self._everyone, np.ones((1, self.data_size), dtype=bool), work)
        return work

    # -- the loss and its derivatives ------------------------------------------------------------------------------

    def values(self, x: np.ndarray) -> np.ndarray:
        """h_mu(x), shape (P,)."""
        return self._read_all(x).values[0].astype(float)

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """r_mu(x) = h_mu(x) - y_mu, shape (P,)."""
        return self.values(x) - self.labels

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """d h_mu / d x_i, shape (P, N)."""
        return self._read_all(x).gradients[0].astype(float)

    def loss(self, x: np.ndarray) -> float:
        """H(x)/N = sum_mu r_mu(x)^2 / (2 N)."""
        r = self.residuals(x)
        return float(r @ r) / (2 * self.size)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """dH/dx_i = sum_mu r_mu d_i h_mu, shape (N,)."""
        work = self._read_all(x)
        return (work.values[0].astype(float) - self.labels) @ work.gradients[0].astype(float)

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
        work = self._read_all(x)
        jacobian = work.gradients[0].astype(float)
        return jacobian.T @ jacobian + self.curvature(x, work.values[0] - self.labels)

    def hessian_product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Hessian times v, shape (N,). For many products at one x multiply with `hessian(x)`."""
        work = self._read_all(x)
        jacobian = work.gradients[0].astype(float)
        return (jacobian @ v) @ jacobian + self.curvature(x, work.values[0] - self.labels) @ v

    def __repr__(self) -> str:
        return f"Instance({self.model!r}, size={self.size}, {self.data_size} data, sample {self.sample})"


def precision(dtype: Any) -> np.dtype:
    """float64 or float32, or `InvalidArgument`."""
    for known in (np.dtype(np.float64), np.dtype(np.float32)):
        if dtype in (known, known.type, known.name):
            return known
    raise InvalidArgument(f"Argument `dtype` must be 'float64' or 'float32', but is {dtype!r}.")


def _symmetrize(couplings: np.ndarray, size: int, order: int) -> None:
    """Average each tensor over the permutations of its indices, in place; the form is unchanged."""
    permutations = list(itertools.permutations(range(1, order + 1)))
    for first in range(0, len(couplings), 256):
        tensors = couplings[first : first + 256].reshape((-1,) + (size,) * order)
        mean = sum((tensors.transpose(0, *axes) for axes in permutations), np.zeros_like(tensors)) / len(permutations)
        couplings[first : first + 256] = mean.reshape(len(mean), -1)
