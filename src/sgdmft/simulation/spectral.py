r"""Spectra of one sample: eigenpairs of its Hessian, measured while a simulation runs, and an estimate of its signal.

The spectral estimate is the leading eigenvector of sum_mu y_mu d2h_mu(0). For f with a quadratic term this matrix is a
spiked Wigner matrix, its spike along x* [Benaych-Georges and Nadakuditi 2011]; the theory is `statics.spectral_overlap`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.simulation.gaussian import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenpairs:
    """Eigenvalues at one point of one sample, ascending, and the squared overlaps of their eigenvectors with the signal."""

    eigenvalues: np.ndarray
    overlaps: np.ndarray


def eigenpairs(instance: Instance, x: np.ndarray, *, extremes: int | None = 3, weight_decay: float = 0.0) -> Eigenpairs:
    """The lowest and the largest `extremes` eigenpairs of the Hessian at x by Lanczos; all of them with None.

    Examples
    --------
    >>> import numpy as np
    >>> from sgdmft import GaussianLeastSquares
    >>> from sgdmft.simulation import Instance
    >>> data = Instance(GaussianLeastSquares(alpha=2.0), size=50)
    >>> few, all_ = eigenpairs(data, data.signal, extremes=2), eigenpairs(data, data.signal, extremes=None)
    >>> bool(np.allclose(few.eigenvalues, all_.eigenvalues[[0, 1, -2, -1]]))
    True
    """
    hessian = instance.hessian(x)
    hessian[np.diag_indices_from(hessian)] += weight_decay
    if extremes is None or 2 * extremes >= instance.size - 1:
        values, vectors = np.linalg.eigh(hessian)
    else:
        from scipy.sparse.linalg import eigsh

        first = np.random.default_rng(0).standard_normal(instance.size)  # scipy's own is not reproducible
        ends = [eigsh(hessian, k=extremes, which=which, v0=first) for which in ("SA", "LA")]
        values, vectors = (np.concatenate(both, axis=-1) for both in zip(*ends, strict=True))
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
    return Eigenpairs(eigenvalues=values, overlaps=(instance.signal @ vectors) ** 2 / instance.size)


class Probe:
    """Measures the Hessian's eigenpairs during `simulate(..., save=Save(observe=Probe()))`, at the saved two-times.

    Parameters
    ----------
    extremes : int or None
        How many eigenpairs at each end; None: the full spectrum (small N).

    Attributes
    ----------
    found : dict (step, sample) -> Eigenpairs

    Examples
    --------
    >>> import sgdmft as sg
    >>> probe = Probe(extremes=1)
    >>> data = sg.simulate(sg.GaussianLeastSquares(alpha=1.5), sg.SGD(0.1, 0.5), steps=5, size=40, samples=3,
    ...                    save=sg.Save(two_time=[0, 5], observe=probe))
    >>> mean, error = probe.mean(5, 0)   # of the lowest eigenvalue
    >>> len(probe.found), bool(error > 0)
    (6, True)
    """

    def __init__(self, extremes: int | None = 3) -> None:
        self.extremes = None if extremes is None else check.integer("extremes", extremes, at_least=1)
        self.found: dict[tuple[int, int], Eigenpairs] = {}

    def __call__(self, instance: Instance, step: int, x: np.ndarray) -> None:
        self.found[step, instance.sample] = eigenpairs(instance, x, extremes=self.extremes)

    def at(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and overlaps of all samples at a step, each of shape (samples, eigenvalues)."""
        pairs = [self.found[key] for key in sorted(self.found) if key[0] == step]
        if not pairs:
            raise InvalidArgument(f"Nothing was measured at step {step}; keep it by `Save(two_time=[..., {step}])`.")
        return np.array([pair.eigenvalues for pair in pairs]), np.array([pair.overlaps for pair in pairs])

    def mean(self, step: int, index: int = 0) -> tuple[float, float]:
        """Mean over samples and standard error of the eigenvalue `index` (0: the lowest, -1: the largest)."""
        values = self.at(step)[0][:, index]
        n = len(values)
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan


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
