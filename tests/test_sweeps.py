"""What many runs share: threads, the ways to stop them, and the store."""

import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import sgdmft as sg
from sgdmft import signals, sweeps
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.sweeps import Store, interruptible, on_threads, side_by_side, store, uninterrupted
from sgdmft.sweeps.store import default_folder

MODEL, SGD = sg.GaussianLeastSquares(alpha=1.5), sg.SGD(0.1, 0.3)
SLOW = {"start": sg.Start(magnetization=0.0), "save": sg.Save(two_time=0)}  # never recovers
RUNS = {
    "dense": partial(sg.solve, MODEL, SGD, steps=8000, method=sg.Dense(), **SLOW),
    "compressed": partial(sg.solve, MODEL, SGD, steps=10**6, method=sg.Compressed(), **SLOW),
    "Dyson": partial(sg.solve, MODEL, SGD, steps=100, method=sg.Dyson(), **SLOW),
    "simulation": partial(
        sg.simulate,
        MODEL,
        SGD,
        steps=10**6,
        size=20,
        samples=1,
        workers=1,
        **SLOW | {"save": sg.Save(two_time=0, loss_times=())},
    ),
}
BEGUN = 1e-5  # of the work
EVERY_RUN = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


def endless(progress, cancel):
    cancel.wait()


@pytest.fixture(autouse=True)
def nothing_left():
    """No thread outlives a call, and Ctrl-C is what it was."""
    threads = threading.active_count()
    yield
    assert threading.active_count() == threads
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


# -- side by side --------------------------------------------------------------------------------------------------


def test_one_pool_in_the_package():
    source = Path(sweeps.__file__).parents[1]
    users = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if "ThreadPool" in path.read_text()}
    assert users == {"sweeps/executor.py"}


def test_results_come_in_the_order_of_the_jobs_whatever_the_order_of_work():
    begun = []
    jobs = {name: (work, lambda progress, cancel, name=name: begun.append(name) or name) for name, work in
            {"a": 1.0, "b": 5.0, "c": 2.0}.items()}  # fmt: skip
    assert list(side_by_side(jobs, workers=1).items()) == [("a", "a"), ("b", "b"), ("c", "c")]
    assert begun == ["b", "c", "a"]
    assert side_by_side({}) == {}


def test_progress_weighs_the_jobs_and_is_told_in_the_thread_of_the_caller():
    def first(progress, cancel):
        progress(1, 2, "")
        assert half.wait(10)

    def tell(done, total, label):
        seen.append((done / total, label))
        assert threading.current_thread() is threading.main_thread()
        half.set()

    seen, half = [], threading.Event()
    side_by_side({"first": (3.0, first), "second": (1.0, lambda progress, cancel: half.wait(10))}, tell, workers=2)
    assert seen[0] == (0.375, "first")
    assert seen[-1][0] == 1.0


def test_a_failing_job_stops_the_others():
    begun = threading.Event()

    def failing(progress, cancel):
        begun.wait()
        raise NotConverged("no")

    def slow(progress, cancel):
        begun.set()
        cancel.wait()

    late = []
    jobs = {k: (0, lambda progress, cancel: late.append(cancel.wait())) for k in range(5)}
    with pytest.raises(NotConverged):
        side_by_side({"slow": (1, slow), "failing": (5, failing), **jobs}, workers=2)
    assert len(late) <= 1, "those that had not begun never do"


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_progress_raises_is_raised_after_all_have_stopped(error):
    def telling(progress, cancel):
        progress(1, 2, "")
        cancel.wait()
        time.sleep(0.1)
        stopped.append(True)

    def failing(done, total, label):
        raise error

    stopped = []
    with pytest.raises(error):
        side_by_side({"a": (1, telling), "b": (1, telling)}, failing, workers=2)
    assert stopped == [True, True]


def test_a_token_and_ctrl_c_stop_all_jobs():
    token = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        side_by_side({1: (1, endless), 2: (1, lambda progress, cancel: token.set())}, workers=2, cancel=token)
    with pytest.raises(KeyboardInterrupt):
        side_by_side({1: (1, endless), 2: (1, lambda progress, cancel: press_ctrl_c())}, workers=2)
    assert not side_by_side({1: (1, lambda progress, cancel: cancel.is_set())})[1], "a token of its own each time"


def test_a_token_that_is_set_is_heeded_however_quick_the_jobs_are():
    token = threading.Event()
    token.set()
    with pytest.raises(KeyboardInterrupt):
        side_by_side({"quick": (1, lambda progress, cancel: 1)}, cancel=token)
    with pytest.raises(KeyboardInterrupt):  # not lost between two sets of jobs
        side_by_side({"last": (1, lambda progress, cancel: press_ctrl_c())})


def test_jobs_within_jobs_stop_too():
    def outer(progress, cancel):
        return side_by_side({"inner": (1.0, endless)}, progress, cancel=cancel)

    jobs = {"outer": (1.0, outer), "press": (1.0, lambda progress, cancel: press_ctrl_c())}
    with pytest.raises(KeyboardInterrupt):
        side_by_side(jobs, workers=2)


def test_an_interrupted_run_is_no_result():
    run = sg.solve(MODEL, SGD, steps=3)
    assert uninterrupted(run) is run
    run.dataset.attrs["status"] = "INTERRUPTED"
    with pytest.raises(KeyboardInterrupt):
        uninterrupted(run)
    with pytest.raises(KeyboardInterrupt):
        side_by_side({"a": (1, lambda progress, cancel: run)})


def test_the_second_ctrl_c_acts_at_once():
    def stubborn():
        press_ctrl_c()
        stop.wait()
        time.sleep(0.3)  # until the other thread waits for this one
        press_ctrl_c()
        released.wait()

    stop, released = threading.Event(), threading.Event()
    with pytest.raises(KeyboardInterrupt):
        on_threads([stubborn], stop, workers=1)
    released.set()
    while threading.active_count() > 1:
        time.sleep(0.01)


def test_ctrl_c_is_left_alone_where_it_is_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as cancelled:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            press_ctrl_c()
            assert not cancelled()
    finally:
        signal.signal(signal.SIGINT, before)


# -- runs ------------------------------------------------------------------------------------------------------------


@EVERY_RUN
def test_a_token_stops_a_run_with_what_it_has(run):
    cancel = threading.Event()
    part = run(cancel=cancel, progress=lambda done, total, label: done > BEGUN * total and cancel.set())
    assert part.status is sg.Status.INTERRUPTED
    steps = int(part.time[-1])
    assert 0 < steps < run.keywords["steps"]
    shorter = run(steps=min(steps, 200))
    assert shorter.status is sg.Status.COMPLETED
    np.testing.assert_allclose(part.norm[: shorter.time[-1]], shorter.norm[:-1], rtol=1e-9)


@EVERY_RUN
def test_ctrl_c_returns_what_a_run_has(run):
    def press(done, total, label):
        if done > BEGUN * total and not pressed:
            pressed.append(press_ctrl_c())

    pressed = []
    assert run(progress=press).status is sg.Status.INTERRUPTED


@EVERY_RUN
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_progress_raises_is_an_error_and_no_interruption(run, error):
    def failing(done, total, label):
        raise error

    with pytest.raises(error):
        run(progress=failing)


# -- the store -------------------------------------------------------------------------------------------------------


def key(value):
    return lambda: {"a": value}


def test_damaged_and_foreign_entries_are_no_results(tmp_path):
    store = Store(tmp_path)
    store.put(key(1), {"time": 2.0})
    (file,) = tmp_path.rglob("*.json")
    text = file.read_text()
    file.write_text(text[:-3])
    assert store.get(key(1)) is None
    file.write_text(text.replace('"a": 1', '"a": 2'))
    assert store.get(key(1)) is None
    store.put(key(1), {"time": 3.0})
    assert store.get(key(1)) == {"time": 3.0}


def test_parameters_need_a_text_form_only_where_there_is_a_folder(tmp_path):
    Store(False).put(key(object()), {"time": 3.0})
    assert Store(False).get(key(object())) is None
    for use in (Store(tmp_path).get, lambda key: Store(tmp_path).put(key, {})):
        with pytest.raises(InvalidArgument, match="has no text form"):
            use(key(object()))


def test_results_of_another_revision_are_no_results(tmp_path, monkeypatch):
    Store(tmp_path).put(key(1), {"time": 2.0})
    assert Store(tmp_path).get(key(1)) == {"time": 2.0}
    monkeypatch.setattr(store, "REVISION", store.REVISION + 1)
    assert Store(tmp_path).get(key(1)) is None


def test_folder_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SGDMFT_CACHE", str(tmp_path / "here"))
    assert default_folder() == tmp_path / "here"
    monkeypatch.delenv("SGDMFT_CACHE")
    assert default_folder().name == "sgdmft"
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgument, match="SGDMFT_CACHE"):
        Store(tmp_path / "file").put(key(1), {})


# -- asked to end ----------------------------------------------------------------------------------------------------


@pytest.fixture
def forgotten():
    """Signals that were heard are forgotten after the test."""
    yield
    with signals.raising():
        pass


@pytest.mark.parametrize(("run", "number"), [(RUNS["compressed"], signal.SIGHUP), (RUNS["simulation"], signal.SIGTERM)])
@pytest.mark.usefixtures("forgotten")
def test_a_run_that_is_asked_to_end_returns_what_it_has_and_no_other_begins(run, number):
    def ask(done, total, label):
        if done > BEGUN * total and not asked:
            asked.append(os.kill(os.getpid(), number))

    asked = []
    assert run(progress=ask).status is sg.Status.INTERRUPTED
    assert signal.getsignal(number) is signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt):
        side_by_side({1: (1, lambda progress, cancel: 1)})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_somebody_handles_are_left_alone(number):
    seen = []
    before = signal.signal(number, lambda number, frame: seen.append(number))
    try:
        with interruptible() as stopped:
            os.kill(os.getpid(), number)
            assert not stopped()
    finally:
        signal.signal(number, before)
    assert seen == [number]


def test_a_worker_of_a_pool_ends_at_once():
    """By SIGTERM, as a pool that ends its workers waits until they are gone."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=RUNS["compressed"])
    process.start()
    time.sleep(0.2)
    process.terminate()
    process.join(10)
    assert process.exitcode == -signal.SIGTERM


def test_a_run_that_is_asked_to_end_leaves_a_checkpoint(forgotten, tmp_path):
    checkpoint = sg.Checkpoint(tmp_path / "checkpoint")

    def ask(done, total, label):
        os.kill(os.getpid(), signal.SIGTERM)

    part = RUNS["dense"](progress=ask, checkpoint=checkpoint)
    assert part.status is sg.Status.INTERRUPTED
    assert checkpoint.exists()
