"""The latest row of a superfield, on which a pointwise self-energy can be evaluated."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdmft.errors import InvalidArgument
from sgdmft.superfield.algebra import Superfield


class NotPointwise(InvalidArgument):
    """An operation that needs the whole superfield was asked of a `Row`."""


class Row(Superfield):
    """The latest row of a symmetric superfield: A(t, s) at the signal, at past points s, and at s = t, shape (1, n).

    A self-energy made of pointwise operations alone can be evaluated on it, which is all that a causal step needs;
    operator products and inverses need the whole superfield and are refused.

    Parameters
    ----------
    correlation, response : array of shape (n,)
    measure : array of shape (n,)
        How many times each point stands for in a sum over the past.
    """

    __slots__ = ("measure",)
    measure: np.ndarray

    def __init__(self, correlation: np.ndarray, response: np.ndarray, measure: np.ndarray) -> None:
        self._set(correlation[None, :], response[None, :], measure)

    def _set(self, C: np.ndarray, R: np.ndarray, measure: np.ndarray) -> None:
        """One of these is made for every operation of every step, so its arrays are not guarded against writing."""
        store = object.__setattr__
        store(self, "correlation", C)
        store(self, "response", R)
        store(self, "reverse", R)
        store(self, "measure", measure)

    def _like(self, C: np.ndarray, R: np.ndarray, S: np.ndarray) -> Row:
        new = Row.__new__(Row)
        new._set(C, R, self.measure)
        return new

    def __getstate__(self) -> tuple[np.ndarray, ...]:
        return self.correlation, self.response, self.measure

    @staticmethod
    def _equal_time(part: np.ndarray) -> np.ndarray:
        return part[:, -1]

    def __len__(self) -> int:
        return self.correlation.shape[1]

    def __matmul__(self, other: Any) -> Superfield:
        raise self._refusal("an operator product")

    def inverse(self) -> Superfield:
        raise self._refusal("an inverse")

    def trace(self) -> float:
        raise self._refusal("a trace")

    @property
    def identity(self) -> Superfield:
        raise self._refusal("the identity of the product")

    def integral(self) -> np.ndarray:
        return self.response @ self.measure

    def _refusal(self, what: str) -> NotPointwise:
        return NotPointwise(
            f"This self-energy is not pointwise: it uses {what}, which needs all times at once. Use `method=Dyson()`."
        )
