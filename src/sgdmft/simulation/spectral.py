r"""Spectral estimate of the signal: the leading eigenvector of sum_mu y_mu d2h_mu(0).

For f with a quadratic term this matrix is a spiked Wigner matrix, its spike along x* [Benaych-Georges and
Nadakuditi 2011]. The theory is `sgdmft.statics.spectral_overlap`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.simulation.gaussian import Instance


def spectral_estimate(instance: Instance, *, norm: float = 1.0) -> np.ndarray:
    """Leading eigenvector of sum_mu y_mu d2h_mu(0), scaled to |x|^2/N = norm, shape (N,).

    Of +x and -x the one of lower loss; where f is even both are equal, and the one on the side of the signal is returned.
    """
    if instance.model.covariance.derivative(0.0, 2) == 0.0:
        raise InvalidArgument(
            f"The spectral estimate needs a quadratic term in the covariance, but {instance.model.covariance} has none."
        )
    norm = check.number("norm", norm, above=0.0)
    matrix = instance.curvature(np.zeros(instance.size), instance.labels)
    x = np.linalg.eigh(matrix)[1][:, -1] * math.sqrt(norm * instance.size)
    if instance.model.covariance.even:
        return x if x @ instance.signal >= 0.0 else -x
    return min(x, -x, key=instance.loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralStart:
    """Start of a simulation at the spectral estimate: `simulate(..., start=SpectralStart())`.

    Parameters
    ----------
    norm : float, default 1
        |x(0)|^2/N.
    """

    norm: float = 1.0

    def __call__(self, instance: Instance, rng: np.random.Generator) -> np.ndarray:
        return spectral_estimate(instance, norm=self.norm)
