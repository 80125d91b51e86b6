r"""The causal step of the dynamical mean field theory over n coordinates of the past, compiled.

Notation (the papers' letters): a *row* is a function of the past time s at fixed t, such as C(t, s), held as n
coordinates: sqrt-weight w_i times its value at node i, so that sums over s are plain dot products and pointwise products
are a scaling. With one coordinate per time and w = 1 this is the dense sweep; with the panels of `sgdmft.dmft.history`
it is the compressed one. The step is the same.

    r  R(t,s) eta_s, the response with the learning rate of the kick     k(t,s) = f'(C) r
    L  response of u to xi      A = E[xi(t) u(s)]      G = E[u(t) u(s)]      P reselection function of the batches

An operator M(v, s) of the past is stored by rows of its lower part: row v starts at `row[v]` in the flat buffer and has
`end[v]` entries. L and r are causal; of the symmetric C and G the strict lower part plus half the diagonal is kept, so
that C x = M x + M^T x. Every step needs of each operator both M x and M^T a, from one reading (`both`).
"""

from __future__ import annotations

import numpy as np
from numba import get_num_threads, njit, prange

# Floating-point freedom: sums may be reordered (SIMD), products fused; NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz"}
_OPTIONS = {"cache": True, "nogil": True, "fastmath": _FAST, "error_model": "numpy", "boundscheck": False}

# Operators of the past.
C, R, L, G, C12, G12 = range(6)
# Coordinate vectors. The first six travel with the history; the others are scratch of one step.
WEIGHT, MAGNETIZATION, TEACHER, C_ROW, R_ROW, C12_ROW = range(6)
VALUE, F0, F1, F2, K_ROW, KERNEL, KERNEL_P, A_ROW, L_ROW, G_ROW, D_ROW, SC_ROW, X1, X2, X3, X4, G12_ROW, A12_ROW = (
    range(6, 24)
)
VECTORS = 24
# Scalars of the state at the current time t.
M_NOW, C_NOW, C12_NOW = range(3)
# Polynomials: covariance f, f', f''; teacher terms f(m) of K and f'(m) of kappa.
POLY_F, POLY_F1, POLY_F2, POLY_TEACHER, POLY_KAPPA = range(5)
# Constants of a run.
ALPHA, OFFSET, FEEDBACK, SPHERE, NORM_LIMIT, STOP_DISTANCE = range(6)
# Rates of a step.
ETA, BATCH, MOMENTUM, DECAY, TEMPERATURE = range(5)
# Output of a step.
OUT_M, OUT_C, OUT_LOSS, OUT_C12 = range(4)
# Why `advance` returned.
DONE, DIVERGED, RECOVERED, FULL = range(4)


@njit(**_OPTIONS)
def both(matrix, row, end, first, last, x, a, product, transposed):
    """product[v] = sum_s M(v,s) x(s) and transposed[s] += sum_v a(v) M(v,s) for rows first <= v < last."""
    v = first
    while v + 4 <= last:
        r0, r1, r2, r3 = row[v], row[v + 1], row[v + 2], row[v + 3]
        a0, a1, a2, a3 = a[v], a[v + 1], a[v + 2], a[v + 3]
        common = end[v]
        p0 = p1 = p2 = p3 = 0.0
        m0, m1 = matrix[r0 : r0 + common], matrix[r1 : r1 + common]
        m2, m3 = matrix[r2 : r2 + common], matrix[r3 : r3 + common]
        for s in range(common):
            xs = x[s]
            p0 += m0[s] * xs
            p1 += m1[s] * xs
            p2 += m2[s] * xs
            p3 += m3[s] * xs
            transposed[s] += a0 * m0[s] + a1 * m1[s] + a2 * m2[s] + a3 * m3[s]
        for s in range(common, end[v + 1]):
            p1 += matrix[r1 + s] * x[s]
            transposed[s] += a1 * matrix[r1 + s]
        for s in range(common, end[v + 2]):
            p2 += matrix[r2 + s] * x[s]
            transposed[s] += a2 * matrix[r2 + s]
        for s in range(common, end[v + 3]):
            p3 += matrix[r3 + s] * x[s]
            transposed[s] += a3 * matrix[r3 + s]
        product[v], product[v + 1], product[v + 2], product[v + 3] = p0, p1, p2, p3
        v += 4
    while v < last:
        r0, a0, p0 = row[v], a[v], 0.0
        m0 = matrix[r0 : r0 + end[v]]
        for s in range(end[v]):
            p0 += m0[s] * x[s]
            transposed[s] += a0 * m0[s]
        product[v] = p0
        v += 1


@njit(**{**_OPTIONS, "parallel": True})
def _two_parallel(one, two, row, end, n, x1, a1, p1, t1, x2, a2, p2, t2, chunks, partial):
    """`both` for two operators, each cut into `chunks` bands of rows of equal area, on the threads of numba."""
    for task in prange(2 * chunks):
        chunk = task % chunks
        first = 4 * int(n * np.sqrt(chunk / chunks) / 4)
        last = n if chunk == chunks - 1 else 4 * int(n * np.sqrt((chunk + 1) / chunks) / 4)
        partial[task, :n] = 0.0
        if task < chunks:
            both(one, row, end, first, last, x1, a1, p1, partial[task])
        else:
            both(two, row, end, first, last, x2, a2, p2, partial[task])
    for chunk in range(chunks):
        for s in range(n):
            t1[s] += partial[chunk, s]
            t2[s] += partial[chunks + chunk, s]


@njit(**_OPTIONS)
def _two(one, two, row, end, n, x1, a1, p1, t1, x2, a2, p2, t2, chunks, partial):
    """`both` for two operators of the past: (p1, t1) of the first and (p2, t2) of the second."""
    t1[:n] = 0.0
    t2[:n] = 0.0
    if chunks > 0 and n >= 256:
        _two_parallel(one, two, row, end, n, x1, a1, p1, t1, x2, a2, p2, t2, chunks, partial)
    else:
        both(one, row, end, 0, n, x1, a1, p1, t1)
        both(two, row, end, 0, n, x2, a2, p2, t2)


@njit(**_OPTIONS)
def _polynomial(coefficients, x, n, out):
    out[:n] = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        for s in range(n):
            out[s] = out[s] * x[s] + coefficients[power]


@njit(**_OPTIONS)
def _value(coefficients, x):
    y = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        y = y * x + coefficients[power]
    return y


@njit(**_OPTIONS)
def _dot(x, y, n):
    total = 0.0
    for s in range(n):
        total += x[s] * y[s]
    return total


@njit(**_OPTIONS)
def step(
    ops,
    row,
    end,
    band,
    band_start,
    band_stride,
    vec,
    state,
    n,
    p_row,
    rates,
    poly,
    run,
    out,
    first,
    last,
    chunks,
    partial,
):
    """One step t -> t+1 on n past coordinates; t itself becomes coordinate n. If `last`, only measure at t.

    `out` receives m(t), C(t,t), the loss and C12(t,t).
    """
    w, m_hat, fm_hat = vec[WEIGHT], vec[MAGNETIZATION], vec[TEACHER]
    c_row, r_row = vec[C_ROW], vec[R_ROW]
    f0, f1, f2, value = vec[F0], vec[F1], vec[F2], vec[VALUE]
    K, k, kp, A = vec[K_ROW], vec[KERNEL], vec[KERNEL_P], vec[A_ROW]
    l_row, g_row, D, sc = vec[L_ROW], vec[G_ROW], vec[D_ROW], vec[SC_ROW]
    x1, x2 = vec[X1], vec[X2]
    replicas = ops.shape[0] > C12
    eta, b, beta = rates[ETA], rates[BATCH], rates[MOMENTUM]
    alpha = run[ALPHA]
    m, c_tt = state[M_NOW], state[C_NOW]

    # Covariance K(t,s) of xi and kernel k(t,s) = f'(C(t,s)) R(t,s) eta_s.
    fm = _value(poly[POLY_TEACHER], m)
    for s in range(n):
        value[s] = c_row[s] / w[s]
    _polynomial(poly[POLY_F], value, n, f0)
    _polynomial(poly[POLY_F1], value, n, f1)
    _polynomial(poly[POLY_F2], value, n, f2)
    for s in range(n):
        K[s] = (f0[s] + run[OFFSET] - fm) * w[s] - fm_hat[s]
        k[s] = f1[s] * r_row[s]
        kp[s] = k[s] * p_row[s]
    K_tt = _value(poly[POLY_F], c_tt) + run[OFFSET] - 2.0 * fm

    # A = L K and L(t,.) = - L^T (k P); G k and G^T (k P) from the lower half (with half the diagonal).
    g1, g2 = x1, x2
    _two(ops[L], ops[G], row, end, n, K, kp, A, l_row, k, kp, g1, g2, chunks, partial)
    residual2 = K_tt
    g_tt = K_tt
    width = band.shape[1]
    for s in range(n):
        diagonal_k = 0.0
        diagonal_kp = 0.0
        for j in range(width):
            v = band_start[s] + j * band_stride
            if v < n:
                diagonal_k += band[s, j] * k[v]
                diagonal_kp += band[s, j] * kp[v]
        l_row[s] = -l_row[s]
        g_row[s] = p_row[s] * A[s] - (g2[s] - 0.5 * diagonal_kp) - p_row[s] * (g1[s] + 0.5 * diagonal_k)
        residual2 += 2.0 * k[s] * (g1[s] - A[s])
        g_tt += 2.0 * kp[s] * (g1[s] - A[s])
    g_tt /= b

    out[OUT_M] = m
    out[OUT_C] = c_tt
    out[OUT_LOSS] = 0.5 * alpha * residual2
    out[OUT_C12] = state[C12_NOW]
    if last:
        return

    # Memory kernels S_R, S_C, teacher term kappa, and the propagator row D(t,.).
    f1_tt = _value(poly[POLY_F1], c_tt)
    sum_l = 1.0
    for s in range(n):
        sum_l += l_row[s] * w[s]
        D[s] = -eta * alpha * (l_row[s] * f1[s] - g_row[s] * f2[s] * r_row[s] / w[s])
        sc[s] = alpha * g_row[s] * f1[s]
    D[n] = 1.0 - eta * rates[DECAY] - eta * alpha * f1_tt
    if not first:
        D[n] += beta
        D[n - 1] -= beta
    sc[n] = alpha * g_tt * f1_tt
    drive = eta * alpha * _value(poly[POLY_KAPPA], m) * sum_l

    # The time t becomes coordinate n of the past.
    w[n] = 1.0
    m_hat[n] = m
    fm_hat[n] = fm
    start = row[n]
    for s in range(n):
        ops[C, start + s] = c_row[s]
        ops[R, start + s] = r_row[s]
        ops[L, start + s] = l_row[s]
        ops[G, start + s] = g_row[s]
    ops[C, start + n] = 0.5 * c_tt
    ops[R, start + n] = 0.0
    ops[L, start + n] = 1.0
    ops[G, start + n] = 0.5 * g_tt
    for j in range(width):
        band[n, j] = g_tt if band_start[n] + j * band_stride == n else 0.0

    m_next = _dot(D, m_hat, n + 1) + drive
    if replicas:
        _replica_kernel(ops, row, end, vec, state, n, poly, run, fm, K_tt)

    # C(t+1,.) and R(t+1,.), then C(t+1,t+1).
    r1, r2, c1, c2 = vec[VALUE], r_row, x1, x2
    feedback = run[FEEDBACK] * drive
    _two(ops[C], ops[R], row, end, n + 1, D, D, c1, c2, sc, D, r1, r2, chunks, partial)
    for s in range(n + 1):
        c_row[s] = c1[s] + c2[s] + feedback * m_hat[s] + eta * r1[s]
    r_row[n] = eta
    c_next = feedback * m_next + 2.0 * eta * rates[TEMPERATURE]
    for s in range(n + 1):
        c_next += D[s] * c_row[s] + eta * sc[s] * r_row[s]
    if replicas:
        _replica_update(ops, row, end, vec, state, n, feedback, m_next, eta)

    if run[SPHERE] > 0.0:
        z = np.sqrt(run[SPHERE] / c_next)
        m_next *= z
        for s in range(n + 1):
            c_row[s] *= z
            r_row[s] *= z
        c_next = run[SPHERE]
        if replicas:
            vec[C12_ROW, : n + 1] *= z
            state[C12_NOW] *= z * z
    state[M_NOW] = m_next
    state[C_NOW] = c_next


@njit(**_OPTIONS)
def _replica_kernel(ops, row, end, vec, state, n, poly, run, fm, K_tt):
    """G12(t,.) = L K12 L^T of two runs with independent selections, and its memory kernel in `G12_ROW`."""
    w, fm_hat, k, l_row = vec[WEIGHT], vec[TEACHER], vec[KERNEL], vec[L_ROW]
    value, f0, f1, K12, A12, g_row = vec[VALUE], vec[F0], vec[F1], vec[K_ROW], vec[A12_ROW], vec[G12_ROW]
    x1, x2 = vec[X3], vec[X4]
    alpha, c12 = run[ALPHA], state[C12_NOW]
    for s in range(n):
        value[s] = vec[C12_ROW, s] / w[s]
    _polynomial(poly[POLY_F], value, n, f0)
    _polynomial(poly[POLY_F1], value, n, f1)
    for s in range(n):
        K12[s] = (f0[s] + run[OFFSET] - fm) * w[s] - fm_hat[s]
    K12_tt = _value(poly[POLY_F], c12) + run[OFFSET] - 2.0 * fm
    x1[:n] = 0.0
    x2[:n] = 0.0
    both(ops[L], row, end, 0, n, K12, k, A12, x2)  # only the product is needed
    x2[:n] = 0.0
    both(ops[G12], row, end, 0, n, k, k, x1, x2)
    g_tt = K12_tt
    start = row[n]
    for s in range(n):
        g_row[s] = A12[s] - x1[s] - x2[s]
        g_tt += l_row[s] * K12[s] - k[s] * g_row[s]
        ops[C12, start + s] = vec[C12_ROW, s]
        ops[G12, start + s] = g_row[s]
    ops[C12, start + n] = 0.5 * c12
    ops[G12, start + n] = 0.5 * g_tt
    for s in range(n):
        g_row[s] *= alpha * f1[s]
    g_row[n] = alpha * g_tt * _value(poly[POLY_F1], c12)


@njit(**_OPTIONS)
def _replica_update(ops, row, end, vec, state, n, feedback, m_next, eta):
    """C12(t+1,.) and C12(t+1,t+1); neither run responds to the other, and their noises are independent."""
    D, sc12, m_hat, c12_row, r_row = vec[D_ROW], vec[G12_ROW], vec[MAGNETIZATION], vec[C12_ROW], vec[R_ROW]
    x1, x2, x3, x4 = vec[X1], vec[X2], vec[X3], vec[X4]
    x2[: n + 1] = 0.0
    x4[: n + 1] = 0.0
    both(ops[C12], row, end, 0, n + 1, D, D, x1, x2)
    both(ops[R], row, end, 0, n + 1, sc12, sc12, x3, x4)  # only the product is needed
    c12 = feedback * m_next
    for s in range(n + 1):
        c12_row[s] = x1[s] + x2[s] + feedback * m_hat[s] + eta * x3[s]
        c12 += D[s] * c12_row[s] + eta * sc12[s] * r_row[s]
    state[C12_NOW] = c12


@njit(**_OPTIONS)
def stopped(state, run):
    """Why the run has to end at the current time, or DONE."""
    if not (state[C_NOW] < run[NORM_LIMIT]) or not np.isfinite(state[M_NOW]):
        return DIVERGED
    if 1.0 - 2.0 * state[M_NOW] + state[C_NOW] < run[STOP_DISTANCE]:
        return RECOVERED
    return DONE


@njit(**_OPTIONS)
def advance_dense(
    ops, row, end, band, band_start, vec, state, t, steps, p_rows, rates, poly, run, out, chunks, partial
):
    """Steps t, t+1, ..., one coordinate per time; returns (number of steps taken, reason)."""
    for i in range(steps):
        p_row = p_rows[min(i, p_rows.shape[0] - 1)]
        step(
            ops, row, end, band, band_start, 1, vec, state, t + i, p_row, rates[i], poly, run, out[i],
            t + i == 0, False, chunks, partial,
        )  # fmt: skip
        reason = stopped(state, run)
        if reason != DONE:
            return i + 1, reason
    return steps, DONE


def threads() -> int:
    """Threads that a parallel kernel would use now."""
    return get_num_threads()
