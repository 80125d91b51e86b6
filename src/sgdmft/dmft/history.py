r"""The past of a trajectory: operators such as C and R, and the rows of the current time, in coordinates.

A coordinate is one past time (dense), or one node of a panel (compressed). Panels are aligned dyadic intervals of time:
a panel of level l covers p 2^l steps of each phase of the minibatch scheme, and carries for each phase the values at the
Gauss nodes of at most `limit` Gram polynomials. Level 0, a leaf, is exact. Neighbours of equal level merge as they recede
from the present; how many nodes the parent needs, and whether it may be, the tolerance decides. Which operators and rows
there are, a closure declares by a `Layout`; compiled code knows them by the names of `sgdmft._kernels.layout`.
"""

from __future__ import annotations

import enum
from dataclasses import astuple, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from sgdmft._kernels import merge as kernel
from sgdmft._kernels.layout import NOW, Lines
from sgdmft.dmft.gram import analysis, gram, tails, transfer

_NEVER = 1 << 62


class Read(enum.Enum):
    """What is asked of a two-time function besides sums over the past, and so what a merge may cost it."""

    SUMS = "nothing"
    VALUES = "values at single times"
    RESPONSE = "values, as a response to kicks of size 1/eta, and sums over later times"


class Layout(NamedTuple):
    """What a closure keeps of the past: operators, lines that travel with the coordinates, rows of scratch."""

    operators: tuple[Read, ...]
    lines: tuple[Read, ...]
    scratch: int

    def weights(self, gain: float) -> tuple[np.ndarray, np.ndarray]:
        """Squared weights of the error at single times and in partial sums, shapes (operators, 2) and (lines, 2).

        `gain` is 1 over the largest learning rate: what is kept of R is R eta.
        """
        table = {Read.SUMS: (0.0, 0.0), Read.VALUES: (1.0, 0.0), Read.RESPONSE: (gain * gain, 1.0)}
        return np.array([table[read] for read in self.operators]), np.array([table[read] for read in self.lines])


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

    layout: Layout
    gain: float
    operators: np.ndarray
    row: np.ndarray
    end: np.ndarray
    lines: np.ndarray
    scratch: np.ndarray
    now: np.ndarray
    order: int
    limit: int
    phases: int
    panels: list[Panel] = field(default_factory=list)
    accepted: float = 0.0
    _work: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))
    _run: np.ndarray = field(default_factory=lambda: np.zeros(1))
    #: The rows of the current time that every closure has, views of the first of `lines`.
    named: Lines = field(init=False)
    _clock: tuple[np.ndarray, np.ndarray] = field(init=False)
    _weights: tuple[np.ndarray, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.named = Lines(*self.lines[:4])
        self._clock = self.now["time"], self.now["coordinates"]
        self._weights = self.layout.weights(self.gain)

    def __getstate__(self) -> dict[str, Any]:
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.init}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.__post_init__()

    @property
    def t(self) -> int:
        return self._clock[0].item()

    @property
    def n(self) -> int:
        """Coordinates in use."""
        return self._clock[1].item()

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

    # -- construction ----------------------------------------------------------------------------------------------

    @classmethod
    def dense(cls, steps: int, layout: Layout) -> History:
        """One coordinate for each of `steps` times."""
        return cls.with_panels(max(steps, 1), layout, 1.0, order=1, phases=1, limit=1)

    @classmethod
    def with_panels(
        cls, capacity: int, layout: Layout, gain: float, *, order: int, phases: int, limit: int | None = None
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
            layout=layout,
            gain=gain,
            operators=np.zeros((len(layout.operators), int(row[-1]))),
            row=row,
            end=np.arange(1, capacity + 1),
            lines=np.zeros((1 + len(layout.lines), capacity + 1)),
            scratch=np.zeros((layout.scratch, capacity + 1)),
            now=np.zeros(1, NOW),
            order=order,
            limit=limit,
            phases=phases,
            _work=np.zeros((widest, max(capacity, 4 * max(order, limit) + 1))) if order > 1 else np.zeros((1, 1)),
            _run=np.zeros(2 * widest),
        )

    def grown(self, capacity: int) -> History:
        """The same history with room for at least as many coordinates."""
        new = History.with_panels(
            capacity, self.layout, self.gain, order=self.order, phases=self.phases, limit=self.limit
        )
        return new._filled(self.arrays())

    def restored(self, arrays: dict[str, np.ndarray]) -> History:
        """A history of the same kind from its `arrays`."""
        return self.grown(max(self.capacity, len(arrays["end"])))._filled(arrays)

    def arrays(self) -> dict[str, np.ndarray]:
        """All that makes the history what it is."""
        table = {name: getattr(self, name) for name in ("operators", "end", "lines", "now")}
        panels = np.array([astuple(panel) for panel in self.panels], dtype=np.int64)
        return {**table, "panels": panels, "accepted": np.array(self.accepted)}

    def _filled(self, arrays: dict[str, np.ndarray]) -> History:
        for name in ("operators", "end", "lines", "now"):
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

    def close_leaf(self, tolerance: float, separation: float) -> None:
        """The full leaf becomes a panel; then everything that is due is tried, from the newest panel to the oldest.

        A pair is due when it lies `separation` of its parent's lengths from the present; a refused one again later. Old
        panels lose nodes as what they carry fades.
        """
        t, panels = self.t, self.panels
        panels.append(Panel(t - self.leaf, 0, self.order))
        self._schedule(len(panels) - 2, separation)
        i, at = len(panels), self.n
        while i > 0:
            i -= 1
            panel = panels[i]
            at -= panel.order * self.phases
            if panel.due <= t:
                parent = Panel(panel.start, panel.level + 1, 0)
                span = self.span(parent)
                parent.order = self._replace(at, span, (panel.order, panels[i + 1].order), tolerance)
                if parent.order:
                    parent.thin = panel.start + 3 * span
                    panels[i : i + 2] = [parent]
                    self._schedule(i, separation)
                    self._schedule(i - 1, separation)
                else:
                    panel.due = t + max(self.leaf, span // 8)
            elif panel.thin <= t:
                if panel.order > 1:
                    panel.order = self._replace(at, self.span(panel), (panel.order,), tolerance) or panel.order
                panel.thin = t + (t - panel.start) // 2

    def _schedule(self, i: int, separation: float) -> None:
        """When panels i and i + 1 may merge, if ever."""
        if 0 <= i < len(self.panels) - 1:
            first, parent = self.panels[i], 2 * self.span(self.panels[i])
            aligned = self.panels[i + 1].level == first.level and first.start % parent == 0
            fits = aligned and first.start >= separation * parent
            first.due = first.start + parent + int(separation * parent) if fits else _NEVER

    def _replace(self, at: int, span: int, orders: tuple[int, ...], tolerance: float) -> int:
        """Replace the coordinates from `at` on, those of a panel or of two halves, by fewer; their order, or 0 if refused."""
        points, phases, n = span // self.phases, self.phases, self.n
        limit = min(self.limit, points, sum(orders) - 1)
        table = analysis(points, orders, limit)
        worst, work = self._work[0, : limit + 1], self._work[1]
        order = kernel.truncation(
            self.operators, self.row, self.lines, *self._weights, n, self.leaf, at, phases, points, tolerance, table,
            limit, work, worst,
        )  # fmt: skip
        if order:
            self.accepted = max(self.accepted, float(worst[order]))
            matrix, weights, parts = transfer(points, orders, order)
            self.now["coordinates"] = kernel.replace(
                self.operators,
                self.row,
                self.end,
                self.lines,
                n,
                at,
                phases,
                parts,
                matrix,
                weights,
                self._work,
                self._run,
            )
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

    def row_at(self, coordinates: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Values of a row of coordinates (`named.correlation`, ...) at past times s < t, shape (len(times),)."""
        times = np.asarray(times, dtype=np.int64)
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

    def tail_sums(self, coordinates: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Sums over s from each of the past `times` up to t - 1 of a row of coordinates, shape (len(times),).

        Exact for the panels' polynomials.
        """
        times = np.asarray(times, dtype=np.int64)
        if not self.compressed:
            return np.cumsum(coordinates[: self.n][::-1])[::-1][times]
        starts, at = self._starts()
        whole = self.named.weight[: self.n] * coordinates[: self.n]
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
