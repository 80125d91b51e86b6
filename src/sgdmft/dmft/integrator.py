r"""The causal sweep: integration of the closed equations of the overlaps, one exact unit step after the other.

Residuals r(t) = xi(t) - sum_s k(t,s) u(s) with k(t,s) = f'(C(t,s)) R(t,s) eta_s and xi Gaussian of covariance

    K(t,s) = f(C(t,s)) - f(m(t)) - f(m(s)) + f(1) + noise   (teacher),      f(C(t,s)) + y^2   (constant target).      (4.1)

Given C(t,.), R(t,.), m(t) and all earlier rows, with P(t,s) of the minibatch scheme (2.1):

    L(t,s) = - sum_{s<=v<t} k(t,v) P(t,v) L(v,s),   L(t,t) = 1                                                        (4.2)
    A(t,s) = sum_{v<=s} K(t,v) L(s,v)                                                                                 (4.3)
    G(t,s) = P(t,s) A(t,s) - sum_{s<v<t} k(t,v) P(t,v) G(v,s) - P(t,s) sum_{v<=s} k(t,v) G(v,s)                        (4.4)
    E r^2  = K(t,t) - 2 sum_v k A + sum_{v,w} k k G,      loss per weight = alpha E r^2 / 2                            (4.5)
    G(t,t) = (1/b_t) { K(t,t) - 2 sum_v k P A + sum_{v,w} k(t,v) k(t,w) P(t, max(v,w)) G(v,w) }                        (4.6)
    D(t,s) = delta_ts (1 - eta lambda + beta) - delta_{s,t-1} beta - eta alpha [L f'(C) - G f''(C) R eta_s]            (4.7)
    m(t+1)    = sum_s D m + eta kappa,      kappa = alpha f'(m) sum_s L(t,s)                                           (4.8)
    R(t+1,t') = sum_s D(t,s) R(s,t'),       R(t+1,t) = 1                                                               (4.9)
    C(t+1,t') = sum_s D(t,s) C(s,t') + eta kappa m(t') + eta sum_{s<t'} alpha G f'(C) eta_s R(t',s)                    (4.10)

and C(t+1,t+1) from the same formula plus 2 eta T. Source: [KamaliUrbani2023a] for Bernoulli batches (P = 1). `advance` in
`sgdmft._kernels.sweep` is these lines in compiled form; here stands what surrounds it: schedules, chunks, saved rows, memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from sgdmft._kernels import sweep as kernel
from sgdmft.algorithms import Descent, Rates
from sgdmft.dmft.history import History
from sgdmft.errors import InvalidArgument, TooLarge
from sgdmft.models import GaussianLeastSquares, Start, Teacher

#: C(t,t) beyond this multiple of max(C(0,0), 1) counts as divergence.
NORM_LIMIT = 1e6
#: Coordinates above which a step of a dense history is worth two threads.
_THREADED = 512


@dataclass(frozen=True, slots=True)
class Equations:
    """The model in numbers, as the compiled step takes it."""

    poly: np.ndarray
    run: np.ndarray

    @classmethod
    def of(
        cls,
        model: GaussianLeastSquares,
        algorithm: Descent,
        start: Start,
        *,
        linearized: bool = False,
        stop_distance: float = -1.0,
    ) -> Equations:
        """Coefficient arrays of equations (4.1) to (4.10).

        `linearized` keeps only what is linear in m: C, R, L, G follow the solution with m = 0, and m(t) is proportional
        to m(0) with kappa(t) = alpha f''(0) m(t) sum_s L(t,s).
        """
        f = model.covariance
        teacher = isinstance(model.labels, Teacher)
        if linearized and not (teacher and f.derivative(0.0) == 0.0):
            raise InvalidArgument(
                f"The equations linearized in m need a teacher and a covariance with f'(0) = 0, but the model is {model!r}: "
                "its linear term drives m from the first step on."
            )
        poly = np.zeros((5, len(f.coefficients)))
        for order, line in enumerate((kernel.POLY_F, kernel.POLY_F1, kernel.POLY_F2)):
            coefficients = f.derived(order)
            poly[line, : len(coefficients)] = coefficients
        if isinstance(model.labels, Teacher):
            offset = float(f(1.0)) + model.labels.noise
            if linearized:
                poly[kernel.POLY_KAPPA, 1] = float(f.derivative(0.0, order=2))
            else:
                poly[kernel.POLY_TEACHER] = poly[kernel.POLY_F]
                poly[kernel.POLY_KAPPA] = poly[kernel.POLY_F1]
        else:
            offset = model.labels.value**2
        run = cls.constants(algorithm, start, stop_distance)
        run[kernel.ALPHA] = model.alpha
        run[kernel.OFFSET] = offset
        run[kernel.FEEDBACK] = 0.0 if linearized else 1.0
        return cls(poly, run)

    @staticmethod
    def constants(algorithm: Descent, start: Start, stop_distance: float) -> np.ndarray:
        """The part of `run` that does not depend on the model."""
        run = np.zeros(6)
        run[kernel.FEEDBACK] = 1.0
        run[kernel.SPHERE] = start.norm if algorithm.spherical else 0.0
        run[kernel.NORM_LIMIT] = NORM_LIMIT * max(start.norm, 1.0)
        run[kernel.STOP_DISTANCE] = stop_distance
        return run


@dataclass(slots=True)
class Integrator:
    """A run in progress: the history, the schedules, and the one-time quantities computed so far.

    `advance(target)` takes steps until `target`, a stop or a divergence; `measure()` gives the loss at the current time.
    """

    equations: Equations
    rates: Rates
    algorithm: Descent
    history: History
    threads: int = 1
    tolerance: float = 0.0
    distance: float = 0.5
    memory_limit: float = np.inf
    reason: int = kernel.DONE
    _gain: float = 1.0
    _ones: np.ndarray = field(default_factory=lambda: np.ones((1, 1)))

    @classmethod
    def begin(
        cls,
        model: GaussianLeastSquares,
        algorithm: Descent,
        start: Start,
        steps: int,
        *,
        history: Callable[[int], History],
        replicas: bool = False,
        linearized: bool = False,
        stop_distance: float = -1.0,
        **options: float,
    ) -> Integrator:
        """At t = 0. `history(operators)` makes the empty history."""
        past = history(6 if replicas else 4)
        past.state[:] = start.magnetization, start.norm, start.norm
        equations = Equations.of(model, algorithm, start, linearized=linearized, stop_distance=stop_distance)
        new = cls(equations, algorithm.rates(steps), algorithm, past, **options)  # type: ignore[arg-type]
        new.resized()
        return new

    def resized(self) -> None:
        """Fit the work arrays to the history, after it was made, grown or restored."""
        self._ones = np.ones((1, self.history.capacity + 1))
        self._gain = 1.0 / max(self.rates.learning_rate.max(initial=0.0), 1e-300)  # from R eta, which is kept, to R

    @property
    def t(self) -> int:
        return self.history.t

    @property
    def steps(self) -> int:
        return len(self.rates.learning_rate)

    def advance(self, target: int, out: np.ndarray) -> int:
        """Take steps from t up to `target`; row i of `out` (>= target - t, 4) receives the quantities at t + i.

        Returns the number of steps taken; `reason` says why it is fewer than asked.
        """
        past, taken, total = self.history, 0, target - self.t
        rates = self._rates(self.t, total)
        self.reason = kernel.DONE
        while taken < total and self.reason == kernel.DONE:
            room = self._room()
            if past.compressed and room == past.leaf and not past.has_room():
                past = self._grow()
                continue
            chunk = min(total - taken, room)
            here = slice(taken, taken + chunk)
            p_rows = self._reselection(self.t, chunk)
            if self.threads > 1 and past.n + chunk > _THREADED and len(past.ops) == 4:
                taken += self._advance_threaded(chunk, p_rows, rates[here], out[here])
            else:
                taken += self._compiled(chunk, p_rows, rates[here], out[here], False)
            if past.compressed and self.t == past.leaf_start + past.leaf:
                self._note_reselection()
                past.close_leaf(self.tolerance, self.distance, self._gain)
        return taken

    def _room(self) -> int:
        """Steps for which one call of the kernel may go on: P(t, s) and the coordinates change at the end of a leaf."""
        if self.history.compressed:
            return self.history.leaf_start + self.history.leaf - self.t
        return self.steps if self.algorithm.batches.memoryless else 64

    def _compiled(self, chunk: int, p_rows: np.ndarray, rates: np.ndarray, out: np.ndarray, measure: bool) -> int:
        past = self.history
        taken, self.reason = kernel.advance(
            past.ops, past.row, past.end, past.vec, past.state, past.counters, chunk, p_rows, rates,
            self.equations.poly, self.equations.run, out, measure, past.ops if len(past.ops) == 6 else None,
        )  # fmt: skip
        return taken

    def _advance_threaded(self, chunk: int, p_rows: np.ndarray, rates: np.ndarray, out: np.ndarray) -> int:
        """`sweep.advance` on a dense history with its two pairs of operators read by two threads at a time."""
        past, poly, run = self.history, self.equations.poly, self.equations.run
        ops, row, end, vec, state = past.ops, past.row, past.end, past.vec, past.state
        with ThreadPoolExecutor(1) as pool:
            for i in range(chunk):
                n, p_row = past.n, p_rows[min(i, len(p_rows) - 1)]
                K_tt = kernel.call_kernels(vec, state, n, p_row, poly, run)
                other = pool.submit(
                    kernel.call_both, ops[kernel.L], row, end, n,
                    vec[kernel.K_ROW], vec[kernel.KERNEL_P], vec[kernel.A_ROW], vec[kernel.L_ROW],
                )  # fmt: skip
                kernel.call_both(
                    ops[kernel.G], row, end, n,
                    vec[kernel.KERNEL], vec[kernel.KERNEL_P], vec[kernel.X1], vec[kernel.X2],
                )  # fmt: skip
                other.result()
                drive = kernel.call_memory(
                    ops, row, vec, state, n, p_row, rates[i], poly, run, K_tt, out[i],
                    self.t == 0,
                )  # fmt: skip
                other = pool.submit(
                    kernel.call_both, ops[kernel.C], row, end, n + 1,
                    vec[kernel.D_ROW], vec[kernel.D_ROW], vec[kernel.X1], vec[kernel.X2],
                )  # fmt: skip
                kernel.call_both(
                    ops[kernel.R], row, end, n + 1,
                    vec[kernel.SC_ROW], vec[kernel.D_ROW], vec[kernel.VALUE], vec[kernel.R_ROW],
                )  # fmt: skip
                other.result()
                kernel.update(vec, state, n, rates[i], run, drive)
                kernel.project(vec, state, n, run)
                past.counters += 1
                self.reason = kernel.stopped(state, run)
                if self.reason != kernel.DONE:
                    return i + 1
        return chunk

    def measure(self) -> np.ndarray:
        """m, C(t,t), loss and C12(t,t) at the current time, without a step, shape (4,)."""
        out, rates = np.zeros((1, 4)), np.zeros((1, 5))
        rates[0, kernel.BATCH] = 1.0
        self._compiled(1, self._ones, rates, out, True)  # the loss does not depend on the scheme of the step at t
        return out[0]

    def label_response(self) -> float:
        """sum_s dE[r(t)]/dxi(s), the response of r(t) to minus its label: sum_s L(t,s) of (4.2) with P(t,v) = 1."""
        self.measure()
        past = self.history
        return float(1.0 - past.vec[kernel.L_ROW, : past.n] @ past.vec[kernel.WEIGHT, : past.n])  # it holds L^T k

    def _grow(self) -> History:
        past = self.history
        capacity = 3 * past.capacity // 2 + past.leaf
        if 4.0 * len(past.ops) * capacity**2 > self.memory_limit:
            raise TooLarge(
                f"At step {past.t} the compressed history has {past.n} coordinates and would outgrow its memory limit of "
                f"{self.memory_limit:.3g} bytes. Raise `tolerance` (now {self.tolerance:g}), or raise `memory_limit`."
            )
        self.history = past.grown(capacity)
        self.resized()
        return self.history

    def _rates(self, t: int, chunk: int) -> np.ndarray:
        part = [values[t : t + chunk] for values in self.rates]
        table = np.empty((chunk, 5))
        order = (kernel.ETA, kernel.BATCH, kernel.MOMENTUM, kernel.DECAY, kernel.TEMPERATURE)
        for column, values in zip(order, part, strict=True):
            table[:, column] = values
        return table

    def _reselection(self, t: int, chunk: int) -> np.ndarray:
        """P(t + i, s) on the coordinates, shape (chunk, n + chunk), or one row of ones."""
        if self.algorithm.batches.memoryless:
            return self._ones
        times = self.history.times(chunk)
        table = np.zeros((chunk, len(times)))
        past = self.history.n
        for i in range(chunk):
            table[i, : past + i] = self.algorithm.batches.reselection(t + i, times[: past + i])
        return table

    def _note_reselection(self) -> None:
        """P(t, s) as a row of coordinates: panels must represent it too."""
        if not self.algorithm.batches.memoryless:
            past = self.history
            values = self.algorithm.batches.reselection(past.t, past.times())
            past.vec[kernel.P_ROW, : past.n] = values * past.vec[kernel.WEIGHT, : past.n]

    def response_row(self, times: np.ndarray) -> np.ndarray:
        """R(t, s) at past times s < t, shape (len(times),)."""
        return self.history.row_at(kernel.R_ROW, times) / self.rates.learning_rate[times]

    def integrated_response_row(self, times: np.ndarray) -> np.ndarray:
        """chi(t, t_w) = sum_{t_w <= s < t} R(t, s) eta_s, the response to a field switched on at t_w, shape (len(times),)."""
        return self.history.tail_sums(kernel.R_ROW, times)

    def correlation_row(self, times: np.ndarray) -> np.ndarray:
        """C(t, s) at past times s < t, shape (len(times),)."""
        return self.history.row_at(kernel.C_ROW, times)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
