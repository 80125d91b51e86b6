r"""The equations of `sgdmft.dmft.integrator` once more, in plain numpy, without shared code.

`sweep` integrates (4.1) to (4.10). What the residuals contribute, L, G and E r^2, comes from one of two functions:

    closed        equations (4.2) to (4.6), which need only P(t, s);
    enumerated    the mean over all 2^(t+1) selection histories s of the linear equation u = S (xi - k u), S = diag(s/b):
                  M = (1 + S k)^-1 S,  L = E[M],  G = E[M K M^T],  E r^2 = E[((1 - k M) K (1 - k M)^T)_tt].

The second knows no closure. The probability of a history follows from P by inclusion and exclusion: the chance to be
selected at all of the times t1 < t2 < ... is  b(t1) Prod_i b(t_i+1) P(t_i+1, t_i), whatever happens between.
"""

from __future__ import annotations

import itertools

import numpy as np

import sgdmft as sg


def closed(batches, t, b, K, k, L, G):
    """Fill row t of L and G by (4.2), (4.4), (4.6), and return E r^2 by (4.5)."""
    past = slice(0, t)
    times = np.arange(t)
    P = np.array([float(batches.reselection(t, np.array([float(s)]))[0]) for s in times])
    kP = k[t, past] * P
    A = L[past, past] @ K[t, past]
    L[t, past], L[t, t] = -kP @ L[past, past], 1.0
    later, earlier = np.tril(G[past, past], -1), np.triu(G[past, past])  # G(v, s) with v > s, and with v <= s
    G_row = P * A - kP @ later - P * (k[t, past] @ earlier)
    latest = P[np.maximum.outer(times, times)] if t else np.zeros((0, 0))
    plain = K[t, t] - 2 * k[t, past] @ A + k[t, past] @ G[past, past] @ k[t, past]
    selected = K[t, t] - 2 * kP @ A + k[t, past] @ (latest * G[past, past]) @ k[t, past]
    G[t, past], G[past, t], G[t, t] = G_row, G_row, selected / b[t]
    return plain


def sweep(model, algorithm, *, steps, start, residuals=closed, replicas=False):
    """Everything that `solve` returns when it keeps steps 0 .. steps, as a dictionary of arrays.

    `Linearized` models drop what is of second order in m: f(m) from K, m from the equation for C. With `replicas`, which
    needs P = 1, also C12 of two runs with selections and noises of their own, from K12 and G12 = L K12 L^T.
    """
    linear = isinstance(model, sg.Linearized)
    model = model.model if linear else model
    f, alpha = model.covariance, model.alpha
    teacher = isinstance(model.labels, sg.Teacher)
    rates = algorithm.rates(steps)
    eta = rates.learning_rate
    count = steps + 1
    C, C12, R, L, G, K, K12, k = (np.zeros((count, count)) for _ in range(8))
    m, loss, label = np.zeros(count), np.zeros(count), np.zeros(count)
    C[0, 0], C12[0, 0], m[0] = start.norm, start.norm, start.magnetization
    for t in range(count):
        past, upto = slice(0, t), slice(0, t + 1)
        offset = (
            f(1.0) - (0.0 if linear else f(m[t]) + f(m[upto])) + model.labels.noise
            if teacher
            else model.labels.value**2
        )
        K[t, upto] = K[upto, t] = f(C[t, upto]) + offset
        k[t, past] = f.derivative(C[t, past]) * R[t, past] * eta[past]
        fractions = np.append(rates.batch_fraction, 1.0)  # the loss at the end does not depend on the last fraction
        residual2 = residuals(algorithm.batches, t, fractions, K, k, L, G)
        loss[t] = alpha * residual2 / 2
        label[t] = 1.0 - k[t, past] @ L[past, past].sum(axis=1)
        if t == steps:
            break
        D = np.zeros(count)
        slope, curvature = f.derivative(C[t, upto]), f.derivative(C[t, upto], order=2)
        D[upto] = -eta[t] * alpha * (L[t, upto] * slope - G[t, upto] * curvature * R[t, upto] * eta[upto])
        momentum = rates.momentum[t] if t else 0.0
        D[t] += 1 - eta[t] * rates.weight_decay[t] + momentum
        D[t - 1] -= momentum
        pull = f.derivative(0.0, order=2) * m[t] if linear else f.derivative(m[t])
        drive = eta[t] * alpha * pull * L[t, upto].sum() if teacher else 0.0
        feedback = 0.0 if linear else drive
        new = t + 1
        m[new] = D @ m + drive
        R[new, :new] = D[:new] @ R[:new, :new]
        R[new, t] = 1.0
        pairs = [(C, G, 2 * eta[t] * rates.temperature[t])]
        if replicas:
            K12[t, upto] = K12[upto, t] = f(C12[t, upto]) + offset
            pairs.append((C12, L[upto, upto] @ K12[upto, upto] @ L[upto, upto].T, 0.0))
        for c, g, noise in pairs:
            memory = eta[t] * alpha * g[t, upto] * f.derivative(c[t, upto]) * eta[upto]
            c[new, :new] = c[:new, new] = c[:new, :new] @ D[:new] + feedback * m[:new] + R[:new, :new] @ memory
            c[new, new] = D @ c[:, new] + feedback * m[new] + memory @ R[new, :new] + noise
        if algorithm.spherical:
            z = np.sqrt(start.norm / C[new, new])
            for x in (m, R, C, C.T, C12, C12.T):
                x[new] *= z
    answer = {"magnetization": m, "norm": np.diagonal(C).copy(), "loss": loss, "correlation": C, "response": R}
    answer |= {
        "integrated_response": np.cumsum((R * np.append(eta, 0.0))[:, ::-1], axis=1)[:, ::-1],
        "label_response": label,
    }
    if replicas:
        answer |= {"replica_correlation": C12, "replica_overlap": np.diagonal(C12).copy()}
    return answer


def enumerated(batches, t, b, K, k, L, G):
    """Fill row t of L and G, and return E r^2, by the mean over selection histories."""
    size = t + 1
    one = np.eye(size)
    response, correlation, residual2 = np.zeros((size, size)), np.zeros((size, size)), 0.0
    for history, probability in law(batches, size, b).items():
        S = np.diag(np.array(history) / b[:size])
        M = np.linalg.solve(one + S @ k[:size, :size], S)
        rest = one - k[:size, :size] @ M
        response += probability * M
        correlation += probability * (M @ K[:size, :size] @ M.T)
        residual2 += probability * (rest @ K[:size, :size] @ rest.T)[t, t]
    L[t, :size] = response[t]
    G[t, :size] = G[:size, t] = correlation[t]
    return residual2


def law(batches, size, b):
    """Probability of each selection history of `size` steps, a dictionary from tuples of 0 and 1."""
    together = {}
    for history in itertools.product((0, 1), repeat=size):
        times = np.flatnonzero(history)
        chance = b[times[0]] if len(times) else 1.0
        for s, t in itertools.pairwise(times):
            chance *= b[t] * batches.reselection(int(t), np.array([float(s)]))[0]
        together[history] = chance
    probabilities = {}
    for history in together:
        free = [i for i, selected in enumerate(history) if not selected]
        total = 0.0
        for count in range(len(free) + 1):
            for extra in itertools.combinations(free, count):
                also = tuple(1 if i in extra else selected for i, selected in enumerate(history))
                total += (-1) ** count * together[also]
        probabilities[history] = total
    return probabilities
