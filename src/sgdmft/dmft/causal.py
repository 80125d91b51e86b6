"""Runs by causal steps: what is kept on the way, and the way itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdmft._kernels import layout as names
from sgdmft.dmft.integrator import Integrator
from sgdmft.dmft.run import Run
from sgdmft.errors import DamagedFile
from sgdmft.problem.models import GaussianLeastSquares
from sgdmft.run.request import Request
from sgdmft.run.stability import stability_limit
from sgdmft.run.trajectory import Status, Trajectory

_REASONS = {names.DIVERGED: Status.DIVERGED, names.RECOVERED: Status.RECOVERED}


class Record:
    """What is kept of a run so far: one-time quantities at the recorded steps, rows at the saved times."""

    ARRAYS = ("values", "count", "rows_count")

    def __init__(self, request: Request) -> None:
        save, steps = request.save, request.steps
        self.times = np.append(save.recorded(steps), 2 * steps + 1)  # room for a last one
        self.values = np.zeros((len(self.times), 4))
        self.count = 0
        self.saved = save.two_times(steps)
        self.rows: dict[str, np.ndarray] = {}
        self.rows_count = 0

    def add(self, t: int, out: np.ndarray) -> None:
        """Quantities at steps t, t + 1, ..., of which the recorded ones are kept."""
        while self.count < len(self.times) and self.times[self.count] < t + len(out):
            last = np.searchsorted(self.times, t + len(out))
            here = slice(self.count, last)
            self.values[here] = out[self.times[here] - t]
            self.count = int(last)

    def next_saved(self) -> int | None:
        return int(self.saved[self.rows_count]) if self.rows_count < len(self.saved) else None

    def add_row(self, integrator: Integrator) -> None:
        """C(t, .), R(t, .), chi(t, .) and what the closure adds, at the current time, which is the next saved one."""
        i, n, history = self.rows_count, len(self.saved), integrator.history
        past = self.saved[:i]
        kept = {
            "correlation": (integrator.correlation_row(past), history.now["norm"][0]),
            "response": (integrator.response_row(past), 0.0),
            "integrated_response": (integrator.integrated_response_row(past), 0.0),
            **integrator.closure.saved(history, past),
        }
        for name, values in kept.items():
            if name not in self.rows:
                self.rows[name] = np.zeros(n) if isinstance(values, float) else np.zeros((n, n))
            if isinstance(values, float):
                self.rows[name][i] = values
            else:
                self.rows[name][i, :i], self.rows[name][i, i] = values
        self.rows_count = i + 1

    def two_time(self) -> dict[str, np.ndarray]:
        """Matrices over the saved times reached, symmetric where C is; vectors of numbers."""
        n = self.rows_count
        tables = {name: table[(slice(n),) * table.ndim] for name, table in self.rows.items()}
        for name in ("correlation", "replica_correlation"):
            if name in tables:
                tables[name] = tables[name] + np.tril(tables[name], -1).T
        return tables


class CausalRun(Run):
    """A run by causal steps: what `Dense` and `Compressed` begin. `integrator` holds the history and its closure."""

    def __init__(self, request: Request, integrator: Integrator, method: Any) -> None:
        super().__init__(request, method)
        self.integrator, self._record, self._out = integrator, Record(request), np.zeros((64, 4))
        if 1 - 2 * integrator.start.magnetization + integrator.start.norm < integrator.stop_distance:
            self.status = Status.RECOVERED
        self._arrive()

    @property
    def t(self) -> int:
        return self.integrator.t

    @property
    def work(self) -> float:
        return super().work ** (1 if self.integrator.history.compressed else 3)

    def _go(self, target: int) -> None:
        t, end = self.t, min(target, self._record.next_saved() or target)
        if len(self._out) < end - t:
            self._out = np.zeros((end - t, 4))
        try:
            self.integrator.advance(end, self._out)
        finally:
            self._record.add(t, self._out[: self.t - t])
        self.status = _REASONS.get(self.integrator.reason, self.status)

    def _arrive(self) -> None:
        """Keep the row of a saved time."""
        if self._record.next_saved() == self.t and self.status is not Status.DIVERGED:
            self._record.add_row(self.integrator)
        super()._arrive()

    def trajectory(self) -> Trajectory:
        record, history, closure = self._record, self.integrator.history, self.integrator.closure
        times, values = record.times[: record.count + 1], record.values[: record.count + 1]
        if not self.ended:  # they go on being filled
            times, values = times.copy(), values.copy()
        now, loss = history.now[0], np.nan if self.status is Status.DIVERGED else closure.loss(history)
        times[-1], values[-1] = self.t, (now["magnetization"], now["norm"], loss, now["replica_overlap"])
        return self._trajectory(
            {"coordinates": history.n} | ({"largest_truncation": history.accepted} if history.compressed else {}),
            time=times,
            quantities=dict(zip(closure.recorded, values.T, strict=False)),
            two_time=record.saved[: record.rows_count],
            two_time_quantities=record.two_time(),
        )

    def _reason(self) -> str:
        model, rate = self.request.model, float(self.integrator.rates.learning_rate[self.t - 1])
        if not isinstance(model, GaussianLeastSquares):
            return f"The learning rate is {rate:.4g}"
        limit = stability_limit(model, self.request.algorithm)
        if limit.learning_rate is None:
            return f"No closed form of the stability limit at the signal is known here ({limit.reason})"
        if rate > limit.learning_rate:
            return f"The learning rate {rate:.4g} is above the stability limit {limit.learning_rate:.4g} at the signal"
        return (
            f"The learning rate {rate:.4g} is below the stability limit {limit.learning_rate:.4g} at the signal, "
            "but not stable on the way there"
        )

    def state(self) -> dict[str, np.ndarray]:
        arrays = {f"history_{name}": values for name, values in self.integrator.history.arrays().items()}
        arrays |= {f"record_{name}": np.asarray(getattr(self._record, name)) for name in Record.ARRAYS}
        return arrays | {f"rows_{name}": table for name, table in self._record.rows.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:

        def of(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): table for name, table in arrays.items() if name.startswith(prefix)}

        fresh = Record(self.request)
        try:
            history, record, rows = self.integrator.history.restored(of("history_")), of("record_"), of("rows_")
            counts = {name: int(record[name]) for name in ("count", "rows_count")}
            nodes = history.phases * sum(panel.order for panel in history.panels)
            inside = (
                0 <= history.t <= self.request.steps
                and history.n == nodes + history.t - history.leaf_start <= history.capacity
                and np.all((history.end >= 1) & (history.end <= np.diff(history.row)))
                and counts["count"] == np.searchsorted(fresh.times, history.t)
                and counts["rows_count"] == np.searchsorted(fresh.saved, history.t, side="right")
                and record["values"].shape == fresh.values.shape
                and all(table.shape == (len(fresh.saved),) * table.ndim for table in rows.values())
            )
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DamagedFile(f"The checkpoint lacks or spoils an entry ({error}). Delete it to start anew.") from error
        if not inside:
            raise DamagedFile("The checkpoint has an entry that is out of range. Delete it to start anew.")
        self.integrator.history, fresh.values, fresh.rows = history, record["values"], rows
        fresh.count, fresh.rows_count = counts["count"], counts["rows_count"]
        self._record = fresh
        self._arrive()
