"""Checks of arguments. Every check tests exactly what its message says."""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from sgdmft.errors import InvalidArgument

#: A number, an array over steps, or a function of the step.
Schedule: TypeAlias = "float | Sequence[float] | np.ndarray | Callable[[int], float]"

#: Metadata of a field that changes no number: memory limits, callbacks.
NOT_IDENTITY = {"identity": False}


class Table(tuple[float, ...]):
    """A schedule given step by step: an immutable, hashable tuple that prints in short."""

    __slots__ = ()

    def __repr__(self) -> str:
        if len(self) <= 6:
            return f"[{', '.join(f'{value:.6g}' for value in self)}]"
        return f"[{self[0]:.6g}, {self[1]:.6g}, ..., {self[-1]:.6g}] ({len(self)} steps)"


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    remedy: str = "",
) -> float:
    """Return `value` as a finite float inside the stated interval, or raise `InvalidArgument`."""
    domain = _domain(above, at_least, at_most)
    tail = f" {remedy}" if remedy else ""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.number)):
        raise InvalidArgument(f"Argument `{name}` must be a number{domain}, but is {value!r}.{tail}")
    if not _inside(np.float64(value), above, at_least, at_most):
        raise InvalidArgument(f"Argument `{name}` must be a finite number{domain}, but is {value!r}.{tail}")
    return float(value)


def shown(value: Any) -> str:
    """A schedule in a printed object: a function by its name, the rest as it prints."""
    return f"<function {getattr(value, '__qualname__', type(value).__name__)}>" if callable(value) else repr(value)


def integer(name: str, value: Any, *, at_least: int, remedy: str = "") -> int:
    """Return `value` as an int that is at least `at_least`, or raise `InvalidArgument`."""
    tail = f" {remedy}" if remedy else ""
    message = f"Argument `{name}` must be an integer of at least {at_least}, but is {value!r}.{tail}"
    if isinstance(value, (bool, np.bool_)):
        raise InvalidArgument(message)
    try:
        result = operator.index(value)
    except TypeError:
        raise InvalidArgument(message) from None
    if result < at_least:
        raise InvalidArgument(message)
    return result


def settle(owner: Any, name: str, check: Callable[..., Any] = number, **domain: Any) -> None:
    """Check the field `name` of an immutable object being made, and keep it as the check returns it."""
    object.__setattr__(owner, name, check(name, getattr(owner, name), **domain))


def steps(name: str, values: Any) -> tuple[int, ...]:
    """Steps of a run, each at least 0, ascending and without repetition; or `InvalidArgument`."""
    if not isinstance(values, (Sequence, np.ndarray)) or isinstance(values, str):
        raise InvalidArgument(f"Argument `{name}` must be a sequence of steps, but is {values!r}.")
    return tuple(sorted({integer(name, step, at_least=0) for step in values}))


def schedule(name: str, value: Any, **domain: Any) -> float | Table | Callable[[int], float]:
    """Check a `Schedule` as far as it can be without the number of steps, and make it immutable."""
    if callable(value):
        return value  # type: ignore[return-value] - its values are checked by `resolve`
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str):
        array = np.asarray(value, dtype=float)
        if array.ndim != 1:
            raise InvalidArgument(
                f"Argument `{name}` as an array must have one dimension (one value per step), but has {array.ndim}."
            )
        _check_table(name, array, domain)
        return Table(array.tolist())
    return number(name, value, **domain)


def resolve(name: str, value: float | Table | Callable[[int], float], steps: int, **domain: Any) -> np.ndarray:
    """Values of a schedule at steps 0 .. steps - 1, shape (steps,), read-only.

    A constant takes no memory (a broadcast view).
    """
    if callable(value):
        array = np.fromiter((float(value(step)) for step in range(steps)), dtype=float, count=steps)
        _check_table(name, array, domain)
    elif isinstance(value, tuple):
        if len(value) < steps:
            raise InvalidArgument(
                f"Argument `{name}` holds {len(value)} values, but the run has {steps} steps. "
                f"Give one value per step, or a function of the step."
            )
        array = np.array(value[:steps])
    else:
        return np.broadcast_to(np.float64(value), (steps,))
    array.setflags(write=False)
    return array


def _domain(above: float | None, at_least: float | None, at_most: float | None) -> str:
    if above is not None and at_most is not None:
        return f" in ({above:g}, {at_most:g}]"
    if at_least is not None and at_most is not None:
        return f" in [{at_least:g}, {at_most:g}]"
    if above is not None:
        return f" above {above:g}"
    if at_least is not None:
        return f" of at least {at_least:g}"
    if at_most is not None:
        return f" of at most {at_most:g}"
    return ""


def _inside(values: Any, above: float | None, at_least: float | None, at_most: float | None) -> Any:
    """Whether values are finite and in an interval, elementwise."""
    good = np.isfinite(values)
    for bound, allowed in ((above, np.greater), (at_least, np.greater_equal), (at_most, np.less_equal)):
        good = good if bound is None else good & allowed(values, bound)
    return good


def _check_table(name: str, array: np.ndarray, domain: dict[str, Any]) -> None:
    """Raise at the first value of a schedule that `number` would refuse."""
    bounds = [domain.get(key) for key in ("above", "at_least", "at_most")]
    good = _inside(array, *bounds)
    if not good.all():
        step = int(np.argmin(good))
        tail = f" {domain['remedy']}" if "remedy" in domain else ""
        raise InvalidArgument(
            f"Argument `{name}` must be finite numbers{_domain(*bounds)}, but is {array[step]:g} at step {step}.{tail}"
        )
