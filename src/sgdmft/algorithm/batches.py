r"""Minibatch schemes: who is selected when. One class, two faces.

Sample mu takes part in step t when its selection variable s_mu(t) is 1, with Pr[s_mu(t) = 1] = b_t. For the theory a
scheme is the function

    P(t, s) = Pr[s(t) = 1 | s(s) = 1] / b_t,      s < t,                                               (2.1)

and for a simulation it is a `sampler`. The theory is exact for schemes in which, given any set of earlier times at which
a sample was selected, only the latest of them matters for s(t); this is the condition on a scheme of your own. In other
words the selections of a sample are a renewal process: after each of them it starts afresh, in a way that may depend on t.

To add a scheme, subclass `Batches`, and give `fractions`, `reselection`, `sampler` and `examples`: the test-suite
finds it in `Batches.registry` and tests it; `class Mine(Batches, register=False)` stays out of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Self

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument

_LAW_STEPS = 48  # steps over which the law of the selections is checked
_FRACTION = {"above": 0.0, "at_most": 1.0, "remedy": "To use every sample at every step use `FullBatch()`."}


class Batches(ABC):
    """A minibatch scheme; the base class of all of them.

    The theory is exact if, given the set of all earlier times at which a sample was selected, the probability that it
    is selected at t depends on the latest of them alone, and is then b_t P(t, s).
    """

    __slots__ = ()
    registry: ClassVar[dict[str, type[Batches]]] = {}
    _register: ClassVar[bool] = True

    def __init_subclass__(cls, *, register: bool = True) -> None:
        super().__init_subclass__()
        cls._register = vars(cls).get("_register", register)  # a dataclass with slots is made twice
        if cls._register:
            Batches.registry[cls.__name__] = cls

    @abstractmethod
    def fractions(self, steps: int) -> np.ndarray:
        """b_t for t = 0 .. steps - 1, shape (steps,), each in (0, 1]."""

    @abstractmethod
    def reselection(self, t: int, s: np.ndarray) -> np.ndarray:
        """P(t, s) of equation (2.1) at the earlier times s < t, elementwise; each value in [0, 1/b_t].

        The times are floats. `Compressed` also asks between steps (with `phases`, only at whole ones), so no table may be
        looked up by a truncated s; and what it merged at t stays merged, so P must not become rough in s at a later t.
        """

    @abstractmethod
    def sampler(self, samples: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield for t = 0, 1, ... the ascending indices (int64) of the selected ones among `samples` samples."""

    @classmethod
    @abstractmethod
    def examples(cls) -> list[Self]:
        """Some instances, for tests and documentation."""

    @classmethod
    def at_fraction(cls, fraction: float) -> Self | None:
        """The scheme of this class with b_t = `fraction` throughout, for comparisons; None if there is none."""
        return None

    @property
    def memoryless(self) -> bool:
        """Whether P(t, s) = 1 throughout: the selections of different steps are independent."""
        return False

    @property
    def phases(self) -> int:
        """Period E of P(t, s) in s: outside the epoch of t, it varies smoothly only among times equal modulo E."""
        return 1

    def check_run(self, steps: int) -> None:
        """Raise `InvalidArgument` if the scheme cannot run this long or its P(t, s) is no valid one.

        P is tried at a few dozen times against the bounds 0 <= P(t, s) <= 1/b_t, and over the first steps for being
        the reselection function of some random selection at all.
        """
        if self.memoryless or steps < 2:
            return
        fractions = self.fractions(steps)
        for t in np.unique(np.geomspace(1, steps - 1, 24).astype(int)):
            times = np.unique(np.concatenate([np.arange(max(0, t - 64), t), np.geomspace(1, t, 64).astype(int) - 1]))
            values = np.asarray(self.reselection(int(t), times.astype(float)), dtype=float)
            limit = 1.0 / fractions[t]
            bad = ~((values >= -1e-12) & (values <= limit * (1 + 1e-12)))
            if bad.any():
                where = int(np.argmax(bad))
                raise InvalidArgument(
                    f"The scheme {self!r} has P(t, s) = {values[where]:g} at t = {t}, s = {times[where]:g}, "
                    f"outside [0, 1/b] = [0, {limit:g}]. P(t, s) must be a conditional probability divided by b_t."
                )
        self._check_law(fractions[:_LAW_STEPS])

    def _check_law(self, fractions: np.ndarray) -> None:
        """Raise `InvalidArgument` if a probability that follows from P is negative, over the steps of `fractions`.

        The chance g(t, s) that a sample selected at s is selected next at t, and none in between, solves the renewal
        equation b_t P(t, s) = g(t, s) + sum_{s<v<t} g(v, s) b_t P(t, v). Each must be at least 0, and they must add up
        to at most 1; likewise for the first selection after the start (column 0 of the tables).
        """
        steps = len(fractions)
        chance = np.zeros((steps + 1, steps + 1))
        for t, fraction in enumerate(fractions):
            chance[t + 1, 0] = fraction
            chance[t + 1, 1 : t + 1] = fraction * np.asarray(self.reselection(t, np.arange(t, dtype=float)))
        later = chance * (np.arange(steps + 1) > 0)
        first = np.linalg.solve(np.eye(steps + 1) + later, chance)
        for s in range(steps + 1):
            column = first[s + 1 :, s]
            total = np.cumsum(column)
            bad = (column < -1e-9) | (total > 1 + 1e-9)
            if bad.any():
                t = s + int(np.argmax(bad))
                event = f"selected at s = {s - 1} is selected next" if s else "is selected for the first time"
                raise InvalidArgument(
                    f"The scheme {self!r}: no random selection has this P(t, s). The chance that a sample {event} at "
                    f"t = {t} comes out as {column[t - s]:.3g}, and at or before it as {total[t - s]:.3g}. "
                    "Correct `reselection` or `fractions`."
                )


@dataclass(frozen=True, slots=True)
class FullBatch(Batches):
    """Gradient descent: every sample at every step; b = 1, P = 1."""

    def fractions(self, steps: int) -> np.ndarray:
        return np.broadcast_to(1.0, (steps,))

    def reselection(self, t: int, s: np.ndarray) -> np.ndarray:
        return np.ones_like(s)

    def sampler(self, samples: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        everyone = np.arange(samples)
        while True:
            yield everyone

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls()]

    @classmethod
    def at_fraction(cls, fraction: float) -> Self | None:
        return cls() if fraction == 1.0 else None

    @property
    def memoryless(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Bernoulli(Batches):
    """The talk's SGD: each sample joins each batch with probability b_t, redrawn at every step; P = 1.

    Parameters
    ----------
    fraction : number, array over steps, or function of the step; in (0, 1]
        The mean batch size is `fraction` times the number of samples.
    """

    fraction: float | check.Table | Callable[[int], float]

    def __repr__(self) -> str:
        return f"Bernoulli(fraction={check.shown(self.fraction)})"

    def __post_init__(self) -> None:
        object.__setattr__(self, "fraction", check.schedule("batch_fraction", self.fraction, **_FRACTION))

    def fractions(self, steps: int) -> np.ndarray:
        return check.resolve("batch_fraction", self.fraction, steps, **_FRACTION)

    def reselection(self, t: int, s: np.ndarray) -> np.ndarray:
        return np.ones_like(s)

    def sampler(self, samples: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        for fraction in self.fractions(steps):
            yield np.flatnonzero(rng.random(samples) < fraction)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(0.3), cls(1.0)]

    @classmethod
    def at_fraction(cls, fraction: float) -> Self | None:
        return cls(fraction)

    @property
    def memoryless(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Epochs:
    """What schemes share that use every sample once in an epoch of E batches: b = 1/E, and the period of P(t, s)."""

    batches_per_epoch: int

    def __post_init__(self) -> None:
        check.settle(self, "batches_per_epoch", check.integer, at_least=1)

    def fractions(self, steps: int) -> np.ndarray:
        return np.broadcast_to(1.0 / self.batches_per_epoch, (steps,))

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(5), cls(2)]

    @classmethod
    def at_fraction(cls, fraction: float) -> Self | None:
        epoch = 1 / fraction
        return cls(round(epoch)) if abs(epoch - round(epoch)) < 1e-9 * epoch else None

    @property
    def memoryless(self) -> bool:
        return self.batches_per_epoch == 1

    @property
    def phases(self) -> int:
        return self.batches_per_epoch


@dataclass(frozen=True, slots=True)
class Shuffled(_Epochs, Batches):
    """Random partition into E batches, each used once an epoch, reshuffled every epoch: sampling without replacement.

    b = 1/E; P(t, s) = 0 if t and s lie in one epoch, else 1.
    """

    def reselection(self, t: int, s: np.ndarray) -> np.ndarray:
        epoch = self.batches_per_epoch
        return np.where(np.floor_divide(s, epoch) == t // epoch, 0.0, 1.0)

    def sampler(self, samples: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        while True:
            yield from _parts(rng.permutation(samples), self.batches_per_epoch)


@dataclass(frozen=True, slots=True)
class Cyclic(_Epochs, Batches):
    """One random partition into E batches, always used in the same order.

    b = 1/E; P(t, s) = E if t = s modulo E, else 0.
    """

    def reselection(self, t: int, s: np.ndarray) -> np.ndarray:
        epoch = self.batches_per_epoch
        return np.where(np.mod(t - s, epoch) == 0, float(epoch), 0.0)

    def sampler(self, samples: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        order = rng.permutation(samples)
        while True:
            yield from _parts(order, self.batches_per_epoch)


@dataclass(frozen=True, slots=True)
class Persistent(Batches):
    """Each sample enters and leaves the batch as a stationary two-state Markov chain.

    P(t, s) = 1 + (1/b - 1) memory^(t - s).

    Parameters
    ----------
    fraction : float in (0, 1]
        b, the stationary probability of being in the batch.
    memory : float in [0, 1]
        gamma, the correlation from one step to the next; the correlation time is -1/log(gamma).
        0 is `Bernoulli`, 1 is descent on one fixed subset.
    """

    fraction: float
    _: KW_ONLY
    memory: float

    def __post_init__(self) -> None:
        check.settle(self, "fraction", **_FRACTION)
        remedy = "0 redraws the batch at every step, 1 keeps it for ever."
        check.settle(self, "memory", at_least=0.0, at_most=1.0, remedy=remedy)

    @classmethod
    def from_correlation_time(cls, fraction: float, correlation_time: float) -> Self:
        """The scheme whose selections decorrelate as exp(-(t - s)/correlation_time)."""
        time = check.number("correlation_time", correlation_time, above=0.0)
        return cls(fraction, memory=float(np.exp(-1.0 / time)))

    def fractions(self, steps: int) -> np.ndarray:
        return np.broadcast_to(self.fraction, (steps,))

    def reselection(self, t: int, s: np.ndarray) -> np.ndarray:
        return 1.0 + (1.0 / self.fraction - 1.0) * self.memory ** (t - s)

    def sampler(self, samples: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        b, gamma = self.fraction, self.memory
        selected = rng.random(samples) < b
        while True:
            yield np.flatnonzero(selected)
            selected = rng.random(samples) < np.where(selected, b + (1 - b) * gamma, b * (1 - gamma))

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(0.3, memory=0.8), cls(0.5, memory=0.98)]

    @classmethod
    def at_fraction(cls, fraction: float) -> Self | None:
        """A sample stays in or out of the batch for a correlation time of one epoch, 1/b steps."""
        return cls.from_correlation_time(fraction, 1.0 / fraction)

    @property
    def memoryless(self) -> bool:
        return self.memory == 0.0 or self.fraction == 1.0


@dataclass(frozen=True, slots=True)
class OnePass(Batches):
    """Every sample is used once, in `steps` equal batches: online learning. b = 1/steps, P = 0."""

    steps: int

    def __post_init__(self) -> None:
        check.settle(self, "steps", check.integer, at_least=1)

    def fractions(self, steps: int) -> np.ndarray:
        return np.broadcast_to(1.0 / self.steps, (steps,))

    def reselection(self, t: int, s: np.ndarray) -> np.ndarray:
        return np.zeros_like(s)

    def sampler(self, samples: int, steps: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        yield from _parts(rng.permutation(samples), self.steps)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(40)]

    def check_run(self, steps: int) -> None:
        if steps > self.steps:
            raise InvalidArgument(
                f"`OnePass(steps={self.steps})` has used every sample after {self.steps} steps, but the run has {steps}. "
                f"Use `OnePass(steps={steps})`."
            )
        Batches.check_run(self, steps)


def _parts(order: np.ndarray, parts: int) -> Iterator[np.ndarray]:
    """A permutation cut into parts, one after the other; their sizes differ by at most one."""
    size, larger = divmod(len(order), parts)
    for part in range(parts):
        first = part * size + min(part, larger)
        yield np.sort(order[first : first + size + (part < larger)])
