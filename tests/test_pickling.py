"""Every public object and every error survives a pickle, a deep copy and the way to another process, with all it holds."""

import copy
import dataclasses
import inspect
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

import numpy as np
import pytest
import xarray as xr

import sgdmft as sg
from sgdmft import dmft, errors, simulation, statics, superfield, sweeps
from sgdmft.algorithm.batches import Batches
from sgdmft.analysis import aging, landscape
from sgdmft.analysis.thresholds.relaxation import Setting
from sgdmft.problem import selfenergy

FACES = {"cli", "parameters", "plotting", "progress", "reports"}  # they hold no results
MODEL = sg.GaussianLeastSquares(alpha=2.5)
GLASS = sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(0.7))
DESCENT = sg.SGD(0.1, 0.3, momentum=0.2)
SCHEMES = [cls for cls in Batches.registry.values() if cls.__module__.startswith("sgdmft.")]
SETTING = Setting(model=MODEL, algorithm=DESCENT, start=sg.Start(), level=0.01, steps=20, method=sg.Compressed())


def cooling(step):
    return 1.0 / (1.0 + step)


@cache
def theory():
    return sg.solve(MODEL, DESCENT, steps=12)


@cache
def data(seed=0, **options):
    return sg.simulate(MODEL, DESCENT, steps=12, size=20, samples=3, seed=seed, **options)


@cache
def aged():
    return sg.solve(GLASS, sg.SGD(0.1, 0.2), steps=300, save=sg.Save(two_time=aging.times(300)))


@cache
def diverged():
    with pytest.raises(sg.errors.Diverged) as caught:
        sg.solve(MODEL, sg.GradientDescent(5.0), steps=40)
    return caught.value


def probe():
    found = simulation.Probe(extremes=1)
    data(save=sg.Save(observe=found))
    return found


def power_law():
    alphas = np.linspace(2.1, 3.0, 12)
    return sg.fit_power_law(alphas, 30.0 * (alphas - 2.0) ** -1.3)


def growth():
    return sg.growth(MODEL, DESCENT, steps=64, cache=False)


def recovery_threshold():
    times = sg.RelaxationTimes(alphas=np.array([2.0, 3.0]), times=np.array([np.inf, 30.0]), setting=SETTING)
    return sg.RecoveryThreshold(fit=power_law(), problem="", window=(1.0, 20.0), data=times)


Q = superfield.Superfield([[1.0, 0.5], [0.5, 1.0]], [[0.0, 0.0], [0.1, 0.0]])

#: Class -> makers of examples.
EXAMPLES = {
    sg.Covariance: [lambda: sg.Covariance({1: 0.4, 3: 0.2})],
    sg.Teacher: [lambda: sg.Teacher(noise=0.1)],
    sg.ConstantTarget: [lambda: sg.ConstantTarget(0.7)],
    sg.GaussianLeastSquares: [lambda: GLASS],
    sg.Start: [lambda: sg.Start(magnetization=0.2)],
    sg.Descent: [lambda: DESCENT, lambda: sg.Descent(learning_rate=[0.1, 0.2], temperature=cooling)],
    sg.algorithm.descent.Rates: [lambda: DESCENT.rates(5)],
    sg.Trajectory: [lambda: sg.solve(MODEL, DESCENT, steps=3), lambda: xarray_was_asked_for(theory()), data],
    sg.Status: [lambda: sg.Status.RECOVERED],
    sg.Linearized: [lambda: sg.Linearized(MODEL)],
    sg.Request: [lambda: sg.Request(model=MODEL, algorithm=DESCENT, steps=5)],
    sg.Save: [lambda: sg.Save(two_time=[0, 5])],
    sg.Recovered: [lambda: sg.Recovered(distance=1e-3)],
    sg.StabilityLimit: [lambda: sg.stability_limit(MODEL, DESCENT)],
    sg.Dense: [lambda: sg.Dense()],
    sg.Compressed: [lambda: sg.Compressed(tolerance=1e-8)],
    sg.Dyson: [lambda: sg.Dyson()],
    sg.Checkpoint: [lambda: sg.Checkpoint("state.npz")],
    dmft.Estimate: [lambda: sg.estimate(MODEL, DESCENT, steps=10)],
    sweeps.Store: [lambda: sweeps.Store("never made")],
    sg.SelfEnergy: [
        lambda: selfenergy.spherical_pspin(sg.Covariance({3: 0.5})),
        lambda: selfenergy.spiked_tensor(sg.Covariance({3: 0.5}), 2.0),
        lambda: selfenergy.linear_regression(2.0, 0.1),
    ],
    sg.Superfield: [lambda: Q, lambda: Q @ (Q.identity + Q)],
    superfield.Row: [lambda: superfield.Row(np.ones(2), np.zeros(2), np.ones(2))],
    simulation.Instance: [lambda: simulation.Instance(MODEL, 20)],
    simulation.Eigenpairs: [lambda: next(iter(probe().found.values()))],
    simulation.Probe: [probe],
    simulation.Recorder: [lambda: simulation.Recorder(sg.Save(two_time=3), 5, size=4)],
    sg.SpectralStart: [lambda: sg.SpectralStart(norm=0.9)],
    landscape.Bulk: [lambda: landscape.bulk(MODEL, norm=1.0, loss=0.3)],
    landscape.Outlier: [lambda: landscape.start_spectrum(MODEL).descent],
    landscape.Spectrum: [lambda: landscape.spectrum(theory(), 12)],
    aging.Aging: [lambda: aging.analyse(aged())],
    aging.Decay: [lambda: aging.decays(aged())[0]],
    aging.Rescaling: [lambda: aging.rescaling(aging.decays(aged()), [0.85])],
    aging.Interruption: [lambda: aging.interruption(aging.decays(aged()))],
    aging.FluctuationDissipation: [lambda: aging.fluctuation_dissipation(aged())],
    aging.EffectiveTemperature: [lambda: aging.effective_temperature(aged())],
    sg.Comparison: [lambda: sg.compare(theory(), data())],
    sg.analysis.comparison.Score: [lambda: sg.compare(theory(), data()).worst],
    sg.PowerLaw: [power_law],
    sg.RelaxationTimes: [lambda: recovery_threshold().data],
    sg.RecoveryThreshold: [recovery_threshold],
    sg.RecoverySteps: [
        lambda: sg.RecoverySteps(alphas=np.array([2.0]), runs={20: np.array([[3, -1]])}, setting=SETTING)
    ],
    sg.Growth: [growth],
    sg.LinearThreshold: [
        lambda: sg.LinearThreshold(decays_below=1.0, grows_above=2.0, steps=64, growths={2.5: growth()})
    ],
    sg.Verdict: [lambda: next(iter(sg.Verdict))],
    sg.Equilibrium: [lambda: sg.equilibrium(GLASS, levels=1)],
    statics.Transition: [lambda: statics.satisfiability(GLASS)],
    statics.Capacity: [lambda: statics.spherical_capacity(0.5)],
    statics.VersionSpace: [lambda: statics.version_space(0.5)],
    statics.PerceptronTransitions: [lambda: statics.perceptron_transitions(-2.5)],
    statics.MinimalErrors: [lambda: statics.minimal_errors(3.0)],
    statics.PerceptronLearning: [lambda: statics.gibbs_learning(2.0)],
    statics.BayesOverlap: [lambda: statics.bayes_overlap(MODEL)],
    statics.SpectralOverlap: [lambda: statics.spectral_overlap(MODEL)],
    statics.InferenceThresholds: [lambda: statics.inference_thresholds()],
    errors.SgdmftError: [lambda: errors.SgdmftError("It is said in a sentence.")],
    errors.InvalidArgument: [lambda: errors.InvalidArgument("Argument `a` must be positive, but is -1.")],
    errors.TooLarge: [lambda: errors.TooLarge("It would need 9 GB."), lambda: errors.TooLarge("It grew.", theory())],
    errors.Unchecked: [lambda: errors.Unchecked("It has no digest.")],
    errors.Unsaved: [lambda: errors.Unsaved("The disk is full.")],
    errors.DamagedFile: [lambda: errors.DamagedFile("There is no file `x`.")],
    errors.NotConverged: [lambda: errors.NotConverged("It stopped early.", sg.equilibrium(MODEL))],
    errors.Diverged: [diverged],
    errors.FitRefused: [lambda: errors.FitRefused("Too narrow a window.", recovery_threshold())],
    superfield.NotPointwise: [lambda: superfield.NotPointwise("It needs all times.")],
    **{cls: [partial(copy.copy, example) for example in cls.examples()] for cls in SCHEMES},
    Batches: [],  # abstract
}


def xarray_was_asked_for(trajectory):
    assert trajectory.dataset["loss"].size
    return trajectory


def public_classes():
    modules = {name: getattr(sg, name) for name in dir(sg) if inspect.ismodule(getattr(sg, name))}
    holders = [sg.__dict__, *(vars(module) for name, module in modules.items() if name not in FACES)]
    names = {(name, value) for holder in holders for name, value in holder.items() if inspect.isclass(value)}
    own = {value for name, value in names if not name.startswith("_") and value.__module__.startswith("sgdmft.")}
    return {value for value in own if not getattr(value, "_is_protocol", False)} - {sg.problem.models.Model}


def parts(thing):
    """What an object is made of: a mapping for those that do not compare by value themselves."""
    if isinstance(thing, BaseException):
        return {"args": thing.args, **vars(thing)}
    if isinstance(thing, partial):
        return {"func": thing.func, "args": thing.args, "keywords": thing.keywords}
    if isinstance(thing, sg.Trajectory):
        return {"dataset": thing.dataset, "model": thing.model, "algorithm": thing.algorithm, "start": thing.start}
    if dataclasses.is_dataclass(thing):
        return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    if type(thing).__module__.startswith("sgdmft.") and not isinstance(thing, (tuple, sg.Status, sg.Verdict)):
        slots = [name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())]
        return {name: getattr(thing, name) for name in slots} or vars(thing)
    return None


def same(a, b):
    """Whether two objects are of one class and hold the same, down to the last bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, xr.Dataset):
        return a.identical(b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, np.random.Generator):
        return a.bit_generator.state == b.bit_generator.state
    if (inside := parts(a)) is not None:
        return same(inside, parts(b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def test_every_public_class_has_an_example():
    missing = {cls.__name__ for cls in public_classes() - EXAMPLES.keys()}
    assert not missing, f"state examples of {missing} in EXAMPLES"


@pytest.mark.parametrize(("cls", "make"), [
    pytest.param(cls, make, id=f"{cls.__name__}-{i}") for cls, makers in EXAMPLES.items() for i, make in enumerate(makers)
])  # fmt: skip
def test_a_pickle_and_a_copy_hold_the_same(cls, make):
    thing = make()
    assert type(thing) is cls
    for again in (pickle.loads(pickle.dumps(thing)), copy.deepcopy(thing), copy.copy(thing)):
        assert again is not thing or isinstance(thing, (sg.Status, sg.Verdict))
        assert same(thing, again)
        assert " at 0x" in str(thing) or str(again) == str(thing)


def test_the_comparison_sees_a_difference():
    other = copy.deepcopy(theory())
    other.dataset["loss"][3] += 1e-12
    assert not same(theory(), other)
    assert not same(selfenergy.spiked_tensor(MODEL.covariance, 1.0), selfenergy.spiked_tensor(MODEL.covariance, 2.0))
    assert not same(errors.NotConverged("no", 1.0), errors.NotConverged("no", 2.0))


def test_a_superfield_stays_immutable_and_symmetric():
    for again in (pickle.loads(pickle.dumps(Q)), copy.deepcopy(Q)):
        assert again.symmetric
        assert not again.correlation.flags.writeable
        with pytest.raises(AttributeError, match="immutable"):
            again.correlation = None


def test_a_copied_self_energy_gives_the_same_run():
    model = selfenergy.spherical_pspin(sg.Covariance({3: 0.5}))
    runs = [sg.solve(m, sg.GradientDescent(0.05, spherical=True), steps=10) for m in (model, copy.deepcopy(model))]
    assert np.array_equal(runs[0].loss, runs[1].loss)


def test_what_python_cannot_pickle_it_refuses_itself():
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(sg.SelfEnergy(lambda Q: -Q))


def diverge(alpha):
    sg.solve(sg.GaussianLeastSquares(alpha=alpha), sg.GradientDescent(5.0), steps=40)


def test_an_error_crosses_processes_with_its_trajectory():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        error = pool.submit(diverge, 2.5).exception(timeout=120)
    assert isinstance(error, errors.Diverged)
    assert str(error) == str(diverged())
    here, there = diverged().trajectory, error.trajectory
    assert there.model == here.model
    assert there.status is sg.Status.DIVERGED
    xr.testing.assert_equal(there.dataset, here.dataset)
