"""The compressed history: Gram polynomials, error against tolerance, and structure that must keep its resolution."""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.dmft.closures import LeastSquares
from sgdmft.dmft.gram import analysis, gram, tails, transfer
from sgdmft.dmft.history import History
from sgdmft.errors import TooLarge

TALK = sg.GaussianLeastSquares(alpha=1.5)
MIXED = sg.GaussianLeastSquares(
    alpha=1.3, covariance=sg.Covariance({1: 0.4, 2: 0.45, 3: 0.2}), labels=sg.Teacher(noise=0.2)
)
TARGET = sg.GaussianLeastSquares(alpha=0.8, labels=sg.ConstantTarget(0.9))

#: name -> model, algorithm, start
PROBLEMS = {
    "minibatches": (TALK, sg.SGD(0.1, 0.3), sg.Start()),
    "recovery after a plateau": (
        sg.GaussianLeastSquares(alpha=2.2),
        sg.GradientDescent(0.1),
        sg.Start(magnetization=0.02),
    ),
    "jumps of the schedules": (
        TALK,
        sg.SGD(lambda t: 0.1 if t < 333 else 0.04, lambda t: 0.5 if t < 501 else 0.2),
        sg.Start(),
    ),
    "momentum and noise": (MIXED, sg.SGD(0.05, 0.4, momentum=0.6, weight_decay=0.1, temperature=0.05), sg.Start()),
    "sphere, constant target": (TARGET, sg.GradientDescent(0.1, spherical=True, temperature=0.02), sg.Start()),
}
STEPS = 900


@pytest.fixture(scope="module")
def dense():
    return {
        name: sg.solve(model, algorithm, steps=STEPS, start=start, method=sg.Dense())
        for name, (model, algorithm, start) in PROBLEMS.items()
    }


@pytest.mark.parametrize("points", [12, 24, 12 << 10, 12 << 24])
def test_gauss_rule_sums_polynomials(points):
    order = 12
    rule = gram(points, order)
    x = rule.nodes / points
    assert rule.weights.sum() == pytest.approx(points, rel=1e-12)
    if points <= 12 << 10:
        grid = np.arange(points) / points
        for degree in range(2 * order):
            assert rule.weights @ x**degree == pytest.approx(np.sum(grid**degree), rel=1e-10)


@pytest.mark.parametrize("orders", [(12, 12), (9, 12), (12,)])
@pytest.mark.parametrize("order", [5, 9])
@pytest.mark.parametrize("level", [0, 1, 5, 20])
def test_merging_keeps_polynomials_and_norms(orders, order, level):
    points = (12 << level) * len(orders)
    orders = tuple(12 if level == 0 else p for p in orders)
    merge = transfer(points, orders, order).matrix
    np.testing.assert_allclose(merge @ merge.T, np.eye(order), atol=1e-12)
    whole = gram(points, order)
    for degree in range(order):
        parts = [gram(points // len(orders), p) for p in orders]
        values = [
            np.sqrt(part.weights) * ((part.nodes + i * part.points) / points) ** degree for i, part in enumerate(parts)
        ]
        expected = np.sqrt(whole.weights) * (whole.nodes / points) ** degree
        np.testing.assert_allclose(merge @ np.concatenate(values), expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("orders", [(12, 12), (6, 9), (10,)])
@pytest.mark.parametrize("level", [1, 6])
def test_analysis_measures_what_polynomials_lose(orders, level):
    """Coefficients and rest against sums over all points of the panel."""
    limit, size = 8, 12 << level
    table = analysis(size * len(orders), orders, limit)
    values = np.random.default_rng(0).normal(size=sum(orders))
    basis = [gram(size, order).evaluate(np.arange(size)) for order in orders]
    pieces = np.split(values, np.cumsum(orders)[:-1])
    function = np.concatenate([table @ piece for table, piece in zip(basis, pieces, strict=True)])
    grid = np.linspace(-1, 1, len(function))
    for degree in range(1, limit + 1):
        fit = np.polynomial.legendre.legfit(grid, function, degree - 1)
        lost = np.sum((function - np.polynomial.legendre.legval(grid, fit)) ** 2)
        assert np.sum((values @ table)[degree:] ** 2) == pytest.approx(lost, rel=1e-8)


@pytest.mark.parametrize("tolerance", [1e-5, 1e-7, 1e-9, 1e-11])
@pytest.mark.parametrize("name", PROBLEMS)
def test_error_follows_the_tolerance(name, tolerance, dense):
    """One-time quantities err in second order; two-time functions by a small multiple of the tolerance."""
    model, algorithm, start = PROBLEMS[name]
    exact = dense[name]
    run = sg.solve(model, algorithm, steps=STEPS, start=start, method=sg.Compressed(tolerance=tolerance))
    assert run.dataset.attrs["largest_truncation"] <= tolerance
    assert run.dataset.attrs["coordinates"] < STEPS  # something was merged
    rounding = 2e-12
    for quantity in ("magnetization", "norm", "loss"):
        np.testing.assert_allclose(run[quantity], exact[quantity], rtol=0, atol=tolerance + rounding, err_msg=quantity)
    rates = algorithm.rates(STEPS).learning_rate
    rate = rates.min() / rates.max()  # the tolerance holds for R eta, in units of the largest eta
    for quantity, scale in (("correlation", 1.0), ("response", rate), ("integrated_response", 1.0)):
        error = scale * np.abs(run[quantity] - exact[quantity]).max()
        assert error <= 3 * tolerance + rounding, (quantity, error)


def test_the_error_is_seen_to_grow_with_the_tolerance(dense):
    """The bound above is no accident: with panels of low order the two-time error is that of the tolerance."""
    model, algorithm, start = PROBLEMS["minibatches"]
    for tolerance in (1e-9, 1e-7, 1e-5):
        method = sg.Compressed(tolerance=tolerance, order=6)
        run = sg.solve(model, algorithm, steps=STEPS, start=start, method=method)
        error = np.abs(run.correlation - dense["minibatches"].correlation).max()
        assert 0.01 * tolerance < error < 3 * tolerance


def test_rough_structure_is_never_merged():
    """A learning rate redrawn at every step is not smooth in s: leaves stay apart, and nothing is lost."""
    rates = 0.05 + 0.1 * np.random.default_rng(0).random(300)
    algorithm = sg.GradientDescent(rates)
    run = sg.solve(TALK, algorithm, steps=300, method=sg.Compressed())
    exact = sg.solve(TALK, algorithm, steps=300, method=sg.Dense())
    assert run.dataset.attrs["coordinates"] == 300
    np.testing.assert_allclose(run.correlation, exact.correlation, atol=1e-13)


@pytest.mark.parametrize("quantity", ["correlation", "response"])
def test_rows_at_any_past_time(quantity, dense):
    """C(t, s) and R(t, s) at all s, merged panels included, not only where nodes lie."""
    model, algorithm, start = PROBLEMS["minibatches"]
    times = [0, 1, 2, *range(3, STEPS, 7), STEPS]
    save = sg.Save(two_time=times)
    run = sg.solve(model, algorithm, steps=STEPS, start=start, method=sg.Compressed(), save=save)
    exact = sg.solve(model, algorithm, steps=STEPS, start=start, method=sg.Dense(), save=save)
    np.testing.assert_allclose(run[quantity], exact[quantity], rtol=0, atol=1e-10)


@pytest.mark.parametrize("phases", [1, 3])
def test_tail_sums_are_sums(phases):
    batches = sg.Shuffled(phases) if phases > 1 else sg.Bernoulli(0.4)
    algorithm = sg.Descent(learning_rate=0.1, batches=batches)
    request = sg.Request(model=TALK, algorithm=algorithm, steps=700, save=sg.Save(two_time=0))
    run = sg.Compressed(tolerance=1e-6, order=8).begin(request)
    run.advance()
    past = run.integrator.history
    assert past.n < 700
    times = np.array([0, 1, 5, 48, 100, 333, 690, 699])
    row = past.row_at(past.named.response, np.arange(700))
    sums = past.tail_sums(past.named.response, times)
    np.testing.assert_allclose(sums, [row[t:].sum() for t in times], rtol=1e-11)


@pytest.mark.parametrize("points", [24, 4096, 12 << 12, 12 << 20])
def test_tails_of_the_basis(points):
    order = 12
    rule = gram(points, order)
    first = np.unique(np.geomspace(1, points, 40).astype(int)) - 1
    for degree in (0, 1, order - 1):
        nodal = np.sqrt(rule.weights) * (rule.nodes / points) ** degree
        grid = np.arange(points) / points
        exact = np.cumsum((grid**degree)[::-1])[::-1][first]
        np.testing.assert_allclose(tails(points, order, first) @ nodal, exact, rtol=1e-10, atol=1e-10 * exact.max())


ROWS = {"C": 0, "R": 1, "L": 2, "G": 3}
LINES = {"m": 1, "C(t,.)": 2, "R(t,.)": 3, "f(m)": 4, "P(t,.)": 5, "C12(t,.)": 6}


@pytest.mark.parametrize("where", [None, *ROWS, *LINES])
@pytest.mark.parametrize("age", [0, 7])
@pytest.mark.parametrize("size", [0.1, 0.005])
def test_every_recent_row_is_asked_before_a_merge(where, age, size):
    """A pair of leaves in which one row alone, stored or current, is rough stays a pair.

    Of rows that only enter sums the square counts, of rows that are read off (C, R, P) the size.
    """
    past = History.with_panels(200, LeastSquares.layout, 1.0, order=8, phases=1)
    for _ in range(6):
        for counter in ("time", "coordinates"):
            past.now[counter] += past.leaf
        rough = size * np.cos(np.pi * np.arange(past.n))
        past.lines[:, : past.n] = 1.0
        for op in range(4):
            for v in range(past.n - past.leaf, past.n):
                past.operators[op, past.row[v] : past.row[v] + v + 1] = 1.0
                if where in ROWS and op == ROWS[where] and v == past.n - 1 - age:
                    past.operators[op, past.row[v] : past.row[v] + v + 1] += rough[: v + 1]
        if where in LINES:
            past.lines[LINES[where], : past.n] += rough
        past.close_leaf(tolerance=1e-3, separation=0.5)
    levels = [panel.level for panel in past.panels]
    refused = where is not None and (size == 0.1 or where[0] in "CRP")
    assert (max(levels) == 0) == refused, levels


def test_two_tolerances_find_the_same_recovery():
    """Full batch near the talk's threshold: thousands of steps on the plateau, one event."""
    model = sg.GaussianLeastSquares(alpha=2.0)
    steps = [
        int(
            sg.solve(
                model,
                sg.GradientDescent(0.1),
                steps=20000,
                start=sg.Start(magnetization=0.02),
                method=sg.Compressed(tolerance=tolerance),
                stop=sg.Recovered(distance=1e-2),
            ).time[-1]
        )
        for tolerance in (1e-7, 1e-10)
    ]
    assert steps[0] == steps[1]
    assert 1000 < steps[0] < 20000


def test_integrated_response_over_parts_of_long_panels():
    """chi sums R over thousands of steps of one panel: what a panel loses of R must be small as a sum, too."""
    model, algorithm, steps = sg.GaussianLeastSquares(alpha=1.0), sg.GradientDescent(0.1), 15000
    save = sg.Save(two_time=[*range(100, 1500, 200), *range(1500, steps + 1, 500)], every=100)
    coarse, fine = (
        sg.solve(model, algorithm, steps=steps, save=save, method=sg.Compressed(tolerance=tolerance))
        for tolerance in (1e-3, 1e-6)
    )
    assert np.abs(coarse["integrated_response"] - fine["integrated_response"]).max() < 3e-3


def test_a_short_run_of_many_phases_takes_little_memory():
    """Room for 24 leaves of 12 epochs of 1000 steps would be a terabyte; the run has 30 steps."""
    algorithm = sg.Descent(learning_rate=1e-4, batches=sg.Cyclic(1000))
    run = sg.solve(TALK, algorithm, steps=30, method=sg.Compressed())
    exact = sg.solve(TALK, algorithm, steps=30, method=sg.Dense())
    np.testing.assert_allclose(run.norm, exact.norm, rtol=1e-12)


def test_the_cheaper_method_is_taken():
    assert sg.solve(TALK, sg.GradientDescent(0.1), steps=50).dataset.attrs["method"].startswith("Dense")
    assert sg.estimate(TALK, sg.GradientDescent(0.1), steps=5000).method == "Compressed"


def test_memory_limits_are_kept_and_named():
    with pytest.raises(TooLarge, match="limit of 1 GB"):
        sg.solve(TALK, sg.GradientDescent(0.1), steps=20000, method=sg.Dense(memory_limit=1e9))
    rough = sg.GradientDescent(0.05 + 0.1 * np.random.default_rng(1).random(5000))
    with pytest.raises(TooLarge, match="would outgrow its memory limit"):
        sg.solve(TALK, rough, steps=5000, method=sg.Compressed(memory_limit=2e7))
