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

and C(t+1,t+1) from the same formula plus 2 eta T. Source: [KamaliUrbani2023a] for Bernoulli batches (P = 1). `sweep.step`
is these lines in compiled form; here stands what surrounds it: schedules, chunks, saved rows, and the memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sgdmft._kernels import panels as kernel_panels
from sgdmft._kernels import sweep as kernel
from sgdmft.algorithms import Descent, Rates
from sgdmft.dmft.history import History, transfers
from sgdmft.errors import InvalidArgument, TooLarge
from sgdmft.models import GaussianLeastSquares, Start, Teacher

#: C(t,t) beyond this multiple of max(C(0,0), 1) counts as divergence.
NORM_LIMIT = 1e6


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
        run = np.zeros(6)
        run[kernel.ALPHA] = model.alpha
        run[kernel.OFFSET] = offset
        run[kernel.FEEDBACK] = 0.0 if linearized else 1.0
        run[kernel.SPHERE] = start.norm if algorithm.spherical else 0.0
        run[kernel.NORM_LIMIT] = NORM_LIMIT * max(start.norm, 1.0)
        run[kernel.STOP_DISTANCE] = stop_distance
        return cls(poly, run)


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
    _tables: tuple[np.ndarray, np.ndarray] | None = None
    _work: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))

    @classmethod
    def begin(
        cls,
        model: GaussianLeastSquares,
        algorithm: Descent,
        start: Start,
        steps: int,
        *,
        history: Callable[[int, bool], History],
        replicas: bool = False,
        linearized: bool = False,
        stop_distance: float = -1.0,
        **options: float,
    ) -> Integrator:
        """At t = 0. `history(operators, memoryless)` makes the empty history."""
        past = history(6 if replicas else 4, algorithm.batches.memoryless)
        past.state[:] = start.magnetization, start.norm, start.norm
        equations = Equations.of(model, algorithm, start, linearized=linearized, stop_distance=stop_distance)
        new = cls(equations, algorithm.rates(steps), algorithm, past, **options)  # type: ignore[arg-type]
        new.resized()
        return new

    def resized(self) -> None:
        """Fit the work arrays to the history, after it was made, grown or restored."""
        capacity = len(self.history.end)
        if self.history.compressed:
            self._tables = transfers(self.history.order)
            self._work = np.zeros((self.history.leaf + 2, capacity + 8))
        else:
            chunks = max(1, self.threads // 2)
            self._work = np.zeros((2 * chunks, capacity + 8))

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
        taken = 0
        memoryless = self.algorithm.batches.memoryless
        self.reason = kernel.DONE
        while self.t < target and self.reason == kernel.DONE:
            t = self.t
            chunk = target - t
            if not memoryless:  # P(t, s) is evaluated for the coordinates, which change at the end of a leaf
                chunk = min(chunk, self.history.leaf_room() if self.history.compressed else 64)
            p_rows = self._reselection(t, chunk)
            taken += self._advance(chunk, p_rows, out[taken:])
        return taken

    def _advance(self, chunk: int, p_rows: np.ndarray, out: np.ndarray) -> int:
        past, equations = self.history, self.equations
        rates = self._rates(past.t, chunk)
        arrays = (past.ops, past.row, past.end, past.band, past.band_start, past.vec, past.state)
        if not past.compressed:
            chunks = max(1, self.threads // 2) if self.threads > 1 else 0
            done, self.reason = kernel.advance_dense(
                *arrays, past.t, chunk, p_rows, rates, equations.poly, equations.run, out, chunks, self._work
            )
            past.counters[kernel_panels.COORDINATES] += done
            past.counters[kernel_panels.TIME] += done
            return done
        assert self._tables is not None
        done, self.reason = kernel_panels.advance_compressed(
            *arrays, past.counters, past.panels, *self._tables, past.leaf, past.phases, self.tolerance, self.distance,
            past.accepted, chunk, p_rows, rates, equations.poly, equations.run, out, self._work,
        )  # fmt: skip
        if self.reason == kernel.FULL:
            self._grow()
            self.reason = kernel.DONE
        return done

    def _grow(self) -> None:
        past = self.history
        capacity = 3 * len(past.end) // 2 // past.leaf * past.leaf + past.leaf
        if 8.0 * len(past.ops) * capacity**2 > self.memory_limit:
            raise TooLarge(
                f"At step {past.t} the compressed history has {past.n} coordinates and would outgrow its memory limit of "
                f"{self.memory_limit:.3g} bytes. Raise `tolerance` (now {self.tolerance:g}), or raise `memory_limit`."
            )
        self.history = past.grown(capacity)
        self.resized()

    def measure(self) -> np.ndarray:
        """m, C(t,t), loss and C12(t,t) at the current time, without a step, shape (4,)."""
        past = self.history
        out = np.zeros(4)
        rates = np.zeros(5)
        rates[kernel.BATCH] = 1.0
        ones = np.ones(len(past.end) + 1)  # the loss does not depend on the scheme of the step at t
        vec, state = past.vec.copy(), past.state.copy()
        kernel.step(
            past.ops, past.row, past.end, past.band, past.band_start, past.phases, vec, state, past.n, ones, rates,
            self.equations.poly, self.equations.run, out, False, True, 0, self._work,
        )  # fmt: skip
        return out

    def _rates(self, t: int, chunk: int) -> np.ndarray:
        part = [values[t : t + chunk] for values in self.rates]
        table = np.empty((chunk, 5))
        order = (kernel.ETA, kernel.BATCH, kernel.MOMENTUM, kernel.DECAY, kernel.TEMPERATURE)
        for column, values in zip(order, part, strict=True):
            table[:, column] = values
        return table

    def _reselection(self, t: int, chunk: int) -> np.ndarray:
        """P(t + i, s) on the coordinates, shape (chunk, capacity), or one row of ones."""
        if self.algorithm.batches.memoryless:
            return np.ones((1, len(self.history.end) + 1))
        times = self.history.times(chunk)
        table = np.zeros((chunk, max(len(times), 1)))
        past = self.history.n
        for i in range(chunk):
            table[i, : past + i] = self.algorithm.batches.reselection(t + i, times[: past + i])
        return table

    def response_row(self, times: np.ndarray) -> np.ndarray:
        """R(t, s) at past times s < t, shape (len(times),)."""
        return self.history.row_at(kernel.R_ROW, times) / self.rates.learning_rate[times]

    def correlation_row(self, times: np.ndarray) -> np.ndarray:
        """C(t, s) at past times s < t, shape (len(times),)."""
        return self.history.row_at(kernel.C_ROW, times)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
