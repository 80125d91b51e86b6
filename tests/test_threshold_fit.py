"""Relaxation times and the power-law fit: exact cases, coverage of the stated intervals, refusals."""

import numpy as np
import pytest
from scipy.stats import binom

import sgdmft as sg
from sgdmft.analysis.thresholds import posterior
from sgdmft.errors import FitRefused, InvalidArgument

TRUTH = 2.0


def _trajectory(distance, time=None):
    distance = np.asarray(distance, dtype=float)
    quantities = {"magnetization": np.ones(len(distance)), "norm": 1.0 + distance}
    time = np.arange(len(distance)) if time is None else np.asarray(time)
    return sg.Trajectory.build(kind="theory", model=None, algorithm=None, start=None, time=time, quantities=quantities)


# -- relaxation times ----------------------------------------------------------------------------------------------------


def test_exponential_decay_has_an_exact_relaxation_time():
    trajectory = _trajectory(np.exp(-0.3 * np.arange(40)))
    assert sg.relaxation_time(trajectory, 0.01) == pytest.approx(np.log(100) / 0.3, rel=1e-9)


def test_time_between_thinly_recorded_steps():
    time = np.array([0, 10, 20, 25])
    assert sg.relaxation_time(_trajectory(np.exp(-0.3 * time), time), 0.01) == pytest.approx(np.log(100) / 0.3)


def test_relaxation_time_at_the_ends():
    assert sg.relaxation_time(_trajectory([0.5, 0.4, 0.3]), 0.01) == np.inf
    assert sg.relaxation_time(_trajectory([0.5, 0.4, 0.3]), 0.6) == 0.0
    assert sg.relaxation_time(_trajectory([0.3, -0.1]), 0.1) == pytest.approx(0.5)  # straight where not positive
    assert sg.relaxation_time(_trajectory([np.nan, np.nan]), 0.1) == np.inf
    with pytest.raises(InvalidArgument, match="`level` must be"):
        sg.relaxation_time(_trajectory([0.5]), 0.0)


# -- the fit ---------------------------------------------------------------------------------------------------------------


def _law(distance, exponent, correction=0.0, power=1.0):
    return 20.0 * distance**-exponent * (1 + correction * distance**power)


@pytest.mark.parametrize("exponent", [0.8, 1.5, 3.0])
@pytest.mark.parametrize("n", [6, 25])
def test_exact_law_is_found_exactly(n, exponent):
    distance = np.geomspace(0.05, 1.0, n)
    order = np.random.default_rng(0).permutation(n)
    fit = sg.fit_power_law((TRUTH + distance)[order], _law(distance, exponent)[order])
    assert fit.threshold == pytest.approx(TRUTH, abs=1e-6)
    assert fit.exponent == pytest.approx(exponent, rel=1e-5)
    assert fit.amplitude == pytest.approx(20.0, rel=1e-5)
    assert fit(TRUTH + distance) == pytest.approx(_law(distance, exponent), rel=1e-5)
    assert fit(fit.threshold) == fit(0.0) == np.inf
    assert fit.interval[1] - fit.interval[0] < 1e-4


def test_units_and_infinite_times_do_not_matter():
    distance = np.geomspace(0.05, 1.0, 9)
    times = _law(distance, 1.5, correction=0.3)
    fit = sg.fit_power_law(TRUTH + distance, times)
    other = sg.fit_power_law([1.0, 1.5, *(TRUTH + distance)], [np.inf, np.inf, *(10 * times)])
    assert other.threshold == pytest.approx(fit.threshold, abs=1e-7)
    assert other.interval == pytest.approx(fit.interval, abs=1e-7)
    assert other.amplitude == pytest.approx(10 * fit.amplitude, rel=1e-5)


def _coverage(seed, fits, confidence, noise, corrections):
    """How often the statistical and the quoted interval hold the truth, on random synthetic data."""
    rng = np.random.default_rng(seed)
    distance = np.geomspace(0.05, 1.0, 14)
    statistical = quoted = 0
    for k in range(fits):
        correction = rng.uniform(-0.6, 1.0) if corrections else 0.0
        times = _law(distance, rng.uniform(1.3, 2.5), correction, rng.uniform(0.5, 1.5))
        times *= np.exp(noise * rng.standard_normal(14))
        fit = sg.fit_power_law(TRUTH + distance, times, confidence=confidence, seed=k)
        statistical += fit.statistical[0] <= TRUTH <= fit.statistical[1]
        quoted += fit.interval[0] <= TRUTH <= fit.interval[1]
    return statistical, quoted


def _bounds(fits, confidence):
    """Two-sided binomial bounds with false-alarm probability 1e-3."""
    return binom.interval(1 - 1e-3, fits, confidence)


@pytest.mark.parametrize("confidence", [0.68, 0.95])
def test_coverage_with_scatter_alone(confidence):
    """The statistical interval is exact up to curvature; the quoted one covers at least as often as it says."""
    statistical, quoted = _coverage(1, 150, confidence, noise=0.05, corrections=False)
    low, high = _bounds(150, confidence)
    assert low <= statistical <= high
    assert low <= quoted
    if confidence == 0.95:  # a wrong interval is seen
        assert _coverage(1, 150, 0.68, noise=0.05, corrections=False)[0] < low


@pytest.mark.parametrize("confidence", [0.68, 0.95])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_coverage_with_corrections_to_scaling(confidence, noise):
    """Data that follow another law: the profile interval fails, the quoted one does not."""
    statistical, quoted = _coverage(2, 100, confidence, noise=noise, corrections=True)
    low, _ = _bounds(100, confidence)
    assert quoted >= low
    assert statistical < low


@pytest.mark.parametrize("confidence", [0.68, 0.95])
def test_coverage_of_data_drawn_from_the_model_of_the_interval(confidence):
    """A local exponent that wanders, (7.5), by an amount drawn from the prior, with scatter."""
    rng = np.random.default_rng(3)
    u = np.log(np.geomspace(0.03, 1.0, 14))
    left = np.linalg.svd(np.stack([np.ones(14), u]))[2][2:]
    covariance = left @ np.abs(np.subtract.outer(u, u)) ** 3.8 @ left.T
    covariance *= 12 / np.trace(covariance)
    held = 0
    for _ in range(200):
        ratio = abs(rng.standard_cauchy())
        modes = np.linalg.cholesky(ratio**2 * covariance + np.eye(12)) @ rng.standard_normal(12)
        y = 3 - rng.uniform(1, 2) * u + 3e-4 * left.T @ modes
        low, high = posterior.interval(TRUTH + np.exp(u), y, confidence, 1e-6)
        held += low <= TRUTH <= high
    low, high = _bounds(200, confidence)
    assert low <= held <= high


def test_interval_without_wandering_is_the_profile_interval(monkeypatch):
    """Two ways to Student's t: integrating over alpha*, and the level of the profile."""
    rng = np.random.default_rng(4)
    distance = np.geomspace(0.05, 1.0, 14)
    times = _law(distance, 1.5) * np.exp(0.002 * rng.standard_normal(14))
    monkeypatch.setattr(posterior, "_RATIOS", np.full(1, 1e-6))
    for confidence in (0.68, 0.95):
        fit = sg.fit_power_law(TRUTH + distance, times, confidence=confidence)
        width = fit.statistical[1] - fit.statistical[0]
        assert fit.interval == pytest.approx(fit.statistical, abs=0.02 * width)


def test_a_wandering_exponent_only_widens():
    """Where residuals are white the interval stays near that of the law itself."""
    rng = np.random.default_rng(5)
    distance = np.geomspace(0.05, 1.0, 14)
    ratios = []
    for _ in range(20):
        fit = sg.fit_power_law(TRUTH + distance, _law(distance, 1.5) * np.exp(0.01 * rng.standard_normal(14)))
        ratios.append(np.diff(fit.interval) / np.diff(fit.statistical))
    assert 1.0 < np.median(ratios) < 3.5  # the price of not knowing whether it wanders


# -- refusals --------------------------------------------------------------------------------------------------------------


def _refused(distance, times, match):
    with pytest.raises(FitRefused, match=match) as caught:
        sg.fit_power_law(TRUTH + np.asarray(distance), times)
    return caught.value.provisional


def test_too_few_points():
    distance = np.geomspace(0.05, 1.0, 5)
    provisional = _refused(distance, _law(distance, 1.5), "5 points")
    assert provisional.threshold == pytest.approx(TRUTH, abs=1e-6)
    assert _refused(distance[:3], _law(distance[:3], 1.5), "3 points") is None
    assert _refused(distance, np.full(5, np.inf), "0 points") is None


def test_too_narrow_a_window():
    distance = np.geomspace(0.3, 0.6, 10)
    assert _refused(distance, _law(distance, 1.5), "factor of 2.8").threshold == pytest.approx(TRUTH, abs=1e-5)


def test_threshold_too_far_below_the_data():
    distance = np.linspace(0.7, 1.5, 12)
    assert _refused(distance, _law(distance, 4.0), "farther than half").threshold == pytest.approx(TRUTH, abs=1e-4)


def test_data_that_are_no_power_law():
    distance = np.linspace(0.1, 1.0, 12)
    assert _refused(distance, np.exp(-4 * distance), "exponential") is None  # a threshold at minus infinity
    assert _refused(distance, np.exp(4 * distance), "exponential") is None  # times that grow


@pytest.mark.parametrize(
    ("alphas", "times", "match"),
    [
        ([2.0, 2.0, 2.5], [3.0, 2.0, 1.0], "each value once"),
        ([2.0, 2.5], [1.0], "equal length"),
        ([2.0, 2.5], [1.0, 0.0], "positive"),
        ([2.0, np.nan], [1.0, 1.0], "NaN"),
    ],
)
def test_invalid_data(alphas, times, match):
    with pytest.raises(InvalidArgument, match=match):
        sg.fit_power_law(alphas, times)


def test_growth_of_the_linearized_equations_is_no_recovery():
    """m grows without bound there; 1 - 2 m + C(t,t) is no distance and must not stop the run."""
    model = sg.GaussianLeastSquares(alpha=3.0)
    theory = sg.solve(sg.Linearized(model), sg.GradientDescent(0.1), steps=60, start=sg.Start(magnetization=0.9))
    assert theory.status is sg.Status.COMPLETED
    assert theory.magnetization[-1] > 2.0
