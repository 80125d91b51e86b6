r"""Merging of panels, compiled: a run of coordinates of the past is replaced by fewer.

The matrices come from `sgdmft.dmft.gram`; which panels merge, and when, is decided in `sgdmft.dmft.history`. With phases
(time modulo E), coordinate a E + phase of a run is coordinate a of that phase, and the matrices act phase by phase.
"""

from __future__ import annotations

import numpy as np

from sgdmft._kernels.compiled import compiled
from sgdmft._kernels.layout import INNER, OPTIONS


@compiled(**OPTIONS)
def truncation(
    operators, row, lines, read_operators, read_lines, n, recent, start, phases, points, tolerance, analysis, order, tails,
    worst,
):  # fmt: skip
    """Lowest order that represents a run of coordinates within `tolerance`, in the last `recent` rows and the current one.

    worst[r] becomes the largest error with polynomials of degree < r; returns the smallest such r, or 0 if even degrees
    < `order` err more. The columns of `analysis` give the coefficients of a row in these polynomials and, behind, its rest.

    Let e^2 be the squared norm of what is lost of a row. What is read off at single times errs there by about
    sqrt(2 r + 1) e / sqrt(points), the edge of a panel against its root mean square; sums over a part of the panel err by
    about sqrt(points) e / (2 r + 1), the sum over half a period of P_r. How much these two count, squared, say the columns of
    `read_operators` and `read_lines`, one row for each operator and line. In sums over the whole past what is lost is
    orthogonal to what is kept: they err in second order, by the product of two such norms, at most the largest e^2.
    """
    count, width = analysis.shape
    for r in range(order + 1):
        worst[r] = 0.0
    for v in range(n, n - recent - 1, -1):
        read = read_lines if v == n else read_operators
        for i in range(read.shape[0]):
            values = lines[1 + i, start:] if v == n else operators[i, row[v] + start :]
            for r in range(order + 1):
                tails[r] = 0.0
            for phase in range(phases):
                part = tails[order + 1 :]
                for j in range(width):
                    part[j] = 0.0
                for a in range(count):
                    value = values[a * phases + phase]
                    for j in range(width):
                        part[j] += analysis[a, j] * value
                lost = 0.0
                for j in range(order, width):
                    lost += part[j] * part[j]
                tails[order] += lost
                for r in range(order - 1, -1, -1):
                    lost += part[r] * part[r]
                    tails[r] += lost
            for r in range(order + 1):
                edge, part_sum = read[i, 0] * (2 * r + 1) / points, read[i, 1] * points * phases / (2 * r + 1) ** 2
                worst[r] = max(worst[r], tails[r], np.sqrt(max(edge, part_sum) * tails[r]))
        if worst[order] > tolerance:
            return 0
    r = order
    while r > 1 and worst[r - 1] <= tolerance:
        r -= 1
    return r


@compiled(**INNER)
def _columns(source, target, length, start, phases, T, run):
    """Copy a row of `length` coordinates, the run at `start` replaced; zeros behind."""
    order, count = T.shape
    behind = start + count * phases
    shift = (count - order) * phases
    for s in range(start):
        target[s] = source[s]
    for phase in range(phases):
        for a in range(count):
            run[a] = source[start + a * phases + phase]
        for j in range(order):
            value, column = 0.0, T[j]
            for a in range(count):
                value += column[a] * run[a]
            target[start + j * phases + phase] = value
    for s in range(behind, length):
        target[s - shift] = source[s]
    for s in range(length - shift, target.shape[0]):
        target[s] = 0.0


@compiled(**INNER)
def _add(M, row, start, phases, factors, a, last, stop, target):
    """Add factors[a] times row a, and the three behind it up to row `last`, to `target`."""
    b, c, d = min(a + 1, last), min(a + 2, last), min(a + 3, last)
    fa, fb, fc, fd = factors[a], factors[b], factors[c], factors[d]
    if b == a:
        fb = 0.0
    if c == b:
        fc = 0.0
    if d == c:
        fd = 0.0
    ra, rb, rc, rd = start + a * phases, start + b * phases, start + c * phases, start + d * phases
    one, two = M[row[ra] : row[ra] + stop], M[row[rb] : row[rb] + stop]
    three, four = M[row[rc] : row[rc] + stop], M[row[rd] : row[rd] + stop]
    for s in range(stop):
        target[s] += fa * one[s] + fb * two[s] + fc * three[s] + fd * four[s]


@compiled(**OPTIONS)
def replace(operators, row, end, lines, n, start, phases, parts, T, weights, work, run):
    """Replace the run x of coordinates at `start` by T x, and so the operators M by T M T^T; returns the new n.

    The run is one panel or two: parts = 0, m or 0, m', m, in coordinates of a phase. Later rows and columns move up.
    """
    order, count = T.shape
    width = order * phases
    behind = start + count * phases
    shift = (count - order) * phases
    for op in range(operators.shape[0]):
        M = operators[op]
        for j in range(order):
            for phase in range(phases):
                target = work[j * phases + phase]
                for s in range(behind):
                    target[s] = 0.0
                for part in range(len(parts) - 1):
                    first, last = parts[part], parts[part + 1] - 1
                    stop = start + parts[part + 1] * phases  # all rows of a panel end there at the latest
                    for a in range(first, last + 1, 4):
                        _add(M, row, start + phase, phases, T[j], a, last, stop, target)
        for v in range(start, n - shift):
            if v < start + width:
                source, length = work[v - start], behind
            else:
                source, length = M[row[v + shift] : row[v + shift + 1]], end[v + shift]
            _columns(source, M[row[v] : row[v + 1]], length, start, phases, T, run)
    for line in range(1, lines.shape[0]):
        for s in range(n):
            work[0, s] = lines[line, s]
        _columns(work[0], lines[line, : n - shift], n, start, phases, T, run)
    for v in range(behind, n):
        lines[0, v - shift] = lines[0, v]
        end[v - shift] = end[v] - shift
    for v in range(width):
        lines[0, start + v] = weights[v // phases]
        end[start + v] = start + width
    for v in range(n - shift, n):
        end[v] = v + 1
    return n - shift
