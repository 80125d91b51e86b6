"""What surrounds the equations: exact limits, stopping, divergence, interruption, checkpoints, bad input."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.errors import DamagedFile, Diverged, InvalidArgument

TALK = sg.GaussianLeastSquares(alpha=1.5)
METHODS = pytest.mark.parametrize("method", [sg.Dense(), sg.Compressed()], ids=["dense", "compressed"])


# -- exact limits --------------------------------------------------------------------------------------------------


def marchenko_pastur(alpha, function, points=2000):
    """Integral of `function` over the spectrum of alpha N random projections of variance 1/N, mass 1."""
    theta = (np.arange(points) + 0.5) * np.pi / points
    eigenvalues = 1 + alpha + 2 * np.sqrt(alpha) * np.cos(theta)
    weights = 2 * alpha * np.sin(theta) ** 2 / eigenvalues / points
    return weights @ function(eigenvalues) + max(1 - alpha, 0.0) * function(np.array([0.0]))[0]


@METHODS
@pytest.mark.parametrize(("alpha", "ridge", "noise"), [(0.5, 0.0, 0.0), (2.0, 0.3, 0.4), (0.7, 0.2, 0.1)])
def test_linear_regression_is_marchenko_pastur(alpha, ridge, noise, method):
    """f = q, full batch: every eigendirection of the data relaxes on its own."""
    model = sg.GaussianLeastSquares(alpha=alpha, covariance=sg.Covariance({1: 1.0}), labels=sg.Teacher(noise=noise))
    eta, m0, c0, steps = 0.1, 0.3, 1.2, 300
    theory = sg.solve(
        model,
        sg.GradientDescent(eta, weight_decay=ridge),
        steps=steps,
        start=sg.Start(magnetization=m0, norm=c0),
        method=method,
    )
    for t in (0, 1, 7, 60, steps):

        def parts(eigenvalue, t=t):
            decay = (1 - eta * (eigenvalue + ridge)) ** t
            # (1 - decay) / (eigenvalue + ridge), continued to 0
            total = eigenvalue + ridge
            gain = np.where(total > 0, (1 - decay) / np.where(total > 0, total, 1.0), eta * t)
            return decay, gain

        def overlap(eigenvalue, parts=parts):
            decay, gain = parts(eigenvalue)
            return decay * m0 + gain * eigenvalue

        def norm(eigenvalue, parts=parts):
            decay, gain = parts(eigenvalue)
            return decay**2 * c0 + 2 * decay * gain * eigenvalue * m0 + gain**2 * (eigenvalue**2 + noise * eigenvalue)

        def residual(eigenvalue, overlap=overlap, norm=norm, parts=parts):
            _, gain = parts(eigenvalue)
            error = 1 - 2 * overlap(eigenvalue) + norm(eigenvalue)
            return eigenvalue * error - 2 * noise * eigenvalue * gain

        assert theory.magnetization[t] == pytest.approx(marchenko_pastur(alpha, overlap), abs=1e-12)
        assert theory.norm[t] == pytest.approx(marchenko_pastur(alpha, norm), abs=1e-12)
        loss = 0.5 * (marchenko_pastur(alpha, residual) + alpha * noise)
        assert theory.loss[t] == pytest.approx(loss, abs=1e-12)


@METHODS
def test_without_data_the_motion_is_free(method):
    """alpha -> 0: an Ornstein-Uhlenbeck process in unit steps."""
    eta, decay, temperature, steps = 0.05, 0.4, 0.3, 200
    theory = sg.solve(
        sg.GaussianLeastSquares(alpha=1e-14),
        sg.GradientDescent(eta, weight_decay=decay, temperature=temperature),
        steps=steps,
        start=sg.Start(magnetization=0.5, norm=2.0),
        method=method,
    )
    factor = 1 - eta * decay
    t = np.arange(steps + 1)
    stationary = 2 * eta * temperature / (1 - factor**2)
    np.testing.assert_allclose(theory.magnetization, 0.5 * factor**t, atol=1e-12)
    np.testing.assert_allclose(theory.norm, 2.0 * factor ** (2 * t) + stationary * (1 - factor ** (2 * t)), atol=1e-12)
    lag = theory.two_time[:, None] - theory.two_time[None, :]
    np.testing.assert_allclose(theory.response, np.where(lag > 0, factor ** np.maximum(lag - 1.0, 0.0), 0.0), atol=1e-9)


def test_no_overlap_stays_none():
    theory = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=100, start=sg.Start(magnetization=0.0))
    assert np.all(theory.magnetization == 0.0)


def test_the_sphere_is_kept():
    theory = sg.solve(TALK, sg.SGD(0.1, 0.3, spherical=True), steps=50, start=sg.Start(norm=1.3))
    np.testing.assert_array_equal(theory.norm, 1.3)


def test_no_steps_is_the_start():
    theory = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=0)
    assert theory.time.tolist() == [0]
    # K(0,0) alpha / 2 with f = q^2/2, C = 1, m = 0.1
    assert theory.loss[0] == pytest.approx(0.75 * (0.5 + 0.5 - 0.01), rel=1e-14)


def test_what_is_saved():
    full = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=100)
    thin = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=100, save=sg.Save(two_time=[3, 50], every=30))
    assert thin.time.tolist() == [0, 30, 60, 90, 100]
    assert thin.two_time.tolist() == [3, 50]
    np.testing.assert_array_equal(thin.loss, full.loss[thin.time])
    np.testing.assert_array_equal(np.diag(thin.correlation), full.norm[[3, 50]])


# -- stopping and divergence -----------------------------------------------------------------------------------------


@METHODS
def test_recovery_ends_the_run(method):
    model = sg.GaussianLeastSquares(alpha=3.0)
    theory = sg.solve(model, sg.SGD(0.1, 0.5), steps=5000, method=method, stop=sg.Recovered(distance=1e-3))
    assert theory.status is sg.Status.RECOVERED
    assert theory.distance[-1] < 1e-3 <= theory.distance[-2]
    assert np.isfinite(theory.loss).all()


@METHODS
def test_divergence_keeps_what_was_computed(method):
    with pytest.raises(
        Diverged, match=r"at step \d+.*learning rate 1 is above the stability limit 0.4 at the signal"
    ) as caught:
        sg.solve(TALK, sg.GradientDescent(1.0), steps=200, method=method)
    trajectory = caught.value.trajectory
    assert trajectory.status is sg.Status.DIVERGED
    assert f"at step {trajectory.time[-1]}" in str(caught.value)
    assert np.isfinite(trajectory.loss[:-1]).all()
    lenient = sg.solve(TALK, sg.GradientDescent(1.0), steps=200, method=method, strict=False)
    np.testing.assert_array_equal(lenient.norm, trajectory.norm)


# -- interruption and checkpoints ------------------------------------------------------------------------------------


class Interrupter:
    """Cancels a run once that share of the work is done: `solve(..., **Interrupter(0.5).options)`."""

    def __init__(self, share):
        self.share, self.cancel = share, threading.Event()
        self.options = {"progress": self, "cancel": self.cancel}

    def __call__(self, done, total, label):
        if done >= self.share * total:
            self.cancel.set()


def equal(one, other):
    for name in ("time", "magnetization", "norm", "loss"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.correlation, other.correlation)
    np.testing.assert_array_equal(one.response, other.response)


@pytest.fixture
def always_report(monkeypatch):
    monkeypatch.setattr("sgdmft.progress._INTERVAL", 0.0)
    monkeypatch.setattr("sgdmft.dmft.solver._CHUNK_SECONDS", 1e-4)  # small chunks: many places to stop at


@METHODS
def test_interrupted_runs_keep_what_they_have(method, always_report):
    whole = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=800, method=method)
    part = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=800, method=method, **Interrupter(0.3).options)
    assert part.status is sg.Status.INTERRUPTED
    last = part.time[-1]
    assert 0 < last < 800
    np.testing.assert_array_equal(part.loss, whole.loss[: last + 1])


def test_ctrl_c_is_polite(always_report):
    def press(done, total, label):
        if done > 0.2 * total:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    part = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=3000, method=sg.Compressed(), progress=press)
    assert part.status is sg.Status.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is before


@METHODS
@pytest.mark.parametrize("batches", [sg.Bernoulli(0.3), sg.Shuffled(3)], ids=repr)
def test_resumed_runs_are_the_same_bit_for_bit(batches, method, tmp_path, always_report):
    algorithm = sg.Descent(learning_rate=0.1, batches=batches, momentum=0.2)
    checkpoint = sg.Checkpoint(tmp_path / "run.ckpt", seconds=0.0)
    whole = sg.solve(TALK, algorithm, steps=500, method=method)
    for share in (0.01, 0.2, 0.6):
        part = sg.solve(TALK, algorithm, steps=500, method=method, checkpoint=checkpoint, **Interrupter(share).options)
        assert part.status is sg.Status.INTERRUPTED
        assert checkpoint.exists()
    again = sg.solve(TALK, algorithm, steps=500, method=method, checkpoint=checkpoint)
    assert again.status is sg.Status.COMPLETED
    equal(again, whole)
    assert not checkpoint.exists()


def test_a_killed_run_continues_from_its_last_checkpoint(tmp_path, always_report):
    """The process dies without a word, as under SIGKILL; the file it left serves the next one."""
    path = tmp_path / "run.ckpt"
    child = os.fork()
    if child == 0:
        count = 0

        def die(done, total, label):
            nonlocal count
            count += 1
            if count > 20:
                os._exit(9)

        sg.solve(TALK, sg.SGD(0.1, 0.3), steps=900, method=sg.Compressed(), checkpoint=sg.Checkpoint(path, seconds=0.0),
                 progress=die)  # fmt: skip
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert path.exists()
    seen = []
    again = sg.solve(
        TALK,
        sg.SGD(0.1, 0.3),
        steps=900,
        method=sg.Compressed(),
        checkpoint=sg.Checkpoint(path),
        progress=lambda done, total, label: seen.append(done / total),
    )
    assert seen[0] > 0.01  # it did not start anew
    equal(again, sg.solve(TALK, sg.SGD(0.1, 0.3), steps=900, method=sg.Compressed()))


def test_foreign_and_damaged_checkpoints_are_refused(tmp_path, always_report):
    checkpoint = sg.Checkpoint(tmp_path / "run.ckpt")
    sg.solve(TALK, sg.SGD(0.1, 0.3), steps=300, checkpoint=checkpoint, **Interrupter(0.0).options)
    with pytest.raises(InvalidArgument, match="belongs to another run"):
        sg.solve(TALK, sg.SGD(0.1, 0.31), steps=300, checkpoint=checkpoint)
    (tmp_path / "run.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(DamagedFile, match="is damaged"):
        sg.solve(TALK, sg.SGD(0.1, 0.3), steps=300, checkpoint=checkpoint)


# -- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sg.GaussianLeastSquares(alpha=0.0), "`alpha` must be a finite number above 0, but is 0.0"),
        (lambda: sg.GaussianLeastSquares(alpha=float("nan")), "`alpha`.*but is nan"),
        (lambda: sg.GaussianLeastSquares(alpha="2"), "`alpha` must be a number above 0, but is '2'"),
        (lambda: sg.GaussianLeastSquares(alpha=1.0, labels=0.3), "`labels` must be `Teacher"),
        (lambda: sg.Covariance({}), "at least one power"),
        (lambda: sg.Covariance({2: -0.5}), "coefficient of q\\^2.*at least 0, but is -0.5"),
        (lambda: sg.Covariance({0: 1.0}), "nothing in it depends on the weights"),
        (lambda: sg.Covariance({1.5: 1.0}), "integer of at least 0, but is 1.5"),
        (lambda: sg.Start(magnetization=1.2), "Cauchy-Schwarz"),
        (lambda: sg.Start(norm=0.0), "`norm`.*above 0"),
        (lambda: sg.GradientDescent(0.0), "`learning_rate`.*above 0, but is 0.0"),
        (lambda: sg.GradientDescent(float("inf")), "`learning_rate`.*but is inf"),
        (lambda: sg.GradientDescent([0.1, float("nan")]), "`learning_rate`.*but is nan at step 1"),
        (lambda: sg.SGD(0.1, 1.3), r"`batch_fraction`.*\(0, 1\], but is 1.3. .*`FullBatch\(\)`"),
        (lambda: sg.SGD(0.1, [0.5, 0.0]), "`batch_fraction`.*but is 0 at step 1"),
        (lambda: sg.Shuffled(0), "`batches_per_epoch`.*at least 1, but is 0"),
        (lambda: sg.Persistent(0.3, memory=1.5), r"`memory`.*\[0, 1\], but is 1.5"),
        (lambda: sg.Descent(learning_rate=0.1, batches=0.3), "`batches` must be a minibatch scheme"),
        (lambda: sg.Compressed(tolerance=0.0), "`tolerance`"),
        (lambda: sg.Save(two_time=-1), "`two_time`.*at least 0"),
        (lambda: sg.Recovered(distance=0.0), "`distance`.*above 0"),
        (lambda: sg.solve(TALK, sg.GradientDescent(0.1), steps=-1), "`steps` must be an integer of at least 0, but is -1"),
        (lambda: sg.solve(TALK, sg.GradientDescent(0.1), steps=2.5), "`steps`.*but is 2.5"),
        (lambda: sg.solve(TALK, sg.GradientDescent([0.1] * 5), steps=9), "holds 5 values, but the run has 9 steps"),
        (lambda: sg.solve(TALK, sg.GradientDescent(lambda t: 0.1 - t), steps=9), "but is -0.9 at step 1"),
        (lambda: sg.solve(TALK, 0.1, steps=9), "`algorithm` must be a `Descent`"),
        (lambda: sg.solve(0.1, sg.GradientDescent(0.1), steps=9), "`model` must be"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(InvalidArgument, match=message):
        make()


def test_a_checkpoint_that_cannot_be_written_is_a_warning(tmp_path, always_report):
    checkpoint = sg.Checkpoint(tmp_path / "gone" / "run.ckpt", seconds=0.0)
    with pytest.warns(sg.errors.Unsaved, match="goes on without it"):
        run = sg.solve(TALK, sg.SGD(0.1, 0.3), steps=300, checkpoint=checkpoint)
    assert run.status is sg.Status.COMPLETED
    np.testing.assert_array_equal(run.loss, sg.solve(TALK, sg.SGD(0.1, 0.3), steps=300).loss)


@pytest.mark.parametrize("name", ["history_now", "record_count", "record_rows_count", "history_end", "history_panels"])
@pytest.mark.parametrize("damage", ["missing", "large"])
def test_a_state_out_of_range_is_refused(name, damage):
    request = sg.Request(model=TALK, algorithm=sg.SGD(0.1, 0.3), steps=300)
    run = sg.Compressed().begin(request)
    run.advance(200)
    state = run.state()
    if damage == "missing":
        del state[name]
    elif name == "history_now":
        state[name] = state[name].copy()
        state[name]["coordinates"] = 10**9
    else:
        state[name] = state[name] + 10**9
    with pytest.raises(sg.errors.DamagedFile, match="Delete it"):
        sg.Compressed().begin(request).restore(state)


def test_a_run_that_outgrows_its_memory_gives_what_it_has():
    rough = sg.GradientDescent(lambda t: 0.1 if t % 2 else 0.05)
    with pytest.raises(sg.errors.TooLarge) as caught:
        sg.solve(TALK, rough, steps=3000, method=sg.Compressed(memory_limit=1e7), save=sg.Save(two_time=8))
    part = caught.value.trajectory
    assert 100 < part.time[-1] < 3000
    whole = sg.solve(TALK, rough, steps=int(part.time[-1]), method=sg.Dense())
    np.testing.assert_allclose(part.loss, whole.loss, rtol=1e-8, atol=1e-14)
