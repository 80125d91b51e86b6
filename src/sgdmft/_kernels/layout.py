"""Names of what compiled code is handed: one array a kind, its rows or entries named here and nowhere else.

A named tuple of arrays costs nothing in compiled code, but some 0.3 us a field on the way in from Python. So the arrays
cross as they are, and the functions here (they are compiled, and serve Python as well) give their parts names.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sgdmft._kernels.compiled import compiled

# Floating-point freedom: sums may be reordered (SIMD), products fused; NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz"}
OPTIONS = {"nogil": True, "fastmath": _FAST, "error_model": "numpy", "no_cfunc_wrapper": True}
#: Of what only compiled code calls.
INNER = {**OPTIONS, "no_cpython_wrapper": True}

# Why a run of steps ended.
DONE, DIVERGED, RECOVERED = range(3)

#: The current time: t, coordinates in use, m(t), C(t,t), C12(t,t).
NOW = np.dtype(
    [("time", "i8"), ("coordinates", "i8"), ("magnetization", "f8"), ("norm", "f8"), ("replica_overlap", "f8")]
)


class Past(NamedTuple):
    """Operators M(v, s) of the past, shape (operators, entries), packed by rows: see `sgdmft._kernels.step`."""

    operators: np.ndarray
    row: np.ndarray
    end: np.ndarray


class Lines(NamedTuple):
    """Rows of the current time that travel with the coordinates, under every closure; C and R eta among them."""

    weight: np.ndarray
    magnetization: np.ndarray
    correlation: np.ndarray
    response: np.ndarray


class SampleLines(NamedTuple):
    """Those that least squares adds: f(m), P(t,s), C12(t,s)."""

    teacher: np.ndarray
    reselection: np.ndarray
    replica_correlation: np.ndarray


class Memory(NamedTuple):
    """What a closure fills in for row t: S_R(t,.) and S_C(t,.); then D(t,.), and room for products with C and R eta."""

    response: np.ndarray
    correlation: np.ndarray
    propagator: np.ndarray
    x1: np.ndarray
    x2: np.ndarray
    x3: np.ndarray


class Residuals(NamedTuple):
    """Rows at time t of the residual process; `value` is C(t,.) without weights, x1 and x2 products with G."""

    value: np.ndarray
    f: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    covariance: np.ndarray
    kernel: np.ndarray
    kernel_p: np.ndarray
    driven: np.ndarray
    multiplier: np.ndarray
    multipliers: np.ndarray
    x1: np.ndarray
    x2: np.ndarray


class Rates(NamedTuple):
    """The schedules at one step."""

    learning_rate: float
    batch_fraction: float
    momentum: float
    weight_decay: float
    temperature: float


class Bounds(NamedTuple):
    """Norm of the sphere (0: none), C(t,t) that counts as divergence, Delta(t) that counts as recovery."""

    sphere: float
    norm_limit: float
    stop_distance: float


class LeastSquares(NamedTuple):
    """Coefficients of f, f', f'', of the teacher's terms f(m) of K and f'(m) of kappa; and alpha, the constant
    of K, and 1, or 0 where m does not act back on C.
    """

    f: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    teacher: np.ndarray
    pull: np.ndarray
    alpha: float
    offset: float
    feedback: float


@compiled(**INNER)
def lines_of(table):
    return Lines(table[0], table[1], table[2], table[3])


@compiled(**INNER)
def sample_lines_of(table):
    return SampleLines(table[4], table[5], table[6])


@compiled(**INNER)
def memory_of(scratch):
    return Memory(scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5])


@compiled(**INNER)
def residuals_of(scratch):
    s = scratch[6:]
    return Residuals(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11])


@compiled(**INNER)
def rates_of(row):
    return Rates(row[0], row[1], row[2], row[3], row[4])


@compiled(**INNER)
def bounds_of(values):
    return Bounds(values[0], values[1], values[2])


@compiled(**INNER)
def least_squares_of(polynomials, constants):
    p = polynomials
    return LeastSquares(p[0], p[1], p[2], p[3], p[4], constants[0], constants[1], constants[2])
