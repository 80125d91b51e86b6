"""Statistics for tests: is a set of z-scores what chance gives, at a stated false-alarm rate?"""

from __future__ import annotations

import numpy as np
from scipy import stats


def assert_chance(z, *, rate: float = 1e-4, freedom: float = np.inf) -> None:
    """Fail if the largest |z| is beyond what chance gives with probability `rate` (Bonferroni over all entries).

    `freedom` is the number of degrees of freedom of each Student z: samples - 1 for a standard error from samples.
    """
    z = np.ravel(z)
    assert z.size, "there are no z-scores to judge"
    threshold = stats.t.isf(rate / (2 * z.size), freedom)
    worst = np.abs(z).max()
    assert worst <= threshold, (
        f"max |z| = {worst:.2f} of {z.size} is beyond {threshold:.2f} (false-alarm rate {rate:g})"
    )


def assert_sharp(errors, theory, count, *, factor: float = 5.0) -> None:
    """Fail if a standard error exceeds factor max(range of the theory and 0, 1/2) / sqrt(count), count = N samples.

    A z-score alone lets a mistake pass that inflates the error with the difference. Quantities are of order one, and so are
    their fluctuations times sqrt(N).
    """
    bound = factor * max(np.ptp(np.append(theory, 0.0)), 0.5) / np.sqrt(count)
    worst = np.max(errors)
    assert worst <= bound, f"a standard error of {worst:.3g} is beyond {bound:.3g}: nothing is resolved"


def z_of_mean(deviations) -> np.ndarray:
    """z-scores of means over the first axis that ought to be 0; an exact 0 without spread counts as 0."""
    deviations = np.asarray(deviations, dtype=float)
    mean = deviations.mean(axis=0)
    error = deviations.std(axis=0, ddof=1) / np.sqrt(len(deviations))
    exact = error < 1e-14
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(exact, np.where(np.abs(mean) < 1e-12, 0.0, np.inf), mean / error)
