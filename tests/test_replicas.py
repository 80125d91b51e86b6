"""Two replicas: the closed equations against plain ones and against simulations; their limits."""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from helpers import assert_chance, assert_sharp
from reference_sweep import sweep

MIXED = sg.Covariance({1: 0.2, 2: 0.4, 3: 0.1})


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
    reference = sweep(model, algorithm, steps=steps, start=start, replicas=True)
    close = {"rtol": 0, "atol": 1e-11 if isinstance(method, sg.Dense) else 1e-7}
    for name in ("correlation", "replica_correlation", "integrated_response", "label_response"):
        pick = reference[name][np.ix_(times, times)] if name != "label_response" else reference[name][times]
        np.testing.assert_allclose(run[name], pick, **close, err_msg=name)
    np.testing.assert_allclose(run["replica_overlap"], reference["replica_overlap"], **close)


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
        assert_sharp(error, exact, size * samples)
        known = error > 1e-12
        np.testing.assert_allclose(measured.mean(axis=0)[~known], exact[~known], atol=1e-8)
        bias = 2.0 / size
        z = (measured.mean(axis=0) - exact)[known] / np.hypot(error[known], bias)
        assert_chance(z, freedom=samples - 1)
    # the test tells C12 from C: the replicas have separated by many errors
    gap = c12[:, -1] - [run.norm[-1] for run in runs]
    assert abs(gap.mean()) > 5 * gap.std(ddof=1) / np.sqrt(samples)
