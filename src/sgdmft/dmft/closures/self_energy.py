r"""Theories stated by their self-energy, one row at a time.

Of a `SelfEnergy` made of pointwise operations, row t of Sigma follows from row t of Q, which the history holds:

    S_R(t,s) = Sigma_R(t,s),      S_C(t,s) = - Sigma_C(t,s),      kappa(t) = - Sigma_R(t,*).                         (6.11)

Most are polynomials: with the signal's unit response S, and as S o S = 0, they then are

    Sigma = P(Q) + S o T(Q):     Sigma_C = P(C),    Sigma_R(t,s) = P'(C) R eta_s,    Sigma_R(t,*) = T(m),            (6.12)

and run compiled. The others are evaluated in Python, once for each step.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sgdmft._kernels import layout as names, step as kernel
from sgdmft.dmft.closures.base import Closure, Memory
from sgdmft.dmft.history import History, Layout, Read
from sgdmft.problem.selfenergy import SelfEnergy
from sgdmft.run.request import Feature
from sgdmft.superfield import Row


class Pointwise(Closure):
    """A pointwise self-energy; its operators of the past are C and R alone."""

    layout: ClassVar[Layout] = Layout(
        (Read.VALUES, Read.RESPONSE), (Read.SUMS, Read.VALUES, Read.RESPONSE), len(names.Memory._fields)
    )
    supports: ClassVar[frozenset[Feature]] = frozenset({Feature.STOP, Feature.KICKS, Feature.LOSS_TIMES})
    remedy: ClassVar[str] = (
        "A `SelfEnergy` knows nothing of samples: use `FullBatch()`, and put the noise of a selection into the self-energy."
    )

    def __init__(self, model: SelfEnergy) -> None:
        self.model = model

    def row(self, past: History, reselection: np.ndarray, batch_fraction: float) -> Memory:
        Q, w = self._row(past), np.append(past.named.weight[: past.n], 1.0)
        sigma = self.model(Q)
        energy = np.nan if self.model.energy is None else float(self.model.energy(Q)[0])
        return Memory(sigma.response[0, 1:] * w, -sigma.correlation[0, 1:] * w, -sigma.response[0, 0], energy)

    def _row(self, past: History) -> Row:
        """Row t of Q at the signal, at the coordinates of the past, and at t."""
        n, lines, now = past.n, past.named, past.now[0]
        w = lines.weight[:n]
        return Row(
            np.concatenate([[now["magnetization"]], lines.correlation[:n] / w, [now["norm"]]]),
            np.concatenate([[0.0], lines.response[:n] / w, [0.0]]),
            np.concatenate([[1.0], w * w, [1.0]]),
        )


class Polynomial(Pointwise):
    """A polynomial self-energy (6.12), compiled."""

    def __init__(self, model: SelfEnergy) -> None:
        super().__init__(model)
        table = model.polynomials
        assert table is not None  # or it is `Pointwise`
        self._polynomials = table
        if model.energy is None:
            self._polynomials[4] = np.nan

    def advance(self, past, steps, reselections, rates, bounds, out):
        return kernel.advance_self_energy(
            past.operators, past.row, past.end, past.lines, past.scratch, past.now, steps, rates, self._polynomials,
            bounds, out,
        )  # fmt: skip
