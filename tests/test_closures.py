"""The closure as an interface: rows one by one against compiled steps, polynomial self-energies, a run that is held."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.dmft.closures import Closure, LeastSquares, Pointwise, Polynomial
from sgdmft.dmft.history import History
from sgdmft.dmft.integrator import Integrator
from sgdmft.errors import InvalidArgument
from sgdmft.problem.selfenergy import SelfEnergy, spherical_pspin, spiked_tensor

MIXED = sg.GaussianLeastSquares(
    alpha=1.2, covariance=sg.Covariance({1: 0.2, 2: 0.4, 3: 0.1}), labels=sg.Teacher(noise=0.3)
)
CUBIC = sg.Covariance({2: 0.2, 3: 0.5})
COLD = sg.GradientDescent(0.05, spherical=True, temperature=0.2, momentum=0.2)


def integrate(closure, algorithm, steps, *, compressed, start=None):
    """m, C(t,t) and the loss at each step, and C and R eta at the last one."""
    if compressed:
        past = History.with_panels(steps + 8, closure.layout, 20.0, order=8, phases=algorithm.batches.phases)
    else:
        past = History.dense(steps, closure.layout)
    run = Integrator(closure, algorithm, algorithm.rates(steps), past, start or sg.Start(), tolerance=1e-7)
    out = np.zeros((steps, 4))
    assert run.advance(steps, out) == steps
    times = np.arange(steps)
    return np.concatenate([out[:, :3].ravel(), run.correlation_row(times), run.response_row(times)])


def by_rows(cls):
    """The closure with steps taken one by one, as one without compiled code of its own takes them."""
    return type(f"{cls.__name__}ByRows", (cls,), {"advance": Closure.advance})


@pytest.mark.parametrize("compressed", [False, True], ids=["dense", "compressed"])
@pytest.mark.parametrize("batches", [sg.Bernoulli(0.4), sg.Shuffled(3), sg.Persistent(0.4, memory=0.6)], ids=repr)
def test_rows_of_least_squares_are_its_compiled_steps(batches, compressed):
    algorithm = sg.Descent(learning_rate=0.1, batches=batches, momentum=0.3, weight_decay=0.1, temperature=0.1)
    one, other = (
        integrate(cls(MIXED), algorithm, 150, compressed=compressed) for cls in (LeastSquares, by_rows(LeastSquares))
    )
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("compressed", [False, True], ids=["dense", "compressed"])
@pytest.mark.parametrize("model", [spherical_pspin(CUBIC), spiked_tensor(CUBIC, 1.3)], ids=repr)
def test_polynomial_self_energies_run_compiled(model, compressed):
    start = sg.Start(magnetization=0.3)
    one, other = (
        integrate(cls(model), COLD, 150, compressed=compressed, start=start) for cls in (Pointwise, Polynomial)
    )
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    run = sg.Dense().begin(sg.Request(model=model, algorithm=COLD, steps=5))
    assert type(run.integrator.closure) is Polynomial


@pytest.mark.parametrize(
    "model",
    [
        SelfEnergy(lambda Q: -Q.apply(np.sinh, np.cosh)),
        SelfEnergy(lambda Q: -CUBIC.derivative(Q), energy=lambda Q: -(CUBIC(Q).integral() ** 2)),
        SelfEnergy(lambda Q: -CUBIC.derivative(Q), energy=lambda Q: Q.correlation[:, -1]),
        SelfEnergy(lambda Q: (1.0 + abs(float(Q.correlation[0, 0]))) * Q),
    ],
    ids=["not a polynomial", "square of an integral", "energy of C(t,t)", "factor m"],
)
def test_what_is_no_polynomial_is_seen(model):
    """No self-energy is taken for one it is not; and without a text form it is refused a checkpoint."""
    assert model.polynomials is None
    assert np.isfinite(sg.solve(model, sg.GradientDescent(0.01), steps=3).norm).all()
    with pytest.raises(InvalidArgument, match="no text form"):
        sg.solve(model, sg.GradientDescent(0.01), steps=3, checkpoint=sg.Checkpoint("never.ckpt"))


def test_a_run_can_be_held():
    """Advanced in pieces, asked in between, continued from its state: always the run that `solve` makes."""
    algorithm, save = sg.Descent(learning_rate=0.1, batches=sg.Shuffled(3)), sg.Save(two_time=9, every=7)
    for method in (sg.Dense(), sg.Compressed(order=6)):
        request = sg.Request(model=MIXED, algorithm=algorithm, steps=200, save=save)
        run, other = method.begin(request), method.begin(request)
        run.advance(90)
        middle = run.trajectory()
        assert (run.t, run.ended, middle.time[-1], middle.status) == (90, False, 90, sg.Status.INTERRUPTED)
        loss = middle.loss.copy()
        other.restore({name: values.copy() for name, values in run.state().items()})
        sent = pickle.loads(pickle.dumps(other))
        for held in (run, other, sent, copy.deepcopy(sent)):
            while not held.ended:
                held.advance(33)
            whole, exact = held.trajectory(), sg.solve(MIXED, algorithm, steps=200, save=save, method=method)
            for name in ("time", "loss", "magnetization", "norm", "correlation", "response", "integrated_response"):
                np.testing.assert_array_equal(whole[name], exact[name])
        np.testing.assert_array_equal(middle.loss, loss)  # a picture of the past stays as it was
        assert middle.loss[:-1].tolist() == whole.loss[: len(loss) - 1].tolist()
        run.advance(5)
        assert run.t == 200


def test_a_self_energy_resumes(tmp_path):
    """Also where the model object is another one: polynomials are its identity."""
    checkpoint = sg.Checkpoint(tmp_path / "pspin.ckpt", seconds=0.0)
    whole = sg.solve(spherical_pspin(CUBIC), COLD, steps=600, method=sg.Compressed())
    request = sg.Request(model=spherical_pspin(CUBIC), algorithm=COLD, steps=600)
    again = sg.Request(model=SelfEnergy(lambda Q: -CUBIC.derivative(Q), name="mine",
                                        energy=lambda Q: -CUBIC(Q).integral()), algorithm=COLD, steps=600)  # fmt: skip
    assert request.identity == again.identity
    stopped = []

    class Cancel:
        def is_set(self):
            stopped.append(True)
            return len(stopped) > 2

    part = sg.solve(
        spherical_pspin(CUBIC), COLD, steps=600, method=sg.Compressed(), checkpoint=checkpoint, cancel=Cancel()
    )
    assert part.status is sg.Status.INTERRUPTED
    assert checkpoint.exists()
    other = spherical_pspin(sg.Covariance({2: 0.2, 3: 0.50000001}))
    with pytest.raises(InvalidArgument, match="belongs to another run"):
        sg.solve(other, COLD, steps=600, method=sg.Compressed(), checkpoint=checkpoint)
    resumed = sg.solve(again.model, COLD, steps=600, method=sg.Compressed(), checkpoint=checkpoint)
    np.testing.assert_array_equal(resumed.loss, whole.loss)


def test_dyson_is_a_run_like_the_others():
    request = sg.Request(model=MIXED, algorithm=sg.SGD(0.1, 0.3), steps=30)
    run = sg.Dyson().begin(request)
    run.advance(5)
    assert 5 <= run.t < 30
    part = run.trajectory()
    run.advance()
    assert run.status is sg.Status.COMPLETED
    np.testing.assert_allclose(part.loss, run.trajectory().loss[: len(part.loss)], rtol=1e-12)
