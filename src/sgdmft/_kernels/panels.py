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
    C12,
    C12_ROW,
    C_ROW,
    DONE,
    G12,
    MAGNETIZATION,
    R_ROW,
    TEACHER,
    WEIGHT,
    C,
    R,
    step,
    stopped,
)

# Panel table: first step, level, and the time before which a refused merge is not tried again.
PANEL_START, PANEL_LEVEL, PANEL_RETRY = range(3)
# Counters of the history.
COORDINATES, PANELS, TIME, LEAF_FILL, MERGES, REFUSALS = range(6)


@njit(**_OPTIONS)
def _merge_row(flat, source, target, i0, n, q, stride, T, work):
    """Copy the n coordinates at flat[source] to flat[target], the pair [i0, i0 + 2q) merged into its parent's q."""
    p = T.shape[1]
    old, new = flat[source : source + n], flat[target : target + n]
    for j in range(q):
        work[j] = 0.0
    for a in range(2 * p):
        for phase in range(stride):
            value = old[i0 + a * stride + phase]
            for j in range(p):
                work[j * stride + phase] += T[a, j] * value
    if target != source:
        for s in range(i0):
            new[s] = old[s]
    for j in range(q):
        new[i0 + j] = work[j]
    for s in range(i0 + q, n - q):
        new[s] = old[s + q]


@njit(**_OPTIONS)
def _lost(flat, start, i0, stride, T, work):
    """Squared norm of what the parent of [i0, i0 + 2q) cannot represent of the row at flat[start]."""
    p = T.shape[1]
    lost = 0.0
    pair = flat[start + i0 : start + i0 + 2 * p * stride]
    for phase in range(stride):
        for j in range(p):
            work[j] = 0.0
        for a in range(2 * p):
            value = pair[a * stride + phase]
            for j in range(p):
                work[j] += T[a, j] * value
        for a in range(2 * p):
            rest = pair[a * stride + phase]
            for j in range(p):
                rest -= T[a, j] * work[j]
            lost += rest * rest
    return lost


@njit(**_OPTIONS)
def truncation(ops, row, vec, n, q, i0, stride, points, gain, tolerance, T, work):
    """Largest error that merging the pair at i0 would bring into the last q rows, and into the current one.

    Let e^2 be the squared norm of what the parent loses of a row. C and R (that is `gain` times R eta) are read off at single
    times: there the error is about sqrt(2 p + 1) e / sqrt(points), the edge of a panel against its root mean square.
    All others only appear in sums over the past; what is lost is orthogonal to what the parent keeps, so sums err in second
    order, by the product of two such norms: at most the largest e^2. Above `tolerance` the search ends early.
    """
    p = T.shape[1]
    scale = (2 * p + 1) / points
    read = _lost(vec[C_ROW], 0, i0, stride, T, work)
    if ops.shape[0] > G12:
        read = max(read, _lost(vec[C12_ROW], 0, i0, stride, T, work))
    response = _lost(vec[R_ROW], 0, i0, stride, T, work)
    lost = max(_lost(vec[MAGNETIZATION], 0, i0, stride, T, work), _lost(vec[TEACHER], 0, i0, stride, T, work))
    worst = max(np.sqrt(scale * max(read, gain * gain * response)), lost, read, response)
    v = n
    while v > n - q and worst <= tolerance:
        v -= 1
        for op in range(ops.shape[0]):
            value = _lost(ops[op], row[v], i0, stride, T, work)
            worst = max(worst, value)
            if op in (C, C12):
                worst = max(worst, np.sqrt(scale * value))
            elif op == R:
                worst = max(worst, gain * np.sqrt(scale * value))
    return worst


@njit(**_OPTIONS)
def _merge_operator(M, row, end, n, q, i0, stride, T, work):
    """Rows and columns of the pair at i0 become those of its parent; later rows and columns move up by q."""
    p = T.shape[1]
    width = i0 + 2 * q
    # The 2q rows of the pair, in `work` behind their q combinations, of which then the columns of the pair merge.
    for v in range(2 * q):
        old, copy = M[row[i0 + v] : row[i0 + v] + end[i0 + v]], work[1 + q + v]
        for s in range(end[i0 + v]):
            copy[s] = old[s]
        for s in range(end[i0 + v], width):
            copy[s] = 0.0
    for j in range(p):
        for phase in range(stride):
            target = work[1 + j * stride + phase]
            for s in range(width):
                target[s] = 0.0
            for a in range(0, 2 * p, 2):
                one, two = work[1 + q + a * stride + phase], work[1 + q + (a + 1) * stride + phase]
                first, second = T[a, j], T[a + 1, j]
                for s in range(width):
                    target[s] += first * one[s] + second * two[s]
    for v in range(q):
        _merge_row(work[1 + v], 0, 0, i0, width, q, stride, T, work[0])
        new, combined = M[row[i0 + v] : row[i0 + v] + i0 + q], work[1 + v]
        for s in range(i0 + q):
            new[s] = combined[s]
    for v in range(i0 + 2 * q, n):
        _merge_row(M, row[v], row[v - q], i0, end[v], q, stride, T, work[0])


@njit(**_OPTIONS)
def merge(ops, row, end, vec, n, q, i0, stride, T, node_weight, work):
    """Merge the panels at [i0, i0 + q) and [i0 + q, i0 + 2q) into one at [i0, i0 + q); returns the new n."""
    for op in range(ops.shape[0]):
        _merge_operator(ops[op], row, end, n, q, i0, stride, T, work)
    for name in (MAGNETIZATION, TEACHER, C_ROW, R_ROW, C12_ROW):
        _merge_row(vec[name], 0, 0, i0, n, q, stride, T, work[0])
    for s in range(i0 + 2 * q, n):
        vec[WEIGHT, s - q] = vec[WEIGHT, s]
        end[s - q] = end[s] - q
    for s in range(q):
        vec[WEIGHT, i0 + s] = node_weight[s // stride]
        end[i0 + s] = i0 + q
    return n - q


@njit(**_OPTIONS)
def close_leaf(
    ops,
    row,
    end,
    vec,
    counters,
    panels,
    transfer,
    weights,
    q,
    stride,
    tolerance,
    distance,
    gain,
    accepted,
    work,
):
    """The full leaf becomes a panel; then try all pairs of neighbours of equal level, aligned, and far from t and from 0."""
    t = counters[TIME]
    i = counters[PANELS]
    panels[PANEL_START, i] = t - q
    panels[PANEL_LEVEL, i] = 0
    panels[PANEL_RETRY, i] = 0
    counters[PANELS] = i + 1
    counters[LEAF_FILL] = 0
    while i > 0:
        i = min(i, counters[PANELS] - 1) - 1
        level, start = panels[PANEL_LEVEL, i], panels[PANEL_START, i]
        parent = 2 * q << level
        if (
            panels[PANEL_LEVEL, i + 1] != level
            or start % parent != 0
            or start < distance * parent
            or t - (start + parent) < distance * parent
            or t < panels[PANEL_RETRY, i]
            or level + 1 >= weights.shape[0]
        ):
            continue
        n, T = counters[COORDINATES], transfer[level]
        error = truncation(ops, row, vec, n, q, i * q, stride, parent, gain, tolerance, T, work[0])
        if error <= tolerance:
            accepted[0] = max(accepted[0], error)
            counters[COORDINATES] = merge(ops, row, end, vec, n, q, i * q, stride, T, weights[level + 1], work)
            counters[PANELS] -= 1
            counters[MERGES] += 1
            panels[PANEL_LEVEL, i] = level + 1
            panels[PANEL_RETRY, i] = 0
            for j in range(i + 1, counters[PANELS]):
                for line in range(panels.shape[0]):
                    panels[line, j] = panels[line, j + 1]
            i += 2  # the parent may merge with its neighbours in turn
        else:
            counters[REFUSALS] += 1
            panels[PANEL_RETRY, i] = t + max(q, parent // 8)


@njit(**_OPTIONS)
def open_leaf(end, counters, panels, q):
    """Room for q new coordinates, one per step; False if there is none."""
    n = counters[COORDINATES]
    if n + q > end.shape[0] or counters[PANELS] + 1 > panels.shape[1]:
        return False
    for s in range(q):
        end[n + s] = n + s + 1
    return True


@njit(**_OPTIONS)
def advance(ops, row, end, vec, state, counters, steps, p_rows, rates, poly, run, out, measure):
    """Take `steps` steps, each a new coordinate; returns (steps taken, reason). With `measure` none: `out[0]` at t."""
    for i in range(steps):
        n, t = counters[COORDINATES], counters[TIME]
        p_row = p_rows[min(i, p_rows.shape[0] - 1)]
        step(
            ops, row, end, vec, state, n, p_row, rates[i], poly, run, out[i], t == 0, measure
        )  # fmt: skip
        if measure:
            return 0, DONE
        counters[COORDINATES] = n + 1
        counters[TIME] = t + 1
        counters[LEAF_FILL] += 1
        reason = stopped(state, run)
        if reason != DONE:
            return i + 1, reason
    return steps, DONE
