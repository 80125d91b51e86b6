"""The identity of a run is its content: every field counts, to the last digit, and what changes no number does not."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.errors import InvalidArgument, TooLarge
from sgdmft.run import parameters

STEPS = 12
MODEL, BERNOULLI = sg.GaussianLeastSquares(alpha=2.0), sg.Bernoulli(0.3)
BASE = sg.Request(
    model=MODEL,
    algorithm=sg.Descent(learning_rate=0.1, batches=BERNOULLI),
    steps=STEPS,
    start=sg.Start(),
    save=sg.Save(),
    stop=sg.Recovered(),
)


def identity(**changes):
    return dataclasses.replace(BASE, **changes).identity


def with_batches(batches):
    return identity(algorithm=dataclasses.replace(BASE.algorithm, batches=batches))


def with_model(**changes):
    return identity(model=dataclasses.replace(MODEL, **changes))


#: How the identity depends on each kind of object of a request (or the key of a checkpoint on a method): a base, a text.
THINGS = [
    (BASE, lambda request: request.identity),
    (BASE.algorithm, lambda it: identity(algorithm=it)),
    (BASE.start, lambda it: identity(start=it)),
    (BASE.save, lambda it: identity(save=it)),
    (BASE.stop, lambda it: identity(stop=it)),
    (MODEL, lambda it: identity(model=it)),
    (sg.Linearized(MODEL), lambda it: identity(model=it, stop=None)),
    (sg.Teacher(noise=0.1), lambda it: with_model(labels=it)),
    (sg.ConstantTarget(0.3), lambda it: with_model(labels=it)),
    *((scheme, with_batches) for kind in sg.Batches.registry.values() for scheme in kind.examples()),
    *((method, lambda it: parameters.canonical(method=it)) for method in (sg.Dense(), sg.Compressed(), sg.Dyson())),
]
#: Fields that change no number -> another value.
NOT_COUNTED = {
    "observe": print,
    "memory_limit": 1e9,
}
#: Fields of which `other` does not know what else they may be.
OTHERS = {
    "model": [sg.GaussianLeastSquares(alpha=2.00000001)],
    "algorithm": [sg.SGD(0.1, 0.30000001)],
    "start": [sg.Start(magnetization=0.10000001), sg.Start(norm=1.00000001)],
    "save": [sg.Save(every=2)],
    "stop": [None, sg.Recovered(distance=1.00000001e-8)],
    "covariance": [sg.Covariance({2: 0.5000004}), sg.Covariance({2: 0.500000001}), sg.Covariance({2: 0.5, 3: 1e-9})],
    "labels": [sg.Teacher(noise=1e-9), sg.ConstantTarget(0.3)],
    "batches": [sg.FullBatch(), sg.Bernoulli(0.300000001), sg.Shuffled(3), sg.Cyclic(3)],
    "max_iterations": [7],
    "two_time": [63, (), (3, 5), (3, 6)],
    "response": [(3,), (4,)],
    "loss_times": [(), (3,), (4,)],
}
#: Numbers that may also change from step to step.
SCHEDULES = {"learning_rate", "momentum", "weight_decay", "temperature", "fraction"}


def others(thing, name):
    """What else a field may be: another number differs in the ninth digit, a schedule at the last step alone."""
    value = getattr(thing, name)
    if name in OTHERS:
        return OTHERS[name]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        last = np.full(STEPS, value)
        last[-1] = value * (1 - 1e-9) if value else 1e-9
        return (
            [last[-1], last, last.tolist()]
            if name in SCHEDULES and not isinstance(thing, sg.Persistent)
            else [last[-1]]
        )
    raise NotImplementedError(f"say in `OTHERS` what `{name}` of {thing!r} may be")


@pytest.mark.parametrize(("thing", "text"), THINGS, ids=lambda it: type(it).__name__)
def test_every_field_counts(thing, text):
    names = [field.name for field in dataclasses.fields(thing) if field.init]
    seen = {text(thing): "unchanged"}
    for name in names:
        if name in NOT_COUNTED:
            assert text(dataclasses.replace(thing, **{name: NOT_COUNTED[name]})) == text(thing), name
            continue
        for value in others(thing, name):
            found = text(dataclasses.replace(thing, **{name: value}))
            same = isinstance(value, list) and seen.get(found) == name  # a list says what the array before it did
            assert same or found not in seen, f"{name} = {value!r} is taken for {seen[found]}"
            seen[found] = name
    assert len(seen) > 1 or not set(names) - set(NOT_COUNTED)


def test_every_kind_of_object_is_asked():
    kinds = {type(thing) for thing, _ in THINGS}
    assert kinds >= {*sg.Batches.registry.values(), sg.Request, sg.Save, sg.Start, sg.Recovered, sg.Descent}
    assert kinds >= {kind for kinds_ in parameters._CLASSES.values() for kind in kinds_}


def test_equal_objects_made_apart_are_one():
    def make(rate):
        model = sg.GaussianLeastSquares(
            alpha=2, covariance=sg.Covariance({3: 0.1, 2: 0.5, 4: 0.0}), labels=sg.Teacher()
        )
        algorithm = sg.Descent(
            learning_rate=rate, batches=sg.Bernoulli(np.float64(0.3)), momentum=np.full(STEPS + 9, 0.5)
        )
        save = sg.Save(two_time=np.array([5, 3, 3]), response=[4])
        return sg.Request(model=model, algorithm=algorithm, steps=np.int64(STEPS), save=save).identity

    one, two = (make(lambda t: 0.1 / (1 + t)) for _ in range(2))
    assert (
        one == two == make([0.1 / (1 + t) for t in range(STEPS + 5)])
    )  # what comes after the last step does not count
    assert make(lambda t: 0.1 / (1 + t) + (t == STEPS)) == one
    assert make(lambda t: 0.1 / (1 + t) + 1e-9 * (t == STEPS - 1)) != one


# -- schemes of one's own ----------------------------------------------------------------------------------------------

OWN = """
import dataclasses
import numpy as np
import sgdmft as sg

@dataclasses.dataclass(frozen=True)
class Mine(sg.Bernoulli, register=False):
    extra: float = 0.0

    def reselection(self, t, s):
        return np.ones_like(s) + 0.0

    @property
    def phases(self):
        return 1

    @staticmethod
    def helper(x):
        return [y + 1 for y in x]
"""


def own(old="", new=""):
    """The class of the text above, with something replaced in it."""
    assert old in OWN
    names = {"__name__": __name__}
    exec(OWN.replace(old, new) if old else OWN, names)
    return names["Mine"]


def test_a_scheme_of_ones_own_is_its_fields_and_its_code():
    base = with_batches(own()(0.3))
    assert with_batches(own()(0.3)) == base
    assert with_batches(own()(0.3, extra=1e-9)) != base
    assert base != with_batches(BERNOULLI)
    changed = [
        ("+ 0.0", "+ 1.0"),
        ("+ 0.0", "- 0.0"),
        ("np.ones_like", "np.zeros_like"),
        ("return 1\n", "return 2\n"),
        ("y + 1", "y + 2"),
    ]
    texts = [with_batches(own(*change)(0.3)) for change in changed]
    assert len({base, *texts}) == 1 + len(changed)


def test_the_code_of_a_scheme_is_the_same_in_another_process():
    program = f"{OWN}\nfrom sgdmft.run import parameters\nprint(parameters.canonical(batches=Mine(0.3)))"
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "77"},
    )  # fmt: skip
    assert found.stdout.strip() == parameters.canonical(batches=own()(0.3))


class Plain(sg.Batches, register=False):
    """Bernoulli batches, as somebody might write them who knows of no dataclasses."""

    def __init__(self, chance):
        self.chance = chance

    def fractions(self, steps):
        return np.full(steps, self.chance)

    def reselection(self, t, s):
        return np.ones_like(s)

    def sampler(self, samples, steps, rng):
        while True:
            yield np.flatnonzero(rng.random(samples) < self.chance)

    @classmethod
    def examples(cls):
        return [cls(0.3)]


class Stating(Plain, register=False):
    def parameters(self):
        return {"chance": self.chance}


def test_a_scheme_that_states_no_parameters_runs_but_is_kept_nowhere(tmp_path):
    algorithm, checkpoint = sg.Descent(learning_rate=0.1, batches=Plain(0.3)), sg.Checkpoint(tmp_path / "run.ckpt")
    run = sg.solve(MODEL, algorithm, steps=5)
    np.testing.assert_allclose(run.loss, sg.solve(MODEL, sg.SGD(0.1, 0.3), steps=5).loss, rtol=1e-13)
    for refused in (
        lambda: sg.solve(MODEL, algorithm, steps=5, checkpoint=checkpoint),
        lambda: with_batches(Plain(0.3)),
    ):
        with pytest.raises(
            InvalidArgument, match=r"Plain .*no text form.*dataclass, or give it a method `parameters\(\)`"
        ):
            refused()
    assert not checkpoint.exists()
    assert with_batches(Stating(0.3)) == with_batches(Stating(0.3)) != with_batches(Stating(0.300000001))


# -- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A function that runs `solve` up to a tenth of its work, and the checkpoint that this leaves."""
    monkeypatch.setattr("sgdmft.progress._INTERVAL", 0.0)
    monkeypatch.setattr("sgdmft.dmft.solver._CHUNK_SECONDS", 1e-4)
    checkpoint = sg.Checkpoint(tmp_path / "run.ckpt", seconds=0.0)

    def run(model, algorithm, **options):
        cancel = threading.Event()

        def stop(done, total, label):
            if done > 0.1 * total:
                cancel.set()

        part = sg.solve(model, algorithm, checkpoint=checkpoint, cancel=cancel, progress=stop, **options)
        assert part.status is sg.Status.INTERRUPTED
        return checkpoint

    return run


def start_of(seen):
    return lambda done, total, label: seen.append(done / total)


def test_a_checkpoint_of_another_model_is_refused(stopped):
    """0.5 q^2 and 0.5000004 q^2, which print alike, and start, algorithm, method likewise."""
    one, two = (sg.GaussianLeastSquares(alpha=2.0, covariance=sg.Covariance({2: a})) for a in (0.5, 0.5000004))
    algorithm = sg.SGD(0.1, 0.3)
    assert repr(one) == repr(two)
    options = {"steps": 600, "method": sg.Compressed()}
    checkpoint = stopped(one, algorithm, **options)
    others = [
        (two, algorithm, {}),
        (one, sg.SGD(0.1, 0.30000001), {}),
        (one, algorithm, {"start": sg.Start(magnetization=0.10000001)}),
        (one, algorithm, {"save": sg.Save(two_time=63)}),
        (one, algorithm, {"steps": 601}),
        (one, algorithm, {"stop": sg.Recovered()}),
        (one, algorithm, {"method": sg.Compressed(tolerance=1.1e-10)}),
        (one, algorithm, {"method": sg.Dense()}),
        (sg.Linearized(one), algorithm, {}),
    ]
    for model, descent, changed in others:
        with pytest.raises(InvalidArgument, match="belongs to another run"):
            sg.solve(model, descent, checkpoint=checkpoint, **{**options, **changed})
    seen = []
    again = sg.solve(one, algorithm, checkpoint=checkpoint, progress=start_of(seen), **options)
    assert seen[0] > 0.1
    np.testing.assert_array_equal(again.loss, sg.solve(one, algorithm, **options).loss)


@pytest.mark.parametrize("kind", [Stating, own()], ids=["parameters", "dataclass"])
def test_a_scheme_of_ones_own_is_resumed_by_an_equal_one(kind, stopped):
    options = {"steps": 600, "method": sg.Compressed()}
    checkpoint = stopped(MODEL, sg.Descent(learning_rate=0.1, batches=kind(0.3)), **options)
    seen = []
    algorithm = sg.Descent(learning_rate=0.1, batches=kind(0.3))
    again = sg.solve(MODEL, algorithm, checkpoint=checkpoint, progress=start_of(seen), **options)
    assert seen[0] > 0.1
    np.testing.assert_array_equal(again.loss, sg.solve(MODEL, algorithm, **options).loss)


def test_what_outgrew_its_memory_continues_with_more(tmp_path, monkeypatch):
    """A learning rate that alternates lets no panels merge; the limit that stopped the run is not part of its identity."""
    monkeypatch.setattr("sgdmft.progress._INTERVAL", 0.0)
    monkeypatch.setattr("sgdmft.dmft.solver._CHUNK_SECONDS", 1e-4)
    checkpoint = sg.Checkpoint(tmp_path / "run.ckpt", seconds=0.0)
    algorithm = sg.GradientDescent(lambda t: 0.1 if t % 2 else 0.05)
    options = {"steps": 800, "checkpoint": checkpoint}
    with pytest.raises(TooLarge, match="raise `memory_limit`"):
        sg.solve(MODEL, algorithm, method=sg.Compressed(memory_limit=4e6), **options)
    assert checkpoint.exists()
    seen = []
    again = sg.solve(MODEL, algorithm, method=sg.Compressed(memory_limit=1e9), progress=start_of(seen), **options)
    assert seen[0] > 0.3
    whole = sg.solve(MODEL, algorithm, steps=800, method=sg.Compressed())
    np.testing.assert_array_equal(again.loss, whole.loss)
