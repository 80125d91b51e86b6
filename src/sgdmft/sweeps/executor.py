"""Independent runs side by side on threads (their compiled loops release the interpreter lock), and how they are stopped.

What stops a run is an event that it is handed as its argument `cancel` and looks at between chunks of steps.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

from sgdmft.progress import Parts
from sgdmft.run.trajectory import Status
from sgdmft.signals import interruptible

_Label = TypeVar("_Label")
_Result = TypeVar("_Result")
_POLL = 0.1  # seconds between two looks at progress and interruption


def cores() -> int:
    """Cores that this process may use."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def uninterrupted(result: _Result) -> _Result:
    """The result of a run, which may be a trajectory; `KeyboardInterrupt` in place of one that was interrupted."""
    if getattr(result, "status", None) is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return result


def on_threads(
    jobs: Iterable[Callable[[], object]],
    stop: threading.Event,
    *,
    workers: int,
    cancel: threading.Event | None = None,
    tell: Callable[[], None] = lambda: None,
) -> bool:
    """Call functions on threads; whether all have returned before `cancel` was set or a signal asked to end.

    This thread calls `tell` some ten times a second. However it ends, `stop` is set, at which those that run must return,
    and they have returned; the first error, of theirs or of `tell`, is raised after that.
    """
    pool = ThreadPoolExecutor(workers)
    with interruptible(cancel) as cancelled:
        try:
            running = {pool.submit(job) for job in jobs}
            while running:
                finished, running = wait(running, timeout=_POLL, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                tell()
                if cancelled():
                    return False
            return True
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            stop.set()
            pool.shutdown()


def side_by_side(
    jobs: Mapping[_Label, tuple[float, Callable[..., Any]]],
    progress: Callable[[float, float, str], None] | None = None,
    *,
    workers: int | None = None,
    cancel: threading.Event | None = None,
) -> dict[_Label, Any]:
    """Results of independent jobs, run on threads.

    Parameters
    ----------
    jobs : label -> (expected work in any one unit, function with the keyword arguments `progress` and `cancel`)
        Started from the largest to the smallest.
    progress : callable of `sgdmft.progress`
        Called in this thread.
    workers : int, default all cores
    cancel : threading.Event or None

    When a job or `progress` fails, the other jobs are stopped, and the error is raised; on Ctrl-C, SIGTERM, SIGHUP or
    when `cancel` is set, all are stopped and `KeyboardInterrupt` is raised, whatever they returned. A job that keeps what
    it computes by itself must see that it is `uninterrupted`.

    >>> side_by_side({"one": (1.0, lambda progress, cancel: 1), "two": (2.0, lambda progress, cancel: 2)})
    {'one': 1, 'two': 2}
    """
    stop, found = threading.Event(), dict[_Label, Any]()
    told = deque[tuple[float, float, str]](maxlen=1)
    parts = Parts(lambda *report: told.append(report), {label: work for label, (work, _) in jobs.items()})

    def run(label: _Label) -> None:
        found[label] = uninterrupted(jobs[label][1](progress=parts[label], cancel=stop))
        parts.finish(label)

    def tell() -> None:
        if progress is not None and told:
            progress(*told.pop())

    work = [partial(run, label) for label in sorted(jobs, key=lambda label: -jobs[label][0])]
    if not on_threads(work, stop, workers=workers or cores(), cancel=cancel, tell=tell):
        raise KeyboardInterrupt
    return {label: found[label] for label in jobs}
