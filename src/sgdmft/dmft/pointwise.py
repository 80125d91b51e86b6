r"""Causal steps under a pointwise self-energy, on the dense and the compressed history alike.

Of a `SelfEnergy` made of pointwise operations, row t of Sigma follows from row t of Q, which the history holds:

    D(t,s)     = delta_ts (1 - eta lambda + beta) - delta_{s,t-1} beta - eta Sigma_R(t,s)                    (6.11)
    m(t+1)     = sum_s D m - eta Sigma_R(t,*)
    R(t+1,t')  = sum_s D(t,s) R(s,t'),       R(t+1,t) = 1
    C(t+1,t')  = sum_s D(t,s) C(s,t') - eta Sigma_R(t,*) m(t') - eta sum_{s<t'} Sigma_C(t,s) eta_s R(t',s)

and C(t+1,t+1) from the same formula plus 2 eta T. These are (4.8) to (4.10) with another D, so the compiled `update` of
`sgdmft._kernels.sweep` serves; the self-energy itself is evaluated in Python, once for each step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sgdmft._kernels import sweep as kernel
from sgdmft.algorithms import Descent
from sgdmft.dmft.history import History
from sgdmft.dmft.integrator import Equations, Integrator
from sgdmft.models import Start
from sgdmft.selfenergy import SelfEnergy
from sgdmft.superfield import Row


@dataclass(slots=True)
class PointwiseIntegrator(Integrator):
    """An `Integrator` whose memory kernels come from a `SelfEnergy`; its operators of the past are C and R alone."""

    model: SelfEnergy | None = None

    @classmethod
    def begin(
        cls,
        model: SelfEnergy,
        algorithm: Descent,
        start: Start,
        steps: int,
        *,
        history: Callable[[int], History],
        stop_distance: float = -np.inf,
        **options: float,
    ) -> PointwiseIntegrator:
        """At t = 0."""
        past = history(2)
        past.state[:] = start.magnetization, start.norm, np.nan
        equations = Equations(np.zeros((0, 0)), Equations.constants(algorithm, start, stop_distance))
        new = cls(equations, algorithm.rates(steps), algorithm, past, model=model, **options)  # type: ignore[arg-type]
        new.resized()
        return new

    def _row(self) -> Row:
        """Row t of Q at the signal, the coordinates of the past, and t."""
        past, n = self.history, self.history.n
        w = past.vec[kernel.WEIGHT, :n]
        m, c_tt, _ = past.state
        return Row(
            np.concatenate([[m], past.vec[kernel.C_ROW, :n] / w, [c_tt]]),
            np.concatenate([[0.0], past.vec[kernel.R_ROW, :n] / w, [0.0]]),
            np.concatenate([[1.0], w * w, [1.0]]),
        )

    def _compiled(self, chunk: int, p_rows: np.ndarray, rates: np.ndarray, out: np.ndarray, measure: bool) -> int:
        past, run, model = self.history, self.equations.run, self.model
        assert model is not None
        for i in range(chunk):
            Q = self._row()
            energy = np.nan if model.energy is None else float(model.energy(Q)[0])
            out[i] = past.state[kernel.M_NOW], past.state[kernel.C_NOW], energy, np.nan
            if measure:
                return 0
            self._step(model(Q), rates[i])
            past.counters += 1
            self.reason = kernel.stopped(past.state, run)
            if self.reason != kernel.DONE:
                return i + 1
        return chunk

    def _step(self, sigma, rates: np.ndarray) -> None:
        """Equation (6.11); t becomes coordinate n of the past."""
        past, n = self.history, self.history.n
        ops, vec, state, row, end = past.ops, past.vec, past.state, past.row, past.end
        eta, beta = rates[kernel.ETA], rates[kernel.MOMENTUM] if past.t else 0.0
        vec[kernel.WEIGHT, n], vec[kernel.MAGNETIZATION, n] = 1.0, state[kernel.M_NOW]
        w, D = vec[kernel.WEIGHT, : n + 1], vec[kernel.D_ROW]
        D[: n + 1] = -eta * sigma.response[0, 1:] * w
        D[n] += 1.0 - eta * rates[kernel.DECAY] + beta
        if n:
            D[n - 1] -= beta
        vec[kernel.SC_ROW, : n + 1] = -sigma.correlation[0, 1:] * w
        vec[kernel.C_ROW, n], vec[kernel.R_ROW, n] = 0.5 * state[kernel.C_NOW], 0.0
        ops[:, row[n] : row[n + 1]] = 0.0
        ops[:, row[n] : row[n] + n + 1] = vec[[kernel.C_ROW, kernel.R_ROW], : n + 1]
        vec[kernel.R_ROW, : n + 1] = vec[kernel.X2, : n + 1] = 0.0
        kernel.call_both(ops[kernel.C], row, end, n + 1, D, D, vec[kernel.X1], vec[kernel.X2])
        kernel.call_both(ops[kernel.R], row, end, n + 1, vec[kernel.SC_ROW], D, vec[kernel.VALUE], vec[kernel.R_ROW])
        kernel.update(vec, state, n, rates, self.equations.run, -eta * sigma.response[0, 0])
        kernel.project(vec, state, n, self.equations.run)
