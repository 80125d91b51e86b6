r"""The past of a trajectory: operators C, R, L, G and the rows of the current time, in coordinates.

A coordinate is one past time (dense), or one node of a panel (compressed): then panels, aligned dyadic intervals of
time, carry p Gauss nodes for each phase of the minibatch scheme, and neighbours merge as they recede. The arrays are
laid out for `sgdmft._kernels.sweep`; the names of operators, vectors and scalars stand there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np

from sgdmft._kernels import panels as kernel_panels
from sgdmft._kernels import sweep as kernel
from sgdmft.dmft.gram import Gram, gram, tails, transfer

#: Dyadic levels of the panels: enough for 2^40 steps.
_LEVELS = 40


@dataclass(slots=True)
class History:
    """Arrays of the past; `t` is the current time, whose rows are not yet a part of it."""

    ops: np.ndarray
    row: np.ndarray
    end: np.ndarray
    vec: np.ndarray
    state: np.ndarray
    counters: np.ndarray
    panels: np.ndarray
    order: int
    phases: int
    accepted: np.ndarray = field(default_factory=lambda: np.zeros(1))

    @property
    def t(self) -> int:
        return int(self.counters[kernel_panels.TIME])

    @property
    def n(self) -> int:
        """Coordinates in use."""
        return int(self.counters[kernel_panels.COORDINATES])

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
        """One coordinate for each of `steps` times; lower triangles packed row by row, rows aligned to 64 bytes."""
        count = max(steps, 1)
        end = np.arange(1, count + 1)
        width = (end + 7) // 8 * 8
        row = np.concatenate([[0], np.cumsum(width)[:-1]])
        return cls(
            ops=np.zeros((operators, int(row[-1] + width[-1]))),
            row=row,
            end=end,
            vec=np.zeros((kernel.VECTORS, count + 8)),
            state=np.zeros(3),
            counters=np.zeros(6, dtype=np.int64),
            panels=np.zeros((3, 0), dtype=np.int64),
            order=1,
            phases=1,
        )

    @classmethod
    def with_panels(cls, capacity: int, *, operators: int, order: int, phases: int) -> History:
        """An empty compressed history of at most `capacity` coordinates, with `order` nodes per panel and phase."""
        row, size = _packed(capacity, order * phases)
        return cls(
            ops=np.zeros((operators, size)),
            row=row,
            end=np.zeros(capacity, dtype=np.int64),
            vec=np.zeros((kernel.VECTORS, capacity + 8)),
            state=np.zeros(3),
            counters=np.zeros(6, dtype=np.int64),
            panels=np.zeros((3, capacity // (order * phases) + 1), dtype=np.int64),
            order=order,
            phases=phases,
        )

    def grown(self, capacity: int) -> History:
        """The same compressed history with room for more coordinates."""
        new = History.with_panels(capacity, operators=len(self.ops), order=self.order, phases=self.phases)
        n = self.n
        new.ops[:, : self.ops.shape[1]] = self.ops
        new.end[:n] = self.end[:n]
        new.vec[:, :n] = self.vec[:, :n]
        new.panels[:, : self.panels.shape[1]] = self.panels
        new.state[:], new.counters[:], new.accepted[:] = self.state, self.counters, self.accepted
        return new

    # -- reading ---------------------------------------------------------------------------------------------------

    def leaf_empty(self) -> bool:
        """Whether the next step begins a leaf."""
        return int(self.counters[kernel_panels.LEAF_FILL]) == 0

    def leaf_room(self) -> int:
        """Steps until the current leaf is full."""
        return self.leaf - int(self.counters[kernel_panels.LEAF_FILL])

    def times(self, ahead: int = 0) -> np.ndarray:
        """Time of each coordinate, and of `ahead` coming ones, shape (n + ahead,).

        With phases, nodes inside a merged panel are rounded to whole epochs, so that the phase is exact.
        """
        if not self.compressed:
            return np.arange(self.t + ahead, dtype=float)
        parts = []
        count = int(self.counters[kernel_panels.PANELS])
        for start, level in self.panels[:2, :count].T:
            nodes = gram(self.order << int(level), self.order).nodes
            if self.phases > 1:
                nodes = np.round(nodes)
            parts.append((start + self.phases * nodes[:, None] + np.arange(self.phases)).ravel())
        first = self.t - int(self.counters[kernel_panels.LEAF_FILL])
        parts.append(np.arange(first, self.t + ahead, dtype=float))
        return np.concatenate(parts)

    def _starts(self) -> np.ndarray:
        """First step of each panel, and of the leaf that is being filled."""
        count = int(self.counters[kernel_panels.PANELS])
        return np.append(self.panels[0, :count], self.t - int(self.counters[kernel_panels.LEAF_FILL]))

    def row_at(self, vector: int, times: np.ndarray) -> np.ndarray:
        """Values of a row of coordinates (`kernel.C_ROW`, ...) at past times s < t, shape (len(times),)."""
        times = np.asarray(times, dtype=np.int64)
        coordinates = self.vec[vector]
        if not self.compressed:
            return coordinates[times].copy()
        q, e = self.leaf, self.phases
        count = int(self.counters[kernel_panels.PANELS])
        starts = self._starts()
        which = np.searchsorted(starts, times, side="right") - 1
        values = np.empty(len(times))
        for panel in np.unique(which):
            here = which == panel
            local = times[here] - starts[panel]
            if panel == count:  # the leaf that is being filled
                values[here] = coordinates[count * q + local]
                continue
            basis: Gram = gram(self.order << int(self.panels[1, panel]), self.order)
            nodal = coordinates[panel * q : (panel + 1) * q].reshape(self.order, e)
            values[here] = np.einsum("xi,ix->x", basis.evaluate((local // e).astype(float)), nodal[:, local % e])
        return values

    def tail_sums(self, vector: int, times: np.ndarray) -> np.ndarray:
        """Sums over s from each of the past `times` up to t - 1 of a row of coordinates, shape (len(times),).

        Exact for the panels' polynomials.
        """
        times = np.asarray(times, dtype=np.int64)
        coordinates = self.vec[vector]
        if not self.compressed:
            return np.cumsum(coordinates[: self.n][::-1])[::-1][times]
        q, e = self.leaf, self.phases
        starts = self._starts()
        whole = self.vec[kernel.WEIGHT, : self.n] * coordinates[: self.n]
        behind = np.append(np.cumsum(whole[::-1])[::-1], 0.0)  # sums from a coordinate on
        which = np.searchsorted(starts, times, side="right") - 1
        sums = np.empty(len(times))
        for panel in np.unique(which):
            here = which == panel
            local = times[here] - starts[panel]
            if panel == len(starts) - 1:
                sums[here] = behind[panel * q + local]
                continue
            points = self.order << int(self.panels[1, panel])
            nodal = coordinates[panel * q : (panel + 1) * q].reshape(self.order, e)
            sums[here] = behind[(panel + 1) * q]
            for phase in range(e):
                first = (local - phase + e - 1) // e  # first point of this phase that counts
                sums[here] += tails(points, self.order, first) @ nodal[:, phase]
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


def _packed(capacity: int, leaf: int) -> tuple[np.ndarray, int]:
    """Where rows begin, and the size of all: row v has room for the columns up to the end of its panel, in cache lines."""
    room = (np.arange(capacity) // leaf + 1) * leaf
    ends = np.cumsum((room + 7) // 8 * 8)
    return np.concatenate([[0], ends[:-1]]), int(ends[-1])


@functools.cache
def transfers(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Merging matrices of all levels, shape (levels, 2 p, p), and square roots of the weights, (levels + 1, p)."""
    matrices = np.stack([transfer(level, order) for level in range(_LEVELS)])
    weights = np.stack([np.sqrt(gram(order << level, order).weights) for level in range(_LEVELS + 1)])
    return matrices, weights
