r"""The outliers at an overlap along a path, (10.2) to (10.5), against Hessians drawn from their conditional law.

C, R and m of a path are the theory's. Samples answer them one by one: xi and D_w h are drawn from their Gaussian law, the
residuals and batches from r = xi - sum k u. Off the span of the path and of x*, gradients at all its points are drawn for
every sample, and corrected by what makes the forces of all steps vanish there. Neither (4.2) to (4.6), nor averages over
samples, nor free probability is used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy.linalg import eigh

import sgdmft as sg
from helpers import assert_chance
from sgdmft.analysis import landscape
from sgdmft.analysis.landscape.conditioned import path_of, slopes


class Case(NamedTuple):
    model: sg.GaussianLeastSquares
    algorithm: sg.Descent
    time: int
    outliers: int


MIXED = sg.Covariance({1: 0.3, 2: 0.4, 3: 0.3})
CASES = {
    "sgd": Case(sg.GaussianLeastSquares(alpha=3.0), sg.SGD(0.1, 0.3), 6, 2),
    "descent": Case(sg.GaussianLeastSquares(alpha=2.5), sg.GradientDescent(0.1), 4, 1),
    "momentum, temperature, noise": Case(
        sg.GaussianLeastSquares(alpha=1.5, covariance=MIXED, labels=sg.Teacher(noise=0.2)),
        sg.SGD(0.1, 0.4, momentum=0.5, temperature=0.1, weight_decay=0.2), 4, 1,
    ),
    "target": Case(
        sg.GaussianLeastSquares(alpha=1.5, covariance=MIXED, labels=sg.ConstantTarget(0.8)), sg.SGD(0.1, 0.2), 4, 1
    ),
}  # fmt: skip


def solved(case: Case) -> sg.Trajectory:
    start, save = sg.Start(magnetization=0.3, norm=1.1), sg.Save(two_time=range(case.time + 1))
    return sg.solve(case.model, case.algorithm, steps=case.time, start=start, save=save, method=sg.Dense())


def hessian(case: Case, theory: sg.Trajectory, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One Hessian in an orthonormal basis whose first vectors span the path and x*; and x*/sqrt(N) in it."""
    f, labels, t, samples = case.model.covariance, case.model.labels, case.time, round(case.model.alpha * size)
    C, R, m = theory.correlation, theory.response, theory.magnetization
    rates, teacher = case.algorithm.rates(t), isinstance(labels, sg.Teacher)
    eta, b, first = rates.learning_rate, rates.batch_fraction, f.derivative(C)
    gram = np.block([[C, m[:, None]], [m, 1.0]])
    f1, f2, f3 = (f.derivative(C[t], order=order) for order in (1, 2, 3))
    # (xi(0..t), D_w h at x(t)): values at the points less that at x*, label noise
    points = gram[:, :-1]
    values = f(C) - f(m) - f(m)[:, None] + f(1.0) + labels.noise if teacher else f(C) + labels.value**2
    slopes = f1 * points - (f.derivative(m[t]) * gram[:, -1:] if teacher else 0.0)
    joint = np.block([[values, slopes.T], [slopes, f1[t] * gram + f2[t] * np.outer(gram[t], gram[t])]])
    eigenvalues, vectors = np.linalg.eigh(joint)
    drawn = rng.standard_normal((samples, len(joint))) @ (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))).T
    xi, d = drawn[:, : t + 1], drawn[:, t + 1 :].copy()
    r, u = np.zeros((samples, t + 1)), np.zeros((samples, t))
    for s in range(t + 1):
        r[:, s] = xi[:, s] - u[:, :s] @ (first[s, :s] * R[s, :s] * eta[:s])
        if s < t:
            u[:, s] = r[:, s] * (rng.random(samples) < b[s]) / b[s]
    kicked = np.vstack([R, np.zeros(t + 1)])
    second = np.einsum("v,av,bv->vab", f2, points, points)
    second = np.tensordot(np.linalg.pinv(values) @ (r[:, t] @ xi), second - (
        f.derivative(m[t], 2) * np.outer(gram[-1], gram[-1]) if teacher else 0.0), 1)  # fmt: skip
    for v in range(t):
        shift = eta[v] * u[:, v]
        d -= np.outer(shift, kicked[:, v] * f1[v] + R[t, v] * f2[v] * gram[:, v])
        both = f2[v] * np.outer(kicked[:, v], gram[:, v])
        second -= (r[:, t] @ shift) * (both + both.T + R[t, v] * f3[v] * np.outer(gram[:, v], gram[:, v]))
    # off the plane: gradients at all points under vanishing forces, and derivatives of the last along the plane
    others = size - t - 2
    root, force = np.linalg.cholesky(first), first[:t, :t] * (u.T @ u)
    force += np.diag(2.0 * rates.temperature / eta) * size
    across = f2 * points
    regression = across @ np.linalg.inv(first)
    rest = f2[t] * gram + f3[t] * np.outer(gram[t], gram[t]) - regression @ across.T
    eigenvalues, vectors = np.linalg.eigh(rest)
    rest = vectors * np.sqrt(np.maximum(eigenvalues, 0.0) * (r[:, t] @ r[:, t]))
    last, rows = np.empty((others, samples)), rng.standard_normal((others, t + 2)) @ rest.T
    for i in range(others):
        a = root @ rng.standard_normal((t + 1, samples))
        noise = np.sqrt(2.0 * rates.temperature / eta * size) * rng.standard_normal(t)
        a -= (first[:, :t] * np.linalg.solve(force, (u.T * a[:t]).sum(axis=1) + noise)) @ u.T
        rows[i] += regression @ (a @ r[:, t]) + a[t] @ d
        last[i] = a[t]
    left = np.sqrt(r[:, t] @ r[:, t] * f2[t] / 2.0) * rng.standard_normal((others, others))
    eigenvalues, vectors = np.linalg.eigh(gram)
    basis = vectors / np.sqrt(eigenvalues)
    whole = np.block([
        [basis.T @ (second + d.T @ d) @ basis, (rows @ basis).T], [rows @ basis, last @ last.T + left + left.T],
    ]) / size  # fmt: skip
    whole[np.diag_indices(size)] += rates.weight_decay[-1]
    return whole, np.append(basis.T @ gram[-1], np.zeros(others))


def judge(name: str, size: int, draws: int) -> None:
    """All outliers and overlaps; beside the standard error a bulk's width over N is allowed for, 8/N in overlaps."""
    case = CASES[name]
    theory = solved(case)
    expected = landscape.spectrum(theory, case.time)
    assert expected.outliers is not None
    assert len(expected.outliers) == case.outliers
    rng, found = np.random.default_rng([1, size]), {0: [], -1: []}
    for _ in range(draws):
        matrix, signal = hessian(case, theory, size, rng)
        for end, i in ((0, 0), (-1, size - 1)):
            value, vector = eigh(matrix, subset_by_index=[i, i])
            found[end].append((value[0], (signal @ vector[:, 0]) ** 2))
    width = expected.bulk.upper_edge - expected.bulk.lower_edge
    for outlier in expected.outliers:
        seen = np.array(found[0 if outlier.eigenvalue < expected.bulk.lower_edge else -1])
        error = np.hypot(seen.std(axis=0, ddof=1) / np.sqrt(draws), [width / size + outlier.error, 8.0 / size])
        z = (seen.mean(axis=0) - [outlier.eigenvalue, outlier.overlap]) / error
        assert_chance(z if isinstance(case.model.labels, sg.Teacher) else z[:1], freedom=draws - 1)
        assert error[0] < 0.5 / np.sqrt(size / 100)


@pytest.mark.parametrize("name", CASES)
def test_slopes_of_the_loss_are_the_next_step(name):
    """The gradient's products with the path and x* are what the theory's next step shows, momentum and decay taken off."""
    case, t = CASES[name], CASES[name].time
    later = solved(case._replace(time=t + 1))
    now = slice(t + 1)
    C, m = later.correlation, later.magnetization
    path = path_of(case.model, case.algorithm, C[now, now], later.response[now, now], m[now])
    force = case.model.alpha * slopes(case.model, path).forces[:, -1]
    rates, moved = case.algorithm.rates(t + 1), np.append(C[t + 1, now] - C[t, now], m[t + 1] - m[t])
    before = np.append(C[t, now] - C[t - 1, now], m[t] - m[t - 1])
    decay = np.append(C[t, now], m[t]) * rates.weight_decay[t]
    np.testing.assert_allclose(
        moved, -rates.learning_rate[t] * (force + decay) + rates.momentum[t] * before, atol=1e-12
    )
    assert np.abs(force).max() > 0.1


@pytest.mark.parametrize("name", CASES)
def test_outliers_at_an_overlap(name):
    judge(name, 500, 16)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_outliers_at_an_overlap_at_a_larger_size(name):
    judge(name, 2000, 8)
