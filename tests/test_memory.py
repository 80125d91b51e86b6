"""Whatever is asked for, memory is looked at before it is taken."""

import resource
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.errors import TooLarge
from sgdmft.simulation.gaussian import _symmetrize

MODEL, DESCENT = sg.GaussianLeastSquares(alpha=2.0), sg.GradientDescent(0.1)
HUGE = 10**9
CUBIC = sg.GaussianLeastSquares(alpha=4.0, covariance=sg.Covariance({3: 0.5}))
TOO_MUCH = {
    "saved times": lambda: sg.solve(MODEL, DESCENT, steps=100_000, save=sg.Save(two_time=HUGE)),
    "saved times of a simulation": lambda: sg.simulate(MODEL, DESCENT, steps=HUGE, save=sg.Save(two_time=HUGE)),
    "steps": lambda: sg.solve(MODEL, DESCENT, steps=HUGE),
    "steps of a simulation": lambda: sg.simulate(MODEL, DESCENT, steps=HUGE),
    "power": lambda: sg.Covariance({HUGE: 1.0}),
    "leaf": lambda: sg.solve(MODEL, DESCENT, steps=10**7, method=sg.Compressed(order=10**6)),
    "epoch": lambda: sg.solve(
        MODEL, sg.Descent(learning_rate=0.1, batches=sg.Shuffled(HUGE)), steps=100, method=sg.Compressed()
    ),
    "every saved time": lambda: sg.solve(
        MODEL, DESCENT, steps=2000, save=sg.Save(two_time=list(range(2001))), method=sg.Compressed(memory_limit=1e7)
    ),
    "tensor": lambda: sg.simulate(CUBIC, DESCENT, steps=1, size=400, samples=1),
}


@pytest.mark.parametrize("call", TOO_MUCH.values(), ids=TOO_MUCH)
def test_too_much_is_refused_before_it_is_taken(call):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge, match="limit"):
        call()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_what_looks_large_and_is_not_runs():
    sg.solve(MODEL, DESCENT, steps=20, method=sg.Compressed(order=HUGE))
    sg.solve(MODEL, DESCENT, steps=20, save=sg.Save(two_time=HUGE))
    batches = sg.Shuffled(HUGE)
    few = sg.Descent(learning_rate=1e-9, batches=batches)
    assert sg.simulate(MODEL, few, steps=3, size=20, samples=2).status is sg.Status.COMPLETED
    high = sg.GaussianLeastSquares(alpha=2.0, covariance=sg.Covariance({12: 1.0}))
    assert sg.simulate(high, sg.GradientDescent(1e-4), steps=2, size=2, samples=2).status is sg.Status.COMPLETED


def test_every_step_is_saved_where_more_times_are_asked_for():
    for steps in (1, 7, 50):
        for count in (10 * steps * steps + 100, HUGE):
            assert sg.Save(two_time=count).two_times(steps).tolist() == list(range(steps + 1))


@pytest.mark.parametrize("order", [3, 4, 5])
def test_a_symmetrized_tensor_is_the_mean_over_all_permutations(order):
    tensors = np.random.default_rng(0).standard_normal((3, *(2,) * order))
    mean = np.mean([tensors.transpose(0, *(1 + np.array(axes))) for axes in permutations(range(order))], axis=0)
    flat = tensors.reshape(3, -1).copy()
    _symmetrize(flat, 2, order)
    np.testing.assert_allclose(flat.reshape(tensors.shape), mean, rtol=1e-13, atol=1e-15)


def test_tensors_take_no_more_than_they_say():
    program = """
import resource, sgdmft as sg
model = sg.GaussianLeastSquares(alpha=4.0, covariance=sg.Covariance({3: .5}))
options = dict(steps=1, samples=1, workers=1, save=sg.Save(two_time=0))
sg.simulate(model, sg.GradientDescent(.01), size=4, **options)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sg.simulate(model, sg.GradientDescent(.01), size=44, memory_limit=1.6e8, **options)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 170_000  # kB; the couplings are 120 MB
