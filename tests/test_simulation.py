"""The simulation against a plain numpy reference, finite differences, and what its arguments promise."""

from __future__ import annotations

import itertools
import re
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

import sgdmft as sg
from helpers import assert_chance
from sgdmft.simulation import Instance

MIXED = sg.Covariance({0: 0.1, 1: 0.4, 2: 0.45, 3: 0.2, 4: 0.05})
MODEL = sg.GaussianLeastSquares(alpha=1.5)


def reference(model, algorithm, *, steps, start, size, sample, seed=0, replica=0, kick=None, push=0.0):
    """Equation (2.2) for one sample, written with the dense couplings and no shared code; points x(0) .. x(steps).

    With a kick t' the vector `push` is added to x(t'+1), before it is projected onto a sphere.
    """
    from sgdmft.simulation.gaussian import stream

    instance = Instance(model, size, seed, sample)
    rates = algorithm.rates(steps)
    selection = algorithm.batches.sampler(instance.data_size, steps, stream(seed, sample, "selection", replica))
    noise = stream(seed, sample, "noise", replica)
    other = stream(seed, sample, "start").standard_normal(size)
    signal = instance.signal
    other -= signal * (signal @ other) / size
    x = start.magnetization * signal + other * np.sqrt((start.norm - start.magnetization**2) * size / (other @ other))
    points, previous = [x], x
    for t in range(steps):
        selected = next(selection)
        eta = rates.learning_rate[t]
        values, gradients = dense_forms(instance, x)
        force = (values - instance.labels)[selected] @ gradients[selected] / rates.batch_fraction[t]
        new = x - eta * force - eta * rates.weight_decay[t] * x
        if t:
            new = new + rates.momentum[t] * (x - previous)
        if rates.temperature[t]:
            new = new + np.sqrt(2 * eta * rates.temperature[t]) * noise.standard_normal(size)
        if t == kick:
            new = new + push
        if algorithm.spherical:
            new = new * np.sqrt(start.norm * size) / np.linalg.norm(new)
        previous, x = x, new
        points.append(x)
    return np.array(points), instance


def dense_forms(instance, x):
    """h_mu(x) and its gradient from equation (3.1) term by term, by einsum."""
    size, couplings, a = instance.size, instance.couplings, instance.model.covariance.coefficients
    values, gradients = instance._constant.copy(), np.zeros((instance.data_size, size))
    for p, packed in couplings.items():
        if p == 1:
            values += np.sqrt(a[1] / size) * packed @ x
            gradients += np.sqrt(a[1] / size) * packed
        elif p == 2:
            matrix = np.zeros((instance.data_size, size, size))
            matrix[:, *np.tril_indices(size, -1)] = packed * np.sqrt(2 * a[2]) / size
            values += np.einsum("mij,i,j->m", matrix, x, x)
            gradients += np.einsum("mij,j->mi", matrix + matrix.transpose(0, 2, 1), x)
        else:
            tensor = packed.reshape((-1,) + (size,) * p) * np.sqrt(a[p] / size**p)
            for _ in range(p - 1):
                tensor = tensor @ x
            values += tensor @ x
            gradients += p * tensor
    return values, gradients


ALGORITHMS = [
    sg.GradientDescent(0.1),
    sg.Descent(learning_rate=lambda t: 0.1 / (1 + t), batches=sg.Bernoulli(lambda t: 0.3 + 0.01 * t), momentum=0.5),
    sg.Descent(learning_rate=0.05, batches=sg.Shuffled(3), weight_decay=0.3, temperature=0.2),
    sg.Descent(learning_rate=0.05, batches=sg.Persistent(0.4, memory=0.5), spherical=True, temperature=0.1),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: re.sub(" at 0x[0-9a-f]+", "", repr(algorithm)))
@pytest.mark.parametrize(
    "model",
    [MODEL, sg.GaussianLeastSquares(alpha=1.3, covariance=MIXED, labels=sg.Teacher(noise=0.2))],
    ids=["talk", "mixed"],
)
def test_run_equals_the_plain_reference(model, algorithm):
    size, steps, start = 13, 12, sg.Start(magnetization=0.3, norm=1.2)
    data = sg.simulate(
        model, algorithm, steps=steps, start=start, size=size, samples=2, save=sg.Save(two_time=range(steps + 1))
    )
    runs = [reference(model, algorithm, steps=steps, start=start, size=size, sample=k) for k in range(2)]
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(data.correlation, np.mean([x @ x.T / size for x, _ in runs], axis=0), **close)
    overlaps = np.array([x @ i.signal / size for x, i in runs])
    losses = [[((dense_forms(i, p)[0] - i.labels) ** 2).sum() / (2 * size) for p in x] for x, i in runs]
    np.testing.assert_allclose(data.magnetization, overlaps.mean(axis=0), **close)
    np.testing.assert_allclose(data.error("magnetization"), overlaps.std(axis=0, ddof=1) / np.sqrt(2), **close)
    np.testing.assert_allclose(data.loss, np.mean(losses, axis=0), **close)


CROSSINGS = list(
    itertools.product(
        [sg.Batches.registry[name].examples()[0] for name in sorted(sg.Batches.registry)],
        (1, 3),  # replicas
        ((), (0, 4)),  # kicks
        (0.0, 0.4),  # momentum
        (0.0, 0.1),  # temperature
        (False, True),  # sphere
    )
)


@pytest.mark.parametrize("crossing", CROSSINGS, ids=repr)
def test_every_crossing_of_options_equals_the_paired_plain_references(crossing):
    """Each replica and each kicked copy has a plain run of its own, on the same streams: C, C12, R, m to rounding."""
    from sgdmft.simulation.gaussian import stream

    batches, replicas, kicks, momentum, temperature, spherical = crossing
    rate = 0.05 * min(1.0, 4.0 * batches.fractions(1)[0])
    algorithm = sg.Descent(
        learning_rate=rate, batches=batches, momentum=momentum, temperature=temperature, spherical=spherical
    )
    size, steps, kick_size = 7, 8, 0.03
    common = {"steps": steps, "start": sg.Start(magnetization=0.3, norm=1.2), "size": size}
    save = sg.Save(two_time=range(steps + 1), replicas=replicas, response=kicks, kick_size=kick_size)
    data = sg.simulate(MODEL, algorithm, samples=1, save=save, **common)
    runs = [reference(MODEL, algorithm, sample=0, replica=a, **common)[0] for a in range(replicas)]
    first, signal = runs[0], Instance(MODEL, size).signal
    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(data.correlation, first @ first.T / size, **close)
    np.testing.assert_allclose(data.magnetization, first @ signal / size, **close)
    np.testing.assert_allclose(data.norm, (first**2).mean(axis=1), **close)
    if replicas > 1:
        cross = np.mean([x @ y.T / size for x, y in itertools.permutations(runs, 2)], axis=0)
        np.testing.assert_allclose(data["replica_correlation"], cross, **close)
        np.testing.assert_allclose(data["replica_overlap"], np.diag(cross), **close)
    signs = np.where(stream(0, 0, "kick").random((len(kicks), size)) < 0.5, -1.0, 1.0)
    for n, kick in zip(signs, kicks, strict=True):
        kicked, _ = reference(MODEL, algorithm, sample=0, kick=kick, push=kick_size * n, **common)
        np.testing.assert_allclose(data.response[:, kick], (kicked - first) @ n / (size * kick_size), **close)


def collect(**options):
    """Simulate and gather the points x(t) of every sample at the saved two-times."""
    seen = {}
    save = replace(options.pop("save"), observe=lambda instance, t, x: seen.__setitem__((instance.sample, t), x))
    data = sg.simulate(MODEL, save=save, **options)
    return data, seen


SGD = sg.Descent(learning_rate=0.1, batches=sg.Bernoulli(0.4), temperature=0.1)
SHORT = {"steps": 6, "size": 20, "save": sg.Save(two_time=[0, 2, 6])}


def short(**kept):
    """The short run, with more kept of it."""
    return SHORT | {"save": replace(SHORT["save"], **kept)}


def test_a_sample_is_the_same_whatever_runs_beside_it():
    _, few = collect(algorithm=SGD, samples=2, workers=1, **SHORT)
    _, many = collect(algorithm=SGD, samples=5, workers=2, **short(replicas=2, response=[2], loss_times=[]))
    assert set(few) < set(many)
    for key, x in few.items():
        np.testing.assert_array_equal(x, many[key])
    _, other = collect(algorithm=SGD, samples=2, seed=1, **SHORT)
    assert not any(np.array_equal(x, other[key]) for key, x in few.items())
    assert not np.array_equal(few[0, 0], few[1, 0])


def test_start_is_exact():
    data, points = collect(algorithm=SGD, samples=3, start=sg.Start(magnetization=-0.2, norm=1.7), **SHORT)
    assert data.magnetization[0] == pytest.approx(-0.2, abs=1e-14)
    assert data.norm[0] == pytest.approx(1.7, abs=1e-13)
    assert data.error("norm")[0] < 1e-14
    assert points[0, 0].shape == (20,)


def test_custom_start():
    def at_the_signal(instance, rng):
        return instance.signal

    data = sg.simulate(MODEL, sg.GradientDescent(0.1), start=at_the_signal, samples=2, **SHORT)
    np.testing.assert_allclose(data.distance, 0.0, atol=1e-14)
    np.testing.assert_allclose(data.loss, 0.0, atol=1e-28)
    with pytest.raises(sg.errors.InvalidArgument, match="20 finite numbers"):
        sg.simulate(MODEL, SGD, start=lambda instance, rng: np.ones(3), samples=2, **SHORT)


def test_response_is_the_linearized_propagator():
    """R(t, t') of full-batch descent is n.prod (1 - eta Hessian(x(s))) n / N along the run."""
    from sgdmft.simulation.gaussian import stream

    eta, steps, size, kicks = 0.1, 5, 12, [0, 2]
    everything = sg.Save(two_time=range(steps + 1))
    _, points = collect(algorithm=sg.GradientDescent(eta), steps=steps, size=size, samples=1, save=everything)
    data = sg.simulate(
        MODEL, sg.GradientDescent(eta), steps=steps, size=size, samples=1, save=replace(everything, response=kicks)
    )
    instance = Instance(MODEL, size)
    signs = np.where(stream(0, 0, "kick").random((2, size)) < 0.5, -1.0, 1.0)
    for k, kick in enumerate(kicks):
        expected, moved = np.zeros(steps + 1), signs[k]
        for t in range(kick + 1, steps + 1):
            expected[t] = signs[k] @ moved / size
            moved = moved - eta * instance.hessian(points[0, t]) @ moved
        np.testing.assert_allclose(data.response[:, kick], expected, rtol=1e-4, atol=1e-9)
    assert np.isnan(data.response[:, 1]).all()


def test_replicas_share_data_and_start_only():
    one, two = (sg.simulate(MODEL, SGD, samples=3, **short(replicas=replicas, response=[0])) for replicas in (1, 2))
    np.testing.assert_array_equal(one.correlation, two.correlation)
    np.testing.assert_array_equal(one.response, two.response)
    cross = two["replica_correlation"]
    assert cross[0, 0] == pytest.approx(1.0, abs=1e-13)
    assert (np.diag(cross)[1:] < np.diag(two.correlation)[1:]).all()
    np.testing.assert_allclose(two["replica_overlap"][[0, 2, 6]], np.diag(cross), rtol=1e-12)
    same = sg.simulate(MODEL, sg.GradientDescent(0.1), samples=3, **short(replicas=3))
    np.testing.assert_allclose(same["replica_correlation"], same.correlation, rtol=1e-12)


def test_loss_is_taken_where_asked():
    data = sg.simulate(MODEL, SGD, steps=200, size=10, samples=2, save=sg.Save(two_time=[0, 77, 200]))
    known = np.flatnonzero(np.isfinite(data.loss))
    assert {0, 77, 200} <= set(known)
    assert 60 < len(known) < 110
    asked = sg.simulate(MODEL, SGD, steps=9, size=10, samples=2, save=sg.Save(loss_times=[3, 9]))
    assert list(np.flatnonzero(np.isfinite(asked.loss))) == [3, 9]
    full = sg.simulate(MODEL, sg.GradientDescent(0.1), steps=9, size=10, samples=2, save=sg.Save(loss_times=[]))
    assert np.isfinite(full.loss).all()


def test_one_sample_has_no_error_and_every_thins():
    data = sg.simulate(MODEL, SGD, steps=7, size=10, samples=1, save=sg.Save(every=3, two_time=0))
    assert list(data.time) == [0, 3, 6, 7]
    assert np.isnan(data.error("magnetization")).all()
    assert len(data.two_time) == 0
    assert len(sg.simulate(MODEL, SGD, steps=0, size=10, samples=2).time) == 1


EASY = sg.GaussianLeastSquares(alpha=6.0)


def test_recovered_samples_stop_and_are_held():
    options = {"steps": 400, "start": sg.Start(magnetization=0.6), "size": 12, "samples": 4}
    algorithm, level = sg.GradientDescent(0.05), 1e-3
    data = sg.simulate(EASY, algorithm, stop=sg.Recovered(distance=level), **options)
    free = [sg.simulate(EASY, algorithm, **{**options, "samples": n}).distance * n for n in (1, 2, 3, 4)]
    each = np.diff(np.array(free), axis=0, prepend=0.0)
    first = [int(np.flatnonzero(d < level)[0]) if (d < level).any() else -1 for d in each]
    assert list(data.dataset.attrs["recovery_step"]) == first
    assert data.dataset.attrs["recovered"] == np.mean(np.array(first) >= 0)
    assert data.status is (sg.Status.RECOVERED if min(first) >= 0 else sg.Status.COMPLETED)
    assert data.time[-1] == (max(first) if min(first) >= 0 else 400)
    held = [np.where(np.arange(401) > f, d[f], d) if f >= 0 else d for d, f in zip(each, first, strict=True)]
    np.testing.assert_allclose(data.distance, np.mean(held, axis=0)[: len(data.time)], atol=1e-12)
    assert np.isfinite(data.loss).all()
    assert np.isfinite(data.correlation).all()


def test_divergence_keeps_what_was_computed():
    with pytest.raises(
        sg.errors.Diverged, match=r"at step \d+ of sample \d+.*stability limit at the signal: 0\.\d+"
    ) as e:
        sg.simulate(MODEL, sg.GradientDescent(3.0), steps=50, size=20, samples=3)
    data = e.value.trajectory
    assert data.status is sg.Status.DIVERGED
    assert 1 < len(data.time) < 50
    assert f"at step {data.time[-1] + 1} " in str(e.value)
    assert (data.norm <= 1e6).all()
    lenient = sg.simulate(MODEL, sg.GradientDescent(3.0), steps=50, size=20, samples=3, strict=False)
    np.testing.assert_array_equal(lenient.norm, data.norm)


def test_interruption_returns_the_samples_that_are_complete():
    cancel = threading.Event()

    def start(instance, rng):
        if instance.sample == 2:
            cancel.set()
            time.sleep(0.5)  # until the cancelling is seen
        return rng.standard_normal(instance.size)

    options = {"steps": 5, "size": 10, "start": start, "workers": 1}
    data = sg.simulate(MODEL, SGD, samples=6, cancel=cancel, **options)
    assert data.status is sg.Status.INTERRUPTED
    assert data.dataset.attrs["samples"] == 2
    np.testing.assert_array_equal(data.norm, sg.simulate(MODEL, SGD, samples=2, **options).norm)


def test_interruption_of_unfinished_samples_keeps_their_common_steps():
    cancel, there = threading.Event(), set()

    def watch(instance, t, x):
        if t == 5:
            there.add(instance.sample)
            if len(there) == 2:
                cancel.set()

    save = sg.Save(two_time=[0, 5], loss_times=[], observe=watch)
    data = sg.simulate(MODEL, SGD, steps=10**6, size=10, samples=2, workers=2, save=save, cancel=cancel)
    assert data.status is sg.Status.INTERRUPTED
    assert 4 <= data.time[-1] < 10**6
    assert np.isfinite(data.norm).all()


def test_progress_reports_work_up_to_the_total():
    seen = []
    sg.simulate(
        MODEL, sg.GradientDescent(0.1), steps=9, size=10, samples=3, progress=lambda *report: seen.append(report)
    )
    done, total, _ = seen[-1]
    assert done == pytest.approx(total)


def test_single_precision_is_labelled_and_close():
    single, double = (
        sg.simulate(MODEL, sg.GradientDescent(0.1), steps=5, size=20, samples=200, dtype=dtype, seed=3)
        for dtype in ("float32", "float64")
    )
    assert single.dataset.attrs["dtype"] == "float32"
    error = np.hypot(single.error("loss"), double.error("loss"))
    assert_chance((single.loss - double.loss) / error)
    with pytest.raises(sg.errors.InvalidArgument, match="float64"):
        sg.simulate(MODEL, SGD, steps=5, size=20, dtype="float32", save=sg.Save(response=[1]))


def test_file_round_trip(tmp_path):
    data = sg.simulate(MODEL, SGD, samples=2, stop=sg.Recovered(), seed=2**70, **short(response=[2], replicas=2))
    data.save(tmp_path / "run.nc")
    again = sg.load(tmp_path / "run.nc")
    assert again.kind == "simulation"
    assert again.dataset.attrs["seed"] == str(2**70)
    np.testing.assert_array_equal(again.response, data.response)
    np.testing.assert_array_equal(again.error("correlation"), data.error("correlation"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "`size` must be an integer of at least 2"),
        ({"samples": 0}, "`samples` must be an integer of at least 1"),
        ({"steps": -1}, "`steps` must be an integer of at least 0"),
        ({"steps": 2.5}, "`steps` must be an integer"),
        ({"seed": -1}, "`seed`"),
        ({"model": sg.GaussianLeastSquares(alpha=0.01), "size": 30}, "which is none. Use `size` of at least 100"),
        ({"save": sg.Save(response=[5])}, "holds step 5, but the last one possible in this run is 4"),
        ({"save": sg.Save(loss_times=[6])}, "holds step 6"),
        ({"workers": 0}, "`workers`"),
        ({"dtype": "int"}, "'float64' or 'float32', but is 'int'"),
        ({"algorithm": sg.SGD([0.1, 0.1], 0.5)}, "holds 2 values, but the run has 5 steps"),
    ],
    ids=repr,
)
def test_refusals(options, message):
    arguments = {"model": MODEL, "algorithm": SGD, "steps": 5, "size": 10, "samples": 2, **options}
    with pytest.raises(sg.errors.InvalidArgument, match=message):
        sg.simulate(**arguments)


def test_memory_is_estimated_and_refused_above_the_limit():
    with pytest.raises(sg.errors.TooLarge, match=r"need .* GB, more than the limit of 1 GB.*raise `memory_limit`"):
        sg.simulate(MODEL, SGD, steps=5, size=2000, memory_limit=1e9)
    with pytest.raises(sg.errors.TooLarge) as refused:
        sg.simulate(MODEL, SGD, steps=1, size=60, samples=1, memory_limit=1e6)
    enough = float(re.search(r"raise `memory_limit` to (\S+)\.$", str(refused.value))[1])
    assert sg.simulate(MODEL, SGD, steps=1, size=60, samples=1, memory_limit=enough).status is sg.Status.COMPLETED
    assert sg.simulate(MODEL, SGD, steps=1, size=60, samples=4, memory_limit=3e6).status is sg.Status.COMPLETED
    with pytest.raises(sg.errors.TooLarge):
        sg.simulate(MODEL, SGD, steps=1, size=60, samples=4, memory_limit=3e6, workers=4)
