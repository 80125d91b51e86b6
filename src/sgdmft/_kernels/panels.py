r"""The compressed past, compiled: panels of coordinates, their merging, and the run over many leaves.

A panel of level l covers p E 2^l steps with p E coordinates: for each of the E phases (time modulo E) the values at the
p Gauss nodes of the discrete Chebyshev (Gram) polynomials on p 2^l points. Level 0, a leaf, is exact. Two neighbours merge
by the fixed matrix `transfer[l]` (2p, p) with orthonormal columns, phase by phase. The step itself is `sweep.step`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from sgdmft._kernels.sweep import (
    _OPTIONS,
    C12_ROW,
    C_ROW,
    DONE,
    FULL,
    G12,
    MAGNETIZATION,
    R_ROW,
    TEACHER,
    WEIGHT,
    step,
    stopped,
)

# Panel table: first step, level, and the time before which a refused merge is not tried again.
PANEL_START, PANEL_LEVEL, PANEL_RETRY = range(3)
# Counters of the history.
COORDINATES, PANELS, TIME, LEAF_FILL, MERGES, REFUSALS = range(6)


@njit(**_OPTIONS)
def _merge_row(x, i0, n, q, stride, T, work):
    """Coordinates [i0, i0 + 2q) of x become q coordinates of the parent; what lies behind moves up."""
    p = T.shape[1]
    work[:q] = 0.0
    for a in range(2 * p):
        for phase in range(stride):
            value = x[i0 + a * stride + phase]
            for j in range(p):
                work[j * stride + phase] += T[a, j] * value
    x[i0 : i0 + q] = work[:q]
    for s in range(i0 + 2 * q, n):
        x[s - q] = x[s]


@njit(**_OPTIONS)
def _lost(x, i0, stride, T, work):
    """Squared norm of what the parent of [i0, i0 + 2q) cannot represent of the row x."""
    p = T.shape[1]
    lost = 0.0
    for phase in range(stride):
        for j in range(p):
            work[j] = 0.0
        for a in range(2 * p):
            value = x[i0 + a * stride + phase]
            for j in range(p):
                work[j] += T[a, j] * value
        for a in range(2 * p):
            rest = x[i0 + a * stride + phase]
            for j in range(p):
                rest -= T[a, j] * work[j]
            lost += rest * rest
    return lost


@njit(**_OPTIONS)
def truncation(ops, row, vec, n, q, i0, stride, points, T, work):
    """Largest error that merging the pair at i0 would bring into the last q rows, and into the current one.

    With e^2 the squared norm of what the parent loses of a row, this is the larger of the root mean square error of the
    row over the panel, e / sqrt(points), and e^2, the bound on the error of its sums with rows as rough as itself
    (what is lost is orthogonal to what the parent keeps, so sums over the past err in second order only).
    """
    lost = max(
        _lost(vec[C_ROW], i0, stride, T, work),
        _lost(vec[R_ROW], i0, stride, T, work),
        _lost(vec[MAGNETIZATION], i0, stride, T, work),
        _lost(vec[TEACHER], i0, stride, T, work),
    )
    if ops.shape[0] > G12:
        lost = max(lost, _lost(vec[C12_ROW], i0, stride, T, work))
    for v in range(n - q, n):
        for op in range(ops.shape[0]):
            lost = max(lost, _lost(ops[op][row[v] :], i0, stride, T, work))
    return max(np.sqrt(lost / points), lost)


@njit(**_OPTIONS)
def merge(ops, row, end, band, band_start, vec, n, q, i0, stride, T, node_weight, work):
    """Merge the panels at [i0, i0 + q) and [i0 + q, i0 + 2q) into one at [i0, i0 + q); returns the new n."""
    p = T.shape[1]
    for op in range(ops.shape[0]):
        M = ops[op]
        # The 2q rows of the pair, all columns up to their ends, become q rows in `work`, then their last columns merge.
        work[: q + 1] = 0.0
        for v in range(2 * q):
            a, phase = v // stride, v % stride
            start = row[i0 + v]
            for j in range(p):
                weight = T[a, j]
                target = work[1 + j * stride + phase]
                for s in range(end[i0 + v]):
                    target[s] += weight * M[start + s]
        for v in range(q):
            _merge_row(work[1 + v], i0, i0 + 2 * q, q, stride, T, work[0])
        for v in range(q):
            start = row[i0 + v]
            for s in range(i0 + q):
                M[start + s] = work[1 + v, s]
        # Later rows: their columns merge, and they move up by q.
        for v in range(i0 + 2 * q, n):
            start, target = row[v], row[v - q]
            _merge_row(M[start : start + end[v]], i0, end[v], q, stride, T, work[0])
            for s in range(end[v] - q):
                M[target + s] = M[start + s]
    # The diagonal operator of G, one p x p block for each panel and phase.
    if band.shape[1] > 0:
        block = np.zeros((q, p))
        for half in range(2):
            for phase in range(stride):
                for a in range(p):
                    v = i0 + half * q + a * stride + phase
                    for b in range(p):
                        value = band[v, b]
                        for i in range(p):
                            left = T[half * p + a, i] * value
                            for j in range(p):
                                block[i * stride + phase, j] += left * T[half * p + b, j]
        band[i0 : i0 + q] = block
        for v in range(i0 + 2 * q, n):
            band[v - q] = band[v]
    for name in (MAGNETIZATION, TEACHER, C_ROW, R_ROW, C12_ROW):
        _merge_row(vec[name], i0, n, q, stride, T, work[0])
    for s in range(i0 + 2 * q, n):
        vec[WEIGHT, s - q] = vec[WEIGHT, s]
        end[s - q] = end[s] - q
        band_start[s - q] = band_start[s] - q
    for s in range(q):
        vec[WEIGHT, i0 + s] = node_weight[s // stride]
        end[i0 + s] = i0 + q
        band_start[i0 + s] = i0 + s % stride
    return n - q


@njit(**_OPTIONS)
def merge_panels(
    ops,
    row,
    end,
    band,
    band_start,
    vec,
    counters,
    panels,
    transfer,
    weights,
    q,
    stride,
    tolerance,
    distance,
    accepted,
    work,
):
    """Try all pairs of neighbours that are aligned, of equal level and far enough from t and from 0."""
    i = counters[PANELS] - 2
    while i >= 0:
        level = panels[PANEL_LEVEL, i]
        if i + 1 < counters[PANELS] and panels[PANEL_LEVEL, i + 1] == level and level + 1 < weights.shape[0]:
            size = q << level
            start = panels[PANEL_START, i]
            t = counters[TIME]
            if (
                start % (2 * size) == 0
                and start >= distance * 2 * size
                and t - (start + 2 * size) >= distance * 2 * size
                and t >= panels[PANEL_RETRY, i]
            ):
                n = counters[COORDINATES]
                T = transfer[level]
                error = truncation(ops, row, vec, n, q, i * q, stride, 2 * size, T, work[0])
                if error <= tolerance:
                    accepted[0] = max(accepted[0], error)
                    counters[COORDINATES] = merge(
                        ops, row, end, band, band_start, vec, n, q, i * q, stride, T, weights[level + 1], work
                    )
                    panels[PANEL_LEVEL, i] = level + 1
                    panels[PANEL_RETRY, i] = 0
                    for j in range(i + 1, counters[PANELS] - 1):
                        panels[:, j] = panels[:, j + 1]
                    counters[PANELS] -= 1
                    counters[MERGES] += 1
                    i += 2  # the parent may merge with its neighbours in turn
                else:
                    counters[REFUSALS] += 1
                    panels[PANEL_RETRY, i] = t + max(q, size // 4)
        i = min(i, counters[PANELS] - 1) - 1


@njit(**_OPTIONS)
def advance_compressed(
    ops, row, end, band, band_start, vec, state, counters, panels, transfer, weights, q, stride, tolerance, distance,
    accepted, steps, p_rows, rates, poly, run, out, work,
):  # fmt: skip
    """Up to `steps` steps from the current time; merges after every leaf. Returns (steps taken, reason)."""
    capacity = end.shape[0]
    for i in range(steps):
        n = counters[COORDINATES]
        if counters[LEAF_FILL] == 0:
            if n + q > capacity or counters[PANELS] + 1 > panels.shape[1]:
                return i, FULL
            for s in range(q):
                end[n + s] = n + s + 1
                band_start[n + s] = n + s % stride
        t = counters[TIME]
        p_row = p_rows[min(i, p_rows.shape[0] - 1)]
        step(
            ops, row, end, band, band_start, stride, vec, state, n, p_row, rates[i], poly, run, out[i],
            t == 0, False, 0, work,
        )  # fmt: skip
        counters[COORDINATES] = n + 1
        counters[TIME] = t + 1
        counters[LEAF_FILL] += 1
        if counters[LEAF_FILL] == q:
            counters[LEAF_FILL] = 0
            panel = counters[PANELS]
            panels[PANEL_START, panel] = t + 1 - q
            panels[PANEL_LEVEL, panel] = 0
            panels[PANEL_RETRY, panel] = 0
            counters[PANELS] = panel + 1
            merge_panels(
                ops, row, end, band, band_start, vec, counters, panels, transfer, weights, q, stride, tolerance,
                distance, accepted, work,
            )  # fmt: skip
        reason = stopped(state, run)
        if reason != DONE:
            return i + 1, reason
    return steps, DONE
