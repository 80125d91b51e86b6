"""How a process is asked to end: Ctrl-C, a scheduler's SIGTERM, the SIGHUP of a terminal that closes.

A run that hears one of them stops with what it has. After Ctrl-C the next run may begin; after the others every later run
of the process stops at once too, as the process is to end.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

#: Signals that are heard -> what Python does with them by itself.
_USUAL: dict[int, Any] = {signal.SIGINT: signal.default_int_handler}
_USUAL |= {getattr(signal, name): signal.SIG_DFL for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)}

_heard: list[int] = []
_counts: list[int] = []  # of signals, at the beginning of each run of the main thread that goes on


def last() -> signal.Signals | None:
    """The last signal that was heard."""
    return signal.Signals(_heard[-1]) if _heard else None


@contextmanager
def interruptible(cancel: threading.Event | None = None) -> Iterator[Callable[[], bool]]:
    """Whether to stop: `cancel` is set, or a signal was heard, once; the second raises `KeyboardInterrupt` at once.

    Signals are left alone in other threads than the main one, and where they are ignored or handled by somebody else.
    """
    begun = len(_heard)
    with _hearing(_counts):
        yield (
            lambda: (
                len(_heard) > begun
                or any(number != signal.SIGINT for number in _heard)
                or (cancel is not None and cancel.is_set())
            )
        )


@contextmanager
def raising() -> Iterator[None]:
    """Signals raise `KeyboardInterrupt`, outside of runs, and those heard before are forgotten."""
    _heard.clear()
    try:
        with _hearing(None):
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            _heard.clear()


@contextmanager
def _hearing(counts: list[int] | None) -> Iterator[None]:
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number, usual in _USUAL.items():
                if signal.getsignal(number) == usual and not (number == signal.SIGTERM and _worker()):
                    stack.callback(signal.signal, number, signal.signal(number, _hear))
            if counts is not None:
                counts.append(len(_heard))
                stack.callback(counts.pop)
        yield


def _hear(number: int, frame: Any) -> None:
    _heard.append(number)
    if not _counts or len(_heard) > _counts[-1] + 1:
        raise KeyboardInterrupt


def _worker() -> bool:
    """Whether a pool has started this process, which will end it by SIGTERM and wait until it has gone."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None
