"""Relaxation times and the power-law fit: exact cases, coverage of the stated intervals, refusals."""

import numpy as np
import pytest
from scipy.stats import binom

import sgdmft as sg
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
        fit = sg.fit_power_law(TRUTH + distance, times, confidence=confidence, bootstrap=40, seed=k)
        statistical += fit.statistical[0] <= TRUTH <= fit.statistical[1]
        quoted += fit.interval[0] <= TRUTH <= fit.interval[1]
    return statistical, quoted


@pytest.mark.parametrize("confidence", [0.68, 0.95])
def test_coverage_with_scatter_alone(confidence):
    """The statistical interval is exact up to curvature; two-sided binomial bounds with false-alarm probability 1e-3."""
    fits = 150
    statistical, quoted = _coverage(1, fits, confidence, noise=0.05, corrections=False)
    low, high = binom.interval(1 - 1e-3, fits, confidence)
    assert low <= statistical <= high
    assert low <= quoted
    if confidence == 0.95:  # a wrong interval is seen
        assert _coverage(1, fits, 0.68, noise=0.05, corrections=False)[0] < low


@pytest.mark.parametrize(("confidence", "least"), [(0.68, 0.9), (0.95, 0.95)])
def test_coverage_of_a_law_with_corrections(confidence, least):
    """Deterministic data that follow another law: the profile interval fails, the quoted one does not."""
    statistical, quoted = _coverage(2, 100, confidence, noise=0.0, corrections=True)
    assert quoted >= least * 100
    assert statistical < 0.2 * 100


def test_coverage_with_both():
    _, quoted = _coverage(3, 100, 0.68, noise=0.05, corrections=True)
    assert quoted >= 0.55 * 100


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
    theory = sg.solve(model, sg.GradientDescent(0.1), steps=60, start=sg.Start(magnetization=0.9), linearized=True)
    assert theory.status is sg.Status.COMPLETED
    assert theory.magnetization[-1] > 2.0
