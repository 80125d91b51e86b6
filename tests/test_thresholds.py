"""Sweeps of relaxation times and recovery thresholds: accuracy, placement, cache, interruption, the physics."""

import json
import os
import signal
import threading

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.analysis.thresholds import relaxation
from sgdmft.errors import FitRefused, InvalidArgument
from sgdmft.run import files, rounding

MODEL = sg.GaussianLeastSquares(alpha=1.0)
GD = sg.GradientDescent(learning_rate=0.1)
START = sg.Start(magnetization=0.01)


@pytest.fixture
def count(monkeypatch):
    """Counts the runs of the theory."""
    calls = []
    solve = relaxation.solve

    def counted(model, *args, **options):
        calls.append(model.alpha)
        return solve(model, *args, **options)

    monkeypatch.setattr(relaxation, "solve", counted)
    return calls


# -- relaxation times ----------------------------------------------------------------------------------------------------


def test_agrees_with_the_dense_sweep():
    result = sg.relaxation_times(MODEL, GD, [2.2, 2.8], start=START, steps=1000, cache=False)
    for alpha, time in zip(result.alphas, result.times, strict=True):
        dense = sg.solve(
            sg.GaussianLeastSquares(alpha=alpha), GD, steps=1000, start=START, method=sg.Dense(),
            save=sg.Save(two_time=0), stop=sg.Recovered(distance=0.01),
        )  # fmt: skip
        assert sg.relaxation_time(dense, 0.01) == pytest.approx(time, rel=1e-6)


def test_points_lie_where_tau_bends(tmp_path):
    result = sg.relaxation_times(MODEL, GD, [2.1, 4.1], start=START, steps=3000, points=10, cache=tmp_path)
    assert np.isfinite(result.times).sum() >= 10
    assert (np.diff(result.alphas) > 0).all()
    jumps = np.abs(np.diff(np.log(result.times)))
    assert jumps.max() < 3 * np.median(jumps)  # even in log tau
    assert np.diff(result.alphas).max() > 5 * np.diff(result.alphas).min()  # uneven in alpha
    alone = sg.relaxation_times(MODEL, GD, [2.1, 4.1], start=START, steps=3000, points=10, workers=1, cache=tmp_path)
    assert (alone.alphas == result.alphas).all()  # the number of cores changes nothing


def test_results_are_kept(tmp_path, count):
    arguments = (MODEL, GD, [2.0, 2.6, 3.0])
    first = sg.relaxation_times(*arguments, start=START, steps=400, cache=tmp_path)
    assert len(count) == 3
    assert list(np.isinf(first.times)) == [True, False, False]
    again = sg.relaxation_times(*arguments, start=START, steps=400, cache=tmp_path)
    assert (again.times == first.times).all()
    shorter = sg.relaxation_times(*arguments, start=START, steps=130, cache=tmp_path)
    assert list(np.isinf(shorter.times)) == [True, True, False]
    assert len(count) == 3  # a longer run answers for a shorter one
    sg.relaxation_times(*arguments, start=START, steps=500, cache=tmp_path)
    assert count[3:] == [2.0]  # only the one that did not recover is run again
    for change in ({"level": 0.02}, {"start": sg.Start(magnetization=0.02)}, {"method": sg.Dense()}):
        del count[:]
        sg.relaxation_times(*arguments, **({"start": START, "steps": 200, "cache": tmp_path} | change))
        assert len(count) == 3
    del count[:]
    sg.relaxation_times(MODEL, sg.GradientDescent(0.11), [2.0], start=START, steps=100, cache=tmp_path)
    sg.relaxation_times(MODEL, sg.GradientDescent(lambda t: 0.1), [2.0], start=START, steps=100, cache=tmp_path)
    assert len(count) == 2


def test_revision_of_the_cache_is_that_of_the_numbers(tmp_path):
    """Fails when the solver gives other numbers than those that caches of this revision hold."""
    times = sg.relaxation_times(MODEL, GD, [2.2], start=START, steps=1000, cache=tmp_path).times
    minibatch = sg.relaxation_times(MODEL, sg.SGD(0.1, 0.2), [2.2], start=START, steps=1000, cache=tmp_path).times
    growth = sg.growth(sg.GaussianLeastSquares(alpha=2.0), GD, steps=2048, cache=tmp_path).log_growth[-1]
    remedy = "If this change is meant, raise REVISION in sweeps/store.py and enter it in CHANGELOG.md."
    assert [*times, *minibatch, growth] == pytest.approx([768.06873, 285.974526, 2.93206499], rel=1e-6), remedy


def press_ctrl_c_at(interrupted, monkeypatch):
    """Let Ctrl-C be pressed as the run at that alpha begins, which then would take a minute."""
    solve = relaxation.solve

    def pressed(model, *args, steps, **options):
        if model.alpha == interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            steps, options["start"] = 10**6, sg.Start(magnetization=0.0)
        return solve(model, *args, steps=steps, **options)

    monkeypatch.setattr(relaxation, "solve", pressed)


@pytest.mark.parametrize("workers", [1, 3])
def test_ctrl_c_keeps_what_is_complete(workers, tmp_path, count):
    """The run at alpha = 3 is interrupted; the second call computes what is missing, and no part is taken for a result."""
    arguments, options = (MODEL, GD, [2.6, 2.8, 3.0]), {"start": START, "steps": 300, "cache": tmp_path}
    with pytest.MonkeyPatch.context() as patch:
        press_ctrl_c_at(3.0, patch)
        with pytest.raises(KeyboardInterrupt):
            sg.relaxation_times(*arguments, workers=workers, **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert sorted(count) == [2.6, 2.8, 3.0]
    kept = len(list(tmp_path.rglob("*.json")))
    assert kept <= 2
    assert kept == 2 or workers > 1
    found = sg.relaxation_times(*arguments, **options)
    assert len(count) == 6 - kept
    assert (found.times == sg.relaxation_times(*arguments, **options | {"cache": False}).times).all()


def test_a_set_token_stops_an_analysis_and_keeps_nothing_of_it(tmp_path):
    cancel = threading.Event()
    cancel.set()
    options = {"cancel": cancel, "cache": tmp_path}
    slow = {"start": sg.Start(magnetization=0.0), "steps": 10**6}
    for analysis in (
        lambda: sg.relaxation_times(MODEL, GD, [1.2, 1.5], **slow, **options),
        lambda: sg.recovery_threshold(MODEL, GD, alphas=(1.0, 1.5), **slow, **options),
        lambda: sg.growth(MODEL, GD, steps=10**6, **options),
        lambda: sg.linear_threshold(MODEL, GD, alphas=(0.9, 1.2), steps=10**6, **options),
        lambda: sg.recovery_steps(MODEL, GD, [1.2], {20: 2}, **slow, **options),
    ):
        with pytest.raises(KeyboardInterrupt):
            analysis()
    for file in tmp_path.rglob("*.json"):  # none but the short first runs of `growth`, and those whole
        kept = json.loads(files.read(file))
        assert kept["parameters"]["what"] == "growth"
        assert 2 ** (len(kept["result"]["log_growth"]) - 1) == kept["parameters"]["steps"] < 10**6


def test_what_progress_raises_ends_an_analysis():
    def failing(done, total, label):
        raise ZeroDivisionError(label)

    threads = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="relaxation times"):
        sg.relaxation_times(
            MODEL, GD, [1.2, 1.5], start=sg.Start(magnetization=0.0), steps=10**6, cache=False, progress=failing
        )
    assert threading.active_count() == threads


class Unnamed(sg.Batches):
    """A scheme of a user's own, without a text form."""

    def __init__(self, fraction):
        self.fraction = fraction

    def fractions(self, steps):
        return np.full(steps, self.fraction)

    def reselection(self, t, s):
        return np.ones_like(s)

    def sampler(self, samples, steps, rng):
        yield from sg.Bernoulli(self.fraction).sampler(samples, steps, rng)

    @classmethod
    def examples(cls):
        return [cls(0.3)]


del sg.Batches.registry["Unnamed"]  # other test modules go through the registry


def test_a_scheme_without_a_text_form_is_refused_a_store_and_nothing_else(tmp_path, count):
    arguments = (MODEL, sg.Descent(learning_rate=0.1, batches=Unnamed(0.3)), [2.8])
    found = sg.relaxation_times(*arguments, start=START, steps=300, cache=False)
    same = sg.relaxation_times(MODEL, sg.SGD(0.1, 0.3), [2.8], start=START, steps=300, cache=False)
    assert found.times == pytest.approx(same.times, rel=1e-9)
    assert len(count) == 2
    with pytest.raises(InvalidArgument, match="has no text form"):
        sg.relaxation_times(*arguments, start=START, steps=300, cache=tmp_path)
    assert len(count) == 2, "refused before the run, not after it"


def test_no_alphas_have_no_times():
    assert sg.relaxation_times(MODEL, GD, [], cache=False).times.shape == (0,)


def test_invalid_sweeps():
    constant = sg.GaussianLeastSquares(alpha=1.0, labels=sg.ConstantTarget(1.0))
    with pytest.raises(InvalidArgument, match="no signal"):
        sg.relaxation_times(constant, GD, [2.0], cache=False)
    with pytest.raises(InvalidArgument, match="two different values"):
        sg.relaxation_times(MODEL, GD, [2.0], points=5, cache=False)


# -- thresholds ------------------------------------------------------------------------------------------------------------


def test_minibatches_recover_at_smaller_alpha(tmp_path):
    options = {"steps": 1500, "points": 10, "cache": tmp_path}
    gd, sgd = sg.recovery_thresholds(MODEL, [GD, sg.SGD(0.1, 0.2)], [START], **options)
    assert sgd.fit.interval[1] < gd.fit.interval[0]
    inside = (gd.data.times >= 15) & (gd.data.times <= 1500)
    assert inside.sum() >= 10
    assert gd.fit.threshold < gd.data.alphas[inside].min()
    assert "m(0) = 0.01" in str(gd)


def test_a_longer_window_moves_the_threshold_down(tmp_path):
    short, long = (
        sg.recovery_threshold(MODEL, GD, start=START, steps=steps, points=9, cache=tmp_path) for steps in (500, 2000)
    )
    assert long.fit.threshold < short.fit.threshold - 0.03
    assert short.fit.doubtful


def test_an_unstable_learning_rate_is_named():
    with pytest.raises(FitRefused, match=r"above the stability limit 0\.07.*noise of the minibatches") as caught:
        sg.recovery_threshold(MODEL, sg.SGD(0.1, 0.05), start=START, steps=200, cache=False)
    assert caught.value.provisional.fit is None
    assert np.isinf(caught.value.provisional.data.times).all()


def test_a_misspelt_argument_names_the_function():
    with pytest.raises(TypeError, match=r"recovery_threshold\(\) got an unexpected keyword argument 'stert'"):
        sg.recovery_threshold(MODEL, GD, stert=START)


def test_invalid_windows():
    for wrong in ({"window": (300, 100)}, {"window": (10, 300)}, {"alphas": (3.0, 2.0)}):
        with pytest.raises(InvalidArgument, match="ascending pairs"):
            sg.recovery_threshold(MODEL, GD, steps=200, cache=False, **wrong)


@pytest.mark.parametrize("method", [sg.Dense(), sg.Compressed(), sg.Dyson()])
def test_rounding_is_told_from_results(method):
    """Beyond 400 steps only rounding is left: nothing negative, and no time or recovery is made of it."""
    steps = 800 if not isinstance(method, sg.Dyson) else 300
    model, start = sg.GaussianLeastSquares(alpha=3.0), sg.Start(magnetization=0.3)
    run = sg.solve(model, sg.GradientDescent(0.1), steps=steps, start=start, method=method, save=sg.Save(two_time=0))
    for name in ("loss", "distance", "generalization_error"):
        assert run[name].min() >= 0.0
    assert run.distance[-1] < 50 * rounding.FLOOR
    assert sg.relaxation_time(run, 1e-12) == pytest.approx(204.7, abs=0.1)
    for level in (1e-20, 5e-14):
        with pytest.raises(sg.errors.InvalidArgument, match=f"at least 5.68434e-14, but is {level:g}.*only rounding"):
            sg.relaxation_time(run, level)
        with pytest.raises(sg.errors.InvalidArgument, match="only rounding"):
            sg.Recovered(distance=level)
        with pytest.raises(sg.errors.InvalidArgument, match="only rounding"):
            sg.relaxation_times(model, sg.GradientDescent(0.1), [3.0], level=level, steps=10, cache=False)


def test_a_distance_that_is_negative_beyond_rounding_stays():
    values = rounding.clipped("distance", np.array([1.0, -1e-15, -1e-6]), sg.GaussianLeastSquares(alpha=3.0))
    assert values.tolist() == [1.0, 0.0, -1e-6]
