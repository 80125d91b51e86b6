"""The recorder on loops of one's own, and the descent on data of one's own, against closed formulas and plain loops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import Model
from sgdmft.simulation.recorder import Recorder, mean_trajectory
from sgdmft.simulation.risk import Needs, data_needs, risk_of, stream

SIZE, STEPS, ETA = 12, 20, 0.1
RNG = np.random.default_rng(2)
INPUTS, SIGNAL, FIRST = RNG.standard_normal((30, SIZE)) / np.sqrt(SIZE), 2.0 * RNG.standard_normal(SIZE), np.ones(SIZE)
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def propagator(t):
    """(1 - eta X^T X)^t of descent on linear regression."""
    values, vectors = np.linalg.eigh(INPUTS.T @ INPUTS)
    return vectors @ np.diag((1.0 - ETA * values) ** t) @ vectors.T


def exact(t, first=FIRST):
    return SIGNAL + propagator(t) @ (first - SIGNAL)


def descend(recorder, first=FIRST, until=STEPS):
    """Plain gradient descent of the noiseless regression, recorded at every step."""
    w = first.copy()
    for t in range(until + 1):
        residuals = INPUTS @ (w - SIGNAL)
        recorder.record(t, w, loss=0.5 * residuals @ residuals / SIZE)
        w = w - ETA * INPUTS.T @ residuals


@pytest.mark.parametrize("every", [1, 6])
def test_a_loop_of_ones_own(every):
    saved = [0, 3, 20]
    recorder = Recorder(sg.Save(two_time=saved, every=every), steps=STEPS, size=SIZE)
    descend(recorder)
    run = recorder.trajectory()
    assert run.time.tolist() == (list(range(21)) if every == 1 else [0, 6, 12, 18, 20])
    points = np.array([exact(t) for t in run.time])
    np.testing.assert_allclose(run.norm, (points**2).mean(axis=1), **CLOSE)
    np.testing.assert_allclose(run.loss, (((points - SIGNAL) @ INPUTS.T) ** 2).sum(axis=1) / (2 * SIZE), **CLOSE)
    kept = np.array([exact(t) for t in saved])
    np.testing.assert_allclose(run.correlation, kept @ kept.T / SIZE, **CLOSE)
    assert not {"magnetization", "distance", "gradient_evaluations"} & set(run.dataset)
    assert np.isnan(run.error("loss")).all(), "the error of one sample is not known"
    assert (run.dataset.attrs["size"], run.dataset.attrs["samples"]) == (SIZE, 1)


def test_a_reference_of_any_norm_gives_overlap_and_distance():
    recorder = Recorder(sg.Save(two_time=0), STEPS, size=SIZE, reference=SIGNAL)
    descend(recorder)
    run = recorder.trajectory(time_unit="epochs")
    points = np.array([exact(t) for t in range(STEPS + 1)])
    np.testing.assert_allclose(run.magnetization, points @ SIGNAL / SIZE, **CLOSE)
    np.testing.assert_allclose(run.distance, ((points - SIGNAL) ** 2).mean(axis=1), **CLOSE)
    assert run.time_unit == "epochs"


def test_replicas_and_kicked_copies():
    """Two starts of one's own as replicas; the kicked copies follow the propagator."""
    kicks, other = [0, 4], -FIRST
    signs = np.where(RNG.random((2, SIZE)) < 0.5, -1.0, 1.0)
    save = sg.Save(two_time=[0, 2, 9], response=kicks, kick_size=0.01, replicas=2)
    recorder = Recorder(save, 9, size=SIZE, signs=signs)
    for t in range(10):
        copies = [exact(t), exact(t, other)]
        copies += [exact(t - k - 1, exact(k + 1) + 0.01 * n) for k, n in zip(kicks, signs, strict=True) if t > k]
        recorder.record(t, np.array(copies))
    run = recorder.trajectory()
    assert run.two_time.tolist() == [0, 2, 4, 9]
    first, second = (np.array([exact(t, start) for t in run.two_time]) for start in (FIRST, other))
    np.testing.assert_allclose(run["replica_correlation"], (first @ second.T + second @ first.T) / (2 * SIZE), **CLOSE)
    np.testing.assert_allclose(run["replica_overlap"][[0, 2, 4, 9]], (first * second).mean(axis=1), **CLOSE)
    for n, k in zip(signs, kicks, strict=True):
        expected = [n @ propagator(t - k - 1) @ n / SIZE if t > k else 0.0 for t in run.two_time]
        np.testing.assert_allclose(run.response[:, run.two_time == k][:, 0], expected, **CLOSE)
    assert np.isnan(run.response[:, [1, 3]]).all()


def test_an_unfinished_run_and_one_that_is_held():
    recorder = Recorder(sg.Save(two_time=[0, 7, 20], every=3), STEPS, size=SIZE)
    descend(recorder, until=8)
    run = recorder.trajectory()
    assert (run.time.tolist(), run.two_time.tolist(), recorder.reached) == ([0, 3, 6], [0, 7], 8)
    held = Recorder(sg.Save(two_time=[0, 7, 20], every=3), STEPS, size=SIZE)
    held.record(0, FIRST, loss=1.0)
    held.record(5, SIGNAL, loss=0.0, to_the_end=True)
    run = held.trajectory(last=STEPS)
    np.testing.assert_array_equal(run.loss, [1.0, np.nan, *[0.0] * 6])
    np.testing.assert_allclose(run.correlation[1:, 1:], SIGNAL @ SIGNAL / SIZE, **CLOSE)


def test_means_and_errors_over_samples():
    recorders = []
    for k in range(5):
        recorders.append(Recorder(sg.Save(two_time=[0, 5]), STEPS, size=SIZE, reference=SIGNAL))
        descend(recorders[-1], first=(k + 1) * FIRST, until=STEPS - k)
    run = mean_trajectory(recorders)
    assert run.time[-1] == STEPS - 4, "up to the last step of all"
    distances = np.array([recorder.trajectory(last=STEPS - 4).distance for recorder in recorders])
    np.testing.assert_allclose(run.distance, distances.mean(axis=0), **CLOSE)
    np.testing.assert_allclose(run.error("distance"), distances.std(axis=0, ddof=1) / np.sqrt(5), **CLOSE)


def test_refusals_of_the_recorder():
    recorder = Recorder(sg.Save(), STEPS, size=SIZE)
    recorder.record(3, FIRST)
    for step in (3, 2, STEPS + 1):
        with pytest.raises(InvalidArgument, match=f"Step {step} cannot be recorded: the last one was 3"):
            recorder.record(step, FIRST)
    for points in (np.ones(5), np.ones((2, SIZE)), np.ones((1, 5))):
        with pytest.raises(InvalidArgument, match=r"must have shape \(12,\), or \(1 replicas .*but have \(\d, \d+\)"):
            recorder.record(4, points)
    with pytest.raises(InvalidArgument, match=r"`reference` must have shape \(12,\), but has \(3,\)"):
        Recorder(sg.Save(), STEPS, size=SIZE, reference=np.ones(3))
    with pytest.raises(InvalidArgument, match=r"`signs` must have shape \(1, 12\), but has \(0, 12\)"):
        Recorder(sg.Save(response=[2]), STEPS, size=SIZE)


@dataclass(frozen=True)
class Logistic(Model):
    """Logistic regression on random inputs: a loss that is not a square, and no signal."""

    alpha: float


class LogisticRisk:
    signal = None

    def __init__(self, model, size, seed, sample, *, dtype="float64"):
        rng = stream(seed, sample, "data")
        self.size, self.data_size = size, round(model.alpha * size)
        self.inputs = rng.standard_normal((self.data_size, size)) / np.sqrt(size)
        self.labels = np.sign(rng.standard_normal(self.data_size))

    def read(self, points, rows, wanted):
        return LogisticReading(self.inputs[rows], self.labels[rows], points, wanted)


class LogisticReading:
    def __init__(self, inputs, labels, points, wanted):
        self.inputs, self.labels = inputs, labels
        self.margins = np.where(wanted, labels * (points @ inputs.T), np.nan)  # not wanted: anything

    def loss(self, weights):
        losses = np.log1p(np.exp(-self.margins[: len(weights)]))
        return np.sum(weights * losses, axis=1, where=weights != 0)

    def force(self, weights, fraction):
        slopes = np.where(weights, -self.labels / (1.0 + np.exp(self.margins)), 0.0)
        return (weights * slopes / fraction) @ self.inputs


risk_of.register(Logistic)(LogisticRisk)


@data_needs.register
def _(model: Logistic, size: int, copies: int, dtype: object) -> Needs:
    return Needs(round(model.alpha * size), round(model.alpha * size) * size * 8)


def test_any_loss_can_be_descended():
    model, steps, start = Logistic(alpha=2.0), 15, sg.Start(magnetization=0.0)
    algorithm = sg.Descent(learning_rate=0.3, batches=sg.Bernoulli(0.4), momentum=0.5, weight_decay=0.1)
    save = sg.Save(two_time=range(steps + 1))
    run = sg.simulate(model, algorithm, steps=steps, start=start, size=SIZE, samples=1, save=save)
    risk = LogisticRisk(model, SIZE, 0, 0)
    selection = algorithm.batches.sampler(risk.data_size, steps, stream(0, 0, "selection"))
    x = stream(0, 0, "start").standard_normal(SIZE)
    x = previous = x * np.sqrt(SIZE) / np.linalg.norm(x)
    points, losses = [x], []
    for t in range(steps + 1):
        margins = risk.labels * (risk.inputs @ x)
        losses.append(np.log1p(np.exp(-margins)).sum() / SIZE)
        if t < steps:
            rows = next(selection)
            force = -(risk.labels / (1.0 + np.exp(margins)))[rows] @ risk.inputs[rows] / 0.4
            x, previous = (1 - 0.03) * x - 0.3 * force + 0.5 * (x - previous), x
            points.append(x)
    np.testing.assert_allclose(run.correlation, np.array(points) @ np.array(points).T / SIZE, **CLOSE)
    np.testing.assert_allclose(run.loss, losses, **CLOSE)
    np.testing.assert_allclose(run.gradient_evaluations, 0.8 * np.arange(steps + 1), rtol=1e-14)
    assert not {"magnetization", "distance"} & set(run.dataset)


def test_without_a_signal_nothing_may_refer_to_it():
    options = {"steps": 3, "size": SIZE, "samples": 1}
    with pytest.raises(InvalidArgument, match=r"no signal that .*magnetization=0.1.* could overlap with"):
        sg.simulate(Logistic(alpha=2.0), sg.GradientDescent(0.1), **options)
    with pytest.raises(InvalidArgument, match="without a signal does not support `stop`"):
        sg.simulate(Logistic(alpha=2.0), sg.GradientDescent(0.1), stop=sg.Recovered(), **options)


def test_models_without_data_are_refused():
    for model in (sg.SelfEnergy(lambda Q: -Q), sg.Linearized(sg.GaussianLeastSquares(alpha=2.0))):
        with pytest.raises(InvalidArgument, match="needs data, and none can be drawn from the model"):
            sg.simulate(model, sg.GradientDescent(0.1), steps=3)
        with pytest.raises(InvalidArgument, match="needs data"):
            risk_of(model, 10, 0, 0)
