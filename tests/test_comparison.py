"""The verdict of `compare`: its false-alarm rate, its power, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.comparison import threshold_of
from sgdmft.errors import InvalidArgument
from sgdmft.trajectory import Trajectory

MODEL, ALGORITHM, START = sg.GaussianLeastSquares(alpha=1.5), sg.GradientDescent(0.1), sg.Start()
TIME = np.arange(31)
TRUTH = {name: np.exp(-TIME / scale) + 1.0 for name, scale in (("loss", 10), ("magnetization", 20), ("norm", 30))}
SAVED = np.array([0, 3, 10, 30])
CORRELATION = np.exp(-np.abs(SAVED[:, None] - SAVED) / 15.0)


def build(kind, quantities, correlation, **attributes):
    return Trajectory.build(
        kind=kind,
        model=MODEL,
        algorithm=ALGORITHM,
        start=START,
        time=TIME,
        quantities=quantities,
        two_time=SAVED,
        two_time_quantities=correlation,
        attributes=attributes,
    )


def theory(shift=0.0):
    return build("theory", {k: v + shift for k, v in TRUTH.items()}, {"correlation": CORRELATION + shift})


def simulation(rng, *, samples=12, size=100, bias=0.0, spread=0.1):
    """Samples scattered normally, all times of a sample alike: the worst case of correlated times."""
    table = {}
    for name, truth in {**TRUTH, "correlation": CORRELATION}.items():
        common = spread * rng.standard_normal((samples,) + (1,) * truth.ndim)
        values = truth + bias / size + common + 0.3 * spread * rng.standard_normal((samples, *truth.shape))
        table[name] = values.mean(axis=0)
        table[f"{name}_error"] = values.std(axis=0, ddof=1) / np.sqrt(samples)
    two_time = {key: table.pop(key) for key in ("correlation", "correlation_error")}
    table["magnetization"][0], table["magnetization_error"][0] = TRUTH["magnetization"][0], 0.0
    return build("simulation", table, two_time, samples=samples, size=size)


@pytest.mark.parametrize(("rate", "entries", "freedom"), [(0.2, 20, 11), (0.05, 6, 2), (0.5, 1, 30)])
def test_the_threshold_keeps_the_false_alarm_rate(rate, entries, freedom):
    """20 000 verdicts on independent Student variables, whose rate is 1 - (1 - rate/entries)^entries exactly."""
    draws = 20_000
    z = np.random.default_rng(10).standard_t(freedom, (draws, entries))
    alarms = (np.abs(z).max(axis=1) > threshold_of(rate, entries, freedom)).mean()
    expected = 1.0 - (1.0 - rate / entries) ** entries
    assert alarms == pytest.approx(expected, abs=4.5 * np.sqrt(expected * (1.0 - expected) / draws))


def test_the_verdict_compares_each_score_with_the_threshold_of_the_smallest_sample():
    rng = np.random.default_rng(11)
    small, large = simulation(rng, size=100, samples=9), simulation(rng, size=200, samples=5)
    for data, freedom in (((small,), 8), ((small, large), 4)):
        result = sg.compare(theory(), *data, false_alarm_rate=0.2)
        assert result.threshold == threshold_of(0.2, len(result.scores), freedom)
        below, above = (dataclasses.replace(result, threshold=abs(result.worst.z) + by) for by in (-1e-9, 1e-9))
        assert (below.consistent, above.consistent) == (False, True)
        assert np.allclose([(s.simulation - s.theory) / s.error for s in result.scores], [s.z for s in result.scores])


def test_a_right_theory_is_accepted():
    rng = np.random.default_rng(11)
    result = sg.compare(theory(), simulation(rng))
    assert result.consistent
    assert "consistent: no |z| above" in repr(result)
    assert "weak test" not in repr(result)
    assert "weak test" in repr(sg.compare(theory(), simulation(rng, samples=3)))
    assert len(result.scores) == 5 + 4 + 5 + 6  # m(0) is exact in both and left out
    assert result.of("correlation").shape == (6,)


def test_wrong_theory_is_rejected():
    result = sg.compare(theory(shift=0.3), simulation(np.random.default_rng(12)))
    assert not result.consistent
    assert "NOT consistent" in repr(result)
    assert abs(result.worst.z) > result.threshold


def test_exact_entries_must_agree():
    data = simulation(np.random.default_rng(13))
    data.dataset["magnetization"][0] += 1e-3
    result = sg.compare(theory(), data)
    assert result.worst.quantity == "magnetization"
    assert np.isinf(result.worst.z)


def test_theory_that_is_not_a_number_is_rejected():
    wrong = theory()
    wrong.dataset["loss"][-1] = np.nan
    result = sg.compare(wrong, simulation(np.random.default_rng(14)))
    assert not result.consistent
    assert result.worst.quantity == "loss"


def test_two_sizes_cancel_the_bias_of_order_one_over_size():
    rng = np.random.default_rng(15)
    small, large = (simulation(rng, size=size, bias=8.0, spread=0.01, samples=30) for size in (100, 200))
    assert not sg.compare(theory(), large).consistent
    assert "second, larger size" in repr(sg.compare(theory(), large))
    assert sg.compare(theory(), small, large).consistent
    assert sg.compare(theory(), large, small).consistent
    assert not sg.compare(theory(shift=0.05), small, large).consistent


def test_refusals():
    rng = np.random.default_rng(16)
    data, single = simulation(rng), simulation(rng)
    single.dataset.attrs["samples"] = 1
    other = sg.solve(sg.GaussianLeastSquares(alpha=2.0), ALGORITHM, steps=3)
    for arguments, message in (
        ((data, data), "first the theory"),
        ((theory(), data, data), "must differ in `size`"),
        ((theory(),), "but got 0"),
        ((other, data), "not of the same model"),
        ((theory(), single), "no standard error"),
    ):
        with pytest.raises(InvalidArgument, match=message):
            sg.compare(*arguments)
    with pytest.raises(InvalidArgument, match="false_alarm_rate"):
        sg.compare(theory(), data, false_alarm_rate=0.0)
    with pytest.raises(InvalidArgument, match="nothing to compare"):
        sg.compare(theory(), Trajectory(data.dataset.isel(time=slice(0, 0), saved_time=slice(0, 0))))
