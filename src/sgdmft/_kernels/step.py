r"""The causal step of the dynamical mean field theory over n coordinates of the past, compiled.

A *row* is a function of the past time s at fixed t, such as C(t, s), held as n coordinates: sqrt-weight w_i times its
value at node i, so that sums over s are plain dot products and pointwise products are a scaling. With one coordinate per
time and w = 1 this is the dense history; with the panels of `sgdmft.dmft.history` it is the compressed one. The step is
the same. Equations (4.1) to (4.10) stand in `sgdmft.dmft.integrator`; the papers' letters are here

    r  R(t,s) eta_s, the response with the learning rate of the kick     k(t,s) = f'(C) r
    L  response of u to xi      A = E[xi(t) u(s)]      G = E[u(t) u(s)]      P reselection function of the batches

A step has two parts. A closure fills in row t of the memory kernels (`Memory`): least squares by (4.1) to (4.8), carrying
L and G; a polynomial self-energy by (6.11). Then `move` makes t a coordinate and takes the step of C, R and m.

An operator M(v, s) of the past is stored by rows of its lower part: row v has the room from `row[v]` to `row[v + 1]` in
the flat buffer, its first `end[v]` entries in use and the others zero. L and r are causal; of the symmetric C and G the
strict lower part plus half the diagonal is kept, so that C x = M x + M^T x. Every step needs of each operator both M x
and M^T a, from one reading (`both`). Loops write one array each: with more, the compiler gives up on SIMD.
"""

from __future__ import annotations

import numpy as np

from sgdmft._kernels.compiled import compiled
from sgdmft._kernels.layout import (
    DIVERGED,
    DONE,
    INNER,
    OPTIONS,
    RECOVERED,
    Past,
    bounds_of,
    least_squares_of,
    lines_of,
    memory_of,
    rates_of,
    residuals_of,
    sample_lines_of,
)

# Operators of the past; the first two under every closure.
C, R, L, G, C12, G12 = range(6)


@compiled(**INNER)
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


@compiled(**INNER)
def _polynomial(coefficients, x, n, out):
    out[:n] = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        for s in range(n):
            out[s] = out[s] * x[s] + coefficients[power]


@compiled(**INNER)
def _value(coefficients, x):
    y = coefficients[-1]
    for power in range(len(coefficients) - 2, -1, -1):
        y = y * x + coefficients[power]
    return y


@compiled(**INNER)
def _append(past, op, n, source):
    """Row n of an operator."""
    target = past.operators[op, past.row[n] : past.row[n + 1]]
    for s in range(n + 1):
        target[s] = source[s]
    target[n + 1 :] = 0.0


# -- what every closure shares -----------------------------------------------------------------------------------------


@compiled(**INNER)
def move(past, lines, memory, now, n, rates, pull, feedback):
    """Time t becomes coordinate n; then m(t+1), C(t+1,.), R(t+1,.) eta and C(t+1,t+1), without projection.

    From S_R(t,.), S_C(t,.) and kappa; with `feedback` 0, m does not act back on C. Returns eta kappa.
    """
    D, x1, x2, x3 = memory.propagator, memory.x1, memory.x2, memory.x3
    eta, drive = rates.learning_rate, rates.learning_rate * pull
    # (4.7)
    for s in range(n + 1):
        D[s] = -eta * memory.response[s]
    D[n] += 1.0 - eta * rates.weight_decay
    if now.time > 0:
        D[n] += rates.momentum
        D[n - 1] -= rates.momentum

    m_hat, c_row, r_row = lines.magnetization, lines.correlation, lines.response
    lines.weight[n], m_hat[n], c_row[n], r_row[n] = 1.0, now.magnetization, 0.5 * now.norm, 0.0
    _append(past, C, n, c_row)
    _append(past, R, n, r_row)

    # (4.9), (4.10): R D and R S_C, C D
    r_row[: n + 1] = 0.0
    x2[: n + 1] = 0.0
    both(past.operators[C], past.row, past.end, n + 1, D, D, x1, x2)
    both(past.operators[R], past.row, past.end, n + 1, memory.correlation, D, x3, r_row)
    for s in range(n + 1):
        c_row[s] = x1[s] + x2[s] + feedback * drive * m_hat[s] + eta * x3[s]
    r_row[n] = eta
    # (4.8)
    m_next = drive
    for s in range(n + 1):
        m_next += D[s] * m_hat[s]
    # (4.10) at t' = t + 1
    c_next = feedback * drive * m_next + 2.0 * eta * rates.temperature
    for s in range(n + 1):
        c_next += D[s] * c_row[s] + eta * memory.correlation[s] * r_row[s]
    now.magnetization, now.norm = m_next, c_next
    return drive


@compiled(**INNER)
def project(lines, now, n, sphere):
    """Projection of t + 1 onto the sphere, if there is one; returns the factor z."""
    if sphere <= 0.0:
        return 1.0
    z = np.sqrt(sphere / now.norm)
    for s in range(n + 1):
        lines.correlation[s] *= z
    for s in range(n + 1):
        lines.response[s] *= z
    now.magnetization *= z
    now.norm = sphere
    return z


@compiled(**INNER)
def _arrive(now, n, bounds):
    """t + 1 is the current time; why the run has to end there, or DONE."""
    now.coordinates = n + 1
    now.time += 1
    if not (now.norm < bounds.norm_limit) or not np.isfinite(now.magnetization):
        return DIVERGED
    if 1.0 - 2.0 * now.magnetization + now.norm < bounds.stop_distance:
        return RECOVERED
    return DONE


@compiled(**INNER)
def _record(out, now, loss):
    out[0], out[1], out[2], out[3] = now.magnetization, now.norm, loss, now.replica_overlap


@compiled(**OPTIONS)
def step(operators, row, end, lines, scratch, state, rates, pull, bounds):
    """One step under memory kernels that were filled into `scratch`; returns why the run ends, or DONE."""
    past, named, limits, now = Past(operators, row, end), lines_of(lines), bounds_of(bounds), state[0]
    n = now.coordinates
    move(past, named, memory_of(scratch), now, n, rates_of(rates), pull, 1.0)
    project(named, now, n, limits.sphere)
    return _arrive(now, n, limits)


# -- least squares -----------------------------------------------------------------------------------------------------


@compiled(**INNER)
def covariances(lines, samples, work, now, n, reselection, model):
    """Rows of the covariance K(t,.) of xi, of the kernel k(t,.) = f'(C) R eta and of k P; returns K(t,t)."""
    w, c_row, r_row, fm_hat = lines.weight, lines.correlation, lines.response, samples.teacher
    value, K, k, kp = work.value, work.covariance, work.kernel, work.kernel_p
    fm = _value(model.teacher, now.magnetization)
    constant = model.offset - fm
    for s in range(n):
        value[s] = c_row[s] / w[s]
    _polynomial(model.f, value, n, work.f)
    _polynomial(model.slope, value, n, work.slope)
    _polynomial(model.curvature, value, n, work.curvature)
    # (4.1)
    for s in range(n):
        K[s] = (work.f[s] + constant) * w[s] - fm_hat[s]
    for s in range(n):
        k[s] = work.slope[s] * r_row[s]
    for s in range(n):
        kp[s] = k[s] * reselection[s]
    return _value(model.f, now.norm) + model.offset - 2.0 * fm


@compiled(**INNER)
def multipliers(lines, work, n, reselection):
    """Rows L(t,.) and G(t,.), s < t; returns sum_s L(t,s), the last term 1 included."""
    l_row, g_row, A, k_g, g_kp = work.multiplier, work.multipliers, work.driven, work.x1, work.x2
    # (4.2): so far L^T (k P)
    for s in range(n):
        l_row[s] = -l_row[s]
    # (4.4): the term v = s belongs to its second sum alone; half of it in each is the same, as k P (s) = P(s) k(s).
    for s in range(n):
        g_row[s] = reselection[s] * (A[s] - k_g[s]) - g_kp[s]
    sum_l = 1.0
    for s in range(n):
        sum_l += l_row[s] * lines.weight[s]
    return sum_l


@compiled(**INNER)
def least_squares(past, lines, samples, memory, work, now, n, reselection, batch_fraction, model, measure):
    """Row t of the memory kernels, of L and of G; returns kappa and the loss. With `measure` only the loss, and
    `work.multiplier` is L^T (k P).
    """
    K_tt = covariances(lines, samples, work, now, n, reselection, model)
    A, k, kp, k_g = work.driven, work.kernel, work.kernel_p, work.x1
    work.multiplier[: n + 1] = 0.0
    work.x2[: n + 1] = 0.0
    both(past.operators[L], past.row, past.end, n, work.covariance, kp, A, work.multiplier)  # (4.3)
    both(past.operators[G], past.row, past.end, n, k, kp, k_g, work.x2)
    # (4.5), (4.6)
    residual2, g_tt = K_tt, K_tt
    for s in range(n):
        residual2 += 2.0 * k[s] * (k_g[s] - A[s])
        g_tt += 2.0 * kp[s] * (k_g[s] - A[s])
    g_tt /= batch_fraction
    loss = 0.5 * model.alpha * residual2
    if measure:
        return 0.0, loss

    sum_l = multipliers(lines, work, n, reselection)
    l_row, g_row, alpha = work.multiplier, work.multipliers, model.alpha
    # S_R = alpha [L f' - G f'' R eta] and S_C = alpha G f' of (4.7), (4.10)
    for s in range(n):
        curved = g_row[s] * work.curvature[s] * lines.response[s] / lines.weight[s]
        memory.response[s] = alpha * (l_row[s] * work.slope[s] - curved)
    for s in range(n):
        memory.correlation[s] = alpha * g_row[s] * work.slope[s]
    slope_tt = _value(model.slope, now.norm)
    memory.response[n], memory.correlation[n] = alpha * slope_tt, alpha * g_tt * slope_tt

    l_row[n], g_row[n], samples.teacher[n] = 1.0, 0.5 * g_tt, _value(model.teacher, now.magnetization)
    _append(past, L, n, l_row)
    _append(past, G, n, g_row)
    return alpha * _value(model.pull, now.magnetization) * sum_l, loss  # (4.8)


@compiled(**INNER)
def replicas(past, lines, samples, memory, work, now, n, eta, model, drive):
    """G12(t,.) = L K12 L^T and C12(t+1,.) of two runs with independent selections and noises, after `move`.

    Neither run responds to the other.
    """
    w, m_hat, k, l_row, g_row = lines.weight, lines.magnetization, work.kernel, work.multiplier, work.multipliers
    K12, A12, x1, x2, x3, unused = work.covariance, work.driven, memory.x1, memory.x2, memory.x3, work.x1
    D, c12_row, alpha = memory.propagator, samples.replica_correlation, model.alpha
    c12, fm = now.replica_overlap, samples.teacher[n]
    for s in range(n):
        work.value[s] = c12_row[s] / w[s]
    _polynomial(model.f, work.value, n, work.f)
    _polynomial(model.slope, work.value, n, work.slope)
    for s in range(n):
        K12[s] = (work.f[s] + model.offset - fm) * w[s] - samples.teacher[s]
    unused[: n + 1] = 0.0
    both(past.operators[L], past.row, past.end, n, K12, k, A12, unused)  # of L only the product is needed
    x2[:n] = 0.0
    both(past.operators[G12], past.row, past.end, n, k, k, x1, x2)
    g_tt = _value(model.f, c12) + model.offset - 2.0 * fm
    for s in range(n):
        g_row[s] = A12[s] - x1[s] - x2[s]
        g_tt += l_row[s] * K12[s] - k[s] * g_row[s]
    c12_row[n], g_row[n] = 0.5 * c12, 0.5 * g_tt
    _append(past, C12, n, c12_row)
    _append(past, G12, n, g_row)

    for s in range(n):
        g_row[s] *= alpha * work.slope[s]
    g_row[n] = alpha * g_tt * _value(model.slope, c12)
    x2[: n + 1] = 0.0
    both(past.operators[C12], past.row, past.end, n + 1, D, D, x1, x2)
    both(past.operators[R], past.row, past.end, n + 1, g_row, g_row, x3, unused)  # of R only the product is needed
    back = model.feedback * drive
    c12 = back * now.magnetization
    for s in range(n + 1):
        c12_row[s] = x1[s] + x2[s] + back * m_hat[s] + eta * x3[s]
        c12 += D[s] * c12_row[s] + eta * g_row[s] * lines.response[s]
    now.replica_overlap = c12


@compiled(**OPTIONS)
def row_of_least_squares(
    operators, row, end, lines, scratch, state, reselection, batch_fraction, polynomials, constants
):
    """`least_squares` at the current time, alone."""
    return least_squares(
        Past(operators, row, end), lines_of(lines), sample_lines_of(lines), memory_of(scratch), residuals_of(scratch),
        state[0], state[0].coordinates, reselection, batch_fraction, least_squares_of(polynomials, constants), False,
    )  # fmt: skip


@compiled(**OPTIONS)
def advance_least_squares(
    operators, row, end, lines, scratch, state, steps, reselections, rates, polynomials, constants, bounds, out, measure,
    pair,
):  # fmt: skip
    """Take `steps` steps t -> t+1, each time t a new coordinate; returns (steps taken, why no more).

    `out` receives m(t), C(t,t), the loss and C12(t,t). With `measure` only that, for the current time. `pair` is True to
    carry two replicas, else None (decided when it is compiled).
    """
    past, named, samples, now = Past(operators, row, end), lines_of(lines), sample_lines_of(lines), state[0]
    memory, work = memory_of(scratch), residuals_of(scratch)
    model, limits = least_squares_of(polynomials, constants), bounds_of(bounds)
    for i in range(steps):
        n, rate = now.coordinates, rates_of(rates[i])
        reselection = reselections[min(i, reselections.shape[0] - 1)]
        pull, loss = least_squares(
            past, named, samples, memory, work, now, n, reselection, rate.batch_fraction, model, measure
        )
        _record(out[i], now, loss)
        if measure:
            return 0, DONE
        drive = move(past, named, memory, now, n, rate, pull, model.feedback)
        if pair is not None:
            replicas(past, named, samples, memory, work, now, n, rate.learning_rate, model, drive)
        z = project(named, now, n, limits.sphere)
        if pair is not None:
            for s in range(n + 1):
                samples.replica_correlation[s] *= z
            now.replica_overlap *= z * z
        reason = _arrive(now, n, limits)
        if reason != DONE:
            return i + 1, reason
    return steps, DONE


# -- polynomial self-energies --------------------------------------------------------------------------------------------


@compiled(**INNER)
def self_energy(lines, memory, now, n, polynomials):
    """Row t of the memory kernels of Sigma = P(Q) + S o T(Q), (6.12); returns the pull and the energy.

    `polynomials` are the coefficients of P, P', T, and of the energy: int of the fourth plus the fifth at m(t).
    """
    w, r_row, value, weight = lines.weight, lines.response, memory.x1, memory.x2
    for s in range(n):
        value[s] = lines.correlation[s] / w[s]
    _polynomial(polynomials[1], value, n, memory.response)
    for s in range(n):
        memory.response[s] *= r_row[s]
    _polynomial(polynomials[0], value, n, memory.correlation)
    for s in range(n):
        memory.correlation[s] *= -w[s]
    memory.response[n], memory.correlation[n] = 0.0, -_value(polynomials[0], now.norm)
    _polynomial(polynomials[3], value, n, weight)
    energy = _value(polynomials[4], now.magnetization)
    for s in range(n):
        energy += weight[s] * r_row[s] * w[s]
    return -_value(polynomials[2], now.magnetization), energy


@compiled(**OPTIONS)
def advance_self_energy(operators, row, end, lines, scratch, state, steps, rates, polynomials, bounds, out):
    """As `advance_least_squares`, under a polynomial self-energy."""
    past, named, memory, now = Past(operators, row, end), lines_of(lines), memory_of(scratch), state[0]
    limits = bounds_of(bounds)
    for i in range(steps):
        n = now.coordinates
        pull, energy = self_energy(named, memory, now, n, polynomials)
        _record(out[i], now, energy)
        move(past, named, memory, now, n, rates_of(rates[i]), pull, 1.0)
        project(named, now, n, limits.sphere)
        reason = _arrive(now, n, limits)
        if reason != DONE:
            return i + 1, reason
    return steps, DONE
