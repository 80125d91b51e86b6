r"""The causal step of the dynamical mean field theory over n coordinates of the past, compiled.

Notation (the papers' letters): a *row* is a function of the past time s at fixed t, such as C(t, s), held as n
coordinates: sqrt-weight w_i times its value at node i, so that sums over s are plain dot products and pointwise products
are a scaling. With one coordinate per time and w = 1 this is the dense sweep; with the panels of `sgdmft.dmft.history`
it is the compressed one. The step is the same.

    r  R(t,s) eta_s, the response with the learning rate of the kick     k(t,s) = f'(C) r
    L  response of u to xi      A = E[xi(t) u(s)]      G = E[u(t) u(s)]      P reselection function of the batches

An operator M(v, s) of the past is stored by rows of its lower part: row v has the room from `row[v]` to `row[v + 1]` in
the flat buffer, its first `end[v]` entries in use and the others zero. L and r are causal; of the symmetric C and G the
strict lower part plus half the diagonal is kept, so that C x = M x + M^T x. Every step needs of each operator both M x
and M^T a, from one reading (`both`). Loops write one array each: with more, the compiler gives up on SIMD.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Floating-point freedom: sums may be reordered (SIMD), products fused; NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz"}
_OPTIONS = {"cache": True, "nogil": True, "fastmath": _FAST, "error_model": "numpy", "no_cfunc_wrapper": True}
# Of what only compiled code calls.
_INNER = {**_OPTIONS, "no_cpython_wrapper": True}

# Operators of the past.
C, R, L, G, C12, G12 = range(6)
# Coordinate vectors. The first seven travel with the history; the others are scratch of one step.
WEIGHT, MAGNETIZATION, TEACHER, C_ROW, R_ROW, C12_ROW, P_ROW = range(7)
VALUE, F0, F1, F2, K_ROW, KERNEL, KERNEL_P, A_ROW, L_ROW, G_ROW, D_ROW, SC_ROW, X1, X2, X3, X4, G12_ROW, A12_ROW = (
    range(7, 25)
)
VECTORS = 25
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
# Counters of the history.
COORDINATES, TIME = range(2)
# The row of the current time that goes into each operator.
ROWS = (C_ROW, R_ROW, L_ROW, G_ROW)
# Why `advance` returned.
DONE, DIVERGED, RECOVERED = range(3)


@njit(**_INNER)
def both(matrix, row, end, n, x, a, product, transposed):
    """product[v] = sum_s M(v,s) x(s) and transposed[s] += sum_v a(v) M(v,s), from one reading of M (n rows)."""
    v = 0
    while v + 4 <= n:
        common = end[v + 3]  # no row is shorter: there it is zero
        m0, m1 = matrix[row[v] : row[v] + common], matrix[row[v + 1] : row[v + 1] + common]
        m2, m3 = matrix[row[v + 2] : row[v + 2] + common], matrix[row[v + 3] : row[v + 3] + common]
        a0, a1, a2, a3 = a[v], a[v + 1], a[v + 2], a[v + 3]
        p0 = p1 = p2 = p3 = 0.0
        for s in range(common):
            xs = x[s]
            p0 += m0[s] * xs
            p1 += m1[s] * xs
            p2 += m2[s] * xs
            p3 += m3[s] * xs
            transposed[s] += a0 * m0[s] + a1 * m1[s] + a2 * m2[s] + a3 * m3[s]
        product[v], product[v + 1], product[v + 2], product[v + 3] = p0, p1, p2, p3
        v += 4
    while v < n:
        m0, a0, p0 = matrix[row[v] : row[v] + end[v]], a[v], 0.0
        for s in range(end[v]):
            p0 += m0[s] * x[s]
            transposed[s] += a0 * m0[s]
        product[v] = p0
        v += 1


@njit(**_INNER)
def _polynomial(coefficients, x, n, out):
    out[:n] = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        for s in range(n):
            out[s] = out[s] * x[s] + coefficients[power]


@njit(**_INNER)
def _value(coefficients, x):
    y = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        y = y * x + coefficients[power]
    return y


@njit(**_INNER)
def kernels(vec, state, n, p_row, poly, run):
    """Rows of the covariance K(t,.) of xi, of the kernel k(t,.) = f'(C) R eta and of k P; returns K(t,t)."""
    w, c_row, r_row, fm_hat = vec[WEIGHT], vec[C_ROW], vec[R_ROW], vec[TEACHER]
    f0, f1, value, K, k, kp = vec[F0], vec[F1], vec[VALUE], vec[K_ROW], vec[KERNEL], vec[KERNEL_P]
    fm = _value(poly[POLY_TEACHER], state[M_NOW])
    constant = run[OFFSET] - fm
    for s in range(n):
        value[s] = c_row[s] / w[s]
    _polynomial(poly[POLY_F], value, n, f0)
    _polynomial(poly[POLY_F1], value, n, f1)
    _polynomial(poly[POLY_F2], value, n, vec[F2])
    for s in range(n):
        K[s] = (f0[s] + constant) * w[s] - fm_hat[s]
    for s in range(n):
        k[s] = f1[s] * r_row[s]
    for s in range(n):
        kp[s] = k[s] * p_row[s]
    vec[L_ROW, : n + 1] = 0.0
    vec[X2, : n + 1] = 0.0
    return _value(poly[POLY_F], state[C_NOW]) + run[OFFSET] - 2.0 * fm


@njit(**_INNER)
def memory(ops, row, vec, state, n, p_row, rates, poly, run, K_tt, out, first, last):
    """Rows L(t,.) and G(t,.), the loss, the memory kernels and D(t,.); t becomes coordinate n. Returns eta kappa.

    Expects A = L K, L^T (k P), and of the lower half of G (with half the diagonal) its products with k and, transposed,
    with k P. With `last`, only `out` is written.
    """
    w, m_hat, c_row, r_row = vec[WEIGHT], vec[MAGNETIZATION], vec[C_ROW], vec[R_ROW]
    f1, f2, k, kp, A = vec[F1], vec[F2], vec[KERNEL], vec[KERNEL_P], vec[A_ROW]
    l_row, g_row, D, sc = vec[L_ROW], vec[G_ROW], vec[D_ROW], vec[SC_ROW]
    g1, g2 = vec[X1], vec[X2]
    eta, alpha = rates[ETA], run[ALPHA]
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
    for s in range(n):
        # The term v = s belongs to the second sum of (4.4) alone; half of it in each is the same, as k P (s) = P(s) k(s).
        g_row[s] = p_row[s] * (A[s] - g1[s]) - g2[s]
    sum_l = 1.0
    for s in range(n):
        sum_l += l_row[s] * w[s]
    for s in range(n):
        D[s] = -eta * alpha * (l_row[s] * f1[s] - g_row[s] * f2[s] * r_row[s] / w[s])
    for s in range(n):
        sc[s] = alpha * g_row[s] * f1[s]
    f1_tt = _value(poly[POLY_F1], c_tt)
    D[n] = 1.0 - eta * rates[DECAY] - eta * alpha * f1_tt
    if not first:
        D[n] += rates[MOMENTUM]
        D[n - 1] -= rates[MOMENTUM]
    sc[n] = alpha * g_tt * f1_tt

    w[n] = 1.0
    m_hat[n] = m
    vec[TEACHER, n] = _value(poly[POLY_TEACHER], m)
    c_row[n], r_row[n], l_row[n], g_row[n] = 0.5 * c_tt, 0.0, 1.0, 0.5 * g_tt
    for op in range(4):
        target, source = ops[op, row[n] : row[n + 1]], vec[ROWS[op]]
        for s in range(n + 1):
            target[s] = source[s]
        target[n + 1 :] = 0.0
    vec[R_ROW, : n + 1] = 0.0
    vec[X2, : n + 1] = 0.0
    return eta * alpha * _value(poly[POLY_KAPPA], m) * sum_l


@njit(**_OPTIONS)
def update(vec, state, n, rates, run, drive):
    """m(t+1), C(t+1,.), R(t+1,.) eta and C(t+1,t+1), from the products of C with D and of R eta with S_C and D."""
    m_hat, c_row, r_row, D, sc = vec[MAGNETIZATION], vec[C_ROW], vec[R_ROW], vec[D_ROW], vec[SC_ROW]
    c1, c2, r1 = vec[X1], vec[X2], vec[VALUE]
    eta, feedback = rates[ETA], run[FEEDBACK] * drive
    for s in range(n + 1):
        c_row[s] = c1[s] + c2[s] + feedback * m_hat[s] + eta * r1[s]
    r_row[n] = eta
    m_next = drive
    for s in range(n + 1):
        m_next += D[s] * m_hat[s]
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
        for line in (C_ROW, R_ROW, C12_ROW):
            for s in range(n + 1):
                vec[line, s] *= z
        state[M_NOW] *= z
        state[C_NOW] = run[SPHERE]
        state[C12_NOW] *= z * z


@njit(**_INNER)
def replicas(ops, row, end, vec, state, n, rates, poly, run, drive):
    """G12(t,.) = L K12 L^T and C12(t+1,.) of two runs with independent selections and noises, after `update`.

    Neither run responds to the other.
    """
    w, fm_hat, m_hat, k, l_row = vec[WEIGHT], vec[TEACHER], vec[MAGNETIZATION], vec[KERNEL], vec[L_ROW]
    value, f0, f1, K12, A12, g_row = vec[VALUE], vec[F0], vec[F1], vec[K_ROW], vec[A12_ROW], vec[G12_ROW]
    x1, x2, r1, unused = vec[X1], vec[X2], vec[X3], vec[X4]
    D, c12_row, r_row = vec[D_ROW], vec[C12_ROW], vec[R_ROW]
    alpha, c12, fm, eta, feedback = run[ALPHA], state[C12_NOW], fm_hat[n], rates[ETA], run[FEEDBACK] * drive
    for s in range(n):
        value[s] = c12_row[s] / w[s]
    _polynomial(poly[POLY_F], value, n, f0)
    _polynomial(poly[POLY_F1], value, n, f1)
    for s in range(n):
        K12[s] = (f0[s] + run[OFFSET] - fm) * w[s] - fm_hat[s]
    unused[: n + 1] = 0.0
    both(ops[L], row, end, n, K12, k, A12, unused)  # of L only the product is needed
    x2[:n] = 0.0
    both(ops[G12], row, end, n, k, k, x1, x2)
    g_tt = _value(poly[POLY_F], c12) + run[OFFSET] - 2.0 * fm
    for s in range(n):
        g_row[s] = A12[s] - x1[s] - x2[s]
        g_tt += l_row[s] * K12[s] - k[s] * g_row[s]
    c12_row[n], g_row[n] = 0.5 * c12, 0.5 * g_tt
    for op, source in ((C12, c12_row), (G12, g_row)):
        target = ops[op, row[n] : row[n + 1]]
        target[: n + 1] = source[: n + 1]
        target[n + 1 :] = 0.0
    for s in range(n):
        g_row[s] *= alpha * f1[s]
    g_row[n] = alpha * g_tt * _value(poly[POLY_F1], c12)

    x2[: n + 1] = 0.0
    both(ops[C12], row, end, n + 1, D, D, x1, x2)
    both(ops[R], row, end, n + 1, g_row, g_row, r1, unused)  # of R only the product is needed
    c12 = feedback * state[M_NOW]
    for s in range(n + 1):
        c12_row[s] = x1[s] + x2[s] + feedback * m_hat[s] + eta * r1[s]
        c12 += D[s] * c12_row[s] + eta * g_row[s] * r_row[s]
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
def advance(ops, row, end, vec, state, counters, steps, p_rows, rates, poly, run, out, measure, pair):
    """Take `steps` steps t -> t+1, each time t a new coordinate; returns (steps taken, reason).

    `out` receives m(t), C(t,t), the loss and C12(t,t). With `measure` only that, for the current time. `pair` is `ops`
    to carry two replicas, else None (decided when it is compiled).
    """
    for i in range(steps):
        n, t = counters[COORDINATES], counters[TIME]
        p_row = p_rows[min(i, p_rows.shape[0] - 1)]
        K_tt = kernels(vec, state, n, p_row, poly, run)
        both(ops[L], row, end, n, vec[K_ROW], vec[KERNEL_P], vec[A_ROW], vec[L_ROW])
        both(ops[G], row, end, n, vec[KERNEL], vec[KERNEL_P], vec[X1], vec[X2])
        drive = memory(ops, row, vec, state, n, p_row, rates[i], poly, run, K_tt, out[i], t == 0, measure)
        if measure:
            return 0, DONE
        both(ops[C], row, end, n + 1, vec[D_ROW], vec[D_ROW], vec[X1], vec[X2])
        both(ops[R], row, end, n + 1, vec[SC_ROW], vec[D_ROW], vec[VALUE], vec[R_ROW])
        update(vec, state, n, rates[i], run, drive)
        if pair is not None:
            replicas(pair, row, end, vec, state, n, rates[i], poly, run, drive)
        project(vec, state, n, run)
        counters[COORDINATES] = n + 1
        counters[TIME] = t + 1
        reason = stopped(state, run)
        if reason != DONE:
            return i + 1, reason
    return steps, DONE


# The stages of a step for Python, where two threads share it. Apart, as most runs need no such entry points.


@njit(**_OPTIONS)
def call_both(matrix, row, end, n, x, a, product, transposed):
    both(matrix, row, end, n, x, a, product, transposed)


@njit(**_OPTIONS)
def call_kernels(vec, state, n, p_row, poly, run):
    return kernels(vec, state, n, p_row, poly, run)


@njit(**_OPTIONS)
def call_memory(ops, row, vec, state, n, p_row, rates, poly, run, K_tt, out, first):
    return memory(ops, row, vec, state, n, p_row, rates, poly, run, K_tt, out, first, False)
