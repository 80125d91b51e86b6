"""One place that is asked before much memory is taken.

>>> ask(1e6, "The table")
>>> with within(1e5):
...     ask(1e6, "The table", "Take fewer steps")
Traceback (most recent call last):
sgdmft.errors.TooLarge: The table needs 1 MB of memory, above the limit of 100 kB. Take fewer steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sgdmft.errors import TooLarge

#: Bytes that a run may take where nothing else is said.
LIMIT = 8e9
_limit: ContextVar[float] = ContextVar("memory_limit", default=LIMIT)


def ask(count: float, what: str, remedy: str = "", *, limit: float | None = None) -> None:
    """Raise `TooLarge` if `what` takes more than `limit` bytes, by default those of the `within` around it."""
    limit = _limit.get() if limit is None else limit
    if not count <= limit:
        tail = f" {remedy}." if remedy else ""
        raise TooLarge(f"{what} needs {size(count)} of memory, above the limit of {size(limit)}.{tail}")


@contextmanager
def within(limit: float) -> Iterator[None]:
    """Bytes that `ask` allows in this block, in this thread."""
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)


def size(count: float) -> str:
    """Bytes in words: 6.4 GB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.3g} {unit}"
