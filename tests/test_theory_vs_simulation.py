"""The theory at N -> infinity against independent simulations: every z-score is consistent with chance.

Each comparison has false-alarm rate 1e-4. Finite size shifts a run by c/N with c of order one, and its standard error
is of order 1/sqrt(N samples): the sizes here keep the shift at or below the error. The slow tests extrapolate it away, and
measure it.
"""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from helpers import assert_chance, assert_sharp

RATE = 1e-4
TALK = sg.GaussianLeastSquares(alpha=1.5)
MIXED = sg.GaussianLeastSquares(
    alpha=1.2, covariance=sg.Covariance({0: 0.1, 1: 0.4, 2: 0.45}), labels=sg.Teacher(noise=0.2)
)
CONSTRAINT = sg.GaussianLeastSquares(alpha=0.7, labels=sg.ConstantTarget(0.7))


def plain(scheme):
    """The talk's model; one pass divides by b = 1/steps and needs smaller steps."""
    return TALK, sg.Descent(learning_rate=0.004 if isinstance(scheme, sg.OnePass) else 0.1, batches=scheme), None


def rich(scheme):
    """Every option at once, for the same scheme."""
    rate = 0.004 if isinstance(scheme, sg.OnePass) else 0.05
    options = {"momentum": 0.4, "temperature": 0.1, "weight_decay": 0.2}
    return MIXED, sg.Descent(learning_rate=rate, batches=scheme, **options), None


SETTINGS = {
    "schedule": (TALK, sg.GradientDescent(lambda t: 0.3 / (1 + 0.1 * t)), sg.Start(magnetization=0.1, norm=1.3)),
    "schedules": (TALK, sg.SGD(np.linspace(0.02, 0.15, 20), lambda t: 0.9 - 0.03 * t), None),
    "constraint": (CONSTRAINT, sg.SGD(0.2, 0.5), sg.Start(magnetization=0.0)),
    "spherical": (CONSTRAINT, sg.Descent(learning_rate=0.1, batches=sg.Bernoulli(0.4), spherical=True), None),
    "langevin": (MIXED, sg.Descent(learning_rate=0.1, spherical=True, momentum=0.3, temperature=0.3), None),
    "talk": (sg.GaussianLeastSquares(alpha=2.5), sg.SGD(0.1, 0.2), sg.Start(magnetization=0.2)),
}
for name in sorted(sg.Batches.registry):
    example = sg.Batches.registry[name].examples()[0]
    SETTINGS |= {name: plain(example), f"{name} rich": rich(example)}


def runs(model, algorithm, start, sizes, samples, *, steps=20, response=(0, 3, 9)):
    """The theory, and a simulation of each size."""
    start = start or sg.Start(magnetization=0.3)
    looks = [0, 1, 4, 10, steps]
    common = {"steps": steps, "start": start, "save": sg.Save(two_time=looks, response=response, loss_times=looks)}
    options = {"samples": samples, "seed": 1, **common}
    theory = sg.solve(model, algorithm, **common)
    return theory, *(sg.simulate(model, algorithm, size=size, **options) for size in sizes)


def assert_agreement(result, count, *, factor=5.0):
    """Consistent by z-scores whose errors are bounded themselves."""
    assert result.consistent, result
    for name in result.quantities:
        scores = [score for score in result.scores if score.quantity == name]
        assert_sharp([s.error for s in scores], [s.theory for s in scores], count, factor=factor)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_score_is_consistent_with_chance(setting):
    result = sg.compare(*runs(*SETTINGS[setting], sizes=[80], samples=32), false_alarm_rate=RATE)
    compared = {score.quantity for score in result.scores}
    assert compared >= {"loss", "magnetization", "correlation", "response"}
    assert ("norm" in compared) is not SETTINGS[setting][1].spherical
    assert_agreement(result, 80 * 32)


def test_a_wrong_theory_is_rejected():
    _, data = runs(*SETTINGS["Bernoulli"], sizes=[80], samples=32)
    model, _, start = SETTINGS["Bernoulli"]
    wrong, _ = runs(model, sg.Descent(learning_rate=0.1, batches=sg.Persistent(0.3, memory=0.8)), start, [80], 2)
    with pytest.raises(sg.errors.InvalidArgument, match="not of the same algorithm"):
        sg.compare(wrong, data)
    wrong.algorithm = data.algorithm  # what `compare` refuses to look at
    result = sg.compare(wrong, data, false_alarm_rate=RATE)
    assert not result.consistent
    assert not result.unresolved


def test_replicas():
    model, algorithm = TALK, sg.SGD(0.1, 0.3)
    common = {
        "steps": 20,
        "start": sg.Start(magnetization=0.3),
        "save": sg.Save(two_time=[0, 1, 5, 10, 20], replicas=2),
    }
    theory = sg.solve(model, algorithm, **common)
    data = sg.simulate(model, algorithm, size=80, samples=32, **common)
    result = sg.compare(theory, data, false_alarm_rate=RATE)
    assert len(result.of("replica_correlation")) >= 10
    assert_agreement(result, 80 * 32)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_score_is_consistent_in_the_limit_of_large_size(setting):
    result = sg.compare(*runs(*SETTINGS[setting], sizes=[60, 120], samples=128), false_alarm_rate=RATE)
    assert_agreement(result, 60 * 128, factor=8.7)  # 2 q(120) - q(60) has sqrt(3) times the error of q(60)


@pytest.mark.slow
def test_difference_shrinks_as_one_over_size():
    """N (simulation - theory) is the same number at N = 30, 60 and 120, while simulation - theory is not."""
    model, algorithm, start = TALK, sg.SGD(0.1, 0.3), sg.Start(magnetization=0.3)
    common = {"steps": 10, "start": start, "save": sg.Save(two_time=[0, 4, 10], loss_times=[0, 5, 10])}
    theory = sg.solve(model, algorithm, **common)
    sizes, picks = [30, 60, 120], [("loss", [0, 5, 10]), ("magnetization", [10]), ("norm", [2, 10])]
    shifts, errors = [], []
    for size, samples in zip(sizes, (4000, 1600, 800), strict=True):
        data = sg.simulate(model, algorithm, size=size, samples=samples, **common)
        shifts.append(np.concatenate([(data[name] - theory[name])[t] for name, t in picks]))
        errors.append(np.concatenate([data.error(name)[t] for name, t in picks]))
    for k in (0, 1):
        scaled = np.hypot(sizes[k] * errors[k], sizes[k + 1] * errors[k + 1])
        assert_chance((sizes[k + 1] * shifts[k + 1] - sizes[k] * shifts[k]) / scaled, rate=RATE)
    assert (np.abs(shifts[0] / errors[0]) > 4).all()
    assert (np.abs((shifts[2] - shifts[0]) / np.hypot(errors[0], errors[2]))[:2] > 4).all()  # loss at t = 0, 5
