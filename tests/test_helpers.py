"""Each helper accepts what is right and rejects what is wrong."""

import hypothesis
import numpy as np
import pytest

from conftest import runs_tools
from helpers import assert_chance, assert_sharp, z_of_mean


def test_chance_accepts_normal_scores_and_rejects_shifted_ones():
    z = np.random.default_rng(1).standard_normal((20, 10))
    assert_chance(z)
    for wrong in (z + 6.0, np.where(z == z.max(), 7.0, z), np.where(z == z.max(), np.nan, z), np.zeros(0)):
        with pytest.raises(AssertionError):
            assert_chance(wrong)


def test_chance_knows_that_few_samples_make_heavy_tails():
    with pytest.raises(AssertionError):
        assert_chance([6.0])
    assert_chance([6.0], freedom=4)


def test_false_alarm_rate_is_kept():
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(2000):
        try:
            assert_chance(z_of_mean(rng.standard_normal((10, 5))), rate=0.1, freedom=9)
        except AssertionError:
            alarms += 1
    assert 140 < alarms < 250  # mean 191 by independence, 4.5 standard deviations


def test_z_of_mean_treats_exact_entries():
    z = z_of_mean([[0.0, 0.5, -1.0], [0.0, 0.5, 1.0], [0.0, 0.5, 3.0]])
    assert z[0] == 0
    assert np.isinf(z[1])
    assert z[2] == pytest.approx(1.0 / np.sqrt(4.0 / 3.0))


@pytest.mark.parametrize(
    ("paths", "keyword", "marks", "runs"),
    [
        ((), "", "not slow", True),
        ((), "outlier", "not slow", False),
        (("tests/test_runs.py",), "", "not slow", False),
        (("tests/test_quality.py",), "", "not slow", True),
        ((), "test_quality", "", True),
        (("tests",), "", "quality", True),
    ],
)
def test_tools_run_where_nothing_is_chosen_or_they_are(paths, keyword, marks, runs):
    assert runs_tools(paths, keyword, marks) is runs


def test_examples_are_the_same_in_every_run(request):
    assert hypothesis.settings.default.derandomize is (request.config.getoption("--hypothesis-profile") != "random")


def test_inflated_errors_are_found():
    theory, count = np.linspace(0.2, 1.0, 9), 1000
    assert_sharp(np.full(9, 1.0 / np.sqrt(count)), theory, count)
    assert_sharp(np.full(9, 2.4 / np.sqrt(count)), 0.0 * theory, count)
    for errors in (np.full(9, 113.0), np.append(np.zeros(8), 5.1 / np.sqrt(count)), np.full(9, np.nan)):
        with pytest.raises(AssertionError, match="nothing is resolved"):
            assert_sharp(errors, theory, count)
