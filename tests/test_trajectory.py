"""What a trajectory knows of its run, whatever is missing: quantities, the unit of time, the gradient evaluations."""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from sgdmft import plotting
from sgdmft.errors import InvalidArgument
from sgdmft.run.trajectory import Trajectory

MODEL = sg.GaussianLeastSquares(alpha=1.5)
TIME = np.array([0, 1, 4, 10])


def bare(time_unit="steps", kind="simulation", **quantities):
    """A run of which little is known."""
    quantities = quantities or {"loss": np.exp(-TIME / 5.0), "norm": np.full(4, 2.0)}
    return Trajectory.build(
        kind=kind,
        model=None,
        algorithm=None,
        start=None,
        time=TIME if time_unit != "physical time" else 0.25 * TIME,
        quantities=quantities,
        two_time=TIME,
        two_time_quantities={"correlation": np.eye(4)},
        attributes={"size": 10, "samples": 2},
        time_unit=time_unit,
    )


def test_without_a_signal_there_is_no_overlap_and_no_distance():
    run = bare()
    assert not {"magnetization", "distance", "generalization_error", "gradient_evaluations"} & set(run.dataset)
    for read in (lambda: run.distance, lambda: run.magnetization, lambda: run.gradient_evaluations):
        with pytest.raises(KeyError, match=r"holds no `.*`; it holds loss, norm, correlation"):
            read()
    assert "magnetization" not in repr(run)
    assert "None" not in repr(run)
    _, axes = plotting.figure(1, 1)
    (panel,) = plotting.learning_curves(run, axes=axes[0])
    assert panel.get_ylabel() == "$H/N$"
    with pytest.raises(KeyError, match="holds no `distance`"):
        plotting.learning_curves(run, quantities=["distance"], axes=axes[0])
    only_m = bare(magnetization=np.ones(4))
    assert "distance" not in only_m


@pytest.mark.parametrize("unit", ["steps", "physical time", "epochs"])
def test_the_unit_of_time_is_kept_and_shown(unit, tmp_path):
    run = bare(unit)
    run.save(tmp_path / "run.nc")
    again = sg.load(tmp_path / "run.nc")
    assert (run.time_unit, again.time_unit) == (unit, unit)
    np.testing.assert_array_equal(again.time, run.time)
    assert {again.dataset[axis].attrs["units"] for axis in ("time", "saved_time", "earlier_time")} == {unit}
    assert f"{run.time[-1]} {unit}" in repr(again)
    _, axes = plotting.figure(1, 1)
    assert plotting.learning_curves(run, axes=axes[0])[0].get_xlabel() == f"{unit} $t$"
    theory = bare(unit, kind="theory")
    assert plotting.two_time(theory, waiting=[1], axes=axes[0, 0]).get_xlabel() == rf"$\tau$ ({unit})"


def test_units_of_time_do_not_mix():
    with pytest.raises(InvalidArgument, match="must be one of steps, physical time, epochs, but is 'days'"):
        bare("days")
    with pytest.raises(InvalidArgument, match="different units: epochs and steps"):
        plotting.learning_curves(bare(), bare("epochs"))


SCHEDULE = [0.5, 0.25, 0.25, 1.0, 0.5, 0.1]
SCHEMES = {
    "full": (sg.FullBatch(), lambda s: 1.0),
    "constant": (sg.Bernoulli(0.25), lambda s: 0.25),
    "function": (sg.Bernoulli(lambda t: 1.0 / (1 + t)), lambda s: 1.0 / (1 + s)),
    "array": (sg.Bernoulli(SCHEDULE), lambda s: SCHEDULE[s]),
    "one pass": (sg.OnePass(8), lambda s: 1 / 8),
}


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("every", [1, 4])
def test_gradient_evaluations_are_counted_by_hand(name, every, tmp_path):
    batches, fraction = SCHEMES[name]
    algorithm = sg.Descent(learning_rate=0.01, batches=batches)
    count = [1.5 * sum(fraction(s) for s in range(t)) for t in range(7)]
    options = {"steps": 6, "save": sg.Save(every=every, two_time=0)}
    for run in (sg.solve(MODEL, algorithm, **options), sg.simulate(MODEL, algorithm, size=10, samples=2, **options)):
        run.save(tmp_path / f"{run.kind}.nc")
        for known in (run, sg.load(tmp_path / f"{run.kind}.nc")):
            np.testing.assert_allclose(known.gradient_evaluations, [count[t] for t in known.time], rtol=1e-14)
    assert sg.solve(MODEL, algorithm, steps=0).gradient_evaluations.tolist() == [0.0]
    assert set(run.dataset["gradient_evaluations"].attrs) == {"long_name", "symbol", "units"}


def test_gradient_evaluations_of_runs_that_end_early():
    wild = sg.simulate(MODEL, sg.SGD(3.0, 0.5), steps=50, size=20, samples=2, strict=False)
    near = sg.Start(magnetization=0.9)
    stopped = sg.solve(MODEL, sg.SGD(0.1, 0.5), steps=400, start=near, stop=sg.Recovered(distance=0.05))
    linear = sg.solve(sg.Linearized(MODEL), sg.SGD(0.1, 0.5), steps=5)
    assert wild.status is sg.Status.DIVERGED
    assert stopped.status is sg.Status.RECOVERED
    for run in (wild, stopped, linear):
        np.testing.assert_allclose(run.gradient_evaluations, 0.75 * run.time, rtol=1e-14)
    pspin = sg.SelfEnergy(lambda Q: -sg.Covariance({3: 1.0}).derivative(Q))
    with pytest.raises(KeyError, match="holds no `gradient_evaluations`"):
        sg.solve(pspin, sg.GradientDescent(0.05, spherical=True), steps=3).gradient_evaluations  # noqa: B018


def test_a_constant_schedule_is_not_written_out():
    """A million constant fractions cost a broadcast view, not an array."""
    import tracemalloc

    time = np.array([0, 10**7])
    tracemalloc.start()
    run = Trajectory.build(
        kind="theory",
        model=MODEL,
        algorithm=sg.SGD(0.1, 0.3),
        start=sg.Start(),
        time=time,
        quantities={"loss": np.ones(2)},
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(run.gradient_evaluations, [0.0, 1.5 * 0.3 * 10**7])
    assert peak < 10**6


def test_an_infinitesimal_overlap_is_no_distance():
    run = sg.solve(sg.Linearized(MODEL), sg.SGD(0.1, 0.5), steps=5)
    assert "magnetization" in run
    assert not {"distance", "generalization_error"} & set(run.dataset)
    _, axes = plotting.figure(2, 1)
    panels = plotting.learning_curves(run, axes=axes[0])
    assert r"\alpha=1.5" in panels[0].get_title(loc="left")


def test_the_error_on_a_fresh_sample_is_no_standard_error():
    run = sg.simulate(sg.GaussianLeastSquares(alpha=2.0), sg.GradientDescent(0.1), steps=2, size=20, samples=2)
    names = [run.dataset[name].attrs["long_name"] for name in ("generalization_error", "loss_error")]
    assert names == ["error on a fresh sample", "standard error of the loss per weight"]
    assert (
        run.dataset["generalization_error_error"].attrs["long_name"] == "standard error of the error on a fresh sample"
    )


def test_a_schedule_that_is_a_function_prints_as_its_name():
    def cosine(t):
        return 0.1

    algorithm = sg.Descent(learning_rate=cosine, batches=sg.Bernoulli(cosine))
    assert "0x" not in repr(algorithm)
    assert repr(algorithm).count("cosine") == 2
