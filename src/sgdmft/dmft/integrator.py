r"""Causal integration of the closed equations of the overlaps, one exact unit step after the other.

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
    R(t+1,t') = sum_s D(t,s) R(s,t'),       R(t+1,t) = 1 (on the sphere: the factor of the projection)                  (4.9)
    C(t+1,t') = sum_s D(t,s) C(s,t') + eta kappa m(t') + eta sum_{s<t'} alpha G f'(C) eta_s R(t',s)                    (4.10)

and C(t+1,t+1) from the same formula plus 2 eta T. Source: [KamaliUrbani2023a] for Bernoulli batches (P = 1). (4.1) to (4.8)
are the closure of least squares, (4.9) and (4.10) hold under every closure; `sgdmft._kernels.step` is both in compiled form.
Here stands what surrounds a step: schedules, P(t,s) on the coordinates, the end of leaves, memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sgdmft._kernels import layout as names
from sgdmft.algorithm.descent import Descent, Rates
from sgdmft.dmft.closures import Closure
from sgdmft.dmft.history import History
from sgdmft.errors import TooLarge
from sgdmft.problem.models import Start

#: C(t,t) beyond this multiple of max(C(0,0), 1) counts as divergence.
NORM_LIMIT = 1e6


def largest_norm(start: Start) -> float:
    """C(t,t) that counts as divergence."""
    return NORM_LIMIT * max(start.norm, 1.0)


@dataclass(slots=True)
class Integrator:
    """Takes the steps of a closure on a history: `advance(target)` until `target`, a stop or a divergence.

    `reason` says why the last one ended: `names.DONE`, `DIVERGED`, `RECOVERED` of `sgdmft._kernels.layout`.
    """

    closure: Closure
    algorithm: Descent
    rates: Rates
    history: History
    start: Start
    stop_distance: float = -np.inf
    tolerance: float = 0.0
    separation: float = 0.5
    memory_limit: float = np.inf
    reason: int = names.DONE
    _bounds: np.ndarray = field(init=False)
    _ones: np.ndarray = field(default_factory=lambda: np.ones((1, 0)))

    def __post_init__(self) -> None:
        self.closure.begin(self.history, self.start)
        sphere = self.start.norm if self.algorithm.spherical else 0.0
        self._bounds = np.array([sphere, largest_norm(self.start), self.stop_distance])

    @property
    def t(self) -> int:
        return self.history.t

    def advance(self, target: int, out: np.ndarray) -> int:
        """Take steps from t up to `target`; row i of `out` (>= target - t, 4) receives the quantities at t + i.

        Returns the number of steps taken.
        """
        past, taken, total = self.history, 0, target - self.t
        rates = np.empty((total, len(self.rates)))
        for column, values in enumerate(self.rates):
            rates[:, column] = values[target - total : target]
        self.reason = names.DONE
        while taken < total and self.reason == names.DONE:
            room = self._room()
            if past.compressed and room == past.leaf and not past.has_room():
                past = self._grow()
                continue
            chunk = min(total - taken, room)
            here = slice(taken, taken + chunk)
            count, self.reason = self.closure.advance(
                past, chunk, self._reselections(chunk), rates[here], self._bounds, out[here]
            )
            taken += count
            if past.compressed and self.t == past.leaf_start + past.leaf:
                if not self.algorithm.batches.memoryless:
                    self.closure.note(past, self.algorithm.batches.reselection(past.t, past.times()))
                past.close_leaf(self.tolerance, self.separation)
        return taken

    def _room(self) -> int:
        """Steps for which one call of the kernel may go on: P(t, s) and the coordinates change at the end of a leaf."""
        if self.history.compressed:
            return self.history.leaf_start + self.history.leaf - self.t
        return len(self.rates.learning_rate) if self.algorithm.batches.memoryless else 64

    def _grow(self) -> History:
        past = self.history
        capacity = 3 * past.capacity // 2 + past.leaf
        if 4.0 * len(past.operators) * capacity**2 > self.memory_limit:
            raise TooLarge(
                f"At step {past.t} the compressed history has {past.n} coordinates and would outgrow its memory limit of "
                f"{self.memory_limit:.3g} bytes. Raise `tolerance` (now {self.tolerance:g}), or raise `memory_limit`."
            )
        self.history = past.grown(capacity)
        return self.history

    def _reselections(self, chunk: int) -> np.ndarray:
        """P(t + i, s) on the coordinates, shape (chunk, n + chunk); or one row of ones."""
        if self.algorithm.batches.memoryless:
            if self._ones.shape[1] < self.history.capacity:
                self._ones = np.ones((1, self.history.capacity))
            return self._ones
        times = self.history.times(chunk)
        table = np.zeros((chunk, len(times)))
        past = self.history.n
        for i in range(chunk):
            table[i, : past + i] = self.algorithm.batches.reselection(self.t + i, times[: past + i])
        return table

    # -- reading the row of the current time ---------------------------------------------------------------------------

    def response_row(self, times: np.ndarray) -> np.ndarray:
        """R(t, s) at past times s < t, shape (len(times),)."""
        return self.history.row_at(self.history.named.response, times) / self.rates.learning_rate[times]

    def integrated_response_row(self, times: np.ndarray) -> np.ndarray:
        """chi(t, t_w) = sum_{t_w <= s < t} R(t, s) eta_s, the response to a field switched on at t_w, shape (len(times),)."""
        return self.history.tail_sums(self.history.named.response, times)

    def correlation_row(self, times: np.ndarray) -> np.ndarray:
        """C(t, s) at past times s < t, shape (len(times),)."""
        return self.history.row_at(self.history.named.correlation, times)
