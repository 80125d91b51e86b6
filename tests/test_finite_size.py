"""Recovery at finite size: runs, intervals, cache; the physics is in test_thresholds_slow.py."""

import os
import signal

import numpy as np
import pytest
from scipy import stats

import sgdmft as sg
from sgdmft import plotting
from sgdmft.analysis.thresholds import finite, wilson_interval
from sgdmft.errors import InvalidArgument

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


def test_an_interrupted_measurement_keeps_what_was_done(count, tmp_path, monkeypatch):
    counted = finite.simulate

    def tenth_is_interrupted(*args, steps, **options):
        if len(count) == 9:
            os.kill(os.getpid(), signal.SIGINT)
            steps, options["start"] = 10**6, sg.Start(magnetization=0.0)  # a minute
        return counted(*args, steps=steps, **options)

    monkeypatch.setattr(finite, "simulate", tenth_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        sg.recovery_steps(MODEL, ALGORITHM, [2.0], {20: 12}, cache=tmp_path, **OPTIONS)
    assert len(count) == 10
    monkeypatch.setattr(finite, "simulate", counted)
    found = sg.recovery_steps(MODEL, ALGORITHM, [2.0], {20: 12}, cache=tmp_path, **OPTIONS)
    assert len(count) == 14, "the first eight are kept, the other four computed"
    anew = sg.recovery_steps(MODEL, ALGORITHM, [2.0], {20: 12}, cache=False, **OPTIONS)
    np.testing.assert_array_equal(found.runs[20], anew.runs[20])


def given(runs, alphas, steps=100):
    setting = sg.thresholds.relaxation.Setting(
        model=MODEL, algorithm=ALGORITHM, start=sg.Start(), level=0.01, steps=steps, method=None
    )
    runs = {size: np.array(table) for size, table in runs.items()}
    return sg.RecoverySteps(alphas=np.array(alphas), runs=runs, setting=setting)


def test_fractions_and_quantiles_of_given_runs():
    found = given({50: [[-1, -1, 90, -1], [10, 50, 30, -1]]}, [1.0, 2.0])
    assert found.fraction(50).tolist() == [0.25, 0.75]
    assert found.fraction(50, within=30).tolist() == [0.0, 0.5]
    assert found.quantile(50, 0.5).tolist() == [np.inf, 30]
    with pytest.raises(InvalidArgument, match="no runs of N = 60, only of N = 50"):
        found.fraction(60)
    with pytest.raises(InvalidArgument, match="`within` is 101, but the runs have 100 steps only"):
        found.fraction(50, within=101)


def test_the_alpha_at_half_has_the_error_it_says():
    """Runs drawn from a straight rise of the fraction: 300 z-scores of unit size, at a false-alarm rate of 1e-4."""
    alphas = np.linspace(1.0, 2.0, 6)
    rng = np.random.default_rng(3)
    z = []
    for _ in range(300):
        table = np.where(rng.random((6, 120)) < (0.05 + 0.9 * (alphas - 1.0))[:, None], 10, -1)
        value, error = given({50: table}, alphas).alpha_at(50)
        z.append((value - 1.5) / error)
    low, high = stats.chi2.ppf([0.5e-4, 1 - 0.5e-4], 300)
    assert low < np.sum(np.square(z)) < high
    with pytest.raises(InvalidArgument, match=r"does not pass 0\.5 clearly"):
        given({50: np.where(rng.random((6, 40)) < 0.4, 10, -1)}, alphas).alpha_at(50)


def test_the_ascending_sequence_is_the_nearest_one():
    rng = np.random.default_rng(0)
    rows = rng.random((20, 7))
    for row, fitted in zip(rows, finite._ascending(rows), strict=True):
        assert (np.diff(fitted) >= 0).all()
        residual = (
            row - fitted
        )  # projection on a cone: orthogonal to the fit, at an obtuse angle to every ascending step
        assert residual @ fitted == pytest.approx(0.0, abs=1e-12)
        assert all(residual[k:].sum() <= 1e-12 for k in range(7))


def test_the_alpha_of_a_relaxation_time():
    setting = given({}, []).setting
    times = sg.RelaxationTimes(
        alphas=np.array([1.0, 1.2, 1.6]), times=np.array([np.inf, 400.0, 100.0]), setting=setting
    )
    assert times.alpha_at(200.0) == pytest.approx(1.4)
    for time in (50.0, 500.0):
        with pytest.raises(InvalidArgument, match="between 0 pairs"):
            times.alpha_at(time)


def test_pictures_show_fractions_and_quartiles_over_the_theory():
    setting = given({}, []).setting
    theory = sg.RelaxationTimes(alphas=np.array([1.0, 3.0]), times=np.array([400.0, 25.0]), setting=setting)
    found = given({50: [[-1, -1, 90, -1], [10, 50, 30, -1]], 20: [[-1, 70], [60, 60]]}, [1.0, 2.5])
    made, panels = plotting.figure(2, 1)
    left = plotting.recovery_fraction(found, theory, axes=panels[0, 0])
    step = left.lines[0]
    assert step.get_xdata()[1] == pytest.approx(2.0)
    assert step.get_ydata().tolist() == [0, 0, 1, 1]
    small, large = left.containers
    assert (small.get_label(), large.get_label()) == ("$N=20$ (2 runs)", "$N=50$ (4 runs)")
    assert large.lines[0].get_ydata().tolist() == [0.25, 0.75]
    ends = np.array([segment[:, 1] for segment in large.lines[2][0].get_segments()]).T
    np.testing.assert_allclose(ends, found.interval(50))
    right = plotting.recovery_quartiles(found, theory, axes=panels[0, 1])
    assert right.lines[2].get_ydata().tolist() == [np.inf, 30]
    made.canvas.draw()
