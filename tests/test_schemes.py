"""Every minibatch scheme of the registry in the theory: references, exact limits, own schemes, refusals, properties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import sgdmft as sg
from reference_sweep import closed, enumerated, law, sweep
from sgdmft.errors import InvalidArgument

TALK = sg.GaussianLeastSquares(alpha=1.5)
MIXED = sg.GaussianLeastSquares(
    alpha=1.3, covariance=sg.Covariance({0: 0.1, 1: 0.4, 2: 0.45, 3: 0.2}), labels=sg.Teacher(noise=0.2)
)
TARGET = sg.GaussianLeastSquares(alpha=0.7, labels=sg.ConstantTarget(0.9))
START = sg.Start(magnetization=0.2, norm=1.1)
QUANTITIES = ("magnetization", "norm", "loss", "correlation", "response")

#: name -> (model, options of the algorithm beside the scheme)
CASES = {
    "talk": (TALK, {"learning_rate": 0.1}),
    "momentum": (TALK, {"learning_rate": 0.05, "momentum": 0.6}),
    "noise": (MIXED, {"learning_rate": 0.05, "temperature": 0.2, "weight_decay": 0.3}),
    "spherical": (TARGET, {"learning_rate": 0.1, "spherical": True, "momentum": 0.3}),
    "schedule": (MIXED, {"learning_rate": lambda t: 0.1 / (1 + 0.2 * t), "momentum": lambda t: 0.5 * (t % 2)}),
}
SCHEMES = [scheme for cls in sg.Batches.registry.values() for scheme in cls.examples()]
SCHEMES.append(sg.Bernoulli(0.2 + 0.6 / (1 + 0.05 * np.arange(400.0))))
schemes = pytest.mark.parametrize("batches", SCHEMES, ids=repr)
cases = pytest.mark.parametrize("case", CASES)


def smallness(batches):
    return min(1.0, 5 * batches.fractions(1)[0])


def case_for(batches, case):
    """Model and options of a case, the learning rate lowered in proportion where batches are small (stability)."""
    model, options = CASES[case]
    rate, factor = options["learning_rate"], smallness(batches)
    return model, {**options, "learning_rate": (lambda t: factor * rate(t)) if callable(rate) else factor * rate}


def solve(model, batches, steps, method, *, two_time=None, start=START, **options):
    algorithm = sg.Descent(batches=batches, **options)
    save = sg.Save(two_time=range(steps + 1) if two_time is None else two_time)
    return sg.solve(model, algorithm, steps=steps, start=start, method=method, save=save)


def assert_equal(one, other, tolerance=1e-12, quantities=QUANTITIES):
    """Every quantity agrees within `tolerance` times its largest value (at least 1)."""
    for name in quantities:
        scale = max(1.0, np.abs(other[name]).max())
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=tolerance * scale, err_msg=name)


def longest(batches, steps):
    """The longest run up to `steps` that the scheme allows (a scheme may end, as `OnePass` does)."""
    while True:
        try:
            batches.check_run(steps)
            return steps
        except InvalidArgument:
            steps -= 1


class Resting(sg.Batches, register=False):
    """A scheme of one's own: a sample just used rests for `rest` steps, then joins each batch with chance `chance`.

    The times of selection are a stationary renewal process; P(t, s) b = renewal density at t - s.
    """

    def __init__(self, rest, chance):
        self.rest, self.chance, self.fraction = rest, chance, 1.0 / (rest + 1.0 / chance)
        density = np.zeros(4096)  # h(lag) of the next selections; after the rest the gap is geometric
        density[rest + 1] = chance
        for lag in range(rest + 2, len(density)):
            density[lag] = (1 - chance) * density[lag - 1] + chance * density[lag - rest - 1]
        self.density = density

    def fractions(self, steps):
        return np.full(steps, self.fraction)

    def reselection(self, t, s):
        return np.interp(t - s, np.arange(len(self.density)), self.density) / self.fraction

    def sampler(self, samples, steps, rng):
        raise NotImplementedError

    @classmethod
    def examples(cls):
        return [cls(2, 0.4)]


# -- references --------------------------------------------------------------------------------------------------------


@cases
@schemes
def test_dense_equals_the_plain_equations(batches, case):
    model, options = case_for(batches, case)
    steps = longest(batches, 24)
    reference = sweep(model, sg.Descent(batches=batches, **options), steps=steps, start=START)
    assert_equal(solve(model, batches, steps, sg.Dense(), **options), reference)


@cases
@schemes
def test_compressed_equals_dense(batches, case):
    model, options = case_for(batches, case)
    if case == "schedule":  # a smooth one, so that there is something to compress
        rate = 0.02 * smallness(batches)
        options = {"learning_rate": lambda t: rate + rate / (1 + 0.02 * t), "momentum": lambda t: 0.5 / (1 + 0.1 * t)}
    steps = longest(batches, 400)
    dense = solve(model, batches, steps, sg.Dense(), two_time=24, **options)
    compressed = solve(model, batches, steps, sg.Compressed(tolerance=1e-6, order=5), two_time=24, **options)
    assert_equal(compressed, dense, 1e-10, ("magnetization", "norm", "loss"))
    assert_equal(compressed, dense, 1e-6, ("correlation",))
    kicks = np.abs(compressed.response - dense.response)
    assert kicks.max() <= 1e-5
    if steps == 400:
        assert compressed.dataset.attrs["coordinates"] < steps


@schemes
def test_closure_equals_the_mean_over_all_selection_histories(batches):
    algorithm = sg.Descent(learning_rate=0.1 * smallness(batches), batches=batches, momentum=0.3)
    one, other = (sweep(MIXED, algorithm, steps=6, start=START, residuals=how) for how in (closed, enumerated))
    assert_equal(one, other)


@schemes
def test_reselection_belongs_to_a_process(batches):
    """The probabilities of all selection histories that follow from P(t, s) are none of them negative."""
    probabilities = np.array(list(law(batches, 8, batches.fractions(8)).values()))
    assert probabilities.min() > -1e-12
    assert abs(probabilities.sum() - 1) < 1e-12


def test_helpers_reject_wrong_answers():
    algorithm = sg.Descent(learning_rate=0.1, batches=sg.Shuffled(3))
    right = sweep(TALK, algorithm, steps=9, start=START)
    wrong = sweep(TALK, sg.Descent(learning_rate=0.1, batches=sg.Bernoulli(1 / 3)), steps=9, start=START)
    with pytest.raises(AssertionError, match="magnetization"):
        assert_equal(wrong, right, 1e-6)
    with pytest.raises(AssertionError, match="response"):
        assert_equal({**right, "response": right["response"] + 1e-9}, right)


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [sg.Dense(), sg.Compressed(order=4, tolerance=1e-9)], ids=["dense", "compressed"])
@cases
def test_one_batch_is_full_batch(case, method):
    model, options = CASES[case]
    full = solve(model, sg.FullBatch(), 40, sg.Dense(), **options)
    same = [sg.Bernoulli(1.0), sg.Shuffled(1), sg.Cyclic(1), sg.Persistent(1.0, memory=0.7), General(sg.FullBatch())]
    for batches in same:
        one = solve(model, batches, 40, method, **options)
        assert_equal(one, full, 1e-12 if isinstance(method, sg.Dense) else 1e-6)


class General(sg.Batches, register=False):
    """Another scheme through the equations for general P(t, s), whatever it says of itself."""

    def __init__(self, scheme, phases=1):
        self.scheme, self._phases = scheme, phases

    def fractions(self, steps):
        return self.scheme.fractions(steps)

    def reselection(self, t, s):
        return self.scheme.reselection(t, s)

    def sampler(self, samples, steps, rng):
        return self.scheme.sampler(samples, steps, rng)

    @classmethod
    def examples(cls):
        return []

    @property
    def phases(self):
        return self._phases


@cases
def test_persistent_without_memory_is_bernoulli(case):
    model, options = CASES[case]
    bernoulli = solve(model, sg.Bernoulli(0.3), 40, sg.Dense(), **options)
    assert_equal(solve(model, sg.Persistent(0.3, memory=0.0), 40, sg.Dense(), **options), bernoulli)
    assert_equal(solve(model, sg.Persistent(0.3, memory=1e-14), 40, sg.Dense(), **options), bernoulli)
    assert_equal(solve(model, General(sg.Bernoulli(0.3)), 40, sg.Dense(), **options), bernoulli)


@cases
def test_persistent_for_ever_is_descent_on_a_subset(case):
    """memory = 1: alpha' = alpha b samples at the rate eta/b (ridge lambda b, temperature T b).

    The loss of the samples never used is that of fresh ones, so loss = loss' + (1 - b) alpha (fresh error + noise/2).
    """
    model, options = CASES[case]
    b, steps = 0.4, 60
    whole = solve(model, sg.Persistent(b, memory=1.0), steps, sg.Dense(), **options)
    rate = options["learning_rate"]
    scaled = {name: value * b for name, value in options.items() if name in ("temperature", "weight_decay")}
    scaled["learning_rate"] = (lambda t: rate(t) / b) if callable(rate) else rate / b
    part = sg.GaussianLeastSquares(alpha=b * model.alpha, covariance=model.covariance, labels=model.labels)
    subset = solve(part, sg.FullBatch(), steps, sg.Dense(), **{**options, **scaled})
    assert_equal(whole, subset, 1e-12, ("magnetization", "norm", "correlation", "response"))
    noise = getattr(model.labels, "noise", 0.0)
    unused = (1 - b) * model.alpha * (whole.generalization_error + noise / 2)
    np.testing.assert_allclose(whole.loss, subset.loss + unused, rtol=0, atol=1e-12)
    near = solve(model, sg.Persistent(b, memory=1 - 1e-9), steps, sg.Dense(), **options)
    assert_equal(near, whole, 1e-6)


def test_one_pass_is_the_closed_recursion_of_online_learning():
    """k P = 0: L = 1, G(t,t) = K(t,t)/b, and m and C(t,t) close on themselves; fresh samples at every step."""
    model, eta, steps = MIXED, 0.002, 50
    f, alpha = model.covariance, model.alpha
    batches = sg.OnePass(steps)
    theory = solve(model, batches, steps, sg.Dense(), learning_rate=eta)
    compressed = solve(model, batches, steps, sg.Compressed(order=3, tolerance=1e-9), learning_rate=eta)
    m, c = START.magnetization, START.norm
    for t in range(steps):
        np.testing.assert_allclose([theory.magnetization[t], theory.norm[t]], [m, c], rtol=0, atol=1e-12)
        K = f(c) + f(1.0) - 2 * f(m) + model.labels.noise
        shrink, drive = 1 - eta * alpha * f.derivative(c), eta * alpha * f.derivative(m)
        m, c = shrink * m + drive, (
            shrink**2 * c + 2 * shrink * drive * m + drive**2 + eta**2 * alpha * K * steps * f.derivative(c)
        )  # fmt: skip
    assert_equal(compressed, theory, 1e-12, ("magnetization", "norm"))
    history = np.arange(steps)
    assert all((batches.reselection(t, history[:t].astype(float)) == 0).all() for t in range(1, steps))


# -- own schemes and refusals ------------------------------------------------------------------------------------------


@cases
def test_a_scheme_of_ones_own(case):
    model, options = CASES[case]
    batches = Resting(3, 0.4)
    dense = solve(model, batches, 24, sg.Dense(), **options)
    assert_equal(dense, sweep(model, sg.Descent(batches=batches, **options), steps=24, start=START))
    law_of_it = law(batches, 8, batches.fractions(8))
    assert min(law_of_it.values()) > -1e-12
    if case == "talk":
        one, other = (
            sweep(model, sg.Descent(batches=batches, **options), steps=6, start=START, residuals=how)
            for how in (closed, enumerated)
        )
        assert_equal(one, other)


@pytest.mark.parametrize(
    "scheme", [sg.Shuffled(6), sg.Cyclic(4), Resting(5, 0.9)], ids=["shuffled", "cyclic", "resting"]
)
def test_undeclared_phases_cost_time_but_no_accuracy(scheme):
    dense = solve(TALK, scheme, 500, sg.Dense(), learning_rate=0.1, two_time=24)
    hidden = solve(TALK, General(scheme), 500, sg.Compressed(tolerance=1e-8, order=6), learning_rate=0.1, two_time=24)
    assert_equal(hidden, dense, 1e-10, ("magnetization", "norm", "loss"))
    assert_equal(hidden, dense, 1e-6, ("correlation", "response"))


class Wrong(General, register=False):
    """Shuffled, with some other P(t, s)."""

    def __init__(self, change):
        super().__init__(sg.Shuffled(4))
        self.change = change

    def __repr__(self):
        return "Wrong()"

    def reselection(self, t, s):
        return self.change(t, s, self.scheme.reselection(t, s))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, s, p: p - 0.1, r"P\(t, s\) = -0.1 .*outside \[0, 1/b\] = \[0, 4\]"),
        (lambda t, s, p: 5.0 * p, r"P\(t, s\) = 5 .*outside \[0, 1/b\] = \[0, 4\]"),
        (lambda t, s, p: p * np.nan, r"P\(t, s\) = nan"),
        (lambda t, s, p: np.where(s == 150, -1.0, p), r"P\(t, s\) = -1 "),
        (lambda t, s, p: np.where(t - s == 1, 4.0, 1.0), r"no random selection has this P\(t, s\)"),
        (lambda t, s, p: np.where(t % 4 == 0, 2.0, p), r"no random selection has this P\(t, s\)"),
    ],
    ids=["negative", "above 1/b", "not a number", "late", "for ever", "too often"],
)
def test_an_invalid_reselection_is_refused(change, message):
    with pytest.raises(InvalidArgument, match=message):
        solve(TALK, Wrong(change), 200, None, learning_rate=0.1)


def test_one_pass_refuses_more_steps_than_it_has():
    with pytest.raises(InvalidArgument, match=r"Use `OnePass\(steps=31\)`"):
        solve(TALK, sg.OnePass(30), 31, None, learning_rate=0.001)


# -- properties --------------------------------------------------------------------------------------------------------

any_scheme = st.one_of(
    st.builds(sg.Bernoulli, st.floats(0.05, 1.0)),
    st.builds(sg.Shuffled, st.integers(1, 7)),
    st.builds(sg.Cyclic, st.integers(1, 7)),
    st.builds(lambda b, gamma: sg.Persistent(b, memory=gamma), st.floats(0.05, 1.0), st.floats(0.0, 1.0)),
    st.builds(sg.OnePass, st.integers(30, 60)),
    st.builds(Resting, st.integers(0, 4), st.floats(0.1, 1.0)),
)


@settings(max_examples=60)
@given(
    batches=any_scheme,
    alpha=st.floats(0.2, 4.0),
    rate=st.floats(0.002, 0.2),
    momentum=st.floats(0.0, 0.9),
    temperature=st.floats(0.0, 1.0),
    noise=st.floats(0.0, 1.0),
    m=st.floats(-0.9, 0.9),
)
def test_overlaps_of_vectors_and_causality(batches, alpha, rate, momentum, temperature, noise, m):
    eta = rate * smallness(batches) / (1 + alpha)
    model = sg.GaussianLeastSquares(alpha=alpha, covariance=MIXED.covariance, labels=sg.Teacher(noise=noise))
    algorithm = {"batches": batches, "learning_rate": eta, "momentum": momentum, "temperature": temperature}
    options = {"save": sg.Save(two_time=range(31)), "start": sg.Start(magnetization=m), "strict": False}
    run = sg.solve(model, sg.Descent(**algorithm), steps=30, **options)
    assume(run.status is sg.Status.COMPLETED)
    C, R, overlap = run.correlation, run.response, run.magnetization[: len(run.two_time)]
    scale = np.abs(C).max()
    # The Gram matrix of x(0), ..., x(T), x* per weight is positive semidefinite; hence m^2 <= C(t,t).
    gram = np.block([[C, overlap[:, None]], [overlap[None, :], np.ones((1, 1))]])
    assert np.linalg.eigvalsh(gram).min() > -1e-10 * max(scale, 1.0)
    assert (run.magnetization**2 <= run.norm * (1 + 1e-10)).all()
    assert (run.loss > -1e-10 * max(scale, 1.0) ** 3).all()
    assert (np.triu(R) == 0).all()
    assert (np.diagonal(R, -1) == 1).all()
    # What the algorithm does from step 20 on leaves everything up to step 20 as it was, bit for bit.
    later = {"learning_rate": lambda t: eta * (1 + (t >= 20)), "temperature": lambda t: temperature + (t >= 20)}
    other = sg.solve(model, sg.Descent(**{**algorithm, **later}), steps=30, **options)
    for name in ("magnetization", "norm", "loss"):
        np.testing.assert_array_equal(other[name][:21], run[name][:21])
    np.testing.assert_array_equal(other.correlation[:21, :21], C[:21, :21])
    assert not np.array_equal(other.norm, run.norm)


# -- the registry ------------------------------------------------------------------------------------------------------


def test_only_a_scheme_that_is_to_be_registered_is():
    @dataclass(frozen=True, slots=True)  # makes the class twice
    class Passing(sg.Shuffled, register=False):
        pass

    assert not {"Passing", "Resting", "General", "Wrong"} & set(sg.Batches.registry)
    try:

        @dataclass(frozen=True, slots=True)
        class Staying(sg.Shuffled):
            pass

        assert sg.Batches.registry["Staying"] is Staying
    finally:
        del sg.Batches.registry["Staying"]
