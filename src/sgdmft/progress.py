"""Progress of a long run: work done, not steps taken.

A long function has an argument `progress`, which is

    False                            silent (the default);
    True                             a bar with the time left, drawn by rich (lines of text where there is no terminal);
    callable(done, total, label)     called a few times a second with the work done and the total work, in any one unit.

Work is what time is spent on: a dense step t costs t^2, so step t of T is t^3/T^3 of the work. What a callable raises
ends the run, as any error does.

Whoever does the work writes

    with progress.reporter(progress, "dense theory") as report:
        for step in range(steps):
            ...
            report.update(step**3, steps**3)

>>> seen = []
>>> with reporter(lambda done, total, label: seen.append((done, total, label)), "sum") as report:
...     for step in range(3):
...         report.update(step + 1, 3)
>>> seen[-1]
(3, 3, 'sum')
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias

#: What the argument `progress` of a long function may be.
Progress: TypeAlias = "bool | Callable[[float, float, str], None]"

_INTERVAL = 0.1  # seconds between two reports


class Reporter:
    """Throttles the reports of one run; `update` is cheap enough to be called at every step."""

    def __init__(
        self, call: Callable[[float, float, str], None] | None, label: str, close: Callable[[], None] | None = None
    ) -> None:
        self._call, self._label, self._close = call, label, close
        self._next = 0.0
        self._last: tuple[float, float, str] | None = None

    def update(self, done: float, total: float, label: str | None = None) -> None:
        """Report that `done` of `total` units of work are finished; `label` replaces the one given at the start."""
        if self._call is None:
            return
        now = time.monotonic()
        self._label = label or self._label
        self._last = (done, total, self._label)
        if now >= self._next:
            self._next = now + _INTERVAL
            report, self._last = self._last, None
            self._call(*report)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._call is not None and kind is None and self._last is not None:
                self._call(*self._last)
        finally:
            if self._close is not None:
                self._close()


def reporter(progress: Progress, label: str) -> Reporter:
    """A context manager with `.update(done, total)` for the argument `progress` of a long function."""
    if progress is not True:
        return Reporter(progress or None, label)
    if sys.stderr is None or sys.stderr.closed:
        return Reporter(None, label)
    if sys.stderr.isatty():
        bar = _Bar()
        return Reporter(bar.report, label, bar.close)
    return Reporter(_lines(), label)


class Parts:
    """Progress of several runs, side by side or one after the other, as one.

    Parameters
    ----------
    progress : Progress
        Where the whole is reported to.
    weights : mapping from the label of a part to its share of the work (any unit, say expected seconds)

    Examples
    --------
    >>> seen = []
    >>> parts = Parts(lambda done, total, label: seen.append(f"{done / total:.0%} {label}"), {"theory": 3, "data": 1})
    >>> parts["theory"](50, 100, "dense theory")
    >>> parts.finish("theory")
    >>> seen
    ['38% theory', '75% theory']
    """

    def __init__(self, progress: Callable[[float, float, str], None] | None, weights: Mapping[Any, float]) -> None:
        self._progress = progress
        self._weights = dict(weights)
        self._fractions = dict.fromkeys(weights, 0.0)
        self._lock = threading.Lock()

    def __getitem__(self, label: Any) -> Callable[[float, float, str], None]:
        """The callable to hand to the part as its `progress`."""
        return lambda done, total, _label: self._set(label, done / total if total > 0 else 0.0)

    def finish(self, label: Any) -> None:
        """Count a part as finished, whatever it reported."""
        self._set(label, 1.0)

    def _set(self, label: Any, fraction: float) -> None:
        with self._lock:
            self._fractions[label] = max(self._fractions[label], min(fraction, 1.0))
            done = sum(weight * self._fractions[key] for key, weight in self._weights.items())
            if self._progress is not None:
                self._progress(done, sum(self._weights.values()), str(label))


class _Bar:
    """A rich bar on a terminal, made at the first report."""

    def __init__(self) -> None:
        self._rich: Any = None
        self._task: Any = None

    def report(self, done: float, total: float, label: str) -> None:
        if self._rich is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            self._rich = Progress(*columns, console=Console(stderr=True), transient=True)
            self._rich.start()
            self._task = self._rich.add_task(label, total=1.0)
        self._rich.update(self._task, completed=done / total if total > 0 else 0.0, description=label)

    def close(self) -> None:
        if self._rich is not None:
            self._rich.stop()


def _lines() -> Callable[[float, float, str], None]:
    """A line of text at every tenth of the work, for logs."""
    printed = 0

    def report(done: float, total: float, label: str) -> None:
        nonlocal printed
        tenth = int(10 * done / total) if total > 0 else 0
        if tenth > printed:
            printed = tenth
            with contextlib.suppress(OSError, ValueError):  # a full disk, or nobody there: no reason to lose a run
                print(f"{label}: {10 * tenth} %", file=sys.stderr, flush=True)

    return report
