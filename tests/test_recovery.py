"""Spectral and Bayes-optimal recovery: closed forms, the replica solution on Nishimori's line, and simulation."""

import math

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.errors import InvalidArgument
from sgdmft.simulation import Instance, SpectralStart, spectral_estimate
from sgdmft.statics import bayes_overlap, equilibrium, inference_thresholds, spectral_overlap


def _model(alpha, noise=0.0, **powers):
    covariance = sg.Covariance({int(key[1:]): value for key, value in powers.items()} or {2: 0.5})
    return sg.GaussianLeastSquares(alpha=alpha, covariance=covariance, labels=sg.Teacher(noise=noise))


def test_spectral_overlap_of_the_quadratic_model():
    """overlap^2 = 1 - 1/(2 alpha) above alpha = 1/2; noise and other powers act as noise."""
    assert spectral_overlap(_model(0.75)).overlap_squared == pytest.approx(1 - 1 / 1.5)
    assert spectral_overlap(_model(0.4)).overlap_squared == 0.0
    assert spectral_overlap(_model(1.0, noise=0.25)).threshold == pytest.approx(0.75)
    assert spectral_overlap(_model(1.0, p3=1.0)).overlap_squared == 0.0
    with pytest.raises(InvalidArgument, match="teacher"):
        spectral_overlap(sg.GaussianLeastSquares(alpha=1.0, labels=sg.ConstantTarget(1.0)))


@pytest.mark.parametrize(
    "model", [_model(1.0), _model(1.5, noise=0.5), _model(1.5, p1=0.3, p2=0.5), _model(3.0, noise=0.1, p2=0.5, p3=0.2)]
)
def test_spectral_estimate_in_simulation(model):
    """Mean squared overlap of 12 samples at N = 100, within four standard errors (6e-5 to fail by chance) and 2/N."""
    size = 100 if 3 not in model.covariance.powers else 30
    squares = []
    for sample in range(12):
        instance = Instance(model, size, seed=7, sample=sample)
        estimate = spectral_estimate(instance)
        squares.append((estimate @ instance.signal / size) ** 2)
    error = np.std(squares, ddof=1) / math.sqrt(len(squares))
    assert np.mean(squares) == pytest.approx(spectral_overlap(model).overlap_squared, abs=4 * error + 2 / size)


def test_spectral_start_of_a_descent():
    """The run starts at the estimate, on the side of the signal, with the norm asked for."""
    model = _model(2.5)
    run = sg.simulate(
        model, sg.GradientDescent(learning_rate=0.1), steps=20, start=SpectralStart(norm=1.2), size=60, samples=4
    )
    assert run.norm[0] == pytest.approx(1.2)
    assert run.magnetization[0] ** 2 / 1.2 == pytest.approx(spectral_overlap(model).overlap_squared, abs=0.1)
    assert run.loss[-1] < 0.1 * run.loss[0]
    with pytest.raises(InvalidArgument, match="quadratic"):
        spectral_estimate(Instance(_model(1.0, p1=1.0), 10))


def test_bayes_overlap_of_the_quadratic_model():
    """Without noise q/(1 - q) = 2 alpha q/(1 - q^2): q = 2 alpha - 1 from alpha = 1/2 on, the signal from alpha = 1 on."""
    for alpha, overlap in ((0.4, 0.0), (0.5, 0.0), (0.6, 0.2), (0.95, 0.9), (1.0, 1.0), (1.2, 1.0)):
        state = bayes_overlap(_model(alpha))
        assert (state.overlap, state.algorithmic) == pytest.approx((overlap, overlap), abs=1e-9)


@pytest.mark.parametrize("model", [_model(1.5, noise=0.3), _model(0.7, noise=0.2, p1=0.2, p2=0.4, p3=0.1)])
def test_bayes_overlap_is_the_gibbs_measure_at_the_temperature_of_the_noise(model):
    state, noise = bayes_overlap(model), model.labels.noise
    gibbs = equilibrium(model, temperature=noise)
    assert (gibbs.magnetization, gibbs.overlaps[0]) == pytest.approx((state.overlap, state.overlap), abs=1e-8)
    assert gibbs.energy == pytest.approx(0.5 * model.alpha * noise, abs=1e-9)  # Nishimori's identity
    assert gibbs.stable


def test_bayes_beats_the_spectral_estimate():
    for alpha in (0.55, 0.7, 0.95):
        assert bayes_overlap(_model(alpha)).overlap > spectral_overlap(_model(alpha)).overlap_squared


def test_linear_regression():
    """f = q: 1 - q is the least mean squared error, q^2 - q (1 + noise + alpha) + alpha = 0."""
    state = bayes_overlap(_model(1.5, noise=0.4, p1=1.0))
    q = (2.9 - math.sqrt(2.9**2 - 6.0)) / 2
    assert (state.overlap, state.algorithmic) == pytest.approx((q, q), abs=1e-12)


def test_thresholds():
    talk = inference_thresholds()
    assert (talk.weak_information, talk.spectral, talk.exact_information) == (0.5, 0.5, 1.0)
    assert talk.exact_algorithmic == pytest.approx(1.0)
    noisy = inference_thresholds(noise=0.3)
    assert noisy.weak_information == noisy.spectral == pytest.approx(0.8)
    assert noisy.exact_information == math.inf
    cubic = inference_thresholds(sg.Covariance({3: 1.0}))
    assert cubic.weak_algorithmic == math.inf
    assert cubic.exact_information == 1.0


def test_a_hard_phase():
    """f = q^2/2 + q^4: between alpha = 1 and 1.607 the signal is determined but state evolution does not reach it."""
    f = sg.Covariance({2: 0.5, 4: 1.0})
    threshold = inference_thresholds(f).exact_algorithmic
    for alpha, hard in ((1.3, True), (0.99 * threshold, True), (1.01 * threshold, False)):
        state = bayes_overlap(sg.GaussianLeastSquares(alpha=alpha, covariance=f))
        assert state.overlap == 1.0
        assert state.hard == hard
        assert ("hard" in repr(state)) == hard
