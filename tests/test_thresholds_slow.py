"""Longer physics of recovery: the numbers of docs/thresholds.md, and recovery at finite size against the theory."""

import numpy as np
import pytest

import sgdmft as sg

MODEL = sg.GaussianLeastSquares(alpha=1.0)

pytestmark = pytest.mark.slow


def test_small_batches_recover_at_smaller_alpha_beyond_both_uncertainties():
    algorithms = [sg.SGD(0.05, b) for b in (1.0, 0.5, 0.1, 0.05)]
    starts = [sg.Start(magnetization=m) for m in (0.1, 0.01)]
    answers = sg.recovery_thresholds(MODEL, algorithms, starts, steps=5000)
    fits = np.array([answer.fit for answer in answers], dtype=object).reshape(4, 2)
    for full, half, *small in fits.T:
        assert half.interval[1] > full.interval[0]  # not decided at b = 0.5
        assert all(fit.interval[1] < full.interval[0] for fit in small)
    assert [round(fit.threshold, 2) for fit in fits[:, 1]] == [2.05, 2.03, 1.85, 1.58]


def test_the_exponent_rises_again_after_aging():
    growth = sg.growth(sg.GaussianLeastSquares(alpha=1.8), sg.GradientDescent(0.1), steps=65_536)
    assert growth.verdict is sg.Verdict.GROWS
    assert growth.exponent[-1] == pytest.approx(0.0677, abs=2e-4)
    assert growth.exponent.argmin() < len(growth.exponent) - 2


def test_recovery_at_finite_size_is_a_rounded_step_that_sharpens():
    """In 300 steps the theory recovers above some alpha in (1.55, 1.7); small systems at times below it, not always above."""
    start, algorithm = sg.Start(magnetization=0.1), sg.SGD(0.1, 0.2)
    stop, save = sg.Recovered(distance=0.01), sg.Save(two_time=0)
    alphas = (1.4, 1.55, 1.7, 2.0)
    times = sg.relaxation_times(MODEL, algorithm, alphas, start=start, steps=300).times
    assert np.isfinite(times).tolist() == [False, False, True, True]
    fractions = {
        size: [
            sg.simulate(
                sg.GaussianLeastSquares(alpha=alpha), algorithm, steps=300, start=start, size=size, samples=samples,
                seed=int(1000 * alpha) + size, stop=stop, save=save, dtype="float32", strict=False,
            ).dataset.attrs["recovered"]
            for alpha in alphas
        ]
        for size, samples in ((100, 96), (200, 32))
    }  # fmt: skip
    for row in fractions.values():
        assert (np.diff(row) > 0).all()
        assert row[0] < 0.1
        assert row[1] < 0.5 < row[2]
    assert fractions[200][1] < fractions[100][1]
    assert fractions[200][3] > fractions[100][3]
