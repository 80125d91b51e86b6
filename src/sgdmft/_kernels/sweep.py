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
from numba import njit

# Floating-point freedom: sums may be reordered (SIMD), products fused; NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz"}
_OPTIONS = {"cache": True, "nogil": True, "fastmath": _FAST, "error_model": "numpy", "no_cfunc_wrapper": True}

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
DONE, DIVERGED, RECOVERED = range(3)


@njit(**_OPTIONS)
def both(matrix, row, end, n, x, a, product, transposed):
    """product[v] = sum_s M(v,s) x(s) and transposed[s] += sum_v a(v) M(v,s), from one reading of M (n rows)."""
    v = 0
    while v + 4 <= n:
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
    while v < n:
        r0, a0, p0 = row[v], a[v], 0.0
        m0 = matrix[r0 : r0 + end[v]]
        for s in range(end[v]):
            p0 += m0[s] * x[s]
            transposed[s] += a0 * m0[s]
        product[v] = p0
        v += 1


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
def kernels(vec, state, n, p_row, poly, run):
    """Rows of the covariance K(t,.) of xi, of the kernel k(t,.) = f'(C) R eta and of k P; returns K(t,t)."""
    w, c_row, r_row, fm_hat = vec[WEIGHT], vec[C_ROW], vec[R_ROW], vec[TEACHER]
    f0, f1, value = vec[F0], vec[F1], vec[VALUE]
    K, k, kp = vec[K_ROW], vec[KERNEL], vec[KERNEL_P]
    fm = _value(poly[POLY_TEACHER], state[M_NOW])
    for s in range(n):
        value[s] = c_row[s] / w[s]
    _polynomial(poly[POLY_F], value, n, f0)
    _polynomial(poly[POLY_F1], value, n, f1)
    _polynomial(poly[POLY_F2], value, n, vec[F2])
    for s in range(n):
        K[s] = (f0[s] + run[OFFSET] - fm) * w[s] - fm_hat[s]
        k[s] = f1[s] * r_row[s]
        kp[s] = k[s] * p_row[s]
    for s in range(n + 1):
        vec[L_ROW, s] = 0.0
        vec[X2, s] = 0.0
    return _value(poly[POLY_F], state[C_NOW]) + run[OFFSET] - 2.0 * fm


@njit(**_OPTIONS)
def memory(ops, row, vec, state, n, p_row, rates, poly, run, K_tt, out, first, last):
    """Rows L(t,.) and G(t,.), the loss, the memory kernels and D(t,.); t becomes coordinate n. Returns eta kappa.

    Expects A = L K, L^T (k P), and of the lower half of G (with half the diagonal) its products with k and, transposed,
    with k P. With `last`, only `out` is written.
    """
    w, m_hat, c_row, r_row = vec[WEIGHT], vec[MAGNETIZATION], vec[C_ROW], vec[R_ROW]
    f1, f2, k, kp, A = vec[F1], vec[F2], vec[KERNEL], vec[KERNEL_P], vec[A_ROW]
    l_row, g_row, D, sc = vec[L_ROW], vec[G_ROW], vec[D_ROW], vec[SC_ROW]
    g1, g2 = vec[X1], vec[X2]
    eta, beta, alpha = rates[ETA], rates[MOMENTUM], run[ALPHA]
    m, c_tt = state[M_NOW], state[C_NOW]
    residual2 = K_tt
    g_tt = K_tt
    for s in range(n):
        residual2 += 2.0 * k[s] * (g1[s] - A[s])
        g_tt += 2.0 * kp[s] * (g1[s] - A[s])
    g_tt /= rates[BATCH]
    out[OUT_M] = m
    out[OUT_C] = c_tt
    out[OUT_LOSS] = 0.5 * alpha * residual2
    out[OUT_C12] = state[C12_NOW]
    if last:
        return 0.0

    for s in range(n):
        l_row[s] = -l_row[s]
        # The term v = s belongs to the second sum of (4.4) alone; half of it in each is the same, as k P (s) = P(s) k(s).
        g_row[s] = p_row[s] * (A[s] - g1[s]) - g2[s]

    sum_l = 1.0
    for s in range(n):
        sum_l += l_row[s] * w[s]
        D[s] = -eta * alpha * (l_row[s] * f1[s] - g_row[s] * f2[s] * r_row[s] / w[s])
        sc[s] = alpha * g_row[s] * f1[s]
    f1_tt = _value(poly[POLY_F1], c_tt)
    D[n] = 1.0 - eta * rates[DECAY] - eta * alpha * f1_tt
    if not first:
        D[n] += beta
        D[n - 1] -= beta
    sc[n] = alpha * g_tt * f1_tt

    w[n] = 1.0
    m_hat[n] = m
    vec[TEACHER, n] = _value(poly[POLY_TEACHER], m)
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
    for s in range(n + 1):
        r_row[s] = 0.0
        vec[X2, s] = 0.0
    return eta * alpha * _value(poly[POLY_KAPPA], m) * sum_l


@njit(**_OPTIONS)
def update(vec, state, n, rates, run, drive):
    """m(t+1), C(t+1,.), R(t+1,.) eta and C(t+1,t+1), from the products of C with D and of R eta with S_C and D."""
    m_hat, c_row, r_row, D, sc = vec[MAGNETIZATION], vec[C_ROW], vec[R_ROW], vec[D_ROW], vec[SC_ROW]
    c1, c2, r1 = vec[X1], vec[X2], vec[VALUE]
    eta, feedback = rates[ETA], run[FEEDBACK] * drive
    m_next = drive
    for s in range(n + 1):
        m_next += D[s] * m_hat[s]
        c_row[s] = c1[s] + c2[s] + feedback * m_hat[s] + eta * r1[s]
    r_row[n] = eta
    c_next = feedback * m_next + 2.0 * eta * rates[TEMPERATURE]
    for s in range(n + 1):
        c_next += D[s] * c_row[s] + eta * sc[s] * r_row[s]
    state[M_NOW] = m_next
    state[C_NOW] = c_next


@njit(**_OPTIONS)
def project(vec, state, n, run):
    """Projection onto the sphere, if there is one."""
    if run[SPHERE] > 0.0:
        z = np.sqrt(run[SPHERE] / state[C_NOW])
        for s in range(n + 1):
            vec[C_ROW, s] *= z
            vec[R_ROW, s] *= z
            vec[C12_ROW, s] *= z
        state[M_NOW] *= z
        state[C_NOW] = run[SPHERE]
        state[C12_NOW] *= z * z


@njit(**_OPTIONS)
def replica_memory(ops, row, end, vec, state, n, poly, run):
    """G12(t,.) = L K12 L^T of two runs with independent selections; its memory kernel is left in `G12_ROW`."""
    w, fm_hat, k, l_row = vec[WEIGHT], vec[TEACHER], vec[KERNEL], vec[L_ROW]
    value, f0, f1, K12, A12, g_row = vec[VALUE], vec[F0], vec[F1], vec[K_ROW], vec[A12_ROW], vec[G12_ROW]
    x1, x2 = vec[X3], vec[X4]
    alpha, c12, fm = run[ALPHA], state[C12_NOW], fm_hat[n]
    for s in range(n):
        value[s] = vec[C12_ROW, s] / w[s]
    _polynomial(poly[POLY_F], value, n, f0)
    _polynomial(poly[POLY_F1], value, n, f1)
    for s in range(n):
        K12[s] = (f0[s] + run[OFFSET] - fm) * w[s] - fm_hat[s]
        x2[s] = 0.0
    both(ops[L], row, end, n, K12, k, A12, x2)  # of L only the product is needed
    for s in range(n):
        x2[s] = 0.0
    both(ops[G12], row, end, n, k, k, x1, x2)
    g_tt = _value(poly[POLY_F], c12) + run[OFFSET] - 2.0 * fm
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
def replica_update(ops, row, end, vec, state, n, rates, run, drive):
    """C12(t+1,.) and C12(t+1,t+1); neither run responds to the other, and their noises are independent."""
    D, sc12, m_hat, c12_row, r_row = vec[D_ROW], vec[G12_ROW], vec[MAGNETIZATION], vec[C12_ROW], vec[R_ROW]
    x1, x2, x3, x4 = vec[X1], vec[X2], vec[X3], vec[X4]
    for s in range(n + 1):
        x2[s] = 0.0
        x4[s] = 0.0
    both(ops[C12], row, end, n + 1, D, D, x1, x2)
    both(ops[R], row, end, n + 1, sc12, sc12, x3, x4)  # of R only the product is needed
    eta, feedback = rates[ETA], run[FEEDBACK] * drive
    c12 = feedback * state[M_NOW]
    for s in range(n + 1):
        c12_row[s] = x1[s] + x2[s] + feedback * m_hat[s] + eta * x3[s]
        c12 += D[s] * c12_row[s] + eta * sc12[s] * r_row[s]
    state[C12_NOW] = c12


@njit(**_OPTIONS)
def step(ops, row, end, vec, state, n, p_row, rates, poly, run, out, first, last):
    """One step t -> t+1 on n past coordinates; t itself becomes coordinate n. With `last`, only measure at t.

    `out` receives m(t), C(t,t), the loss and C12(t,t).
    """
    replicas = ops.shape[0] > C12
    K_tt = kernels(vec, state, n, p_row, poly, run)
    both(ops[L], row, end, n, vec[K_ROW], vec[KERNEL_P], vec[A_ROW], vec[L_ROW])
    both(ops[G], row, end, n, vec[KERNEL], vec[KERNEL_P], vec[X1], vec[X2])
    drive = memory(ops, row, vec, state, n, p_row, rates, poly, run, K_tt, out, first, last)
    if last:
        return
    if replicas:
        replica_memory(ops, row, end, vec, state, n, poly, run)
    both(ops[C], row, end, n + 1, vec[D_ROW], vec[D_ROW], vec[X1], vec[X2])
    both(ops[R], row, end, n + 1, vec[SC_ROW], vec[D_ROW], vec[VALUE], vec[R_ROW])
    update(vec, state, n, rates, run, drive)
    if replicas:
        replica_update(ops, row, end, vec, state, n, rates, run, drive)
    project(vec, state, n, run)


@njit(**_OPTIONS)
def stopped(state, run):
    """Why the run has to end at the current time, or DONE."""
    if not (state[C_NOW] < run[NORM_LIMIT]) or not np.isfinite(state[M_NOW]):
        return DIVERGED
    if 1.0 - 2.0 * state[M_NOW] + state[C_NOW] < run[STOP_DISTANCE]:
        return RECOVERED
    return DONE
