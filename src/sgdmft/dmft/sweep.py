"""A run of the causal sweep: chunks of steps, saved rows, stopping, interruption, checkpoints."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft._kernels import sweep as kernel
from sgdmft.dmft.checkpoint import Checkpoint, Clock
from sgdmft.dmft.integrator import Integrator
from sgdmft.dmft.pointwise import PointwiseIntegrator
from sgdmft.errors import Diverged
from sgdmft.parameters import content_key
from sgdmft.progress import reporter
from sgdmft.selfenergy import SelfEnergy
from sgdmft.stability import stability_limit
from sgdmft.trajectory import Status, Trajectory, provenance

if TYPE_CHECKING:
    from sgdmft.dmft.methods import Compressed, Dense, Problem

_CHUNK_SECONDS = 0.1  # between two looks at progress, interruption and checkpoints


class _Record:
    """What is kept of a run so far: one-time quantities at the recorded steps, rows at the saved times."""

    def __init__(self, problem: Problem) -> None:
        self.times = np.append(problem.save.recorded(problem.steps), 2 * problem.steps + 1)  # room for a last one
        self.values = np.zeros((len(self.times), 4))
        self.count = 0
        self.replicas = problem.replicas
        self.saved = problem.save.two_times(problem.steps)
        self.rows = np.zeros((4, len(self.saved), len(self.saved)))
        self.label_response = np.zeros(len(self.saved))
        self.rows_count = 0

    def add(self, t: int, out: np.ndarray) -> None:
        """Quantities at steps t, t + 1, ..., of which the recorded ones are kept."""
        while self.count < len(self.times) and self.times[self.count] < t + len(out):
            last = np.searchsorted(self.times, t + len(out))
            here = slice(self.count, last)
            self.values[here] = out[self.times[here] - t]
            self.count = int(last)

    def add_last(self, t: int, out: np.ndarray) -> None:
        """Quantities at the step the run ended at; it is kept even if it was not to be recorded."""
        self.times[self.count], self.values[self.count] = t, out
        self.count += 1

    def add_row(self, run: Integrator) -> None:
        """C(t, .), R(t, .), chi(t, .) (and C12) at the current time, which is the next saved one."""
        i = self.rows_count
        past = self.saved[:i]
        self.rows[0, i, :i] = run.correlation_row(past)
        self.rows[0, i, i] = run.history.state[kernel.C_NOW]
        self.rows[1, i, :i] = run.response_row(past)
        if self.replicas:
            self.rows[2, i, :i] = run.history.row_at(kernel.C12_ROW, past)
        self.rows[2, i, i] = run.history.state[kernel.C12_NOW]
        self.rows[3, i, :i] = run.integrated_response_row(past)
        self.label_response[i] = run.label_response()
        self.rows_count = i + 1

    def next_saved(self) -> int | None:
        return int(self.saved[self.rows_count]) if self.rows_count < len(self.saved) else None


def run(problem: Problem, method: Dense | Compressed) -> Trajectory:
    """Integrate a problem by the causal sweep; see `sgdmft.dmft.solve`."""
    began = time.perf_counter()
    integrator = _begin(problem, method)
    record = _Record(problem)
    key = _key(problem, method) if problem.checkpoint else ""
    if problem.checkpoint:
        _restore(problem.checkpoint, key, integrator, record)
    label = f"{type(method).__name__.lower()} theory"
    with reporter(problem.progress, label) as report, _interruptible() as interrupted:
        status = _loop(problem, integrator, record, lambda done, total: report.update(done, total), interrupted, key)
    if status is Status.INTERRUPTED and problem.checkpoint:
        _store(problem.checkpoint, key, integrator, record)
    elif problem.checkpoint:
        problem.checkpoint.remove()
    last = np.array([integrator.history.state[kernel.M_NOW], integrator.history.state[kernel.C_NOW], np.nan, np.nan])
    record.add_last(integrator.t, last if status is Status.DIVERGED else integrator.measure())
    trajectory = _trajectory(problem, method, integrator, record, status, time.perf_counter() - began)
    if status is Status.DIVERGED and problem.strict:
        raise Diverged(_divergence(problem, integrator), trajectory)
    return trajectory


def _begin(problem: Problem, method: Dense | Compressed) -> Integrator:
    common: dict[str, Any] = {
        "algorithm": problem.algorithm,
        "start": problem.start,
        "steps": problem.steps,
        "history": lambda operators: method.history(problem, operators),
        "stop_distance": problem.stop.distance if problem.stop else -np.inf,
        **method.options(),
    }
    if isinstance(problem.model, SelfEnergy):
        return PointwiseIntegrator.begin(problem.model, **common)
    return Integrator.begin(problem.model, replicas=problem.replicas, linearized=problem.linearized, **common)


def _loop(
    problem: Problem,
    integrator: Integrator,
    record: _Record,
    report: Callable[[float, float], None],
    interrupted: Callable[[], bool],
    key: str,
) -> Status:
    """Chunks of steps up to the end, the next saved time, or a stop."""
    power = 1 if integrator.history.compressed else 3
    clock = Clock(problem.checkpoint.seconds) if problem.checkpoint else None
    chunk = 64
    out = np.zeros((chunk, 4))
    if _stop_at_once(problem):
        return Status.RECOVERED
    while True:
        t = integrator.t
        if record.next_saved() == t:
            record.add_row(integrator)
        if t == problem.steps:
            return Status.COMPLETED
        target = min(problem.steps, t + chunk, record.next_saved() or problem.steps)
        if len(out) < chunk:
            out = np.zeros((chunk, 4))
        began = time.perf_counter()
        taken = integrator.advance(target, out)
        elapsed = time.perf_counter() - began
        record.add(t, out[:taken])
        if integrator.reason == kernel.DIVERGED:
            return Status.DIVERGED
        if integrator.reason == kernel.RECOVERED:
            if record.next_saved() == integrator.t:
                record.add_row(integrator)
            return Status.RECOVERED
        if taken == chunk:  # a full chunk tells the speed
            chunk = int(np.clip(chunk * _CHUNK_SECONDS / max(elapsed, 1e-9), chunk / 4 + 1, 2 * chunk))
            chunk = min(max(chunk, 8), 65536)
        report((integrator.t / problem.steps) ** power, 1.0)
        if interrupted() or (problem.cancel is not None and problem.cancel.is_set()):
            return Status.INTERRUPTED
        if clock and problem.checkpoint and clock.due():
            _store(problem.checkpoint, key, integrator, record)


def _stop_at_once(problem: Problem) -> bool:
    start = problem.start
    return problem.stop is not None and 1 - 2 * start.magnetization + start.norm < problem.stop.distance


def _trajectory(
    problem: Problem,
    method: Dense | Compressed,
    integrator: Integrator,
    record: _Record,
    status: Status,
    seconds: float,
) -> Trajectory:
    m, norm, loss, replica = record.values[: record.count].T
    quantities = {"magnetization": m, "loss": loss, "norm": norm}
    rows = record.rows[:, : record.rows_count, : record.rows_count]
    two_time = {
        "correlation": _symmetric(rows[0]),
        "response": rows[1],
        "integrated_response": rows[3],
        "label_response": record.label_response[: record.rows_count],
    }
    if problem.replicas:
        quantities["replica_overlap"] = replica
        two_time["replica_correlation"] = _symmetric(rows[2])
    past = integrator.history
    attributes: dict[str, Any] = {"method": repr(method), "seconds": seconds, "coordinates": past.n}
    if past.compressed:
        attributes["largest_truncation"] = past.accepted
    return Trajectory.build(
        kind="theory",
        model=problem.asked,
        algorithm=problem.algorithm,
        start=problem.start,
        time=record.times[: record.count],
        quantities=quantities,
        two_time=record.saved[: record.rows_count],
        two_time_quantities=two_time,
        status=status,
        attributes=attributes,
    )


def _symmetric(lower: np.ndarray) -> np.ndarray:
    return lower + np.tril(lower, -1).T


def _divergence(problem: Problem, integrator: Integrator) -> str:
    t = integrator.t
    rate = float(integrator.rates.learning_rate[t - 1])
    if isinstance(problem.model, SelfEnergy):
        return (
            f"Diverged: C(t,t) left the region below {integrator.equations.run[kernel.NORM_LIMIT]:.0e} at step {t}. "
            f"Lower the learning rate {rate:.4g}. The solution up to step {t} is in `error.trajectory`."
        )
    limit = stability_limit(problem.model, problem.algorithm)
    if limit.learning_rate is None:
        verdict = f"No closed form of the stability limit at the signal is known here ({limit.reason})"
    elif rate > limit.learning_rate:
        verdict = f"The learning rate {rate:.4g} is above the stability limit {limit.learning_rate:.4g} at the signal"
    else:
        verdict = (
            f"The learning rate {rate:.4g} is below the stability limit {limit.learning_rate:.4g} at the signal, "
            "but not stable on the way there"
        )
    bound = integrator.equations.run[kernel.NORM_LIMIT]
    return (
        f"Diverged: C(t,t) left the region below {bound:.0e} at step {t}. {verdict}. Lower the learning rate. "
        f"The solution up to step {t} is in `error.trajectory`."
    )


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that is looked at between chunks; the second one acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()
    previous = signal.getsignal(signal.SIGINT)

    def handler(number: int, frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if previous is None:  # not installed from Python: leave it alone
        yield lambda: False
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, previous)


# -- checkpoints ---------------------------------------------------------------------------------------------------

_RECORD = ("times", "values", "count", "saved", "rows", "label_response", "rows_count")


def _key(problem: Problem, method: Dense | Compressed) -> str:
    """Digest of everything that determines the run."""
    return content_key(
        model=problem.asked,
        algorithm=problem.algorithm,
        steps=problem.steps,
        start=problem.start,
        save=problem.save,
        stop=problem.stop,
        method=method,
        version=provenance()["version"],
    )


def _store(checkpoint: Checkpoint, key: str, integrator: Integrator, record: _Record) -> None:
    arrays = {f"history_{name}": values for name, values in integrator.history.arrays().items()}
    arrays |= {f"record_{name}": np.asarray(getattr(record, name)) for name in _RECORD}
    checkpoint.write(key, arrays)


def _restore(checkpoint: Checkpoint, key: str, integrator: Integrator, record: _Record) -> None:
    arrays = checkpoint.read(key)
    if arrays is None:
        return
    kept = {name.removeprefix("history_"): values for name, values in arrays.items() if name.startswith("history_")}
    integrator.history = integrator.history.restored(kept)
    for name in _RECORD:
        value = arrays[f"record_{name}"]
        setattr(record, name, int(value) if value.ndim == 0 else value)
    integrator.resized()
