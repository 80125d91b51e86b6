"""What is left of small differences of numbers of order one: the rounding floor of losses and distances.

Delta = 1 - 2 m + C(t,t), the error on a fresh sample and the loss are differences of terms of order 1, f(1) and alpha f(1);
near the signal, where these cancel, what is smaller than `FLOOR` times them is rounding. Within it a negative value
is written as 0, and no level is looked for below it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.problem.models import GaussianLeastSquares

#: 256 machine epsilons: the least Delta that is told from 0 (seen are 3 eps, and 130 with compressed history at 1e-4).
FLOOR = 256 * float(np.finfo(np.float64).eps)


def level(name: str, value: Any) -> float:
    """A level of the squared distance to the signal, above its rounding floor; or `InvalidArgument`."""
    remedy = "Below lies only rounding, where a distance has no digits left: ask for a level above it."
    return check.number(name, check.number(name, value, above=0.0), at_least=FLOOR, remedy=remedy)


def clipped(name: str, values: np.ndarray, model: Any) -> np.ndarray:
    """The values of a quantity, with those that are negative by rounding only set to 0."""
    if not isinstance(model, GaussianLeastSquares) or name not in ("distance", "loss", "generalization_error"):
        return values
    one = float(model.covariance(1.0))
    scale = {"distance": 1.0, "loss": max(model.alpha * one, 1.0), "generalization_error": max(one, 1.0)}[name]
    return np.where((values < 0.0) & (values >= -FLOOR * scale), 0.0, values)
