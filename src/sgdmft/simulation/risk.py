r"""What a data set must offer to be descended: the loss of chosen samples, and its gradient, at given weights.

The risk of P samples is H(x) = sum_mu l_mu(x). A step of a descent reads the samples mu_q that it needs once, at all its
points x_c together, and asks that `Reading` for weighted sums over what it read.

A model gets data sets by registering a maker with `risk_of`, and their size with `data_needs`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from sgdmft.errors import InvalidArgument

#: First element of the key that a random stream of a sample is spawned with.
STREAMS = {"data": 0, "start": 1, "kick": 2, "selection": 3, "noise": 4}


def stream(seed: int, sample: int, name: str, replica: int = 0) -> np.random.Generator:
    """The random stream `name` of a sample: the same whatever else is simulated."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(sample, STREAMS[name], replica)))


class Reading(Protocol):
    """Samples mu_q at points x_c; it holds until the next reading of the same data set."""

    def loss(self, weights: np.ndarray) -> np.ndarray:
        """sum_q weights[c, q] l_q(x_c) of the first len(weights) points, shape (len(weights),)."""
        ...

    def force(self, weights: np.ndarray, fraction: float) -> np.ndarray:
        """(1/fraction) sum_q weights[c, q] grad l_q(x_c), shape (copies, N). Entries of weight 0 count as 0."""
        ...


class Risk(Protocol):
    """A data set."""

    size: int  #: N, the number of weights
    data_size: int  #: P, the number of samples

    @property
    def signal(self) -> np.ndarray | None:
        """x*, shape (N,) with |x*|^2 = N, if there is one."""
        ...

    def read(self, points: np.ndarray, rows: np.ndarray, wanted: np.ndarray) -> Reading:
        """One pass over the samples `rows` (n,) at `points` (copies, N). Entry (c, q) is asked for (given a weight other
        than 0) only where `wanted`, of shape (copies, n), is True.
        """
        ...


class Needs(NamedTuple):
    """What a data set takes: its number of samples P, and bytes to hold it and to read it at several points."""

    data_size: int
    bytes: int


@functools.singledispatch
def data_needs(model: Any, size: int, copies: int, dtype: Any) -> Needs:
    """What a data set of the model at N = `size` takes, read at `copies` points at a time."""
    _refuse(model)


@functools.singledispatch
def risk_of(model: Any, size: int, seed: int, sample: int, *, dtype: Any = "float64") -> Risk:
    """Data set number `sample` of a model; refused with `InvalidArgument` for models that have none."""
    _refuse(model)


def _refuse(model: Any) -> NoReturn:
    raise InvalidArgument(
        f"A simulation needs data, and none can be drawn from the model {model!r}. Use a model such as "
        "`GaussianLeastSquares(alpha=2.0)`, or `solve` for the theory."
    )
