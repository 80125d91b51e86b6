"""Stability at the signal: closed forms against the integral they invert, random matrices, and limits of schemes."""

import numpy as np
import pytest
from scipy.integrate import quad

import sgdmft as sg

ETA = 0.1  # plays no part


def _model(alpha, powers=None, **labels):
    covariance = sg.Covariance(powers or {2: 0.5})
    return sg.GaussianLeastSquares(alpha=alpha, covariance=covariance, labels=sg.Teacher(**labels))


def _limit(alpha, algorithm):
    return sg.stability_limit(_model(alpha), algorithm).learning_rate


def _noise_kernel(eta, alpha, b, beta, variance):
    """Equation (9.2) by quadrature over Marchenko-Pastur's density, l = centre + half-width cos(angle)."""
    centre, half = variance * (1 + alpha), 2 * variance * np.sqrt(alpha)

    def integrand(angle):
        l = centre + half * np.cos(angle)
        density = half * np.sin(angle) / (2 * np.pi * variance * l)
        return density * l / (2 * (1 + beta) - eta * l) * half * np.sin(angle)

    integral = quad(integrand, 0, np.pi, epsrel=1e-11)[0]
    return (1 / b - 1) * (eta / alpha) * (1 + beta) / (1 - beta) * integral


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(("b", "beta"), [(0.1, 0.0), (0.05, 0.3), (0.3, 0.8)])
def test_noise_limit_solves_the_renewal_equation(alpha, b, beta):
    limit = sg.stability_limit(_model(alpha, {1: 0.3, 3: 0.1}), sg.SGD(ETA, b, momentum=beta))
    assert "noise" in limit.reason
    assert _noise_kernel(limit.learning_rate, alpha, b, beta, variance=0.6) == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(
    ("alpha", "powers"), [(0.5, {2: 0.5}), (3.0, {2: 0.5}), (3.0, {1: 0.7}), (2.0, {3: 0.2, 1: 0.1})]
)
def test_largest_eigenvalue_of_a_large_random_hessian(alpha, powers):
    """Finite size shifts an edge by about N^(-2/3) and an outlier by N^(-1/2); 4 per cent covers both at N = 1000."""
    f = sg.Covariance(powers)
    size = 1000
    rng = np.random.default_rng(1)
    gradients = rng.standard_normal((int(alpha * size), size)) * np.sqrt(f.derivative(1.0) / size)
    gradients[:, 0] *= np.sqrt(1 + f.derivative(1.0, order=2) / f.derivative(1.0))
    largest = np.linalg.eigvalsh(gradients.T @ gradients)[-1]
    limit = sg.stability_limit(_model(alpha, powers), sg.GradientDescent(ETA))
    assert 2 / limit.learning_rate == pytest.approx(largest, rel=0.04)


def test_the_talks_model_in_short():
    """2/(1 + sqrt(alpha))^2 up to alpha = 1, 1/(1 + alpha) above it, 2b(1-b)/(1 - b + alpha b) for small batches."""
    assert _limit(0.64, sg.GradientDescent(ETA)) == pytest.approx(2 / 1.8**2)
    assert _limit(3.0, sg.GradientDescent(ETA)) == pytest.approx(1 / 4)
    assert _limit(3.0, sg.GradientDescent(ETA, momentum=0.5)) == pytest.approx(1.5 / 4)
    assert _limit(3.0, sg.SGD(ETA, 0.5)) == pytest.approx(1 / 4)
    assert _limit(3.0, sg.SGD(ETA, 0.25)) == pytest.approx(1 / 4)
    assert _limit(3.0, sg.SGD(ETA, 0.1)) == pytest.approx(0.18 / 1.2)
    assert _limit(3.0, sg.Descent(learning_rate=ETA, spherical=True)) == pytest.approx(2 / (1 + np.sqrt(3)) ** 2)


def test_limits_agree_where_schemes_do():
    def limit(batches):
        return _limit(2.0, sg.Descent(learning_rate=ETA, batches=batches))

    assert limit(sg.Bernoulli(1.0)) == limit(sg.FullBatch()) == limit(sg.Persistent(1.0, memory=0.5))
    assert limit(sg.Persistent(0.2, memory=0.0)) == limit(sg.Bernoulli(0.2))
    assert limit(sg.Shuffled(1)) == limit(sg.FullBatch())
    assert limit(sg.Persistent(0.3, memory=1.0)) == pytest.approx(0.3 * _limit(0.6, sg.GradientDescent(ETA)))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (_model(2.0, noise=0.1), {}),
        (sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(1.0)), {}),
        (_model(2.0), {"weight_decay": 0.1}),
        (_model(2.0), {"temperature": 0.1}),
        (_model(2.0), {"momentum": 1.0}),
        (_model(2.0), {"momentum": [0.1, 0.2]}),
        (_model(2.0), {"batches": sg.Bernoulli(lambda step: 0.5)}),
        (_model(2.0), {"batches": sg.Shuffled(5)}),
        (_model(2.0), {"batches": sg.Cyclic(2)}),
        (_model(2.0), {"batches": sg.Persistent(0.3, memory=0.5)}),
    ],
)
def test_undecided_with_a_reason(model, options):
    limit = sg.stability_limit(model, sg.Descent(learning_rate=ETA, **options))
    assert limit.learning_rate is None
    assert str(limit).startswith("undecided: ")


def _growth(model, rate, **options):
    """Delta(150) / Delta(0) by the theory from just beside the signal."""
    algorithm = sg.Descent(learning_rate=rate, **options)
    start = sg.Start(magnetization=1 - 1e-4) if algorithm.spherical else sg.Start(magnetization=1.001, norm=1.002002)
    theory = sg.solve(model, algorithm, steps=150, start=start, save=sg.Save(two_time=0))
    return theory.distance[-1] / theory.distance[0]


@pytest.mark.parametrize(
    ("alpha", "options"),
    [
        (4.0, {}),
        (0.5, {}),
        (4.0, {"momentum": 0.5}),
        (4.0, {"spherical": True}),
        (4.0, {"batches": sg.Bernoulli(0.5)}),
        (4.0, {"batches": sg.Bernoulli(0.1)}),
        (2.0, {"batches": sg.Bernoulli(0.1), "momentum": 0.5}),
        (8.0, {"batches": sg.Persistent(0.4, memory=1.0)}),
        (1.0, {"batches": sg.OnePass(150)}),
    ],
)
def test_the_theory_turns_unstable_at_the_limit(alpha, options):
    model = _model(alpha)
    limit = sg.stability_limit(model, sg.Descent(learning_rate=ETA, **options)).learning_rate
    assert _growth(model, 0.93 * limit, **options) < 1
    assert _growth(model, 1.07 * limit, **options) > 1.1
