r"""Least squares on Gaussian random functions: equations (4.1) to (4.8), for every minibatch scheme; and two replicas.

`sgdmft.dmft.integrator` states the equations, `sgdmft._kernels.step` is them in compiled form.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sgdmft._kernels import layout as names, step as kernel
from sgdmft.dmft.closures.base import Closure, Memory
from sgdmft.dmft.history import History, Layout, Read
from sgdmft.problem.models import GaussianLeastSquares, Teacher
from sgdmft.run.request import Feature

_SCRATCH = len(names.Memory._fields) + len(names.Residuals._fields)
_MULTIPLIER = len(names.Memory._fields) + names.Residuals._fields.index("multiplier")
_UNUSED = np.ones((1, 5))
_LINES = (Read.SUMS, Read.VALUES, Read.RESPONSE, Read.SUMS, Read.VALUES, Read.VALUES)  # m, C, R; f(m), P, C12


class LeastSquares(Closure):
    """C, R, L and G of least squares; with `linearized` only what is linear in m.

    Then C, R, L and G follow the solution with m = 0, and kappa(t) = alpha f''(0) m(t) sum_s L(t,s).
    """

    layout: ClassVar[Layout] = Layout((Read.VALUES, Read.RESPONSE, Read.SUMS, Read.SUMS), _LINES, _SCRATCH)
    supports: ClassVar[frozenset[Feature]] = frozenset(
        {Feature.MINIBATCHES, Feature.RESELECTION, Feature.STOP, Feature.KICKS, Feature.LOSS_TIMES}
    )
    pair: ClassVar[bool | None] = None

    def __init__(self, model: GaussianLeastSquares, *, linearized: bool = False) -> None:
        f, labels = model.covariance, model.labels
        teacher = isinstance(labels, Teacher)
        table = np.zeros((5, len(f.coefficients)))  # f, f', f''; f(m) of K, f'(m) of kappa
        for order in range(3):
            coefficients = f.derived(order)
            table[order, : len(coefficients)] = coefficients
        if linearized:
            table[4, 1] = f.derivative(0.0, order=2)
        elif teacher:
            table[3], table[4] = table[0], table[1]
        offset = float(f(1.0)) + labels.noise if isinstance(labels, Teacher) else labels.value**2
        self._polynomials = table
        self._constants = np.array([model.alpha, offset, 0.0 if linearized else 1.0])

    def row(self, past: History, reselection: np.ndarray, batch_fraction: float) -> Memory:
        pull, loss = kernel.row_of_least_squares(
            past.operators, past.row, past.end, past.lines, past.scratch, past.now, reselection, batch_fraction,
            self._polynomials, self._constants,
        )  # fmt: skip
        memory, n = names.Memory(*past.scratch[:6]), past.n + 1
        return Memory(memory.response[:n], memory.correlation[:n], pull, loss)

    def loss(self, past: History) -> float:
        out = np.empty((1, 4))  # the loss depends neither on the scheme nor on the rates of the step at t
        self.advance(past, 1, np.ones((1, past.n)), _UNUSED, _UNUSED[0], out, True)
        return float(out[0, 2])

    def advance(self, past, steps, reselections, rates, bounds, out, measure=False):
        return kernel.advance_least_squares(
            past.operators, past.row, past.end, past.lines, past.scratch, past.now, steps, reselections, rates,
            self._polynomials, self._constants, bounds, out, measure, self.pair,
        )  # fmt: skip

    def note(self, past: History, reselection: np.ndarray) -> None:
        names.SampleLines(*past.lines[4:]).reselection[: past.n] = reselection * past.named.weight[: past.n]

    def saved(self, past: History, times: np.ndarray) -> dict[str, tuple[np.ndarray, float] | float]:
        """`label_response` = sum_s dE[r(t)]/dxi(s), the response of r(t) to minus its label: (4.2) with P = 1, summed."""
        self.loss(past)
        responded = past.scratch[_MULTIPLIER, : past.n]  # L^T k
        return {"label_response": float(1.0 - responded @ past.named.weight[: past.n])}


class Replicas(LeastSquares):
    """Least squares with the overlap C12 of two runs of the same data and start, for schemes with P(t, s) = 1."""

    layout: ClassVar[Layout] = Layout(
        (*LeastSquares.layout.operators, Read.VALUES, Read.SUMS), LeastSquares.layout.lines, _SCRATCH
    )
    supports: ClassVar[frozenset[Feature]] = LeastSquares.supports - {Feature.RESELECTION} | {Feature.REPLICAS}
    remedy: ClassVar[str] = "With `Save(replicas=...)` use `FullBatch()` or `Bernoulli(...)`, or a simulation."
    recorded: ClassVar[tuple[str, ...]] = (*LeastSquares.recorded, "replica_overlap")
    pair: ClassVar[bool | None] = True

    def saved(self, past: History, times: np.ndarray) -> dict[str, tuple[np.ndarray, float] | float]:
        overlap = names.SampleLines(*past.lines[4:]).replica_correlation
        row = past.row_at(overlap, times), float(past.now["replica_overlap"][0])
        return super().saved(past, times) | {"replica_correlation": row}
