"""Every option of the theory crossed with every other, dense and compressed, against the plain equations.

The cases are made from the table `OPTIONS`: any three values of three different options that go together occur together in
one of them, so that no error can hide at the crossing of two options.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import sgdmft as sg
from reference_sweep import sweep

STEPS, ALPHA = 32, 1.2
FALLING = 1.0 / (1.0 + 0.02 * np.arange(STEPS))
ALTERNATING = 1.0 + 0.3 * (-1.0) ** np.arange(STEPS)

#: option -> its values; the schemes are those of the registry
OPTIONS = {
    "batches": [
        *(scheme for cls in sg.Batches.registry.values() for scheme in cls.examples()),
        sg.Bernoulli(0.4 * FALLING),
    ],
    "replicas": [1, 2],
    "spherical": [False, True],
    "temperature": [0.0, 0.2, 0.2 * FALLING],
    "momentum": [0.0, 0.4, 0.4 * ALTERNATING],
    "weight_decay": [0.0, 0.3, 0.3 * FALLING],
    "learning_rate": [0.08, 0.08 * FALLING],
    "labels": [sg.Teacher(), sg.Teacher(noise=0.3), sg.ConstantTarget(0.7)],
    "covariance": [sg.Covariance({2: 0.5}), sg.Covariance({0: 0.1, 1: 0.2, 2: 0.4, 3: 0.1})],
    "start": [sg.Start(magnetization=0.3, norm=1.3), sg.Start(magnetization=0.0)],
    "linearized": [False, True],
}
COMPRESSED = sg.Compressed(order=3, tolerance=1e-3)


def allowed(case):
    """Whether options go together, those that are not given aside."""
    if case.get("replicas") == 2 and not case.get("batches", sg.FullBatch()).memoryless:
        return False
    if not case.get("linearized"):
        return True
    return not isinstance(case.get("labels"), sg.ConstantTarget) and 1 not in getattr(
        case.get("covariance"), "powers", ()
    )


def values_of(index):
    return {name: OPTIONS[name][i] for name, i in index.items()}


def crossings(together=3):
    """Cases in which all allowed values of any `together` options occur together, chosen greedily; option -> index."""
    sets = list(itertools.combinations(OPTIONS, together))
    missing = {}
    for names in sets:
        for index in itertools.product(*(range(len(OPTIONS[name])) for name in names)):
            if allowed(values_of(dict(zip(names, index, strict=True)))):
                missing[names, index] = None
    rng = np.random.default_rng(1)
    cases = []
    while missing:
        wanted = dict(zip(*next(iter(missing)), strict=True))
        best, covered = {}, []
        while not covered:
            for _ in range(30):
                index = {name: int(rng.integers(len(values))) for name, values in OPTIONS.items()} | wanted
                new = [key for names in sets if (key := (names, tuple(index[name] for name in names))) in missing]
                if allowed(values_of(index)) and len(new) > len(covered):
                    best, covered = index, new
        cases.append(best)
        for key in covered:
            del missing[key]
    return cases


CASES = crossings()


def arguments(index):
    """Model, algorithm, start and replicas of a case; the learning rate is lowered where batches are small (stability)."""
    case = values_of(index)
    model = sg.GaussianLeastSquares(alpha=ALPHA, labels=case.pop("labels"), covariance=case.pop("covariance"))
    model = sg.Linearized(model) if case.pop("linearized") else model
    start, replicas = case.pop("start"), case.pop("replicas")
    case["learning_rate"] = case["learning_rate"] * min(1.0, 5 * case["batches"].fractions(1)[0])
    return model, sg.Descent(**case), start, replicas


def solve(model, algorithm, start, replicas, method):
    save = sg.Save(two_time=range(STEPS + 1), replicas=replicas)
    return sg.solve(model, algorithm, steps=STEPS, start=start, save=save, method=method)


def assert_equal(run, reference, one_time, two_time):
    """Every quantity of the reference agrees within that part of its largest value (at least 1)."""
    for name, expected in reference.items():
        part = two_time if expected.ndim == 2 else one_time
        atol = part * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(run[name], expected, rtol=0, atol=atol, err_msg=name)


def identify(index):
    changed = [f"{name}={i}" for name, i in index.items() if i and name != "batches"]
    return " ".join([repr(OPTIONS["batches"][index["batches"]]), *changed])


@pytest.mark.parametrize("index", CASES, ids=identify)
def test_dense_and_compressed_are_the_plain_equations(index):
    """Dense to rounding. Compressed within the tolerance of a merge; one-time quantities feel merges in second order."""
    model, algorithm, start, replicas = arguments(index)
    reference = sweep(model, algorithm, steps=STEPS, start=start, replicas=replicas > 1)
    dense = solve(model, algorithm, start, replicas, sg.Dense())
    assert_equal(dense, reference, 1e-11, 1e-11)
    compressed = solve(model, algorithm, start, replicas, COMPRESSED)
    assert_equal(compressed, reference, 1e-6, 2e-3)


def test_the_compressed_runs_have_merged_panels():
    smooth = [
        index for index in CASES[::2] if index["momentum"] < 2 and OPTIONS["batches"][index["batches"]].memoryless
    ]
    merged = [solve(*arguments(index), COMPRESSED).dataset.attrs["coordinates"] < STEPS for index in smooth]
    assert np.mean(merged) > 0.7


def test_wrong_answers_are_rejected():
    model, algorithm, start, _ = arguments(dict.fromkeys(OPTIONS, 0))
    reference = sweep(model, algorithm, steps=STEPS, start=start, replicas=True)
    dense = solve(model, algorithm, start, 2, sg.Dense())
    for name, values in reference.items():
        wrong = values.copy()
        wrong[-1] += 1e-10
        with pytest.raises(AssertionError, match=name):
            assert_equal(dense, {**reference, name: wrong}, 1e-11, 1e-11)


@pytest.mark.parametrize("index", [index for index in CASES if index["linearized"]][::4], ids=identify)
def test_linearized_is_the_limit_of_a_vanishing_overlap(index):
    """C, R, L, G and the loss of m(0) = 0, whatever m(0); m(t)/m(0) that of a tiny m(0), up to its square."""
    model, algorithm, _, replicas = arguments(index)
    start, tiny, none = (sg.Start(magnetization=m, norm=1.1) for m in (0.4, 1e-6, 0.0))
    linear = solve(model, algorithm, start, replicas, sg.Dense())
    limit = solve(model.model, algorithm, none, replicas, sg.Dense())
    names = ["norm", "loss", "correlation", "response", "integrated_response", "label_response"]
    names += ["replica_correlation", "replica_overlap"] if replicas > 1 else []
    assert_equal(linear, {name: limit[name] for name in names}, 1e-13, 1e-13)
    near = solve(model.model, algorithm, tiny, replicas, sg.Dense())
    growth = near.magnetization / 1e-6
    np.testing.assert_allclose(linear.magnetization / 0.4, growth, rtol=1e-9, atol=1e-9 * np.abs(growth).max())
