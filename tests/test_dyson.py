"""The causal sweep against Dyson's equation on whole matrices: two ways that share no equation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import sgdmft as sg
from sgdmft.dmft.dyson import Dyson
from sgdmft.dmft.dyson_matrices import LeastSquares
from sgdmft.errors import Diverged, InvalidArgument, NotConverged
from sgdmft.problem.selfenergy import linear_regression
from sgdmft.superfield import Superfield

COMPARED = ("magnetization", "norm", "loss", "correlation", "response")


def largest_difference(one, other):
    """Largest difference of any compared quantity, relative to the larger of 1 and its largest value."""
    return max(np.max(np.abs(one[name] - other[name])) / max(1.0, np.max(np.abs(one[name]))) for name in COMPARED)


rate = st.floats(0.005, 0.06)


@st.composite
def problems(draw):
    """Model, algorithm and start within the region of stability; every scheme, label, and extra of the algorithm."""
    powers = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True))
    covariance = sg.Covariance(
        {p: draw(st.floats(0.1, 0.5)) / p for p in powers} | {0: draw(st.sampled_from([0.0, 0.3]))}
    )
    labels = draw(st.sampled_from([sg.Teacher(), sg.Teacher(noise=0.3), sg.ConstantTarget(0.7)]))
    steps = draw(st.integers(0, 28))
    scheme = draw(st.sampled_from(sorted(sg.Batches.registry)))
    batches = draw(st.sampled_from(sg.Batches.registry[scheme].examples()))
    if scheme == "OnePass":
        batches = sg.OnePass(max(steps, 1))
    if scheme == "Bernoulli":
        batches = sg.Bernoulli(draw(st.lists(st.floats(0.3, 1.0), min_size=28, max_size=28)))
    algorithm = sg.Descent(
        learning_rate=draw(st.one_of(rate, st.lists(rate, min_size=30, max_size=30))),
        batches=batches,
        momentum=draw(st.sampled_from([0.0, 0.4])),
        weight_decay=draw(st.sampled_from([0.0, 0.5])),
        temperature=draw(st.sampled_from([0.0, 0.2])),
        spherical=draw(st.booleans()),
    )
    norm = draw(st.floats(0.5, 1.5))
    start = sg.Start(magnetization=draw(st.floats(-0.7, 0.7)), norm=norm)
    model = sg.GaussianLeastSquares(alpha=draw(st.floats(0.2, 3.0)), covariance=covariance, labels=labels)
    return {"model": model, "algorithm": algorithm, "start": start, "steps": steps}


@settings(max_examples=40)
@given(problems())
def test_sweep_is_dyson_is_compressed(problem):
    every = sg.Save(two_time=range(problem["steps"] + 1))
    dense = sg.solve(**problem, save=every, strict=False, method=sg.Dense())
    dyson = sg.solve(**problem, save=every, strict=False, method=Dyson())
    assert dense.status is dyson.status is sg.Status.COMPLETED
    assert largest_difference(dense, dyson) < 1e-11
    compressed = sg.solve(**problem, save=every, strict=False, method=sg.Compressed(order=4, tolerance=1e-12))
    assert largest_difference(dense, compressed) < 1e-11


def test_the_comparison_rejects_a_wrong_answer():
    model = sg.GaussianLeastSquares(alpha=1.0)
    right = sg.solve(model, sg.GradientDescent(0.1), steps=5)
    for wrong in (sg.GradientDescent(0.1 * (1 + 1e-9)), sg.SGD(0.1, 1 - 1e-8)):
        assert largest_difference(right, sg.solve(model, wrong, steps=5)) > 1e-11


@pytest.mark.parametrize("scheme", sorted(sg.Batches.registry))
def test_long_run_of_every_scheme(scheme):
    batches = sg.OnePass(80) if scheme == "OnePass" else sg.Batches.registry[scheme].examples()[0]
    eta = 0.004 if scheme == "OnePass" else 0.1
    problem = {
        "model": sg.GaussianLeastSquares(alpha=1.5, labels=sg.Teacher(noise=0.1)),
        "algorithm": sg.Descent(learning_rate=eta, batches=batches, weight_decay=0.1),
        "steps": 80,
    }
    dense, dyson = sg.solve(**problem, method=sg.Dense()), sg.solve(**problem, method=Dyson())
    assert largest_difference(dense, dyson) < 1e-12
    assert dyson.dataset.attrs["residual"] < 1e-13
    assert dyson.dataset.attrs["iterations"] < 82


def test_violent_steps_cut_the_window():
    """A spherical run with large steps, whose plain iterates overflow: the window is cut, and the answer is the same."""
    problem = {
        "model": sg.GaussianLeastSquares(alpha=2.0, covariance=sg.Covariance({1: 0.4, 3: 0.5})),
        "algorithm": sg.SGD(0.2, 0.5, spherical=True, momentum=0.3),
        "steps": 60,
    }
    dense, dyson = sg.solve(**problem, method=sg.Dense()), sg.solve(**problem, method=Dyson())
    assert largest_difference(dense, dyson) < 1e-11


# -- pair correlations of batches with memory, by enumeration ------------------------------------------------------


def patterns(batches, steps):
    """All selection patterns of a sample over the steps with their probabilities, from the definition of the scheme."""
    if isinstance(batches, sg.Shuffled):
        E = batches.batches_per_epoch
        for slots in itertools.product(range(E), repeat=-(-steps // E)):
            yield [float(slots[t // E] == t % E) for t in range(steps)], E ** -len(slots)
    elif isinstance(batches, sg.Cyclic):
        E = batches.batches_per_epoch
        for slot in range(E):
            yield [float(t % E == slot) for t in range(steps)], 1 / E
    else:
        b, gamma = batches.fraction, batches.memory
        for pattern in itertools.product((0.0, 1.0), repeat=steps):
            weight = b if pattern[0] else 1 - b
            for before, now in itertools.pairwise(pattern):
                stay = b + (1 - b) * gamma if before else b * (1 - gamma)
                weight *= stay if now else 1 - stay
            yield list(pattern), weight


@pytest.mark.parametrize("batches", [sg.Shuffled(3), sg.Cyclic(2), sg.Persistent(0.4, memory=0.7), sg.Bernoulli(0.3)])
def test_multipliers_by_enumeration(batches):
    """L = E[S (1 + k S)^-1] and G = E[S (1 + k S)^-1 K (1 + k S)^-T S] over all patterns S = diag(s / b)."""
    steps = 7
    rng = np.random.default_rng(5)
    x = rng.normal(size=(steps + 1, 2 * steps))
    C = x @ x.T / (2 * steps)
    full = np.zeros((2, steps + 1, steps + 1))
    full[0] = C / C[0, 0]
    full[1, 1:, 1:] = np.tril(rng.normal(size=(steps, steps)), -1)
    Q = Superfield(*full)
    model = sg.GaussianLeastSquares(alpha=1.0, covariance=sg.Covariance({1: 0.5, 2: 0.5}), labels=sg.Teacher(noise=0.2))
    # One step more than is looked at: the batch of the last time is not a part of the run.
    sigma = LeastSquares(model, sg.Descent(learning_rate=0.1, batches=batches), steps)
    residuals, multipliers = sigma.residuals(Q), sigma.multipliers(Q)
    K, k = residuals.correlation[1:, 1:], residuals.response[1:, 1:]
    L, G, total = np.zeros((steps, steps)), np.zeros((steps, steps)), 0.0
    if isinstance(batches, sg.Bernoulli):
        batches = sg.Persistent(batches.fraction, memory=0.0)
    for pattern, weight in patterns(batches, steps):
        S = np.diag(pattern) / batches.fractions(steps)[0]
        U = S @ np.linalg.inv(np.eye(steps) + k @ S)
        L, G, total = L + weight * U, G + weight * U @ K @ U.T, total + weight
    assert total == pytest.approx(1.0)
    np.testing.assert_allclose(multipliers.response[1:, 1:], L, atol=1e-12)
    np.testing.assert_allclose(-multipliers.correlation[1:, 1:], G, atol=1e-11 * np.abs(G).max())


# -- refusals ------------------------------------------------------------------------------------------------------

TALK = {"model": sg.GaussianLeastSquares(alpha=2.0), "algorithm": sg.SGD(0.1, 0.5), "steps": 40}


def test_too_few_iterations_are_refused():
    with pytest.raises(NotConverged, match="not solved after 3 iterations") as caught:
        sg.solve(**TALK, method=Dyson(max_iterations=3))
    assert caught.value.value.iterations == 3
    violent = TALK | {"algorithm": sg.SGD(0.2, 0.5, spherical=True, momentum=0.3)}
    with pytest.raises(NotConverged, match="holds to"):
        sg.solve(**violent, method=Dyson(tolerance=1e-17))


def test_divergence_keeps_what_was_computed():
    problem = TALK | {"algorithm": sg.GradientDescent(1.5)}
    with pytest.raises(Diverged) as caught:
        sg.solve(**problem, method=Dyson())
    kept = caught.value.trajectory
    assert kept.status is sg.Status.DIVERGED
    dense = sg.solve(**problem, method=sg.Dense(), strict=False)
    count = len(kept.norm)
    assert 2 <= count < 41
    np.testing.assert_allclose(kept.norm, dense.norm[:count], rtol=1e-10)


@pytest.mark.parametrize(
    "asked", [("stop", sg.Recovered()), ("save", sg.Save(replicas=2)), ("model", sg.Linearized(TALK["model"]))]
)
def test_what_dyson_has_not(asked):
    with pytest.raises(InvalidArgument, match="Dyson"):
        sg.solve(**TALK | dict([asked]), method=Dyson())


def test_settings_are_checked():
    for bad in ({"tolerance": 0.0}, {"max_iterations": 0}, {"memory_limit": -1}):
        with pytest.raises(InvalidArgument, match=next(iter(bad))):
            Dyson(**bad)
    with pytest.raises(sg.errors.TooLarge, match="memory_limit"):
        sg.solve(**TALK, method=Dyson(memory_limit=1e4))


def test_estimates():
    need = sg.estimate(TALK["model"], TALK["algorithm"], steps=100, method=Dyson())
    assert need.method == "Dyson"
    assert need.memory > 8 * 100**2
    assert sg.estimate(linear_regression(1.0), sg.GradientDescent(0.1), steps=100).method == "Dyson"


def test_solution_reports_its_residual():
    run = Dyson().begin(sg.Request(**TALK))
    run.advance()
    solution = run.solution()
    assert solution.residual < 1e-13
    assert solution.iterations < 42
    assert len(solution.weights) == 42
