"""The verdict of `compare`: its false-alarm rate, its power, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.analysis.comparison import threshold_of
from sgdmft.errors import InvalidArgument
from sgdmft.run.trajectory import Trajectory

MODEL, ALGORITHM, START = sg.GaussianLeastSquares(alpha=1.5), sg.GradientDescent(0.1), sg.Start()
TIME = np.arange(31)
TRUTH = {name: np.exp(-TIME / scale) + 1.0 for name, scale in (("loss", 10), ("magnetization", 20), ("norm", 30))}
SAVED = np.array([0, 3, 10, 30])
CORRELATION = np.exp(-np.abs(SAVED[:, None] - SAVED) / 15.0)


def build(kind, quantities, correlation, time_unit="steps", **attributes):
    return Trajectory.build(
        kind=kind,
        model=MODEL,
        algorithm=ALGORITHM,
        start=START,
        time=TIME,
        time_unit=time_unit,
        quantities=quantities,
        two_time=SAVED,
        two_time_quantities=correlation,
        attributes=attributes,
    )


def theory(shift=0.0, **options):
    return build("theory", {k: v + shift for k, v in TRUTH.items()}, {"correlation": CORRELATION + shift}, **options)


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
    assert "weak test: with many the bound is" in repr(sg.compare(theory(), simulation(rng, samples=8)))
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


def test_resolution_is_stated_and_a_quantity_lost_in_its_error_is_no_agreement():
    """Kicked copies that forget their momentum gave R = 100 ± 113 where the theory is 0.54: every z-score is fine."""
    rng = np.random.default_rng(17)
    result = sg.compare(theory(), simulation(rng))
    loss = [score for score in result.scores if score.quantity == "loss"]
    expected = np.median([score.error for score in loss]) / max(score.theory for score in loss)
    assert result.resolution("loss") == pytest.approx(expected, rel=1e-12)
    assert f"error {100 * expected:.2g} % of the range" in repr(result)
    right, blurred = theory(), simulation(rng)
    response = np.tri(4, k=-1)
    error = np.where(response > 0, 113.0, 0.0)
    for run, value in ((right, 0.54 * response), (blurred, 100.0 * response)):
        run.dataset["response"] = (("saved_time", "earlier_time"), value)
    blurred.dataset["response_error"] = (("saved_time", "earlier_time"), error)
    result = sg.compare(right, blurred)
    assert np.abs(result.of("response")).max() < 1
    assert (result.consistent, result.unresolved) == (False, ("response",))
    assert "not resolved: response" in repr(result)
    assert "NOT consistent" not in repr(result)


def test_a_theory_that_is_zero_throughout_is_judged_on_the_scale_of_the_signal():
    target = sg.GaussianLeastSquares(alpha=1.0, labels=sg.ConstantTarget(0.5))
    common = {"steps": 10, "start": sg.Start(magnetization=0.0), "save": sg.Save(two_time=[0, 3, 10])}
    data = sg.simulate(target, ALGORITHM, size=60, samples=20, **common)
    result = sg.compare(sg.solve(target, ALGORITHM, **common), data)
    error = data.error("magnetization")
    assert result.consistent
    assert 0.0 < error[1:].min() <= result.resolution("magnetization") <= error.max()


def run_of(kind, model=MODEL, algorithm=ALGORITHM, start=START, steps=6):
    """A short run of the theory or the simulation."""
    common = {"steps": steps, "start": start}
    return (
        sg.solve(model, algorithm, **common) if kind == "theory" else sg.simulate(model, algorithm, size=10, **common)
    )


OTHER = {
    "a coefficient in its seventh digit": {
        "model": sg.GaussianLeastSquares(alpha=1.5, covariance=sg.Covariance({2: 0.5000004}))
    },
    "alpha": {"model": sg.GaussianLeastSquares(alpha=1.5000001)},
    "linearized": {"model": sg.Linearized(MODEL), "start": START},
    "learning rate": {"algorithm": sg.GradientDescent(0.2)},
    "scheme": {"algorithm": sg.SGD(0.1, 0.5)},
    "momentum": {"algorithm": sg.GradientDescent(0.1, momentum=0.1)},
    "schedule": {"algorithm": sg.GradientDescent([0.1, 0.1, 0.1, 0.1, 0.1, 0.1000001])},
    "start": {"start": sg.Start(magnetization=0.1000001)},
}


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("name", OTHER)
def test_other_problems_are_told_apart_in_full_precision(name, saved, tmp_path):
    wrong, data = run_of("theory", **OTHER[name]), run_of("simulation")
    if saved:
        wrong.save(tmp_path / "theory.nc")
        wrong = sg.load(tmp_path / "theory.nc")
    what = next(iter(OTHER[name]))
    with pytest.raises(InvalidArgument, match=f"not of the same {what}: theory .+, simulation .+"):
        sg.compare(wrong, data)
    if name.startswith("a coefficient"):
        with pytest.raises(InvalidArgument, match=r"0\.5000004"):
            sg.compare(wrong, data)


def test_a_function_and_its_saved_values_are_one_schedule(tmp_path):
    """Over the common steps, also when the runs have different lengths."""
    algorithm = sg.SGD(lambda t: 0.1 / (1 + t), lambda t: 0.9 - 0.05 * t)
    right, data = run_of("theory", algorithm=algorithm), run_of("simulation", algorithm=algorithm, steps=9)
    data.save(tmp_path / "data.nc")
    right.save(tmp_path / "theory.nc")
    for first in (right, sg.load(tmp_path / "theory.nc")):
        for second in (data, sg.load(tmp_path / "data.nc")):
            assert sg.compare(first, second).scores
    late = sg.SGD(lambda t: 0.1 / (1 + t) if t < 5 else 0.1, lambda t: 0.9 - 0.05 * t)
    with pytest.raises(InvalidArgument, match="not of the same algorithm"):
        sg.compare(right, run_of("simulation", algorithm=late, steps=9))


def test_objects_without_a_class_are_compared_as_they_were_saved():
    right, data = run_of("theory"), run_of("simulation")
    for run in (right, data):
        run.algorithm = None
    assert sg.compare(right, data).scores
    data.dataset.attrs["parameters"] = data.dataset.attrs["parameters"].replace("0.1", "0.2")
    with pytest.raises(InvalidArgument, match="not of the same algorithm"):
        sg.compare(right, data)
    for run in (right, data):
        run.dataset.attrs["parameters"] = "{}"
    assert sg.compare(right, data).scores
    data.dataset.attrs["algorithm"] = "another"
    with pytest.raises(InvalidArgument, match=r"not of the same algorithm: theory Descent.*, simulation another"):
        sg.compare(right, data)


def test_a_start_of_ones_own_is_not_evaluated():
    def start(instance, rng):
        return rng.standard_normal(instance.size)

    with pytest.raises(InvalidArgument, match=r"not of the same start: theory Start\(.*, simulation <function"):
        sg.compare(run_of("theory"), run_of("simulation", start=start))


def test_units_of_time_must_agree():
    rng = np.random.default_rng(18)
    with pytest.raises(InvalidArgument, match="different units: epochs and steps"):
        sg.compare(theory(time_unit="epochs"), simulation(rng))
    data = simulation(rng)
    for axis in ("time", "saved_time", "earlier_time"):
        data.dataset[axis].attrs["units"] = "epochs"
    assert sg.compare(theory(time_unit="epochs"), data).time_unit == "epochs"


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
