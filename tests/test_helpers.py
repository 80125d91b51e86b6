"""Each helper accepts what is right and rejects what is wrong."""

import numpy as np
import pytest

from helpers import assert_chance, z_of_mean


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
