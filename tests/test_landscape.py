"""The Hessian's spectrum: closed forms, sampled matrices without any data set, and simulations along trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import brentq

import sgdmft as sg
from helpers import assert_chance
from sgdmft import simulation
from sgdmft.analysis import landscape
from sgdmft.analysis.landscape import Bulk
from sgdmft.simulation import Instance
from sgdmft.simulation.descent import starting_point

MIXED = sg.Covariance({1: 0.3, 2: 0.4, 3: 0.3})

positive = st.floats(0.05, 8.0)


def test_marchenko_pastur_and_semicircle_alone():
    for alpha in (0.3, 1.0, 2.5):
        law = Bulk(alpha=alpha, gradient_variance=1.7, curvature_variance=0.0)
        low, high = 1.7 * (1 - np.sqrt(alpha)) ** 2, 1.7 * (1 + np.sqrt(alpha)) ** 2
        np.testing.assert_allclose(law.edges, [low, high], atol=1e-7)
        z = np.linspace(low, high, 9)[1:-1]
        density = np.sqrt((z - low) * (high - z)) / (2 * np.pi * 1.7 * z)
        np.testing.assert_allclose(law.density(z), density, rtol=1e-9)
        assert law.negative_fraction() == pytest.approx(0.0, abs=1e-12)
        assert law.fraction_below(1e9) == pytest.approx(1.0, abs=1e-9)
    for w in 10.0 ** np.arange(-16, -6):
        weak = Bulk(alpha=1.0, gradient_variance=w, curvature_variance=2.0, shift=0.5)
        np.testing.assert_allclose(weak.edges, [0.5 - 2 * np.sqrt(2.0), 0.5 + 2 * np.sqrt(2.0)], atol=1e-6)
        assert weak.fraction_below(0.5) == pytest.approx(0.5, abs=1e-6)


@settings(max_examples=25)
@given(alpha=positive, w=positive, v=st.floats(0.02, 8.0), shift=st.floats(-2.0, 2.0))
def test_bulk_has_the_moments_of_a_free_sum(alpha, w, v, shift):
    """Mass, mean and variance by quadrature (which is coarse where a gap is about to open), and the fraction below 0."""
    law = Bulk(alpha=alpha, gradient_variance=w, curvature_variance=v, shift=shift)
    edges = law.edges
    assert len(edges) in (2, 4)
    moments = np.zeros(4)
    x, weight = np.polynomial.legendre.leggauss(500)
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        angle = 0.5 * np.pi * (x + 1)
        z = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(angle)
        mass = weight * 0.5 * np.pi * law.density(z) * 0.5 * (high - low) * np.sin(angle)
        moments += [mass.sum(), mass @ z, mass @ (z - shift - alpha * w) ** 2, mass @ (z < 0)]
    expected = [1.0, alpha * w + shift, alpha * w**2 + v, law.negative_fraction()]
    np.testing.assert_allclose(moments[:3], expected[:3], rtol=2e-3, atol=2e-3)
    assert moments[3] == pytest.approx(expected[3], abs=1e-2)
    assert law.fraction_below(edges[0] - 1.0) == 0.0
    assert law.fraction_below(edges[-1] + 1.0) == 1.0
    g = law.stieltjes(0.3 * edges[0] + 0.7 * edges[1])
    assert abs(law.point(g) - (0.3 * edges[0] + 0.7 * edges[1])).max() < 1e-8


@pytest.mark.parametrize("case", [(2.0, 1.0, 2.0), (0.4, 1.0, 0.02), (0.7, 0.6, 1.5)])
def test_bulk_of_sampled_matrices(case):
    """Wishart plus GOE at N = 400: fractions below quantiles within 2/N and extremes with the Tracy-Widom law."""
    alpha, w, v = case
    law = Bulk(alpha=alpha, gradient_variance=w, curvature_variance=v)
    size, samples = 400, 12
    rng = np.random.default_rng(1)
    values = []
    for _ in range(samples):
        g = rng.standard_normal((size, round(alpha * size))) * np.sqrt(w / size)
        s = rng.standard_normal((size, size)) * np.sqrt(v / size / 2)
        values.append(np.linalg.eigvalsh(g @ g.T + s + s.T))
    values = np.array(values)
    for z in np.quantile(values, [0.05, 0.2, 0.5, 0.8, 0.95]):
        assert abs((values < z).mean() - law.fraction_below(z)) < 2 / size
    for upper in (False, True):
        mean, deviation = law.extreme(size, upper=upper)
        z = (values[:, -1 if upper else 0].mean() - mean) / np.hypot(
            deviation / np.sqrt(samples), 2 * deviation / size ** (1 / 3)
        )
        assert_chance(z)


def test_fraction_is_the_integral_of_the_density():
    law = Bulk(alpha=1.4, gradient_variance=0.8, curvature_variance=0.7, shift=0.1)
    for z in (-0.4, 0.0, 0.9, 3.0):
        assert law.fraction_below(z + 1e-4) - law.fraction_below(z - 1e-4) == pytest.approx(
            2e-4 * law.density(z)[0], rel=1e-5
        )


def test_gap_between_flat_directions_and_the_rest():
    law = Bulk(alpha=0.4, gradient_variance=1.0, curvature_variance=0.01)
    assert len(law.edges) == 4
    assert law.fraction_below(0.5 * (law.edges[1] + law.edges[2])) == pytest.approx(0.6, abs=1e-9)


def test_outlier_appears_where_alpha_cubed_is_alpha_plus_one():
    """The transition of [BaikBenArousPeche2005] at a random start of the talk's model."""
    start = sg.Start(magnetization=0.0)
    transition = brentq(lambda a: a**3 - a - 1, 1.0, 2.0)
    for alpha, there in ((transition - 1e-3, False), (transition + 1e-3, True)):
        descent = landscape.start_spectrum(sg.GaussianLeastSquares(alpha=alpha), start).descent
        assert (descent is not None) is there
    assert descent.overlap < 0.01
    # above it: a spike -alpha, so eigenvalue z(-1/alpha) and overlap 1 - alpha/(1 + alpha)^2 - 1/alpha in closed form
    alpha = 3.0
    descent = landscape.start_spectrum(sg.GaussianLeastSquares(alpha=alpha), start).descent
    assert descent.eigenvalue == pytest.approx(-alpha + alpha**2 / (1 + alpha) - 1, abs=1e-9)
    assert descent.overlap == pytest.approx(1 - alpha / (1 + alpha) ** 2 - 1 / alpha, abs=1e-9)


@pytest.mark.parametrize(
    ("model", "start", "size"),
    [
        (sg.GaussianLeastSquares(alpha=2.5), sg.Start(magnetization=0.0), 120),
        (sg.GaussianLeastSquares(alpha=2.0), sg.Start(magnetization=0.6, norm=1.4), 120),
        (
            sg.GaussianLeastSquares(alpha=1.5, covariance=MIXED, labels=sg.Teacher(noise=0.2)),
            sg.Start(magnetization=0.9),
            30,
        ),
        (sg.GaussianLeastSquares(alpha=0.5, labels=sg.ConstantTarget(0.8)), sg.Start(), 120),
    ],
    ids=["signal", "overlap", "mixed", "target"],
)
def test_outliers_at_the_start_against_simulation(model, start, size):
    """Eigenvalues and overlaps of all outliers. Biases measured from N = 50 to 400 fall as 1/N: above the bulk 3 times its
    width over N, below it a quarter of that, 2.5/N in the overlap; allowed for are 3.5 widths, half a width, and 3."""
    theory = landscape.start_spectrum(model, start)
    samples = 12
    pairs = []
    for k in range(samples):
        instance = Instance(model, size, seed=5, sample=k)
        x = starting_point(start, instance, np.random.default_rng(k))
        pairs.append(simulation.eigenpairs(instance, x, extremes=2))
    values = np.array([pair.eigenvalues for pair in pairs])
    overlaps = np.array([pair.overlaps for pair in pairs])
    assert theory.outliers
    width = theory.bulk.upper_edge - theory.bulk.lower_edge
    for outlier in theory.outliers:
        end = 0 if outlier.eigenvalue < theory.bulk.lower_edge else -1
        bias = (3.5 if end else 0.5) * width / size
        error = np.hypot(values[:, end].std(ddof=1) / np.sqrt(samples), bias)
        assert_chance((values[:, end].mean() - outlier.eigenvalue) / error)
        error = np.hypot(overlaps[:, end].std(ddof=1) / np.sqrt(samples), 3 / size)
        assert_chance((overlaps[:, end].mean() - outlier.overlap) / error)


def test_spectrum_along_a_trajectory_against_simulation():
    """Lowest and largest eigenvalues and the signal's outlier of SGD at m = 0, N = 140, while finite N has not left m = 0."""
    model, algorithm, size, samples = sg.GaussianLeastSquares(alpha=3.0), sg.SGD(0.1, 0.3), 140, 12
    times = [1, 6, 15]
    start = sg.Start(magnetization=0.0)
    theory = sg.solve(model, algorithm, steps=15, start=start, save=sg.Save(two_time=times))
    probe = simulation.Probe(extremes=None)
    save = sg.Save(two_time=times, observe=probe)
    sg.simulate(model, algorithm, steps=15, start=start, size=size, samples=samples, save=save)
    for t in times:
        expected = landscape.spectrum(theory, t)
        values, overlaps = probe.at(t)
        width = expected.bulk.upper_edge - expected.bulk.lower_edge
        error = np.hypot(values[:, 0].std(ddof=1) / np.sqrt(samples), width / size)
        assert_chance((values[:, 0].mean() - expected.descent.eigenvalue) / error)
        error = np.hypot(overlaps[:, 0].std(ddof=1) / np.sqrt(samples), 3 / size)
        assert_chance((overlaps[:, 0].mean() - expected.descent.overlap) / error)
        # the second lowest is the first of the bulk
        edge, _ = expected.bulk.extreme(size)
        error = np.hypot(values[:, 1].std(ddof=1) / np.sqrt(samples), width / size)
        assert_chance((values[:, 1].mean() - edge) / error)
        assert (values < 0).mean() == pytest.approx(expected.bulk.negative_fraction(), abs=3 / size)


def test_flat_directions_and_zero_loss():
    law = landscape.bulk(sg.GaussianLeastSquares(alpha=0.5), norm=1.0, loss=0.0)
    assert law.lower_edge == 0.0
    assert law.fraction_below(1e-9) == pytest.approx(0.5)


def test_what_cannot_be_answered_is_refused():
    model = sg.GaussianLeastSquares(alpha=2.0)
    theory = sg.solve(model, sg.GradientDescent(0.1), steps=8, save=sg.Save(two_time=[0, 8], every=4))
    with pytest.raises(sg.errors.InvalidArgument, match="not among the saved times"):
        landscape.spectrum(theory, 3)
    data = sg.simulate(model, sg.GradientDescent(0.1), steps=2, size=20, samples=2)
    with pytest.raises(sg.errors.InvalidArgument, match="Probe"):
        landscape.spectrum(data, 2)
    long = sg.solve(model, sg.GradientDescent(0.1), steps=landscape.LONGEST + 1)
    late = landscape.spectrum(long, landscape.LONGEST + 1)
    assert late.outliers is None
    assert np.isnan([late.lowest, late.descent.eigenvalue]).all()
    assert not landscape.evolution(long)["outlier_known"][-1]
    with pytest.raises(sg.errors.InvalidArgument, match="Nothing was measured"):
        simulation.Probe().at(3)


def test_evolution_is_the_table_of_all_saved_times():
    theory = sg.solve(
        sg.GaussianLeastSquares(alpha=3.0),
        sg.SGD(0.1, 0.3),
        steps=20,
        start=sg.Start(magnetization=0.0),
        save=sg.Save(two_time=5),
    )
    table = landscape.evolution(theory)
    assert table["saved_time"].values.tolist() == theory.two_time.tolist()
    assert float(table["outlier"][0]) == pytest.approx(-1.75)
    assert bool(table["outlier_known"].all())
    assert np.all(np.diff(table["loss"]) < 0)


@pytest.mark.slow
def test_lowest_eigenvalue_at_large_overlap_against_simulation():
    """Where the outlier meets the bulk, and near the signal: fluctuations of the edge are those of Tracy and Widom."""
    model, algorithm, start, size, samples = (
        sg.GaussianLeastSquares(alpha=2.5),
        sg.GradientDescent(0.1),
        sg.Start(magnetization=0.3),
        150,
        16,
    )
    times = [10, 20, 25, 84]
    theory = sg.solve(model, algorithm, steps=84, start=start, save=sg.Save(two_time=times))
    probe = simulation.Probe(extremes=2)
    save = sg.Save(two_time=times, observe=probe)
    sg.simulate(model, algorithm, steps=84, start=start, size=size, samples=samples, save=save)
    assert theory.magnetization[25] > 0.92
    assert theory.magnetization[84] > 0.998
    for t in times:
        expected = landscape.spectrum(theory, t)
        mean, error = probe.mean(t)
        room = (expected.bulk.upper_edge - expected.bulk.lower_edge) / size
        assert_chance((mean - expected.lowest) / np.hypot(error, room))
