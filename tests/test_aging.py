"""Aging and effective temperatures: decays of known scaling, equilibrium, and what SGD does."""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.analysis import aging
from sgdmft.analysis.aging import Decay

NO_SIGNAL = sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(np.sqrt(0.5)))
LAGS = np.unique(np.round(np.geomspace(1, 30000, 60)))


def synthetic(function, waiting=(10, 18, 32, 56, 100, 178, 316, 562, 1000)):
    """Decays q(tau, t_w) of a given form."""
    nothing = np.full(len(LAGS), np.nan)
    return [
        Decay(waiting_time=w, lag=LAGS, correlation=function(LAGS, w), integrated_response=nothing) for w in waiting
    ]


@pytest.mark.parametrize("mu", [0.0, 0.6, 1.0, 1.3])
def test_exponent_of_a_known_scaling(mu):
    found = aging.rescaling(synthetic(lambda tau, w: 1 / (1 + tau / (3.0 * w**mu)) ** 0.7))
    assert abs(found.exponent - mu) < max(3 * found.error, 0.02)
    assert found.error < 0.05
    assert abs(found.exponent - mu) < 0.02
    wrong = aging.rescaling(synthetic(lambda tau, w: 1 / (1 + tau / (3.0 * w ** (mu + 0.1))) ** 0.7))
    assert abs(wrong.exponent - mu) > 0.05


def test_error_of_the_exponent_covers_its_drift():
    """Aging that is about to be interrupted: tau = t_w/(1 + t_w/200) has local exponents from 1 to 1/6."""
    found = aging.rescaling(synthetic(lambda tau, w: np.exp(-tau * (1 / w + 1 / 200))))
    assert found.drift < -0.3
    assert found.error > 0.15


def test_interruption_of_a_known_transient():
    """q = exp(-tau/20) (1 + 2/t_w) / 1.2: |q - q_latest| < 0.02 where exp(-1/20) 2/1.2 (1/t_w - 1/1000) < 0.02."""
    curves = synthetic(lambda tau, w: np.exp(-tau / 20) * (1 + 2 / w) / 1.2)
    found = aging.interruption(curves)
    exact = 1 / (0.02 * 1.2 / (2 * np.exp(-1 / 20)) + 1 / 1000)
    assert found.verdict == "stationary"
    assert abs(found.time - exact) < found.error < 0.6 * exact
    assert found.time == pytest.approx(exact, rel=0.1)
    assert "stationary from" in str(found)


def test_aging_and_freezing_are_told_apart():
    assert aging.interruption(synthetic(lambda tau, w: 1 / (1 + tau / w))).verdict == "aging"
    frozen = aging.interruption(synthetic(lambda tau, w: 1 - np.exp(-w / 2.0) / (1 + 1 / tau)))
    assert frozen.verdict == "frozen"
    assert np.isnan(frozen.time)
    slow = aging.interruption(synthetic(lambda tau, w: 0.5 + 0.5 / (1 + tau / w**0.5)))
    assert slow.verdict == "aging"


def test_plateau_of_a_two_step_decay():
    (curve,) = synthetic(lambda tau, w: 0.7 * np.exp(-((tau / 5000) ** 0.8)) + 0.3 * np.exp(-tau / 2), (10,))
    value, error = curve.plateau()
    assert abs(value - 0.7) < max(error, 0.02)
    assert error < 0.1
    (single,) = synthetic(lambda tau, w: np.exp(-tau / 50), (10,))
    assert single.plateau() is None


def test_equilibrium_langevin_has_its_own_temperature():
    """X = 1 and T_eff = T up to the step's O(eta), which extrapolates to zero; b = 1, no signal."""
    model, temperature, found = sg.GaussianLeastSquares(alpha=0.5, labels=sg.ConstantTarget(0.5)), 0.4, {}
    for rate in (0.04, 0.02):
        steps = round(20 / rate)
        algorithm = sg.GradientDescent(rate, temperature=temperature, weight_decay=1.0)
        run = sg.solve(model, algorithm, steps=steps, save=sg.Save(two_time=aging.times(steps)))
        plot = aging.fluctuation_dissipation(run)
        found[rate] = np.array([plot.chord(high, high - 0.2) for high in (0.99, 0.8, 0.6, 0.4)])
        assert np.all(np.abs(found[rate] / temperature - 1) < 0.7 * rate)
        state = aging.effective_temperature(run)
        assert abs(state.long / temperature - 1) < 0.7 * rate
        assert state.long_error < 0.01 * temperature
        assert aging.interruption(aging.decays(run)).verdict == "stationary"
    extrapolated = 2 * found[0.02] - found[0.04]
    np.testing.assert_allclose(extrapolated, temperature, rtol=2e-3)
    middle, ratio = plot.ratio(temperature)
    np.testing.assert_allclose(ratio[middle > 0.2 * plot.correlation[-1]], 1.0, atol=0.02)


def test_gradient_descent_ages_and_noise_makes_it_stationary():
    """At alpha = 2 without signal, on the sphere: b = 1 ages, b = 0.06 is stationary and far from equilibrium."""
    steps = 600
    save = sg.Save(two_time=aging.times(steps))
    quiet = aging.analyse(sg.solve(NO_SIGNAL, sg.GradientDescent(0.1), steps=steps, save=save))
    assert quiet.interruption.verdict == "aging"
    assert quiet.rescaling is not None
    assert 0.8 < quiet.rescaling.exponent < 1.1
    assert quiet.temperature.short < 0.01
    assert "aging up to" in str(quiet)
    noisy = aging.analyse(sg.solve(NO_SIGNAL, sg.SGD(0.1, 0.06, spherical=True), steps=steps, save=save))
    assert noisy.interruption.verdict == "stationary"
    assert noisy.interruption.time < 40
    assert noisy.loss_error < 1e-6
    t = noisy.temperature
    assert t.short - t.long > 5 * np.hypot(t.short_error, t.long_error)  # no single temperature: not in equilibrium


def test_recovery_freezes():
    steps = 400
    model = sg.GaussianLeastSquares(alpha=3.0)
    run = sg.solve(model, sg.SGD(0.1, 0.3), steps=steps, save=sg.Save(two_time=aging.times(steps)))
    assert run.distance[-1] < 1e-6
    assert aging.interruption(aging.decays(run)).verdict == "frozen"


def test_what_was_not_saved_is_refused():
    run = sg.solve(NO_SIGNAL, sg.GradientDescent(0.1), steps=60, save=sg.Save(two_time=[0, 20, 40]))
    for ask in (aging.decays, aging.effective_temperature, aging.analyse):
        with pytest.raises(sg.errors.InvalidArgument, match=r"aging\.times"):
            ask(run)
    with pytest.raises(sg.errors.InvalidArgument, match="waiting time 30"):
        aging.decays(run, [20, 30])
    assert len(aging.decays(run, [0, 20])) == 2
    with pytest.raises(sg.errors.InvalidArgument, match="not among"):
        aging.fluctuation_dissipation(run, 33)
    with pytest.raises(sg.errors.InvalidArgument, match="three waiting times"):
        aging.interruption(aging.decays(run, [0, 20]))
    with pytest.raises(sg.errors.InvalidArgument, match="cannot be fitted"):
        aging.rescaling(synthetic(lambda tau, w: 1 / (1 + tau / w), (10, 20, 40)))
