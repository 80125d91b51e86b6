"""Methods of integration: immutable settings objects, each with an estimate of what a run costs.

A method is one module behind `solve`: anything with `estimate(request)` and `begin(request)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from sgdmft import _memory, _validation as check
from sgdmft.dmft import closures
from sgdmft.dmft.causal import CausalRun
from sgdmft.dmft.history import History, Layout
from sgdmft.dmft.integrator import Integrator
from sgdmft.dmft.run import Run
from sgdmft.errors import TooLarge
from sgdmft.run.request import Request

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
        return f"{self.method}, {self.steps} steps: {_memory.size(self.memory)} of memory, about {self.seconds:.2g} s"


class Method(Protocol):
    """What `solve` asks of a method of integration."""

    resumable: ClassVar[bool]

    def estimate(self, request: Request) -> Estimate:
        """Memory and time of the run."""
        ...

    def begin(self, request: Request) -> Run:
        """The run at t = 0."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Causal steps with every past time kept: T^2 memory, T^3 time, exact to rounding.

    Parameters
    ----------
    memory_limit : float, default 8e9
        Bytes above which a run is refused.
    """

    resumable: ClassVar[bool] = True
    memory_limit: float = field(default=8e9, metadata=check.NOT_IDENTITY)

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory_limit", check.number("memory_limit", self.memory_limit, above=0.0))

    def estimate(self, request: Request) -> Estimate:
        T = request.steps
        operators = 6 if request.save.replicas > 1 else 4
        memory = 4.0 * operators * T * (T + 8.0) + _output(request, self.memory_limit)
        seconds = operators * 4 / 3 * T**3 / _SPEED_DENSE + _STEP_DENSE * T
        return Estimate(method="Dense", steps=T, memory=memory, seconds=seconds)

    def begin(self, request: Request) -> CausalRun:
        """The run at t = 0."""
        return _begin(request, self, lambda layout, gain: History.dense(request.steps, layout))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """Causal steps with a compressed past: every unit step exact, time T log^2 T, memory log^2 T.

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

    resumable: ClassVar[bool] = True
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

    def estimate(self, request: Request) -> Estimate:
        T = max(request.steps, 1)
        operators = 6 if request.save.replicas > 1 else 4
        p, phases = self._leaf(request)
        n = min(float(T), 2.2 * p * phases * max(1.0, math.log2(max(T / (p * phases), 2.0))))
        capacity = self._capacity(request)
        began = 8.0 * operators * capacity * (capacity / 2 + (p + 12.0) * phases) + 8.0 * (p + 4.0) * phases * (
            capacity + 4 * p + 20.0
        )
        memory = max(4 * operators * 5.0 * n * n, began) + _output(request, self.memory_limit)
        seconds = T * (operators * 4.0 * n * n / _SPEED_CACHE + _STEP_COMPRESSED)
        return Estimate(method="Compressed", steps=request.steps, memory=memory, seconds=seconds)

    def begin(self, request: Request) -> CausalRun:
        """The run at t = 0."""
        (order, phases), capacity = self._leaf(request), self._capacity(request)
        settings = {name: getattr(self, name) for name in ("tolerance", "separation", "memory_limit")}

        def empty(layout: Layout, gain: float) -> History:
            return History.with_panels(capacity, layout, gain, order=order, phases=phases)

        return _begin(request, self, empty, **settings)

    def _capacity(self, request: Request) -> int:
        """Coordinates that there is room for at first."""
        leaf = math.prod(self._leaf(request))
        return min(24, math.ceil(max(request.steps, 1) / leaf)) * leaf

    def _leaf(self, request: Request) -> tuple[int, int]:
        """Order and phases of a leaf; one that the run never fills need not be larger."""
        assert self.order is not None  # the constructor saw to it
        phases = request.algorithm.batches.phases
        return min(self.order, request.steps // phases + 2), phases


def _begin(
    request: Request, method: Dense | Compressed, empty: Callable[[Layout, float], History], **settings: Any
) -> CausalRun:
    """A run by causal steps on an `empty` history."""
    closure, start = closures.begin(request), request.theory_start
    refuse_too_large(method.estimate(request), method.memory_limit)
    rates = request.algorithm.rates(request.steps)
    gain = 1.0 / max(rates.learning_rate.max(initial=0.0), 1e-300)
    integrator = Integrator(
        closure,
        request.algorithm,
        rates,
        empty(closure.layout, gain),
        start,
        stop_distance=request.stop.distance if request.stop else -math.inf,
        **settings,
    )
    return CausalRun(request, integrator, method)


def refuse_too_large(estimate: Estimate, limit: float) -> None:
    """Raise `TooLarge` if the run needs more memory than `limit` bytes."""
    if estimate.memory > limit:
        remedy = (
            "Use `Compressed()`, take fewer steps,"
            if estimate.method == "Dense"
            else "Thin the output by `Save(every=...)`, take fewer steps,"
        )
        raise TooLarge(
            f"The run needs about {_memory.size(estimate.memory)} of memory ({estimate.method}, {estimate.steps} steps), "
            f"above the limit of {_memory.size(limit)}. {remedy} or raise `memory_limit`."
        )


def _output(request: Request, limit: float) -> float:
    """What is kept: one-time quantities, and rows at the saved times."""
    with _memory.within(limit):
        saved = len(request.save.two_times(request.steps))
    return 8.0 * (9 * (request.steps / request.save.every + 1) + 8 * saved**2)
