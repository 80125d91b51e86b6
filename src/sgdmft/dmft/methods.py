r"""Methods of integration: immutable settings objects, each with an estimate of what a run costs.

A method is one module behind `solve`: anything with `estimate(problem)` and `run(problem)`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sgdmft import _validation as check
from sgdmft.algorithms import Descent
from sgdmft.errors import TooLarge
from sgdmft.models import Start
from sgdmft.progress import Progress
from sgdmft.run.request import Recovered, Save
from sgdmft.trajectory import Trajectory

if TYPE_CHECKING:
    from sgdmft.dmft.checkpoint import Checkpoint
    from sgdmft.dmft.history import History

# Bytes per second that a step reads its operators at, measured on a server core of 2023; for estimates only.
_SPEED_DENSE, _SPEED_CACHE = 2.0e10, 3.0e10
_STEP_DENSE, _STEP_COMPRESSED = 8e-6, 1.5e-5  # seconds of a step beside that


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run needs: memory in bytes and a rough time in seconds on a core of 2023."""

    method: str
    steps: int
    memory: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.method}, {self.steps} steps: {_bytes(self.memory)} of memory, about {self.seconds:.2g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything that `solve` was asked, checked."""

    model: Any
    asked: Any
    algorithm: Descent
    start: Start
    steps: int
    save: Save
    stop: Recovered | None
    progress: Progress
    strict: bool
    replicas: bool
    linearized: bool
    checkpoint: Checkpoint | None
    cancel: threading.Event | None


class Method(Protocol):
    """What `solve` asks of a method of integration."""

    def estimate(self, problem: Problem) -> Estimate:
        """Memory and time of the run."""
        ...

    def run(self, problem: Problem) -> Trajectory:
        """The trajectory."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """The causal sweep with every past time kept: T^2 memory, T^3 time, exact to rounding.

    Parameters
    ----------
    threads : int, default: all cores
        Threads of one step; 1 where several runs go side by side.
    memory_limit : float, default 8e9
        Bytes above which a run is refused.
    """

    threads: int | None = field(default=None, metadata=check.NOT_IDENTITY)
    memory_limit: float = field(default=8e9, metadata=check.NOT_IDENTITY)

    def __post_init__(self) -> None:
        if self.threads is not None:
            object.__setattr__(self, "threads", check.integer("threads", self.threads, at_least=1))
        object.__setattr__(self, "memory_limit", check.number("memory_limit", self.memory_limit, above=0.0))

    def estimate(self, problem: Problem) -> Estimate:
        T = problem.steps
        operators = 6 if problem.replicas else 4
        memory = 4.0 * operators * T * (T + 8.0) + _output(problem)
        seconds = operators * 4 / 3 * T**3 / _SPEED_DENSE / min(self.cores, 2) + _STEP_DENSE * T
        return Estimate(method="Dense", steps=T, memory=memory, seconds=seconds)

    @property
    def cores(self) -> int:
        """Threads that a run uses."""
        from sgdmft.dmft.integrator import available_cores

        return self.threads or available_cores()

    def history(self, problem: Problem, operators: int) -> History:
        """The empty history of a run."""
        from sgdmft.dmft.history import History

        return History.dense(problem.steps, operators=operators)

    def options(self) -> dict[str, float]:
        """Settings of the integrator."""
        return {"threads": self.cores}

    def run(self, problem: Problem) -> Trajectory:
        from sgdmft.dmft.sweep import run

        refuse_too_large(self.estimate(problem), self.memory_limit)
        return run(problem, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """The causal sweep with a compressed past: every unit step exact, time T log^2 T, memory log^2 T.

    The past is cut into panels, aligned dyadic intervals, that merge as they recede. Two panels merge only where their
    parent represents the recent rows of C, R, L and G within `tolerance`, and it keeps no more coordinates than that takes.

    Parameters
    ----------
    tolerance : float, default 1e-10
        Error in C(t,s), R(t,s) and the integrated response that a merge may bring where they are read off; for R that of
        R(t,s) eta_s in units of the largest eta. m(t), C(t,t) and the loss depend on it in second order and are usually
        right to rounding.
    order : int, default 2 - log10(tolerance), from 4 to 16
        Steps of a leaf, the newest, exact panels: 12 at the default tolerance; a merged panel has at most 4 coordinates
        more. It sets the speed, not the error.
    separation : float, default 0.5
        A panel keeps at least this many of its lengths from the present and from time 0.
    memory_limit : float, default 8e9
        Bytes above which a run is refused or stopped.
    """

    tolerance: float = 1e-10
    order: int | None = None
    separation: float = 0.5
    memory_limit: float = field(default=8e9, metadata=check.NOT_IDENTITY)

    def __post_init__(self) -> None:
        remedy = "Below 1e-14 nothing is gained over `Dense()`."
        tolerance = check.number("tolerance", self.tolerance, above=0.0, at_most=1e-2, remedy=remedy)
        object.__setattr__(self, "tolerance", tolerance)
        order = round(min(max(2 - math.log10(tolerance), 4), 16)) if self.order is None else self.order
        object.__setattr__(self, "order", check.integer("order", order, at_least=2))
        object.__setattr__(self, "separation", check.number("separation", self.separation, above=0.0))
        object.__setattr__(self, "memory_limit", check.number("memory_limit", self.memory_limit, above=0.0))

    def estimate(self, problem: Problem) -> Estimate:
        T = max(problem.steps, 1)
        operators = 6 if problem.replicas else 4
        p, phases = self._order, problem.algorithm.batches.phases
        n = min(float(T), 2.2 * p * phases * max(1.0, math.log2(max(T / (p * phases), 2.0))))
        memory = 4 * operators * 5.0 * n * n + _output(problem)
        seconds = T * (operators * 4.0 * n * n / _SPEED_CACHE + _STEP_COMPRESSED)
        return Estimate(method="Compressed", steps=problem.steps, memory=memory, seconds=seconds)

    def history(self, problem: Problem, operators: int) -> History:
        """The empty history of a run."""
        from sgdmft.dmft.history import History

        phases = problem.algorithm.batches.phases
        leaves = math.ceil(max(problem.steps, 1) / (self._order * phases))
        capacity = min(24, leaves) * self._order * phases
        return History.with_panels(capacity, operators=operators, order=self._order, phases=phases)

    @property
    def _order(self) -> int:
        assert self.order is not None  # the constructor saw to it
        return self.order

    def options(self) -> dict[str, float]:
        """Settings of the integrator."""
        return {"tolerance": self.tolerance, "distance": self.separation, "memory_limit": self.memory_limit}

    def run(self, problem: Problem) -> Trajectory:
        from sgdmft.dmft.sweep import run

        refuse_too_large(self.estimate(problem), self.memory_limit)
        return run(problem, self)


def cheapest(problem: Problem) -> Method:
    """Dense or compressed, by the estimated time."""
    dense, compressed = Dense(), Compressed()
    one, two = dense.estimate(problem), compressed.estimate(problem)
    fits = one.memory <= dense.memory_limit
    return dense if fits and one.seconds <= two.seconds else compressed


def refuse_too_large(estimate: Estimate, limit: float) -> None:
    """Raise `TooLarge` if the run needs more memory than `limit` bytes."""
    if estimate.memory > limit:
        remedy = (
            "Use `Compressed()`, take fewer steps,"
            if estimate.method == "Dense"
            else "Thin the output by `Save(every=...)`, take fewer steps,"
        )
        raise TooLarge(
            f"The run needs about {_bytes(estimate.memory)} of memory ({estimate.method}, {estimate.steps} steps), above the "
            f"limit of {_bytes(limit)}. {remedy} or raise `memory_limit`."
        )


def _output(problem: Problem) -> float:
    return 9 * 8.0 * (problem.steps / problem.save.every + 1)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}"
        count /= 1000
    return ""
