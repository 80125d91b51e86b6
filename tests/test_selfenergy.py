"""Theories stated by their self-energy, against closed forms and published numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import brentq

import sgdmft as sg
from sgdmft.errors import Diverged, InvalidArgument
from sgdmft.problem.selfenergy import SelfEnergy, linear_regression, spherical_pspin, spiked_tensor
from sgdmft.superfield import Row, Superfield, signal

METHODS = {"dense": sg.Dense(), "compressed": sg.Compressed(order=8), "dyson": sg.Dyson()}
RANDOM = sg.Start(magnetization=0.0)


def semicircle(nodes=200):
    """Quadrature for the semicircle on [-2, 2], exact for polynomials of degree < 2 * nodes."""
    angle = np.arange(1, nodes + 1) * np.pi / (nodes + 1)
    return 2 * np.cos(angle), 2 * np.sin(angle) ** 2 / (nodes + 1)


def marchenko_pastur(alpha, nodes=400):
    """Quadrature for the spectrum of A^T A, A of shape (alpha N, N) with entries of variance 1/N."""
    low, high = (1 - np.sqrt(alpha)) ** 2, (1 + np.sqrt(alpha)) ** 2
    angle = np.arange(1, nodes + 1) * np.pi / (nodes + 1)
    x = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(angle)
    w = (0.5 * (high - low) * np.sin(angle)) ** 2 / (2 * x) / (nodes + 1)
    x, w = np.append(x, 0.0), np.append(w, max(0.0, 1 - alpha))
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    return x, w


# -- spherical p-spin ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_two_spin_is_exact_at_every_step(method):
    """f = q^2/2: x(t+1) ~ (1 - eta J) x(t), so C(t,s) and the energy are moments of the semicircle."""
    eta, steps = 0.2, 50
    every = sg.Save(two_time=range(steps + 1))
    model = spherical_pspin(sg.Covariance({2: 0.5}))
    run = sg.solve(
        model, sg.GradientDescent(eta, spherical=True), steps=steps, start=RANDOM, save=every, method=METHODS[method]
    )
    x, w = semicircle()
    t = np.arange(steps + 1)
    moment = np.array([w @ (1 + eta * x) ** n for n in range(2 * steps + 1)])
    expected = moment[np.add.outer(t, t)] / np.sqrt(np.outer(moment[2 * t], moment[2 * t]))
    np.testing.assert_allclose(run.correlation, expected, atol=1e-9 if method == "compressed" else 1e-12)
    energy = [-0.5 * (w @ (x * (1 + eta * x) ** (2 * n))) / moment[2 * n] for n in t]
    np.testing.assert_allclose(run.loss, energy, atol=1e-10 if method == "compressed" else 1e-12)


def richardson(values):
    """Extrapolation of values at halved steps with errors of order 1, 2, ...; returns it and the last correction."""
    table, order = [np.asarray(value) for value in values], 1
    while len(table) > 1:
        previous = table[-1]
        table = [(2**order * b - a) / (2**order - 1) for a, b in itertools.pairwise(table)]
        order += 1
    return table[0], np.abs(table[0] - previous)


def test_richardson_removes_the_orders():
    steps = 0.1 / 2 ** np.arange(4)
    value, _ = richardson([3.0 + h - 2 * h**2 + h**3 for h in steps])
    assert value == pytest.approx(3.0, abs=1e-13)
    wrong, wrong_error = richardson([3.0 + np.sqrt(h) for h in steps])
    assert abs(wrong - 3.0) > 0.01
    assert wrong_error > 0.001


def test_three_spin_gradient_flow():
    """Energy and C(t,0) of the p = 3 model at T = 0 (units f = q^3) at t = 1, 2, 5, 10, from steps halved three times."""
    known = np.array([[-1.21984, -1.38058, -1.50118, -1.55177], [0.62814, 0.47629, 0.32753, 0.24782]])
    model, values = spherical_pspin(sg.Covariance({3: 1.0})), []
    for halving in range(4):
        eta = 0.05 / 2**halving
        times = [round(t / eta) for t in (1, 2, 5, 10)]
        algorithm = sg.GradientDescent(eta, spherical=True)
        kept = sg.Save(two_time=[0, *times])
        run = sg.solve(model, algorithm, steps=times[-1], start=RANDOM, save=kept, method=sg.Dense())
        values.append(np.array([run.loss[times], run.correlation[1:, 0]]))
        if halving == 2:
            thin = sg.solve(model, algorithm, steps=times[-1], start=RANDOM, save=kept, method=sg.Compressed(order=8))
            assert thin.dataset.attrs["coordinates"] < times[-1] / 2  # panels have merged
            np.testing.assert_allclose(thin.loss, run.loss, atol=1e-9)
            np.testing.assert_allclose(thin.correlation, run.correlation, atol=1e-9)
            np.testing.assert_allclose(thin.response, run.response, atol=1e-7)
    value, error = richardson(values)
    assert error.max() < 2e-5  # the stated error of the extrapolation
    assert np.abs(value - known).max() < 5e-6 + error.max()
    # A step of gradient flow is of first order: the error halves with it.
    errors = [np.abs(v - value) for v in values]
    for coarse, fine in itertools.pairwise(errors[1:]):
        np.testing.assert_array_less(np.abs(coarse / fine - 2.0), 0.2)


def test_three_spin_langevin_reaches_equilibrium():
    """Above the dynamical transition (T_d = 0.612 for f = q^3/2) the energy tends to -f(1)/T, and TR = -dC/dt."""
    T, values = 1.5, []
    for eta in (0.1, 0.05, 0.025):
        algorithm = sg.GradientDescent(eta, temperature=T, spherical=True)
        steps = round(12 / eta)
        save = sg.Save(two_time=range(steps - 2, steps + 1))
        model = spherical_pspin(sg.Covariance({3: 0.5}))
        run = sg.solve(model, algorithm, steps=steps, start=RANDOM, save=save, method=sg.Dense())
        C, R = run.correlation, run.response
        # slope of C over [eta, 2 eta] and the response half a step on either side of its middle
        ratio = (C[2, 1] - C[2, 0]) / (eta * 0.5 * (R[2, 1] + R[2, 0]))
        values.append([run.loss[-1], ratio])
    value, error = richardson(values)
    assert np.all(error < [2e-3, 0.02])
    assert abs(value[0] + 0.5 / T) < 1e-3
    assert abs(value[1] - T) < 0.03


@pytest.mark.slow
def test_three_spin_energy_tends_to_its_threshold():
    """Usual units f = q^3/2, T = 0: the energy tends to -2/sqrt(3) with an excess ~ t^(-2/3)."""
    eta, steps = 0.1, 20000
    model = spherical_pspin(sg.Covariance({3: 0.5}))
    algorithm = sg.GradientDescent(eta, spherical=True)
    run = sg.solve(model, algorithm, steps=steps, start=RANDOM, method=sg.Compressed(), save=sg.Save(two_time=0))
    excess = run.loss + 2 / np.sqrt(3)
    assert 0 < excess[-1] < 0.005
    times = np.array([2500, 5000, 10000])
    exponents = np.log2(excess[2 * times] / excess[times])
    np.testing.assert_allclose(exponents, -2 / 3, atol=0.03)


# -- planted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("snr", [0.5, 2.0])
def test_spiked_matrix_is_exact_at_every_step(method, snr):
    """f = q^2/2: x(t+1) ~ (1 + eta J + eta snr x* x*^T) x(t); x* sees a semicircle over 1 + snr^2 - snr l, and a spike."""
    eta, steps, m0 = 0.2, 30, 0.3
    model = spiked_tensor(sg.Covariance({2: 0.5}), snr)
    start = sg.Start(magnetization=m0)
    run = sg.solve(model, sg.GradientDescent(eta, spherical=True), steps=steps, start=start, method=METHODS[method])
    x, w = semicircle()
    seen = w / (1 + snr**2 - snr * x)
    x_seen, seen = np.append(x, snr + 1 / snr), np.append(seen, max(0.0, 1 - snr**-2))
    assert seen.sum() == pytest.approx(1.0, abs=1e-12)
    A = np.array([seen @ (1 + eta * x_seen) ** n for n in range(2 * steps + 1)])
    B = np.array([w @ (1 + eta * x) ** n for n in range(2 * steps + 1)])
    t = np.arange(steps + 1)
    expected = m0 * A[t] / np.sqrt(m0**2 * A[2 * t] + (1 - m0**2) * B[2 * t])
    np.testing.assert_allclose(run.magnetization, expected, atol=1e-10)


def test_spiked_tensor_ends_in_its_minimum():
    """p = 3, strong signal: descent ends where m / sqrt(1 - m^2) = snr f'(m) / sqrt(f'(1))."""
    f, snr = sg.Covariance({3: 0.5}), 3.0
    algorithm = sg.GradientDescent(0.1, spherical=True)
    run = sg.solve(spiked_tensor(f, snr), algorithm, steps=200, start=sg.Start(magnetization=0.6))
    root = brentq(lambda m: m / np.sqrt(1 - m * m) - snr * f.derivative(m) / np.sqrt(f.derivative(1.0)), 0.8, 0.9999)
    assert run.magnetization[-1] == pytest.approx(root, abs=1e-10)
    # H is homogeneous of degree 3, so its value there is -mu / 3 with mu = f''(1) chi + 1 / chi and 1 - m^2 = f'(1) chi^2.
    chi = np.sqrt((1 - root**2) / f.derivative(1.0))
    assert run.loss[-1] == pytest.approx(-(f.derivative(1.0, order=2) * chi + 1 / chi) / 3, abs=1e-9)


# -- linear regression ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "noise", "ridge"), [(0.5, 0.0, 0.0), (2.0, 0.3, 0.2), (1.5, 0.1, 0.0)])
def test_linear_regression_by_marchenko_pastur(alpha, noise, ridge):
    eta, steps, m0 = 0.15, 40, 0.2
    algorithm = sg.GradientDescent(eta, weight_decay=ridge)
    start, every = sg.Start(magnetization=m0), sg.Save(two_time=range(steps + 1))
    run = sg.solve(linear_regression(alpha, noise), algorithm, steps=steps, start=start, save=every)
    x, w = marchenko_pastur(alpha)
    t = np.arange(steps + 1)[:, None]
    decay = (1 - eta * (x + ridge)) ** t
    with np.errstate(invalid="ignore"):
        gain = np.where(x + ridge > 0, (1 - decay) / (x + ridge), eta * t)  # sum of the geometric series times eta
    mean = decay * m0 + gain * x
    np.testing.assert_allclose(run.magnetization, mean @ w, atol=1e-12)
    C = (mean * w) @ mean.T + (1 - m0**2) * (decay * w) @ decay.T + noise * (gain * x * w) @ gain.T
    np.testing.assert_allclose(run.correlation, C, atol=1e-12)
    # The same model as least squares of Gaussian functions, by the sweep.
    model = sg.GaussianLeastSquares(alpha=alpha, covariance=sg.Covariance({1: 1.0}), labels=sg.Teacher(noise=noise))
    sweep = sg.solve(model, algorithm, steps=steps, start=start, save=every, method=sg.Dense())
    np.testing.assert_allclose(run.correlation, sweep.correlation, atol=1e-12)
    np.testing.assert_allclose(run.response, sweep.response, atol=1e-12)


# -- the way in ----------------------------------------------------------------------------------------------------


@st.composite
def pointwise_problems(draw):
    f = sg.Covariance({draw(st.integers(2, 3)): draw(st.floats(0.0, 0.5)), draw(st.integers(1, 4)): 0.5})
    algorithm = sg.GradientDescent(
        draw(st.lists(st.floats(0.02, 0.1), min_size=30, max_size=30)),
        temperature=draw(st.sampled_from([0.0, 0.5])),
        momentum=draw(st.sampled_from([0.0, 0.3])),
        weight_decay=draw(st.sampled_from([0.0, 0.5])),
        spherical=True,
    )
    start = sg.Start(magnetization=draw(st.floats(-0.8, 0.8)), norm=draw(st.floats(0.7, 1.3)))
    model = spiked_tensor(f, draw(st.floats(0.0, 2.0)))
    return {"model": model, "algorithm": algorithm, "start": start, "steps": draw(st.integers(0, 30))}


@settings(max_examples=25)
@given(pointwise_problems())
def test_dense_is_compressed_is_dyson(problem):
    every = sg.Save(two_time=range(problem["steps"] + 1))
    dense, compressed, dyson = (
        sg.solve(**problem, save=every, method=m) for m in (sg.Dense(), sg.Compressed(order=4), sg.Dyson())
    )
    for name in ("magnetization", "norm", "loss", "correlation", "response"):
        np.testing.assert_allclose(dense[name], dyson[name], rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(dense[name], compressed[name], rtol=1e-7, atol=1e-7)


def test_a_row_is_the_last_row():
    """Evaluated on its last row, a pointwise self-energy gives the last row of what it gives on the whole."""
    rng = np.random.default_rng(0)
    n = 6
    C = rng.normal(size=(n, n))
    Q = Superfield(C + C.T, np.tril(rng.normal(size=(n, n)), -1))
    row = Row(Q.correlation[-1], Q.response[-1], np.ones(n))
    f = sg.Covariance({1: 0.3, 3: 0.4})
    for sigma in (
        lambda Q: -f.derivative(Q),
        lambda Q: 2.0 * Q * Q.apply(np.sin, np.cos) - signal(Q) * Q,
        lambda Q: (Q + 1.0) / 2.0 - Q * Q * Q,
    ):
        whole, last = sigma(Q), sigma(row)
        np.testing.assert_allclose(last.correlation[0], whole.correlation[-1])
        np.testing.assert_allclose(last.response[0], whole.response[-1])
        np.testing.assert_allclose(last.integral()[0], whole.integral()[-1])


def test_refusals():
    f = sg.Covariance({3: 0.5})
    sphere, free = sg.GradientDescent(0.1, spherical=True), sg.GradientDescent(0.1)
    with pytest.raises(InvalidArgument, match="method=Dyson"):
        sg.solve(linear_regression(1.0), free, steps=3, method=sg.Dense())
    with pytest.raises(InvalidArgument, match="minibatches"):
        sg.solve(spherical_pspin(f), sg.SGD(0.1, 0.5), steps=3)
    with pytest.raises(InvalidArgument, match="replicas"):
        sg.solve(spherical_pspin(f), sphere, steps=3, save=sg.Save(replicas=2))
    with pytest.raises(InvalidArgument, match="must be a `GaussianLeastSquares`"):
        sg.Linearized(spherical_pspin(f))  # type: ignore[arg-type]
    for bad in (lambda Q: Q.correlation, lambda Q: Superfield(np.eye(1), np.zeros((1, 1)))):
        for method in (sg.Dense(), sg.Dyson()):
            with pytest.raises(InvalidArgument, match="must return"):
                sg.solve(SelfEnergy(bad, name="mine"), free, steps=3, method=method)
    with pytest.raises(InvalidArgument, match="must return"):
        sg.solve(SelfEnergy(lambda Q: Q @ Q), free, steps=3, method=sg.Dyson())
    with pytest.raises(InvalidArgument, match="`sigma` must be a function"):
        SelfEnergy(3)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="immutable"):
        spherical_pspin(f).name = "other"  # type: ignore[misc]
    for method in (sg.Dense(), sg.Dyson()):
        with pytest.raises(Diverged, match="Lower the learning rate"):
            sg.solve(spherical_pspin(f), free, steps=200, method=method)


def test_a_trajectory_without_energy(tmp_path):
    run = sg.solve(SelfEnergy(lambda Q: 0.0 * Q, name="free"), sg.GradientDescent(0.1, temperature=1.0), steps=10)
    np.testing.assert_allclose(run.norm, 1 + 0.2 * np.arange(11))
    assert np.isnan(run.loss).all()
    run.save(tmp_path / "free.nc")
    again = sg.load(tmp_path / "free.nc")
    assert again.dataset.attrs["model"] == "SelfEnergy('free')"
    np.testing.assert_array_equal(again.norm, run.norm)
