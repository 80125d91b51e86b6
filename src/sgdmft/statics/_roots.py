"""Where a function changes its sign, or a statement its truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy.optimize import brentq


def root(function: Callable[[float], float], low: float, high: float, tolerance: float = 1e-14) -> float:
    """The root between two points of different sign, to an absolute or relative `tolerance`, whichever is larger."""
    rtol: Any = tolerance
    found: Any = brentq(function, low, high, xtol=tolerance, rtol=rtol)
    return float(found)


def boundary(holds: Callable[[float], bool], low: float, high: float, tolerance: float) -> float:
    """The upper end of the bracket, of width `tolerance`, from which on a statement holds that is false at `low`."""
    while high - low > tolerance:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
