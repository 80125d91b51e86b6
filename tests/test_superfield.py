"""Laws of the algebra of causal two-time superfields, on random superfields."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import sgdmft as sg
from sgdmft.errors import InvalidArgument
from sgdmft.superfield import Superfield, against_signal, onto_signal, signal

LAWS = settings(deadline=None, max_examples=40)
TIGHT = {"rtol": 1e-11, "atol": 1e-11}


def draw_general(rng, n, *, strict=False):
    """A superfield without symmetry; responses at equal times between 0.5 and 1.5, or none."""
    C, R, S = rng.normal(size=(3, n, n))
    parts = [np.tril(0.3 * part, -1) + (0 if strict else np.diag(rng.uniform(0.5, 1.5, n))) for part in (R, S)]
    return Superfield(C, *parts)


def draw_symmetric(rng, n, *, strict=False):
    A = draw_general(rng, n, strict=strict)
    return Superfield(0.5 * (A.correlation + A.correlation.T), A.response)


@st.composite
def three(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 7))
    return [draw_general(rng, n) for _ in range(3)]


@st.composite
def three_strict(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 7))
    return [draw_symmetric(rng, n, strict=True) for _ in range(3)]


def assert_same(A, B):
    for name in ("correlation", "response", "reverse"):
        np.testing.assert_allclose(getattr(A, name), getattr(B, name), **TIGHT)


def test_the_comparison_rejects_a_wrong_part():
    A = draw_general(np.random.default_rng(0), 4)
    for change in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        with pytest.raises(AssertionError):
            assert_same(
                A, Superfield(*(part + 1e-6 * on * np.eye(4) for part, on in zip(_parts(A), change, strict=True)))
            )


def _parts(A):
    return A.correlation, A.response, A.reverse


# -- by definition: (6.1) with explicit nilpotent theta ------------------------------------------------------------


def expand(A):
    """Coefficients of 1, theta_a, theta_b in A(a,b), as functions of (t_a, t_b)."""
    return {"1": A.correlation, "a": A.reverse.T, "b": A.response}


@LAWS
@given(three())
def test_product_is_the_grassmann_integral(fields):
    A, B, _ = fields
    one, two, product = expand(A), expand(B), expand(A @ B)
    n = len(A)
    for i in range(n):
        for j in range(n):
            # int dtheta_c [A1 + theta_a Aa + theta_c Ac] [B1 + theta_c Bc + theta_b Bb]: the coefficient of theta_c
            value = sum(one["1"][i, k] * two["a"][k, j] + one["b"][i, k] * two["1"][k, j] for k in range(n))
            theta_a = sum(one["a"][i, k] * two["a"][k, j] for k in range(n))
            theta_b = sum(one["b"][i, k] * two["b"][k, j] for k in range(n))
            np.testing.assert_allclose(
                [product["1"][i, j], product["a"][i, j], product["b"][i, j]], [value, theta_a, theta_b], **TIGHT
            )


# -- laws ----------------------------------------------------------------------------------------------------------


@LAWS
@given(three())
def test_product_is_associative_and_distributes(fields):
    A, B, D = fields
    assert_same((A @ B) @ D, A @ (B @ D))
    assert_same(A @ (B + 2.0 * D), A @ B + 2.0 * (A @ D))
    assert_same(A @ A.identity, A)
    assert_same(A.identity @ A, A)


@LAWS
@given(three())
def test_inverse_of_a_product_and_transposes(fields):
    A, B, _ = fields
    assert_same(A @ A.inverse(), A.identity)
    assert_same(A.inverse() @ A, A.identity)
    assert_same((A @ B).inverse(), B.inverse() @ A.inverse())
    assert_same((A @ B).T, B.T @ A.T)
    assert_same(A.T.inverse(), A.inverse().T)


@LAWS
@given(three_strict())
def test_symmetry_is_kept_and_known(fields):
    A, B, D = fields
    for field in (A + B, A * B, A - D, A.apply(np.cos, lambda x: -np.sin(x)), (A.identity + A).inverse(), 3 * A):
        assert field.symmetric
        np.testing.assert_array_equal(field.correlation, field.correlation.T)
    left = A.identity + A @ B
    assert not left.symmetric
    assert_same((left @ D @ left.T).symmetrized(), left @ D @ left.T)


@LAWS
@given(three_strict())
def test_pointwise_algebra(fields):
    A, B, D = fields
    assert_same(A * B, B * A)
    assert_same((A * B) * D, A * (B * D))
    assert_same(A * (B + D), A * B + A * D)
    assert_same(A * (A.apply(np.ones_like, np.zeros_like)), A)


@st.composite
def two_general_strict(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 7))
    return [draw_general(rng, n, strict=True) for _ in range(2)]


@LAWS
@given(two_general_strict())
def test_pointwise_by_definition(fields):
    """A(a,b) B(a,b) and f(A(a,b)) with explicit theta, where A(a,b) != A(b,a)."""
    A, B = fields
    one, two = expand(A), expand(B)
    product, exponential = expand(A * B), expand(A.apply(np.exp, np.exp))
    np.testing.assert_allclose(product["1"], one["1"] * two["1"], **TIGHT)
    for theta in ("a", "b"):
        np.testing.assert_allclose(product[theta], one["1"] * two[theta] + one[theta] * two["1"], **TIGHT)
        np.testing.assert_allclose(exponential[theta], np.exp(one["1"]) * one[theta], **TIGHT)
    assert_same((A * B).T, A.T * B.T)


@LAWS
@given(three_strict())
def test_functions_are_their_power_series(fields):
    A, _, _ = fields
    term, series = 0.0 * A + 1.0, 0.0 * A
    for k in range(1, 40):
        series, term = series + term, term * A / k
    assert_same(A.apply(np.exp, np.exp), series)
    f = sg.Covariance({0: 0.3, 1: 0.4, 2: 0.5, 5: 0.1})
    assert_same(f(A), A.apply(f, f.derivative))
    assert_same(f(A), 0.3 + 0.4 * A + 0.5 * (A * A) + 0.1 * (A * A * A * A * A))


@LAWS
@given(three())
def test_causality_and_traces(fields):
    A, B, D = fields
    for field in (A @ B, A.inverse(), A + B, A.T):
        assert not np.triu(field.response, 1).any()
        assert not np.triu(field.reverse, 1).any()
    np.testing.assert_allclose((A @ B @ D).trace(), (D @ A @ B).trace(), **TIGHT)
    strict = draw_general(np.random.default_rng(1), len(A), strict=True)
    assert (strict @ A).trace() == 0.0  # no closed loops of responses
    np.testing.assert_allclose(A.integral(), A.response @ np.ones(len(A)))


def test_reverse_is_needed():
    """(C, R) alone, with C = R_A C_B + C_A R_B^T, would not be associative: the product of symmetric ones has S != R."""

    def pair(A, B):
        return A[1] @ B[0] + A[0] @ B[1].T, A[1] @ B[1]

    A, B, D = (_parts(draw_symmetric(np.random.default_rng(k), 4))[:2] for k in range(3))
    assert np.abs(pair(pair(A, B), D)[0] - pair(A, pair(B, D))[0]).max() > 1e-2


def test_signal_maps_are_adjoint():
    """sum u(t) [h(x(t)) - h(x*)] pulls on h at all points by B^T u: <u u> for real times, minus the row sums at *."""
    rng = np.random.default_rng(3)
    n = 5
    B = np.eye(n)
    B[1:, 0], B[0, 0] = -1.0, 0.0
    h = draw_symmetric(rng, n, strict=True)
    h = Superfield(h.correlation, h.response * (np.arange(n) > 0))  # the signal is never pushed
    np.testing.assert_allclose(against_signal(h).correlation, B @ h.correlation @ B.T, **TIGHT)
    u = draw_symmetric(rng, n)
    u = Superfield(u.correlation * np.outer(np.arange(n) > 0, np.arange(n) > 0), u.response * (np.arange(n) > 0))
    pulled = onto_signal(u)
    np.testing.assert_allclose(pulled.response[1:], (u.response @ B)[1:], **TIGHT)
    assert signal(h).response[1:, 0].all()
    assert signal(h).response.sum() == n - 1


# -- refusals and printing -----------------------------------------------------------------------------------------


def test_refusals():
    rng = np.random.default_rng(0)
    A, B = draw_symmetric(rng, 3), draw_symmetric(rng, 4)
    strict = draw_symmetric(rng, 3, strict=True)
    cases = {
        "shapes": lambda: A @ B,
        "strictly causal": lambda: A * A,
        "equal times": lambda: A.apply(np.exp, np.exp),
        "no inverse": strict.inverse,
        "square matrix": lambda: Superfield(np.ones(3), np.ones(3)),
        "causal": lambda: Superfield(np.eye(2), np.ones((2, 2))),
        "must be symmetric": lambda: Superfield(np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros((2, 2))),
        "2 points": lambda: Superfield(np.eye(3), np.zeros((2, 2))),
        "not symmetric": (A @ draw_symmetric(rng, 3)).symmetrized,
    }
    for words, call in cases.items():
        with pytest.raises(InvalidArgument, match=words):
            call()
    with pytest.raises(TypeError):
        A @ np.eye(3)
    with pytest.raises(TypeError):
        A * np.eye(3)
    with pytest.raises(AttributeError, match="immutable"):
        A.correlation = np.eye(3)
    with pytest.raises(ValueError, match="read-only"):
        A.correlation[0, 0] = 1.0


@settings(max_examples=10)
@given(st.integers(1, 9))
def test_prints_as_mathematics(n):
    A = draw_general(np.random.default_rng(n), n)
    text = A._repr_latex_()
    assert text.startswith("$")
    assert text.endswith("$")
    assert text.count(r"\begin{pmatrix}") == 3
    assert text.count("{") == text.count("}")
    assert (r"\ddots" in text) == (n > 5)
    assert "points" in repr(A)
