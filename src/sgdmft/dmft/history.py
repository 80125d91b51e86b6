r"""The past of a trajectory: operators C, R, L, G and the rows of the current time, in coordinates.

A coordinate is one past time (dense), or one node of a panel (compressed). Panels are aligned dyadic intervals of time:
a panel of level l covers p 2^l steps of each phase of the minibatch scheme, and carries for each phase the values at the
Gauss nodes of at most `limit` Gram polynomials. Level 0, a leaf, is exact. Neighbours of equal level merge as they recede
from the present; how many nodes the parent needs, and whether it may be, the tolerance decides. The arrays are laid out
for `sgdmft._kernels.sweep`; the names of operators, vectors and scalars stand there.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field

import numpy as np

from sgdmft._kernels import panels as kernel_panels
from sgdmft._kernels import sweep as kernel
from sgdmft.dmft.gram import analysis, gram, tails, transfer

_NEVER = 1 << 62


@dataclass(slots=True)
class Panel:
    """Steps [start, start + span) in `order` nodes for each phase.

    Its pair with the next panel is to merge at step `due`, and it alone to lose nodes at step `thin`.
    """

    start: int
    level: int
    order: int
    due: int = _NEVER
    thin: int = _NEVER


@dataclass(slots=True)
class History:
    """Arrays of the past; `t` is the current time, whose rows are not yet a part of it."""

    ops: np.ndarray
    row: np.ndarray
    end: np.ndarray
    vec: np.ndarray
    state: np.ndarray
    counters: np.ndarray
    order: int
    limit: int
    phases: int
    panels: list[Panel] = field(default_factory=list)
    accepted: float = 0.0
    _work: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))
    _run: np.ndarray = field(default_factory=lambda: np.zeros(1))

    @property
    def t(self) -> int:
        return int(self.counters[kernel.TIME])

    @property
    def n(self) -> int:
        """Coordinates in use."""
        return int(self.counters[kernel.COORDINATES])

    @property
    def capacity(self) -> int:
        return len(self.end)

    @property
    def leaf(self) -> int:
        """Steps in a leaf; 1 for a dense history."""
        return self.order * self.phases

    @property
    def compressed(self) -> bool:
        return self.order > 1

    @property
    def nbytes(self) -> int:
        return self.ops.nbytes + self.vec.nbytes

    # -- construction ----------------------------------------------------------------------------------------------

    @classmethod
    def dense(cls, steps: int, *, operators: int) -> History:
        """One coordinate for each of `steps` times."""
        return cls.with_panels(max(steps, 1), operators=operators, order=1, phases=1, limit=1)

    @classmethod
    def with_panels(
        cls, capacity: int, *, operators: int, order: int, phases: int, limit: int | None = None
    ) -> History:
        """An empty history of at most `capacity` coordinates: leaves of `order` steps per phase, panels of order <= `limit`.

        By default `limit` is order + 4: then fewer panels are refused for want of a few nodes.
        """
        limit = order + 4 if limit is None else limit
        widest = max(order, limit) * phases
        # Lower triangles packed row by row: room for the panel that the last of four rows read together may lie in,
        # in whole cache lines.
        room = ((np.arange(capacity) | 3) + widest + 7) // 8 * 8
        row = np.concatenate([[0], np.cumsum(room)])
        return cls(
            ops=np.zeros((operators, int(row[-1]))),
            row=row,
            end=np.arange(1, capacity + 1),
            vec=np.zeros((kernel.VECTORS, capacity + 1)),
            state=np.zeros(3),
            counters=np.zeros(2, dtype=np.int64),
            order=order,
            limit=limit,
            phases=phases,
            _work=np.zeros((widest, max(capacity, 4 * max(order, limit) + 1))) if order > 1 else np.zeros((1, 1)),
            _run=np.zeros(2 * widest),
        )

    def grown(self, capacity: int) -> History:
        """The same history with room for at least as many coordinates."""
        new = History.with_panels(
            capacity, operators=len(self.ops), order=self.order, phases=self.phases, limit=self.limit
        )
        return new._filled(self.arrays())

    def restored(self, arrays: dict[str, np.ndarray]) -> History:
        """A history of the same kind from its `arrays`."""
        return self.grown(max(self.capacity, len(arrays["end"])))._filled(arrays)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that makes the history what it is."""
        table = {name: getattr(self, name) for name in ("ops", "end", "vec", "state", "counters")}
        panels = np.array([astuple(panel) for panel in self.panels], dtype=np.int64)
        return {**table, "panels": panels, "accepted": np.array(self.accepted)}

    def _filled(self, arrays: dict[str, np.ndarray]) -> History:
        for name in ("ops", "end", "vec", "state", "counters"):
            values = arrays[name]
            getattr(self, name)[..., : values.shape[-1]] = values
        self.panels = [Panel(*map(int, line)) for line in arrays["panels"]]
        self.accepted = float(arrays["accepted"])
        return self

    # -- panels ----------------------------------------------------------------------------------------------------

    def span(self, panel: Panel) -> int:
        """Steps of a panel."""
        return self.order * self.phases << panel.level

    @property
    def leaf_start(self) -> int:
        """First step of the leaf that is being filled."""
        return self.panels[-1].start + self.span(self.panels[-1]) if self.panels else 0

    def has_room(self) -> bool:
        """Whether the coordinates of one more leaf fit in, one per step."""
        return self.n + self.leaf <= len(self.end)

    def close_leaf(self, tolerance: float, distance: float, gain: float) -> None:
        """The full leaf becomes a panel; then everything that is due is tried, from the newest panel to the oldest.

        A pair is due when it lies `distance` of its parent's lengths from the present; a refused one again later. Old
        panels lose nodes as what they carry fades.
        """
        t, panels = self.t, self.panels
        panels.append(Panel(t - self.leaf, 0, self.order))
        self._schedule(len(panels) - 2, distance)
        i, at = len(panels), self.n
        while i > 0:
            i -= 1
            panel = panels[i]
            at -= panel.order * self.phases
            if panel.due <= t:
                parent = Panel(panel.start, panel.level + 1, 0)
                span = self.span(parent)
                parent.order = self._replace(at, span, (panel.order, panels[i + 1].order), tolerance, gain)
                if parent.order:
                    parent.thin = panel.start + 3 * span
                    panels[i : i + 2] = [parent]
                    self._schedule(i, distance)
                    self._schedule(i - 1, distance)
                else:
                    panel.due = t + max(self.leaf, span // 8)
            elif panel.thin <= t:
                if panel.order > 1:
                    panel.order = self._replace(at, self.span(panel), (panel.order,), tolerance, gain) or panel.order
                panel.thin = t + (t - panel.start) // 2

    def _schedule(self, i: int, distance: float) -> None:
        """When panels i and i + 1 may merge, if ever."""
        if 0 <= i < len(self.panels) - 1:
            first, parent = self.panels[i], 2 * self.span(self.panels[i])
            aligned = self.panels[i + 1].level == first.level and first.start % parent == 0
            fits = aligned and first.start >= distance * parent
            first.due = first.start + parent + int(distance * parent) if fits else _NEVER

    def _replace(self, at: int, span: int, orders: tuple[int, ...], tolerance: float, gain: float) -> int:
        """Replace the coordinates from `at` on, those of a panel or of two halves, by fewer; their order, or 0 if refused."""
        points, phases, n = span // self.phases, self.phases, self.n
        limit = min(self.limit, points, sum(orders) - 1)
        table = analysis(points, orders, limit)
        worst, work = self._work[0, : limit + 1], self._work[1]
        order = kernel_panels.truncation(
            self.ops, self.row, self.vec, n, self.leaf, at, phases, points, gain, tolerance, table, limit, work, worst
        )
        if order:
            self.accepted = max(self.accepted, float(worst[order]))
            matrix, weights, parts = transfer(points, orders, order)
            n = kernel_panels.replace(
                self.ops, self.row, self.end, self.vec, n, at, phases, parts, matrix, weights, self._work, self._run
            )
            self.counters[kernel.COORDINATES] = n
        return order

    # -- reading ---------------------------------------------------------------------------------------------------

    def times(self, ahead: int = 0) -> np.ndarray:
        """Time of each coordinate, and of `ahead` coming ones, shape (n + ahead,).

        With phases, nodes inside a merged panel are rounded to whole epochs, so that the phase is exact.
        """
        if not self.compressed:
            return np.arange(self.t + ahead, dtype=float)
        parts = []
        for panel in self.panels:
            nodes = gram(self.order << panel.level, panel.order).nodes
            if self.phases > 1:
                nodes = np.round(nodes)
            parts.append((panel.start + self.phases * nodes[:, None] + np.arange(self.phases)).ravel())
        parts.append(np.arange(self.leaf_start, self.t + ahead, dtype=float))
        return np.concatenate(parts)

    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        """First step and first coordinate of each panel, and of the leaf that is being filled."""
        steps = np.array([panel.start for panel in self.panels] + [self.leaf_start])
        return steps, self.phases * np.cumsum([0] + [panel.order for panel in self.panels])

    def row_at(self, vector: int, times: np.ndarray) -> np.ndarray:
        """Values of a row of coordinates (`kernel.C_ROW`, ...) at past times s < t, shape (len(times),)."""
        times = np.asarray(times, dtype=np.int64)
        coordinates = self.vec[vector]
        if not self.compressed:
            return coordinates[times].copy()
        starts, at = self._starts()
        which = np.searchsorted(starts, times, side="right") - 1
        values = np.empty(len(times))
        for i in np.unique(which):
            here = which == i
            local = times[here] - starts[i]
            if i == len(self.panels):  # the leaf that is being filled
                values[here] = coordinates[at[i] + local]
                continue
            order = self.panels[i].order
            basis = gram(self.order << self.panels[i].level, order)
            nodal = coordinates[at[i] : at[i + 1]].reshape(order, self.phases)
            epochs, phase = np.divmod(local, self.phases)
            values[here] = np.einsum("xi,ix->x", basis.evaluate(epochs.astype(float)), nodal[:, phase])
        return values

    def tail_sums(self, vector: int, times: np.ndarray) -> np.ndarray:
        """Sums over s from each of the past `times` up to t - 1 of a row of coordinates, shape (len(times),).

        Exact for the panels' polynomials.
        """
        times = np.asarray(times, dtype=np.int64)
        coordinates = self.vec[vector]
        if not self.compressed:
            return np.cumsum(coordinates[: self.n][::-1])[::-1][times]
        starts, at = self._starts()
        whole = self.vec[kernel.WEIGHT, : self.n] * coordinates[: self.n]
        behind = np.append(np.cumsum(whole[::-1])[::-1], 0.0)  # sums from a coordinate on
        which = np.searchsorted(starts, times, side="right") - 1
        sums = np.empty(len(times))
        for i in np.unique(which):
            here = which == i
            local = times[here] - starts[i]
            if i == len(self.panels):
                sums[here] = behind[at[i] + local]
                continue
            order = self.panels[i].order
            nodal = coordinates[at[i] : at[i + 1]].reshape(order, self.phases)
            sums[here] = behind[at[i + 1]]
            for phase in range(self.phases):
                first = (local - phase + self.phases - 1) // self.phases  # first point of this phase that counts
                sums[here] += tails(self.order << self.panels[i].level, order, first) @ nodal[:, phase]
        return sums

    def operator(self, index: int) -> np.ndarray:
        """Dense matrix (n, n) of an operator of a dense history: L and R eta causal, C and G symmetric."""
        if self.compressed:
            raise ValueError("Only a dense history holds its operators entry by entry.")
        n = self.n
        matrix = np.zeros((n, n))
        for v in range(n):
            matrix[v, : v + 1] = self.ops[index, self.row[v] : self.row[v] + v + 1]
        return matrix if index in (kernel.R, kernel.L) else matrix + matrix.T
