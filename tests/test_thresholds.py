"""Sweeps of relaxation times and recovery thresholds: accuracy, placement, cache, interruption, the physics."""

import threading

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.errors import FitRefused, InvalidArgument
from sgdmft.thresholds import relaxation, store
from sgdmft.thresholds.store import Store, default_folder

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


def test_damaged_and_foreign_entries_are_no_results(tmp_path):
    store = Store(tmp_path)
    store.put({"a": 1}, {"time": 2.0})
    (file,) = tmp_path.rglob("*.json")
    text = file.read_text()
    file.write_text(text[:-3])
    assert store.get({"a": 1}) is None
    file.write_text(text.replace('"a": 1', '"a": 2'))
    assert store.get({"a": 1}) is None
    store.put({"a": 1}, {"time": 3.0})
    assert store.get({"a": 1}) == {"time": 3.0}
    assert Store(False).get({"a": 1}) is None


def test_results_of_another_revision_are_no_results(tmp_path, monkeypatch):
    Store(tmp_path).put({"a": 1}, {"time": 2.0})
    assert Store(tmp_path).get({"a": 1}) == {"time": 2.0}
    monkeypatch.setattr(store, "REVISION", store.REVISION + 1)
    assert Store(tmp_path).get({"a": 1}) is None


def test_revision_of_the_cache_is_that_of_the_numbers(tmp_path):
    """Fails when the solver gives other numbers than those that caches of this revision hold."""
    times = sg.relaxation_times(MODEL, GD, [2.2], start=START, steps=1000, cache=tmp_path).times
    minibatch = sg.relaxation_times(MODEL, sg.SGD(0.1, 0.2), [2.2], start=START, steps=1000, cache=tmp_path).times
    growth = sg.growth(sg.GaussianLeastSquares(alpha=2.0), GD, steps=2048, cache=tmp_path).log_growth[-1]
    remedy = "If this change is meant, raise REVISION in thresholds/store.py and enter it in CHANGELOG.md."
    assert [*times, *minibatch, growth] == pytest.approx([768.06873, 285.974526, 2.93206499], rel=1e-6), remedy


def test_folder_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SGDMFT_CACHE", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    monkeypatch.delenv("SGDMFT_CACHE")
    assert default_folder().name == "sgdmft"
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match="SGDMFT_CACHE"):
        Store(tmp_path / "file").put({"a": 1}, {})


def test_interruption_keeps_what_was_computed(tmp_path, count, monkeypatch):
    """The third run is interrupted; the second call computes that one alone."""
    counted, stopped = relaxation.solve, threading.Event()

    def interrupted(model, *args, **options):
        if model.alpha == 3.0 and not stopped.is_set():
            stopped.set()
            raise KeyboardInterrupt
        return counted(model, *args, **options)

    monkeypatch.setattr(relaxation, "solve", interrupted)
    options = {"start": START, "steps": 300, "cache": tmp_path, "workers": 1}
    with pytest.raises(KeyboardInterrupt):
        sg.relaxation_times(MODEL, GD, [2.6, 2.8, 3.0], **options)
    assert count == [2.6, 2.8]
    sg.relaxation_times(MODEL, GD, [2.6, 2.8, 3.0], **options)
    assert count == [2.6, 2.8, 3.0]


def test_ctrl_c_stops_the_runs_of_other_threads(monkeypatch):
    interruption = relaxation.Interruption()
    setting = relaxation.Setting(
        model=MODEL, algorithm=GD, start=START, level=0.01, steps=10**6, method=relaxation.METHOD
    )
    runs = relaxation.Runs(setting, Store(False), interruption, workers=2)
    solve = relaxation.solve

    def failing(model, *args, **options):
        if model.alpha == 1.5:
            raise KeyboardInterrupt
        return solve(model, *args, **options)

    monkeypatch.setattr(relaxation, "solve", failing)
    with pytest.raises(KeyboardInterrupt):  # alpha = 1.2 alone would take minutes
        runs.add([1.5, 1.2])


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


def test_invalid_windows():
    for wrong in ({"window": (300, 100)}, {"window": (10, 300)}, {"alphas": (3.0, 2.0)}):
        with pytest.raises(InvalidArgument, match="ascending pairs"):
            sg.recovery_threshold(MODEL, GD, steps=200, cache=False, **wrong)
