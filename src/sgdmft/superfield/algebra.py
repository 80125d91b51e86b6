"""The superfield and its algebra, equations (6.1) to (6.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdmft.errors import InvalidArgument

#: Relative asymmetry above which a superfield is not taken for a symmetric one.
_SYMMETRY = 1e-9


class Superfield:
    """A causal two-time superfield, equation (6.1). Immutable.

    `A @ B` is the product (6.2), `A * B` the pointwise one (6.4), `A.inverse()` (6.3), `A.apply(f, df)` a function of A
    (6.5); polynomials such as `Covariance` take a superfield as they take a number. `A + B`, `A - B`, `-A`, `2 * A`
    and `A.T` are what they say; `A + 1` adds 1 to the correlation everywhere, and `A.identity` is the identity of `@`.

    Parameters
    ----------
    correlation : array of shape (n, n)
        C. Symmetric, unless `reverse` is given.
    response : array of shape (n, n)
        R, lower triangular.
    reverse : array of shape (n, n), optional
        S, lower triangular. If omitted the superfield is symmetric, and S = R.

    Raises
    ------
    InvalidArgument
        When shapes differ, a response is acausal, or a symmetric superfield is asked for and C is not symmetric.

    Examples
    --------
    >>> Q = Superfield([[1.0, 0.5], [0.5, 1.0]], [[0.0, 0.0], [0.1, 0.0]])
    >>> Q
    Superfield(2 points, symmetric, strictly causal)
    >>> (Q * Q).response
    array([[0. , 0. ],
           [0.1, 0. ]])
    >>> A = Q.identity + Q
    >>> bool(np.allclose((A @ A.inverse()).correlation, 0.0))
    True
    """

    __slots__ = ("correlation", "response", "reverse")
    __array_ufunc__ = None  # numpy scalars and arrays hand their operators over to this class

    correlation: np.ndarray
    response: np.ndarray
    reverse: np.ndarray

    def __init__(self, correlation: Any, response: Any, reverse: Any = None) -> None:
        C = _square("correlation", correlation)
        R = _causal("response", response, len(C))
        S = R if reverse is None else _causal("reverse", reverse, len(C))
        if reverse is None and not _close(C, C.T):
            raise InvalidArgument(
                f"The `correlation` of a symmetric superfield must be symmetric, but differs from its transpose by "
                f"{np.max(np.abs(C - C.T)):.3g}. If it is not meant to be, pass `reverse`, the response of the transpose."
            )
        self._set(C, R, S)

    def _set(self, C: np.ndarray, R: np.ndarray, S: np.ndarray) -> None:
        for name, value in zip(Superfield.__slots__, (C, R, S), strict=True):
            value = value.view()
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if R is S:
            object.__setattr__(self, "reverse", self.response)

    def _like(self, C: np.ndarray, R: np.ndarray, S: np.ndarray) -> Superfield:
        """A new one on the same points, from parts known to be causal; `S is R` marks a symmetric superfield."""
        new = Superfield.__new__(Superfield)
        new._set(C, R, S)
        return new

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"A superfield is immutable; `{name}` cannot be set. Make a new one: `Superfield(C, R)`.")

    def __getstate__(self) -> tuple[np.ndarray, ...]:
        """What a pickle or a copy holds: the parts in the order of `_set`."""
        return self.correlation, self.response, self.reverse

    def __setstate__(self, parts: tuple[np.ndarray, ...]) -> None:
        self._set(*parts)

    # -- structure -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of points."""
        return len(self.correlation)

    @property
    def symmetric(self) -> bool:
        """Whether A(a,b) = A(b,a) by construction."""
        return self.reverse is self.response

    @property
    def strictly_causal(self) -> bool:
        """Whether nothing responds at equal times."""
        return not (self._equal_time(self.response).any() or self._equal_time(self.reverse).any())

    @staticmethod
    def _equal_time(part: np.ndarray) -> np.ndarray:
        return np.diagonal(part)

    @property
    def T(self) -> Superfield:
        """Transpose, A^T(a,b) = A(b,a): exchanges response and reverse."""
        return self if self.symmetric else self._like(self.correlation.T, self.reverse, self.response)

    @property
    def identity(self) -> Superfield:
        """Identity of the product on these points: C = 0, R = 1."""
        one = np.eye(len(self))
        return self._like(np.zeros_like(one), one, one)

    def symmetrized(self) -> Superfield:
        """The same superfield known to be symmetric.

        Raises
        ------
        InvalidArgument
            When it is not symmetric to a relative 1e-9.
        """
        if self.symmetric:
            return self
        if not (_close(self.correlation, self.correlation.T) and _close(self.response, self.reverse)):
            raise InvalidArgument(
                "This superfield is not symmetric: A(a,b) and A(b,a) differ by more than a relative 1e-9. "
                "The product of symmetric A and B is symmetric only if they commute; A @ B @ A.T always is."
            )
        response = 0.5 * (self.response + self.reverse)
        return self._like(0.5 * (self.correlation + self.correlation.T), response, response)

    # -- linear structure ------------------------------------------------------------------------------------------

    def __neg__(self) -> Superfield:
        return self._entrywise(np.negative)

    def __add__(self, other: Any) -> Superfield:
        if isinstance(other, Superfield):
            self._check_fits(other)
            symmetric = self.symmetric and other.symmetric
            R = self.response + other.response
            S = R if symmetric else self.reverse + other.reverse
            return self._like(self.correlation + other.correlation, R, S)
        if np.ndim(other):
            return NotImplemented
        return self._like(self.correlation + other, self.response, self.reverse)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Superfield:
        return self + (-other)

    def __rsub__(self, other: Any) -> Superfield:
        return -self + other

    def __truediv__(self, scalar: Any) -> Superfield:
        if isinstance(scalar, Superfield) or np.ndim(scalar):
            return NotImplemented
        return self * (1.0 / scalar)

    def _entrywise(self, operation: Callable[[np.ndarray], np.ndarray]) -> Superfield:
        R = operation(self.response)
        return self._like(operation(self.correlation), R, R if self.symmetric else operation(self.reverse))

    # -- pointwise: (6.4), (6.5) -----------------------------------------------------------------------------------

    def __mul__(self, other: Any) -> Superfield:
        if not isinstance(other, Superfield):
            if np.ndim(other):
                return NotImplemented
            return self._entrywise(lambda part: part * other)
        self._check_fits(other)
        clash = self._equal_time(self.response) * other._equal_time(other.reverse)
        if (clash + self._equal_time(self.reverse) * other._equal_time(other.response)).any():
            raise InvalidArgument(
                "The pointwise product needs a factor that is strictly causal: both respond at equal times, and the "
                "product would hold a term theta_a theta_b, which no causal superfield has. Use `@` for the operator product."
            )
        C, D = self.correlation, other.correlation
        symmetric = self.symmetric and other.symmetric
        R = C * other.response + self.response * D
        S = R if symmetric else C.T * other.reverse + self.reverse * D.T
        return self._like(C * D, R, S)

    __rmul__ = __mul__

    def apply(
        self, function: Callable[[np.ndarray], np.ndarray], derivative: Callable[[np.ndarray], np.ndarray]
    ) -> Superfield:
        """f(A), equation (6.5), from f and f' (both vectorized).

        Raises
        ------
        InvalidArgument
            When A responds at equal times.

        Examples
        --------
        >>> Q = Superfield([[1.0, 0.5], [0.5, 1.0]], [[0.0, 0.0], [0.1, 0.0]])
        >>> bool(Q.apply(np.exp, np.exp).response[1, 0] == 0.1 * np.exp(0.5))
        True
        """
        if not self.strictly_causal:
            raise InvalidArgument(
                "A function of a superfield needs a strictly causal one, but this responds at equal times."
            )
        C = self.correlation
        R = derivative(C) * self.response
        S = R if self.symmetric else derivative(C.T) * self.reverse
        return self._like(function(C), R, S)

    # -- the algebra of operators: (6.2), (6.3) --------------------------------------------------------------------

    def __matmul__(self, other: Any) -> Superfield:
        if not isinstance(other, Superfield):
            return NotImplemented
        self._check_fits(other)
        C = self.response @ other.correlation + self.correlation @ other.reverse.T
        return self._like(C, self.response @ other.response, other.reverse @ self.reverse)

    def inverse(self) -> Superfield:
        """A^-1, equation (6.3).

        Raises
        ------
        InvalidArgument
            When the response vanishes at some equal times: such a superfield has no inverse.
        """
        from scipy.linalg import solve_triangular

        for part in (self.response, self.reverse):
            if not np.diagonal(part).all():
                where = int(np.argmin(np.abs(np.diagonal(part))))
                raise InvalidArgument(
                    f"This superfield has no inverse: its response at equal times vanishes at point {where}. "
                    "Add `A.identity`, or solve (1 + A B) X = A in place of X = (A^-1 + B)^-1."
                )
        one = np.eye(len(self))
        R = np.tril(solve_triangular(self.response, one, lower=True))
        S = R if self.symmetric else np.tril(solve_triangular(self.reverse, one, lower=True))
        C = -R @ self.correlation @ S.T
        return self._like(0.5 * (C + C.T) if self.symmetric else C, R, S)

    # -- integrals -------------------------------------------------------------------------------------------------

    def trace(self) -> float:
        """int da A(a,a) = tr R + tr S; cyclic in a product, and zero if A is strictly causal (no closed response loops)."""
        return float(np.trace(self.response) + np.trace(self.reverse))

    def integral(self) -> np.ndarray:
        """int db A(a,b) at theta_a = 0: the sums over the rows of R, shape (n,); the response to a constant field."""
        return self.response.sum(axis=1)

    # -- printing --------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        kind = "symmetric" if self.symmetric else "not symmetric"
        causal = "strictly causal" if self.strictly_causal else "causal"
        return f"Superfield({len(self)} points, {kind}, {causal})"

    def _repr_latex_(self) -> str:
        form = r"A(a,b) = C(t_a,t_b) + \theta_a R(t_b,t_a) + \theta_b R(t_a,t_b)"
        parts = [("C", self.correlation), ("R", self.response)]
        if not self.symmetric:
            form = r"A(a,b) = C(t_a,t_b) + \theta_a S(t_b,t_a) + \theta_b R(t_a,t_b)"
            parts.append(("S", self.reverse))
        return "$\\displaystyle " + form + ",\\quad " + ",\\quad ".join(f"{n} = {_matrix(a)}" for n, a in parts) + "$"

    def _check_fits(self, other: Superfield) -> None:
        if self.correlation.shape != other.correlation.shape:
            raise InvalidArgument(
                f"Superfields of shapes {self.correlation.shape} and {other.correlation.shape} cannot be combined. "
                "Take both on the same points; the signal counts as one."
            )


def _square(name: str, value: Any) -> np.ndarray:
    array = np.array(value, dtype=float)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise InvalidArgument(
            f"Argument `{name}` must be a square matrix over the points, but has shape {array.shape}."
        )
    return array


def _causal(name: str, value: Any, points: int) -> np.ndarray:
    array = _square(name, value)
    if len(array) != points:
        raise InvalidArgument(f"Argument `{name}` is given on {len(array)} points, but the correlation on {points}.")
    if np.triu(array, 1).any():
        raise InvalidArgument(
            f"Argument `{name}` must be causal (lower triangular: the later time is the row), but has entries above "
            f"the diagonal, the largest {np.max(np.abs(np.triu(array, 1))):.3g}. Transpose it, or cut it with `numpy.tril`."
        )
    return array


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    scale = max(np.max(np.abs(a)), np.max(np.abs(b)))
    return not np.max(np.abs(a - b)) > _SYMMETRY * scale


def _matrix(array: np.ndarray, most: int = 5) -> str:
    """A LaTeX matrix, its middle left out if it is large."""
    n = len(array)
    kept = list(range(n)) if n <= most else [0, 1, 2, None, n - 1]

    def cell(i: int | None, j: int | None) -> str:
        if i is None or j is None:
            return r"\ddots" if i is j else (r"\vdots" if i is None else r"\cdots")
        return f"{array[i, j]:.3g}"

    rows = [" & ".join(cell(i, j) for j in kept) for i in kept]
    return r"\begin{pmatrix}" + r" \\ ".join(rows) + r"\end{pmatrix}"
