"""The threshold without a start: exponents against finite m(0) and known numbers, the rules, the bisection."""

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.analysis.thresholds.linear import Verdict, classify
from sgdmft.errors import InvalidArgument

MODEL = sg.GaussianLeastSquares(alpha=2.0)
GD = sg.GradientDescent(learning_rate=0.1)
TIME = 2 ** np.arange(13)


def test_growth_is_that_of_a_small_start():
    """m(t)/m(0) of the full equations, whose error is of order m^2, by the dense sweep."""
    grown = sg.growth(MODEL, GD, steps=256, cache=False)
    theory = sg.solve(
        MODEL, GD, steps=256, start=sg.Start(magnetization=1e-6), method=sg.Dense(), save=sg.Save(two_time=0)
    )
    assert np.exp(grown.log_growth) == pytest.approx(theory.magnetization[grown.time] / 1e-6, rel=1e-7)


@pytest.mark.parametrize(
    ("alpha", "fraction", "expected"),
    [(1.5, 1.0, 0.0139), (2.0, 1.0, 0.1697), (2.4, 1.0, 0.5286), (2.0, 0.2, 0.3879)],
)
def test_exponents_found_by_a_separate_program(alpha, fraction, expected):
    """Over [512, 1024] at learning rate 0.1."""
    result = sg.growth(sg.GaussianLeastSquares(alpha=alpha), sg.SGD(0.1, fraction), steps=1024, cache=False)
    assert result.exponent[-1] == pytest.approx(expected, abs=6e-5)
    assert result.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("log_growth", "verdict"),
    [
        (0.01 * TIME, Verdict.GROWS),
        (0.1 * np.log(TIME) + 1e-4 * TIME**1.0, Verdict.GROWS),
        (0.3 * np.log(TIME), Verdict.UNDECIDED),
        (0.05 * np.log(TIME) ** 2, Verdict.GROWS),
        (np.log(TIME) ** 0.5, Verdict.UNDECIDED),
        (3 - 0.5 * TIME**-1.2, Verdict.DECAYS),
        (0.03 * np.log2(TIME) - 0.0014 * np.log2(TIME) ** 2, Verdict.UNDECIDED),  # z passes through zero
        (3 - 4 * TIME**-0.5, Verdict.UNDECIDED),  # not halved per octave
        (-0.01 * TIME, Verdict.DECAYS),
        (-0.02 * np.log(TIME), Verdict.UNDECIDED),
        (-1e-6 * TIME, Verdict.UNDECIDED),
        (1e-8 * TIME, Verdict.UNDECIDED),  # rises, but is nothing yet
    ],
)
def test_rules(log_growth, verdict):
    assert classify(TIME, log_growth, 0.1) is verdict
    assert classify(TIME[:9], log_growth[:9], 0.1) is Verdict.UNDECIDED  # too short for any verdict


def test_bisection_brackets_what_is_decided(tmp_path):
    options = {"steps": 4096, "tolerance": 0.12, "cache": tmp_path}
    gd, sgd = (sg.linear_threshold(MODEL, sg.SGD(0.1, fraction), **options) for fraction in (1.0, 0.2))
    for found in (gd, sgd):
        assert 0.49 < found.decays_below < 1.0
        for alpha, growth in found.growths.items():
            assert (alpha >= found.grows_above) == (growth.verdict is Verdict.GROWS)
            assert (alpha <= found.decays_below) == (growth.verdict is Verdict.DECAYS)
    assert gd.grows_above == pytest.approx(2.55, abs=0.1)
    assert sgd.grows_above < gd.grows_above - 0.1
    assert "decays up to alpha = 0." in str(gd)
    short = sg.linear_threshold(MODEL, GD, **(options | {"steps": 1024}))
    assert short.grows_above > gd.grows_above  # longer runs find growth at smaller alpha


def test_zero_loss_stops_the_growth(tmp_path):
    """Below alpha = 1 gradient descent of a vanishing overlap reaches zero loss, and everything stops."""
    found = sg.growth(sg.GaussianLeastSquares(alpha=0.5), GD, steps=8192, cache=tmp_path)
    assert found.verdict is Verdict.DECAYS
    again = sg.growth(sg.GaussianLeastSquares(alpha=0.5), GD, steps=8192, cache=tmp_path)
    assert (again.log_growth == found.log_growth).all()


def test_a_linear_term_leaves_nothing_to_linearize():
    model = sg.GaussianLeastSquares(alpha=2.0, covariance=sg.Covariance({1: 0.1, 2: 0.5}))
    with pytest.raises(InvalidArgument, match="drives m"):
        sg.growth(model, GD, steps=64, cache=False)
