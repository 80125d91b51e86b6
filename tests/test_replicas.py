"""Two replicas: the closed equations against a dense program of their own and against simulations; their limits."""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from helpers import assert_chance

MIXED = sg.Covariance({1: 0.2, 2: 0.4, 3: 0.1})


def reference(model, algorithm, steps, start):
    """Equations (4.1) to (4.10) at P = 1 and those of two replicas, matrix by matrix: C12(t,t') and chi(t,t')."""
    f = model.covariance
    f1, f2 = (lambda q: f.derivative(q)), (lambda q: f.derivative(q, order=2))
    rates = algorithm.rates(steps)
    eta, n, alpha = rates.learning_rate, steps + 1, model.alpha
    C, C12, R, L, G, G12, K12 = (np.zeros((n, n)) for _ in range(7))
    m = np.zeros(n)
    C[0, 0] = C12[0, 0] = start.norm
    m[0] = start.magnetization
    label = np.zeros(n)
    for t in range(n):
        past = slice(0, t)
        offset = f(1.0) - f(m[t]) - f(m[: t + 1]) + model.labels.noise
        K = f(C[t, : t + 1]) + offset
        k = f1(C[t, past]) * R[t, past] * eta[:t]
        L[t, past] = -k @ L[past, past]
        L[t, t] = 1.0
        label[t] = L[t].sum()
        A = L[past, past] @ K[:t]
        G[t, past] = G[past, t] = A - G[past, past] @ k
        G[t, t] = (K[t] - 2 * k @ A + k @ G[past, past] @ k) / rates.batch_fraction[min(t, steps - 1)]
        K12[t, : t + 1] = K12[: t + 1, t] = f(C12[t, : t + 1]) + offset
        G12[: t + 1, : t + 1] = L[: t + 1, : t + 1] @ K12[: t + 1, : t + 1] @ L[: t + 1, : t + 1].T
        if t == steps:
            break
        D = -eta[t] * alpha * L[t, : t + 1] * f1(C[t, : t + 1])
        D[:t] += eta[t] * alpha * G[t, :t] * f2(C[t, :t]) * R[t, :t] * eta[:t]
        D[t] += 1.0 - eta[t] * rates.weight_decay[t] + rates.momentum[t] * (t > 0)
        if t:
            D[t - 1] -= rates.momentum[t]
        kappa = alpha * f1(m[t]) * L[t].sum()
        now = slice(0, t + 1)
        m[t + 1] = D @ m[now] + eta[t] * kappa
        R[t + 1, now] = D @ R[now, now]
        R[t + 1, t] = 1.0
        for c, g, noise in ((C, G, 2 * eta[t] * rates.temperature[t]), (C12, G12, 0.0)):
            sc = eta[t] * alpha * g[t, now] * f1(c[t, now]) * eta[now]
            c[t + 1, now] = c[now, t + 1] = D @ c[now, now] + eta[t] * kappa * m[now] + R[now, now] @ sc
            c[t + 1, t + 1] = D @ c[t + 1, now] + eta[t] * kappa * m[t + 1] + R[t + 1, now] @ sc + noise
    step = R[:, :-1] * eta[: n - 1]
    chi = np.array([[step[t, s:].sum() for s in range(n)] for t in range(n)])
    return C, C12, chi, label


CASES = [
    (sg.GaussianLeastSquares(alpha=1.5), sg.SGD(0.1, 0.2), sg.Start()),
    (
        sg.GaussianLeastSquares(alpha=1.2, covariance=MIXED, labels=sg.Teacher(noise=0.3)),
        sg.Descent(
            learning_rate=lambda t: 0.1 / (1 + 0.02 * t),
            batches=sg.Bernoulli(lambda t: 0.2 + 0.01 * t),
            momentum=0.4,
            weight_decay=0.1,
            temperature=0.2,
        ),
        sg.Start(magnetization=0.3, norm=1.3),
    ),
]


@pytest.mark.parametrize(("model", "algorithm", "start"), CASES, ids=["talk", "everything"])
@pytest.mark.parametrize("method", [sg.Dense(), sg.Compressed(order=6)], ids=["dense", "compressed"])
def test_theory_equals_the_plain_program(model, algorithm, start, method):
    steps = 70
    times = [0, 1, 2, 11, 30, 45, 69, 70]
    run = sg.solve(model, algorithm, steps=steps, start=start, method=method, save=sg.Save(two_time=times, replicas=2))
    C, C12, chi, label = reference(model, algorithm, steps, start)
    close = {"rtol": 0, "atol": 1e-11 if isinstance(method, sg.Dense) else 1e-7}
    pick = np.ix_(times, times)
    np.testing.assert_allclose(run.correlation, C[pick], **close)
    np.testing.assert_allclose(run["replica_correlation"], C12[pick], **close)
    np.testing.assert_allclose(run["replica_overlap"], np.diag(C12), **close)
    np.testing.assert_allclose(run["integrated_response"], chi[pick], **close)
    np.testing.assert_allclose(run["label_response"], label[times], **close)


def test_replicas_without_noise_are_one_and_stay_inside_the_ball():
    model = sg.GaussianLeastSquares(alpha=1.5)
    run = sg.solve(model, sg.GradientDescent(0.1), steps=60, save=sg.Save(replicas=2))
    np.testing.assert_allclose(run["replica_correlation"], run.correlation, rtol=0, atol=1e-12)
    noisy = sg.solve(model, sg.SGD(0.1, 0.2), steps=60, save=sg.Save(replicas=2))
    assert np.all(noisy["replica_overlap"][2:] < noisy.norm[2:])


def test_a_constant_target_is_the_teacher_without_overlap():
    """f(1) of a teacher at m = 0 is the square of a constant target."""
    algorithm, start = sg.SGD(0.1, 0.3), sg.Start(magnetization=0.0)
    teacher = sg.solve(sg.GaussianLeastSquares(alpha=2.0), algorithm, steps=50, start=start, save=sg.Save(replicas=2))
    target = sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(np.sqrt(0.5)))
    other = sg.solve(target, algorithm, steps=50, start=start, save=sg.Save(replicas=2))
    for name in ("loss", "norm", "replica_overlap", "integrated_response", "label_response"):
        np.testing.assert_allclose(teacher[name], other[name], rtol=1e-12, atol=1e-14)


def test_shuffled_batches_have_no_theory_of_replicas():
    with pytest.raises(sg.errors.InvalidArgument, match="a simulation"):
        sg.solve(
            sg.GaussianLeastSquares(alpha=1.5),
            sg.Descent(learning_rate=0.1, batches=sg.Shuffled(4)),
            steps=3,
            save=sg.Save(replicas=2),
        )


def test_replicas_and_integrated_response_against_simulation():
    """C12 and chi of single samples, N = 160, against N -> infinity; the finite size adds a bias of order 1/N."""
    model, algorithm, steps, size, samples = sg.GaussianLeastSquares(alpha=1.5), sg.SGD(0.1, 0.3), 10, 160, 20
    save = sg.Save(two_time=range(steps + 1), replicas=2, response=range(steps))
    theory = sg.solve(model, algorithm, steps=steps, save=save)
    runs = [sg.simulate(model, algorithm, steps=steps, size=size, samples=1, seed=k, save=save) for k in range(samples)]
    lower = np.tril_indices(steps + 1)
    c12 = np.array([run["replica_correlation"][lower] for run in runs])
    step = np.array([run.response[:, :-1] for run in runs]) * 0.1
    chi = np.cumsum(step[:, :, ::-1], axis=2)[:, :, ::-1][:, *np.tril_indices(steps + 1, -1, steps)]
    expected = theory["integrated_response"][:, :-1][np.tril_indices(steps + 1, -1, steps)]
    for measured, exact in ((c12, theory["replica_correlation"][lower]), (chi, expected)):
        error = measured.std(axis=0, ddof=1) / np.sqrt(samples)
        known = error > 1e-12
        np.testing.assert_allclose(measured.mean(axis=0)[~known], exact[~known], atol=1e-8)
        bias = 2.0 / size
        z = (measured.mean(axis=0) - exact)[known] / np.hypot(error[known], bias)
        assert_chance(z, freedom=samples - 1)
    # the test tells C12 from C: the replicas have separated by many errors
    gap = c12[:, -1] - [run.norm[-1] for run in runs]
    assert abs(gap.mean()) > 5 * gap.std(ddof=1) / np.sqrt(samples)
