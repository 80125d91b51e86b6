"""The equations printed in the talk, evaluated on what `solve` returns: mended they hold to rounding, as printed not.

Talk: 'Statistical physics of stochastic gradient descent' (P. Urbani, 2023), its slides 'Dynamical mean field theory'.
The kernels of the talk are Lambda_R = L / eta and Lambda_C = -G.
"""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.dmft.dyson_matrices import LeastSquares
from sgdmft.superfield import Superfield

ALPHA, ETA, STEPS = 1.7, 0.13, 40


@pytest.fixture(scope="module", params=[1.0, 0.3], ids=["full batch", "b = 0.3"])
def solved(request):
    """C, R, m of the sweep, and Lambda_R, Lambda_C computed from them by the superfield algebra."""
    model, algorithm = sg.GaussianLeastSquares(alpha=ALPHA), sg.SGD(ETA, request.param)
    every = sg.Save(two_time=range(STEPS + 1))
    run = sg.solve(model, algorithm, steps=STEPS, start=sg.Start(magnetization=0.2), method=sg.Dense(), save=every)
    C, R, m = run.correlation, run.response, run.magnetization
    n = STEPS + 2
    points = np.zeros((2, n, n))
    points[0, 0, 0], points[0, 0, 1:], points[0, 1:, 0], points[0, 1:, 1:] = 1.0, m, m, C
    points[1, 1:, 1:] = R * ETA
    multipliers = LeastSquares(model, algorithm, STEPS).multipliers(Superfield(*points))
    return C, R, m, multipliers.response[1:, 1:] / ETA, multipliers.correlation[1:, 1:]


def largest_error(solved, printed):
    """Largest |left - right| over all steps of the equations for m(t+1), C(t+1,t'), R(t+1,t') and C(t+1,t+1)."""
    C, R, m, LR, LC = solved
    a, e = ALPHA, ETA
    worst = np.zeros(4)
    for t in range(STEPS):
        past = slice(0, t + 1)
        A = LR[t, past] * C[t, past] + LC[t, past] * R[t, past]
        sum_LR = LR[t, past].sum()
        new_m = m[t] - e**2 * a * (A @ m[past] - m[t] * sum_LR)
        omega_1 = np.array([
            a * e * (
                m[t] * m[u] * sum_LR
                - (LC[t, past] * C[t, past]) @ (R[past, u] if "theta" in printed else R[u, past])
                - A @ C[u, past]
            )
            for u in range(t + 1)
        ])  # fmt: skip
        kept = 0.0 if "R" in printed else R[t, past]
        new_R = kept + (np.arange(t + 1) == t) - e**2 * a * (A @ np.tril(R[past, past], -1))
        first = np.outer(A, A)
        if "bracket" in printed:
            first = np.outer(A, np.ones(t + 1)) * (
                LR[t, past, None] * C[t, None, past] + LC[t, past, None] * R[t, None, past]
            )
        last = a * e * sum_LR * (1.0 if "last" in printed else m[t])
        omega_2 = (
            a**2 * e**2 * (first * C[past, past]).sum()
            - 2 * a**2 * e**2 * m[t] * sum_LR * (A @ m[past])
            + 2 * a**2 * e**2 * A @ np.tril(R[past, past]) @ (LC[t, past] * C[t, past])
            - a * LC[t, t] * C[t, t]
            + last**2
        )
        errors = (
            new_m - m[t + 1],
            C[t, past] + e * omega_1 - C[t + 1, past],
            new_R - R[t + 1, past],
            C[t, t] + 2 * e * omega_1[t] + e**2 * omega_2 - C[t + 1, t + 1],
        )
        worst = np.maximum(worst, [np.max(np.abs(error)) for error in errors])
    return worst


def test_mended_equations_hold(solved):
    assert largest_error(solved, printed=()).max() < 1e-13


@pytest.mark.parametrize(("misprint", "equation"), [("R", 2), ("bracket", 3), ("last", 3)])
def test_printed_equations_do_not_hold(solved, misprint, equation):
    worst = largest_error(solved, printed=(misprint,))
    assert worst[equation] > 1e-3
    assert np.delete(worst, equation).max() < 1e-13


def test_printed_superfield_does_not_hold(solved):
    """Q(a,b) = C + theta_a R(t_b,t_a) + theta_b R(t_a,t_b). As printed theta_b comes with R(t_b,t_a), the response to the
    future: the equations for C do not hold with it, and the algebra refuses it."""
    C, R, _, _, _ = solved
    worst = largest_error(solved, printed=("theta",))
    assert worst[[1, 3]].min() > 1e-3
    assert worst[[0, 2]].max() < 1e-13
    assert Superfield(C, R).symmetric
    with pytest.raises(sg.errors.InvalidArgument, match="causal"):
        Superfield(C, R.T)


def test_dyson_equation_of_the_talk(solved):
    """Q^-1 = K + Sigma with Sigma = alpha Lambda o f'(Q): one application of (K + Sigma)^-1 returns Q."""
    C, R, m, LR, LC = solved
    # The weights' equation of motion in the same matrices: kicks at t respond by R, forces by R eta.
    S_R, S_C = ALPHA * (LR * ETA * C + LC * R * ETA), ALPHA * LC * C
    pull = ALPHA * m * (LR * ETA).sum(axis=1)
    n = STEPS + 1
    shift = np.eye(n, k=-1)
    inverse = np.eye(n) - shift + ETA * shift @ S_R
    propagator = np.linalg.inv(inverse)
    np.testing.assert_allclose(propagator[:, 1:], R[:, :-1], atol=1e-13)
    start, driven = np.eye(n)[0], ETA * shift @ pull
    np.testing.assert_allclose(propagator @ (start * m[0] + driven), m, atol=1e-13)
    kinetic = np.outer(start, start) * (1.0 - m[0] ** 2) + np.outer(start * m[0] + driven, start * m[0] + driven)
    np.testing.assert_allclose(propagator @ (kinetic - ETA**2 * shift @ S_C @ shift.T) @ propagator.T, C, atol=1e-13)
