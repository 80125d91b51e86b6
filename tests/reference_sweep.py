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


def sweep(model, algorithm, *, steps, start, residuals=None):
    """m, C(t,t), loss, C and R (each over steps 0 .. steps) as a dictionary."""
    residuals = residuals or closed
    f, alpha = model.covariance, model.alpha
    teacher = isinstance(model.labels, sg.Teacher)
    rates = algorithm.rates(steps)
    eta = rates.learning_rate
    count = steps + 1
    C, R, L, G, K, k = (np.zeros((count, count)) for _ in range(6))
    m, loss = np.zeros(count), np.zeros(count)
    C[0, 0], m[0] = start.norm, start.magnetization
    for t in range(count):
        past, upto = slice(0, t), slice(0, t + 1)
        K[t, upto] = f(C[t, upto])
        K[t, upto] += f(1.0) - f(m[t]) - f(m[upto]) + model.labels.noise if teacher else model.labels.value**2
        K[upto, t] = K[t, upto]
        k[t, past] = f.derivative(C[t, past]) * R[t, past] * eta[past]
        fractions = np.append(rates.batch_fraction, 1.0)  # the loss at the end does not depend on the last fraction
        residual2 = residuals(algorithm.batches, t, fractions, K, k, L, G)
        loss[t] = alpha * residual2 / 2
        if t == steps:
            break
        D = np.zeros(count)
        slope, curvature = f.derivative(C[t, upto]), f.derivative(C[t, upto], order=2)
        D[upto] = -eta[t] * alpha * (L[t, upto] * slope - G[t, upto] * curvature * R[t, upto] * eta[upto])
        memory = np.zeros(count)
        memory[upto] = eta[t] * alpha * G[t, upto] * slope * eta[upto]
        momentum = rates.momentum[t] if t else 0.0
        D[t] += 1 - eta[t] * rates.weight_decay[t] + momentum
        D[t - 1] -= momentum
        drive = eta[t] * alpha * f.derivative(m[t]) * L[t, upto].sum() if teacher else 0.0
        new = t + 1
        m[new] = D @ m + drive
        R[new, :new] = [D[s:] @ R[s:, s] for s in range(new)]
        R[new, t] = 1.0
        for s in range(new):
            C[new, s] = C[s, new] = D @ C[:, s] + drive * m[s] + memory[:s] @ R[s, :s]
        C[new, new] = D @ C[:, new] + drive * m[new] + memory @ R[new] + 2 * eta[t] * rates.temperature[t]
        if algorithm.spherical:
            z = np.sqrt(start.norm / C[new, new])
            m[new] *= z
            R[new] *= z
            C[new, :new] *= z
            C[:new, new] *= z
            C[new, new] = start.norm
    return {"magnetization": m, "norm": np.diagonal(C).copy(), "loss": loss, "correlation": C, "response": R}


def closed(batches, t, b, K, k, L, G):
    """Fill row t of L and G by (4.2), (4.4), (4.6), and return E r^2 by (4.5)."""
    past = np.arange(t)
    P = np.array([float(batches.reselection(t, np.array([float(s)]))[0]) for s in past])
    kP = k[t, :t] * P
    A = np.array([K[t, : s + 1] @ L[s, : s + 1] for s in past])
    L[t, t] = 1.0
    for s in past:
        L[t, s] = -kP[s:] @ L[s:t, s]
        G[t, s] = P[s] * A[s] - kP[s + 1 :] @ G[s + 1 : t, s] - P[s] * (k[t, : s + 1] @ G[: s + 1, s])
    latest = P[np.maximum.outer(past, past)] if t else np.zeros((0, 0))
    plain = K[t, t] - 2 * k[t, :t] @ A + k[t, :t] @ G[:t, :t] @ k[t, :t]
    selected = K[t, t] - 2 * kP @ A + k[t, :t] @ (latest * G[:t, :t]) @ k[t, :t]
    G[t, :t], G[:t, t], G[t, t] = G[t, :t], G[t, :t], selected / b[t]
    return plain


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
