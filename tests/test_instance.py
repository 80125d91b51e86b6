"""One data set: covariance of the random functions, and derivatives of the loss against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from helpers import assert_chance, z_of_mean
from sgdmft.simulation import Instance

POWERS = [{1: 0.7}, {2: 0.5}, {3: 0.4}, {4: 0.3}, {0: 0.2, 1: 0.4, 2: 0.45, 3: 0.1}]


def instance(powers, *, size=9, alpha=1.5, labels=None, **options):
    model = sg.GaussianLeastSquares(
        alpha=alpha, covariance=sg.Covariance(powers), labels=labels or sg.Teacher(noise=0.3)
    )
    return Instance(model, size, **options)


@pytest.mark.parametrize("powers", POWERS, ids=repr)
def test_covariance_of_the_random_functions(powers):
    size = 4
    data = instance(powers, size=size, alpha=4000.0)
    rng = np.random.default_rng(3)
    points = rng.standard_normal((3, size))
    h = np.array([data.values(x) for x in points])
    scores = []
    for a in range(3):
        for b in range(a, 3):
            x, y = points[a], points[b]
            missing_diagonal = powers.get(2, 0.0) * (x**2 @ y**2) / size**2
            expected = float(data.model.covariance(x @ y / size)) - missing_diagonal
            scores.append(float(z_of_mean(h[a] * h[b] - expected)))
    assert_chance(scores)
    assert_chance(z_of_mean(h.T))


@pytest.mark.parametrize("powers", POWERS, ids=repr)
def test_derivatives_against_finite_differences(powers):
    data = instance(powers)
    rng = np.random.default_rng(4)
    x, v = rng.standard_normal((2, data.size))
    step = 1e-5
    close = {"rtol": 1e-7, "atol": 1e-7}
    for difference, derivative in (
        ((data.values(x + step * v) - data.values(x - step * v)) / (2 * step), data.jacobian(x) @ v),
        ((data.loss(x + step * v) - data.loss(x - step * v)) / (2 * step) * data.size, data.gradient(x) @ v),
        ((data.gradient(x + step * v) - data.gradient(x - step * v)) / (2 * step), data.hessian_product(x, v)),
    ):
        np.testing.assert_allclose(difference, derivative, **close)
    hessian = data.hessian(x)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(hessian @ v, data.hessian_product(x, v), rtol=1e-10, atol=1e-12)


def test_labels_and_signal():
    clean = instance({2: 0.5}, size=12, labels=sg.Teacher())
    assert clean.loss(clean.signal) == 0.0
    assert clean.signal @ clean.signal == pytest.approx(12.0, rel=1e-12)
    noisy = instance({2: 0.5}, size=12, alpha=2000.0, labels=sg.Teacher(noise=0.3))
    assert_chance(float(z_of_mean(noisy.residuals(noisy.signal) ** 2 - 0.3)))
    assert (instance({2: 0.5}, labels=sg.ConstantTarget(0.7)).labels == 0.7).all()


def test_samples_are_independent_and_reproducible():
    first, again, other = (instance({2: 0.5}, size=40, alpha=3.0, sample=k) for k in (0, 0, 1))
    x = np.ones(40)
    np.testing.assert_array_equal(first.values(x), again.values(x))
    assert_chance(float(z_of_mean(first.values(x) * other.values(x))))


def test_single_precision_is_close_and_bad_points_are_refused():
    double, single = (instance({1: 0.2, 2: 0.5}, size=30, dtype=dtype) for dtype in ("float64", "float32"))
    assert single.jacobian(single.signal).dtype == np.float64
    single.couplings = {p: c.astype(np.float32) for p, c in double.couplings.items()}
    single._constant = double._constant
    x = np.random.default_rng(5).standard_normal(30)
    np.testing.assert_allclose(single.values(x), double.values(x), rtol=2e-5, atol=2e-5)
    with pytest.raises(sg.errors.InvalidArgument, match=r"must have shape \(30,\)"):
        double.loss(np.ones(29))
    with pytest.raises(sg.errors.InvalidArgument, match="dtype"):
        instance({2: 0.5}, dtype="float16")
