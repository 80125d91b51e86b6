"""The checked question behind every run: what is learned and how, for how long, what is kept, when to stop.

A `Request` refuses what does not fit together; whoever answers it (a closure of the theory, a method of integration, the
simulation) declares by names of `Feature` what it supports, and `Request.refuse_beyond` says the rest in a sentence.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdmft import _memory, _validation as check
from sgdmft.algorithm.batches import FullBatch
from sgdmft.algorithm.descent import Descent
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import Linearized, Model, Start
from sgdmft.run import parameters, rounding


class Feature(enum.Enum):
    """What a request may ask beyond full-batch descent from a `Start`; the value says it in words."""

    MINIBATCHES = "minibatches"
    RESELECTION = "schemes with P(t, s) other than 1"
    REPLICAS = "`Save(replicas=...)`"
    KICKS = "`Save(response=...)`"
    LOSS_TIMES = "`Save(loss_times=...)`"
    OBSERVE = "`Save(observe=...)`"
    STOP = "`stop`"
    START = "a function as `start`"
    CHECKPOINT = "`checkpoint`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """What to keep of a run.

    Parameters
    ----------
    two_time : int or sequence of steps, default 64
        Times at which C and R are kept: that many, spaced evenly in log(1 + t), or exactly these. 0 keeps none.
    every : int, default 1
        Keep the one-time quantities at every so many steps (and at the last one).
    replicas : int, default 1
        With two or more, runs with the same data and start but selections and noise of their own; then
        `replica_correlation` is C12(t,t') = x^1(t).x^2(t')/N at the saved times, and `replica_overlap` is C12(t,t) at every
        step. A simulation averages over the pairs, and measures all else on the first replica; the theory needs P(t,s) = 1.
    response : sequence of steps t', default ()
        These join the saved times. A simulation measures R(t,t') = n.dx(t) / (N kick_size) there, by a kick `kick_size` n,
        n_i = +-1, added to x(t'+1), with the same data, selections and noise; other columns of its `response` are NaN. The
        theory knows R at all saved times.

    Other parameters
    ----------------
    kick_size : float > 0, default 1e-5
    loss_times : sequence of steps, optional
        Where minibatches are used, the loss over all data costs a simulation a pass over them, and is taken at these steps
        only (NaN at the others). By default about 100 steps evenly spaced in log(1 + t), and the saved times. With full
        batches it is free and known at every step.
    observe : function (instance, step, x), optional
        Called by a simulation at the saved times, in the thread of the sample `instance.sample`.
    """

    two_time: int | Sequence[int] | np.ndarray = 64
    every: int = 1
    replicas: int = 1
    response: Sequence[int] | np.ndarray = ()
    kick_size: float = 1e-5
    loss_times: Sequence[int] | np.ndarray | None = None
    observe: Callable[[Any, int, np.ndarray], None] | None = field(default=None, metadata=check.NOT_IDENTITY)

    def __post_init__(self) -> None:
        for name in ("every", "replicas"):
            object.__setattr__(self, name, check.integer(name, getattr(self, name), at_least=1))
        object.__setattr__(self, "response", check.steps("response", self.response))
        object.__setattr__(self, "kick_size", check.number("kick_size", self.kick_size, above=0.0))
        if self.loss_times is not None:
            object.__setattr__(self, "loss_times", check.steps("loss_times", self.loss_times))
        if isinstance(self.two_time, (Sequence, np.ndarray)):
            object.__setattr__(self, "two_time", check.steps("two_time", self.two_time))
        else:
            object.__setattr__(self, "two_time", check.integer("two_time", self.two_time, at_least=0))
        if not (self.observe is None or callable(self.observe)):
            raise InvalidArgument(
                f"Argument `observe` must be a function (instance, step, x), but is {self.observe!r}."
            )

    def two_times(self, steps: int) -> np.ndarray:
        """The saved times of a run of that many steps, ascending, shape (n,).

        Raises
        ------
        TooLarge
        """
        if not isinstance(self.two_time, tuple):
            count = min(int(self.two_time), (steps + 2.0) * np.log(steps + 2.0))  # type: ignore[arg-type]
            _memory.ask(32.0 * count, f"The grid of {self.two_time} saved times", "Lower `Save(two_time=...)`")
        if isinstance(self.two_time, tuple):
            times = np.array([t for t in self.two_time if t <= steps], dtype=np.int64)
        else:
            count = int(self.two_time)  # type: ignore[arg-type]
            if count > 1 + (steps + 2) * np.log(steps + 2):  # then no two neighbours are a step apart
                times = np.arange(steps + 1)
            else:
                grid = np.expm1(np.linspace(0.0, np.log1p(steps), count))
                times = np.round(grid).astype(np.int64)
        return np.union1d(times, np.array(self.response, dtype=np.int64))

    def recorded(self, steps: int) -> np.ndarray:
        """The steps at which one-time quantities are kept, ascending."""
        what = f"Every `every={self.every}` of {steps} steps, kept,"
        _memory.ask(16.0 * (steps / self.every), what, "Thin the output by `Save(every=...)`, or take fewer steps")
        times = np.arange(0, steps + 1, self.every)
        return times if times[-1] == steps else np.append(times, steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Stop when the squared distance to the signal, Delta(t) = 1 - 2 m + C(t,t), falls below `distance`.

    Levels below the rounding floor of Delta, `run.rounding.FLOOR` = 5.7e-14, are refused.
    """

    distance: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", rounding.level("distance", self.distance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that a run is asked for, checked; `solve` and `simulate` make one of their arguments.

    Parameters
    ----------
    model : Model
        `GaussianLeastSquares`, `Linearized`, `SelfEnergy`.
    algorithm : Descent
    steps : int >= 0
    start : Start, default Start()
        For a simulation also a function (instance, rng) -> x(0) of shape (N,).
    save : Save, default Save()
    stop : Recovered or None

    Raises
    ------
    InvalidArgument
        When a value is of the wrong kind, or two of them do not go together.

    Examples
    --------
    >>> import sgdmft as sg
    >>> request = sg.Request(model=sg.GaussianLeastSquares(alpha=2.0), algorithm=sg.SGD(0.1, 0.3), steps=30)
    >>> request.start
    Start(magnetization=0.1, norm=1.0)
    >>> sg.Request(model=sg.GaussianLeastSquares(alpha=2.0), algorithm=0.1, steps=30)
    Traceback (most recent call last):
    sgdmft.errors.InvalidArgument: Argument `algorithm` must be a `Descent`, ... but is 0.1.
    """

    model: Model
    algorithm: Descent
    steps: int
    start: Start | Callable[..., np.ndarray] = None  # type: ignore[assignment] - a Start after the check
    save: Save = None  # type: ignore[assignment] - likewise a Save
    stop: Recovered | None = None

    def __post_init__(self) -> None:
        store = object.__setattr__
        if not isinstance(self.model, Model):
            raise InvalidArgument(
                f"Argument `model` must be a model such as `GaussianLeastSquares(alpha=2.0)`, but is {self.model!r}."
            )
        if not isinstance(self.algorithm, Descent):
            raise InvalidArgument(
                "Argument `algorithm` must be a `Descent`, `GradientDescent(...)` or `SGD(...)`, "
                f"but is {self.algorithm!r}."
            )
        store(self, "steps", check.integer("steps", self.steps, at_least=0))
        for name, kind in (("start", Start), ("save", Save), ("stop", Recovered)):
            value = getattr(self, name)
            if value is None and name != "stop":
                store(self, name, kind())
            elif not (value is None or isinstance(value, kind) or (name == "start" and callable(value))):
                raise InvalidArgument(f"Argument `{name}` must be a `{kind.__name__}(...)`, but is {value!r}.")
        for name, last in (("response", self.steps - 1), ("loss_times", self.steps)):
            times = getattr(self.save, name)
            if times and times[-1] > last:
                raise InvalidArgument(
                    f"Argument `{name}` holds step {times[-1]}, but the last one possible in this run is {last}. "
                    "Leave it out, or run more steps."
                )
        if isinstance(self.model, Linearized) and self.stop is not None:
            raise InvalidArgument("A model linearized in m has no distance to the signal: leave out `stop`.")

    @property
    def features(self) -> set[Feature]:
        """What this request asks beyond full-batch descent from a `Start`."""
        batches, save = self.algorithm.batches, self.save
        asked = {
            Feature.MINIBATCHES: not isinstance(batches, FullBatch),
            Feature.RESELECTION: not batches.memoryless,
            Feature.REPLICAS: save.replicas > 1,
            Feature.KICKS: len(save.response) > 0,
            Feature.LOSS_TIMES: save.loss_times is not None,
            Feature.OBSERVE: save.observe is not None,
            Feature.STOP: self.stop is not None,
            Feature.START: not isinstance(self.start, Start),
        }
        return {feature for feature, is_asked in asked.items() if is_asked}

    def refuse_beyond(self, who: str, supported: Collection[Feature], remedy: str = "Leave it out.") -> None:
        """Raise `InvalidArgument` at the first feature that `who`, described in words, does not support."""
        for feature in sorted(self.features - set(supported), key=list(Feature).index):
            raise InvalidArgument(f"{who} does not support {feature.value}. {remedy}")

    @property
    def theory_start(self) -> Start:
        """The start, which for N -> infinity is a `Start`."""
        if isinstance(self.start, Start):
            return self.start
        raise InvalidArgument(f"The theory starts from a `Start(...)`, but `start` is {self.start!r}: simulate it.")

    @property
    def identity(self) -> str:
        """Canonical text: equal for equal questions, whatever objects ask them; see `parameters.canonical`."""
        names = ("model", "algorithm", "steps", "start", "save", "stop")
        return parameters.canonical(**{name: getattr(self, name) for name in names})
