r"""Values and gradients of Gaussian random functions, each from one reading of the couplings; plain arrays only.

Notation
    points      x_c, shape (copies, N): several points that share one reading of the couplings
    rows        mu_q, the samples that are read, shape (n,)
    mask        mask[c, q]: whether copy c needs sample mu_q
    values      values[c, q] += scale times the form of sample mu_q at x_c, shape (copies, >= n)
    gradients   gradients[c, q, :] += its gradient, shape (copies, >= n, N)
    u           weights of the samples in the force F_c = sum_q u[c, q] gradients[c, q, :]
"""

from __future__ import annotations

import numpy as np

from sgdmft._kernels.compiled import compiled

_OPTIONS = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}


@compiled(**_OPTIONS)
def set_constant(constant, rows, mask, values, gradients):
    """Begin: values = constant of the sample, gradients = 0."""
    for c in range(mask.shape[0]):
        for q in range(rows.shape[0]):
            if mask[c, q]:
                values[c, q] = constant[rows[q]]
                gradients[c, q, :] = 0


@compiled(**_OPTIONS)
def add_linear(couplings, scale, rows, mask, points, values, gradients):
    """scale g.x, couplings g of shape (P, N)."""
    for q in range(rows.shape[0]):
        g = couplings[rows[q]]
        for c in range(mask.shape[0]):
            if mask[c, q]:
                x, y = points[c], gradients[c, q]
                total = g.dtype.type(0)
                for i in range(g.shape[0]):
                    total += g[i] * x[i]
                    y[i] += scale * g[i]
                values[c, q] += scale * total


@compiled(**_OPTIONS)
def _four_rows(j, i, x, y):
    """y += (A + A^T) x for rows i .. i+3 of the strict lower triangle A, packed from j[0] on."""
    a, b, c, d = j[:i], j[i : 2 * i], j[2 * i + 1 : 3 * i + 1], j[3 * i + 3 : 4 * i + 3]
    b0 = j[2 * i]
    c0, c1 = j[3 * i + 1], j[3 * i + 2]
    d0, d1, d2 = j[4 * i + 3], j[4 * i + 4], j[4 * i + 5]
    x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
    zero = j.dtype.type(0)
    s0, s1, s2, s3 = zero, zero, zero, zero
    for k in range(i):
        xk = x[k]
        s0 += a[k] * xk
        s1 += b[k] * xk
        s2 += c[k] * xk
        s3 += d[k] * xk
        y[k] += a[k] * x0 + b[k] * x1 + c[k] * x2 + d[k] * x3
    y[i] += s0 + b0 * x1 + c0 * x2 + d0 * x3
    y[i + 1] += s1 + b0 * x0 + c1 * x2 + d1 * x3
    y[i + 2] += s2 + c0 * x0 + c1 * x1 + d2 * x3
    y[i + 3] += s3 + d0 * x0 + d1 * x1 + d2 * x2


@compiled(**_OPTIONS)
def _one_row(j, i, x, y):
    """y += (A + A^T) x for row i of the strict lower triangle A, held in j[:i]."""
    total = j.dtype.type(0)
    for k in range(i):
        total += j[k] * x[k]
        y[k] += j[k] * x[i]
    y[i] += total


@compiled(**_OPTIONS)
def add_quadratic(couplings, scale, rows, mask, points, values, gradients):
    """scale sum_{k<i} A_ik x_i x_k, the strict lower triangle A packed row by row, shape (P, N (N - 1) / 2).

    `gradients` must hold zeros: it is where y = (A + A^T) x is summed, and the form is x.y / 2.
    """
    size = points.shape[1]
    blocks = size - size % 4
    for q in range(rows.shape[0]):
        j = couplings[rows[q]]
        for i in range(0, blocks, 4):
            first = i * (i - 1) // 2
            for c in range(mask.shape[0]):
                if mask[c, q]:
                    _four_rows(j[first:], i, points[c], gradients[c, q])
        for i in range(blocks, size):
            first = i * (i - 1) // 2
            for c in range(mask.shape[0]):
                if mask[c, q]:
                    _one_row(j[first:], i, points[c], gradients[c, q])
        for c in range(mask.shape[0]):
            if mask[c, q]:
                x, y = points[c], gradients[c, q]
                total = j.dtype.type(0)
                for k in range(size):
                    total += x[k] * y[k]
                    y[k] *= scale
                values[c, q] += scale * total / 2


@compiled(**_OPTIONS)
def add_tensor(couplings, order, scale, rows, mask, points, values, gradients):
    """scale sum T_{i..l} x_i .. x_l, a symmetric tensor T with `order` >= 3 indices, shape (P, N^order)."""
    copies, size = points.shape
    length = size ** (order - 1)
    work = np.empty((copies, length), dtype=couplings.dtype)
    for q in range(rows.shape[0]):
        tensor = couplings[rows[q]]
        for i in range(length):
            for c in range(copies):
                if mask[c, q]:
                    total = couplings.dtype.type(0)
                    for k in range(size):
                        total += tensor[i * size + k] * points[c, k]
                    work[c, i] = total
        for c in range(copies):
            if mask[c, q]:
                rest = length
                while rest > size:  # contract one index after the other, in place
                    rest //= size
                    for i in range(rest):
                        total = couplings.dtype.type(0)
                        for k in range(size):
                            total += work[c, i * size + k] * points[c, k]
                        work[c, i] = total
                total = couplings.dtype.type(0)
                for k in range(size):
                    total += work[c, k] * points[c, k]
                    gradients[c, q, k] += scale * order * work[c, k]
                values[c, q] += scale * total


@compiled(**_OPTIONS)
def weighted_sum(u, gradients, force):
    """force[c, :] = sum_q u[c, q] gradients[c, q, :]; samples of weight 0 are not read."""
    force[:] = 0.0
    for c in range(u.shape[0]):
        for q in range(u.shape[1]):
            weight = u[c, q]
            if weight != 0.0:
                y, f = gradients[c, q], force[c]
                for k in range(f.shape[0]):
                    f[k] += weight * y[k]
