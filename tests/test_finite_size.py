"""Recovery at finite size: runs, intervals, cache; the physics is in test_thresholds_slow.py."""

import numpy as np
import pytest
from scipy import stats

import sgdmft as sg
from sgdmft.errors import InvalidArgument
from sgdmft.thresholds import finite, wilson_interval

MODEL, ALGORITHM = sg.GaussianLeastSquares(alpha=1.0), sg.SGD(0.1, 0.3)
OPTIONS = {"start": sg.Start(magnetization=0.3), "steps": 60, "level": 0.05, "workers": 1}


@pytest.fixture
def count(monkeypatch):
    """Counts the runs."""
    calls = []
    simulate = finite.simulate

    def counted(*args, **options):
        calls.append(options["seed"])
        return simulate(*args, **options)

    monkeypatch.setattr(finite, "simulate", counted)
    return calls


def test_intervals_are_wilsons():
    for successes, trials, confidence in ((0, 10, 0.95), (3, 10, 0.68), (57, 60, 0.9), (5, 5, 0.68)):
        expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
        assert wilson_interval(successes, trials, confidence=confidence) == pytest.approx([expected.low, expected.high])


def test_a_run_is_that_of_simulate_and_stops_where_the_distance_falls_below_the_level(count):
    found = sg.recovery_steps(MODEL, ALGORITHM, [3.0], {30: 6}, cache=False, **OPTIONS)
    assert len(set(count)) == 6, "every run has a seed of its own"
    for seed, step in zip(count, found.runs[30][0], strict=True):
        run = sg.simulate(
            sg.GaussianLeastSquares(alpha=3.0), ALGORITHM, steps=60, start=OPTIONS["start"], size=30, samples=1, seed=seed,
            dtype="float32", workers=1,
        )  # fmt: skip
        below = np.flatnonzero(run.distance < 0.05)
        assert step == (below[0] if len(below) else -1)
    assert (found.runs[30] > 0).any()
    assert found.fraction(30) == (found.runs[30] >= 0).mean()


def test_more_runs_continue_what_is_kept_whatever_the_number_of_workers(count, tmp_path):
    first = sg.recovery_steps(MODEL, ALGORITHM, [2.0, 3.0], {20: 5}, cache=tmp_path, **OPTIONS)
    assert len(count) == 10
    more = sg.recovery_steps(MODEL, ALGORITHM, [3.0, 2.0], {20: 12}, cache=tmp_path, **OPTIONS)
    assert len(count) == 24
    np.testing.assert_array_equal(more.runs[20][:, :5], first.runs[20])
    fewer = sg.recovery_steps(MODEL, ALGORITHM, [2.0], {20: 3}, cache=tmp_path, **OPTIONS)
    assert len(count) == 24
    np.testing.assert_array_equal(fewer.runs[20][0], first.runs[20][0, :3])
    anew = sg.recovery_steps(MODEL, ALGORITHM, [2.0], {20: 12}, cache=False, **OPTIONS | {"workers": 2})
    np.testing.assert_array_equal(anew.runs[20][0], more.runs[20][0])


def test_an_interrupted_measurement_keeps_what_was_done(count, tmp_path):
    def stop(done, total, label):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sg.recovery_steps(MODEL, ALGORITHM, [2.0], {20: 12}, cache=tmp_path, progress=stop, **OPTIONS)
    assert len(count) == 8
    sg.recovery_steps(MODEL, ALGORITHM, [2.0], {20: 12}, cache=tmp_path, **OPTIONS)
    assert len(count) == 12


def test_fractions_and_quantiles_of_given_runs():
    setting = sg.thresholds.relaxation.Setting(
        model=MODEL, algorithm=ALGORITHM, start=sg.Start(), level=0.01, steps=100, method=None
    )
    runs = np.array([[-1, -1, 90, -1], [10, 50, 30, -1]])
    found = sg.RecoverySteps(alphas=np.array([1.0, 2.0]), runs={50: runs}, setting=setting)
    assert found.fraction(50).tolist() == [0.25, 0.75]
    assert found.fraction(50, within=30).tolist() == [0.0, 0.5]
    assert found.quantile(50, 0.5).tolist() == [np.inf, 30]
    with pytest.raises(InvalidArgument, match="no runs of N = 60, only of N = 50"):
        found.fraction(60)
    with pytest.raises(InvalidArgument, match="`within` is 101, but the runs have 100 steps only"):
        found.fraction(50, within=101)
