"""The theory's extension point: a closure gives row t of the memory kernels from the history up to t.

With S_R and S_C the kernels of the force, kappa its pull towards the signal, every theory of this package moves by

    m(t+1)    = sum_s D m + eta kappa,            D = (4.7) of S_R
    R(t+1,t') = sum_s D(t,s) R(s,t')
    C(t+1,t') = sum_s D(t,s) C(s,t') + eta kappa m(t') + eta sum_{s<t'} S_C(t,s) eta_s R(t',s)

To add one: a subclass of `Closure` with a `layout` and a `row`, registered for its model in `closure_of`. It then runs with
dense and compressed histories, checkpoints and two-time output alike. A closure that matters gets an `advance` of its own,
compiled as a whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from sgdmft._kernels import layout as names, step as kernel
from sgdmft.dmft.history import History, Layout
from sgdmft.problem.models import Start
from sgdmft.run.request import Feature


class Memory(NamedTuple):
    """Row t of the memory kernels on the coordinates of the past and, last, at t: shape (n + 1,) each."""

    response: np.ndarray
    correlation: np.ndarray
    pull: float
    loss: float


class Closure(ABC):
    """What one sample feels, or in general what makes the force."""

    layout: ClassVar[Layout]
    supports: ClassVar[frozenset[Feature]]
    remedy: ClassVar[str] = "Leave it out."
    #: Names of what is recorded of every step, in the order of the compiled record.
    recorded: ClassVar[tuple[str, ...]] = ("magnetization", "norm", "loss")

    def begin(self, past: History, start: Start) -> None:
        """The state at t = 0."""
        past.now[0] = (0, 0, start.magnetization, start.norm, start.norm)

    @abstractmethod
    def row(self, past: History, reselection: np.ndarray, batch_fraction: float) -> Memory:
        """Row t of the memory kernels; operators of the closure's own get their row t."""

    def loss(self, past: History) -> float:
        """The loss at the current time, without side effects."""
        return self.row(past, np.ones(past.n), 1.0).loss

    def advance(
        self,
        past: History,
        steps: int,
        reselections: np.ndarray,
        rates: np.ndarray,
        bounds: np.ndarray,
        out: np.ndarray,
    ) -> tuple[int, int]:
        """Take steps t -> t+1 with the room there is; returns how many, and why no more (`names.DONE`, ...).

        `reselections` has shape (steps, coordinates), or (1, any) where it does not depend on t, `rates` (steps, 5),
        `out` (steps, 4), for m(t), C(t,t), the loss and C12(t,t).
        """
        scratch = names.Memory(*past.scratch[:6])
        for i in range(steps):
            n, now = past.n, past.now[0]
            memory = self.row(past, reselections[min(i, len(reselections) - 1)], rates[i, 1])
            out[i] = now["magnetization"], now["norm"], memory.loss, now["replica_overlap"]
            scratch.response[: n + 1], scratch.correlation[: n + 1] = memory.response, memory.correlation
            reason = kernel.step(
                past.operators, past.row, past.end, past.lines, past.scratch, past.now, rates[i], memory.pull, bounds
            )
            if reason != names.DONE:
                return i + 1, reason
        return steps, names.DONE

    def note(self, past: History, reselection: np.ndarray) -> None:  # noqa: B027 - most have nothing to note
        """P(t,.) at the end of a leaf, shape (n,): rows that panels must represent beside those of the steps."""

    def saved(self, past: History, times: np.ndarray) -> dict[str, tuple[np.ndarray, float] | float]:
        """More to be kept at a saved time t: rows over past `times` with their value at t, and numbers."""
        return {}
