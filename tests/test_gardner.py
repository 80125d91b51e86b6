"""Capacities and generalization of perceptrons: published numbers, plain quadrature, stationarity, a finite machine."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from sgdmft.errors import InvalidArgument
from sgdmft.statics import (
    bayes_learning,
    gibbs_learning,
    ising_capacity,
    ising_version_space,
    maximum_margin_learning,
    minimal_errors,
    spherical_capacity,
    stability_line,
    version_space,
)

LOG_TAIL = stats.norm.logsf


def _mean(function):
    return integrate.quad(lambda z: stats.norm.pdf(z) * function(z), -10, 10, epsabs=1e-12, epsrel=1e-11, limit=300)[0]


def _entropy(q, alpha, margin):
    """Equation (8.4) as it stands."""
    scale = math.sqrt(1 - q)
    energy = _mean(lambda z: LOG_TAIL((margin - math.sqrt(q) * z) / scale))
    return 0.5 * (math.log(1 - q) + q / (1 - q)) + alpha * energy


def test_capacity_is_two_at_zero_margin():
    """Cover 1965; Gardner 1988: alpha_c(0) = 2, marginal; stable above, an upper bound below zero margin."""
    assert spherical_capacity(0.0).alpha == 2.0
    assert spherical_capacity(0.0).stable is None
    assert "marginal" in repr(spherical_capacity(0.0))
    assert spherical_capacity(0.5).replicon > 0
    assert spherical_capacity(-0.5).stable is False
    assert "upper bound" in repr(spherical_capacity(-0.5))


@pytest.mark.parametrize("margin", [-1.0, 0.3, 2.0])
def test_capacity_is_gardners_integral(margin):
    integral = integrate.quad(lambda t: stats.norm.pdf(t) * (t + margin) ** 2, -margin, 12, epsabs=1e-13)[0]
    assert spherical_capacity(margin).alpha == pytest.approx(1 / integral, rel=1e-10)


@pytest.mark.parametrize(("alpha", "margin"), [(1.0, 0.0), (0.4, 0.5), (5.0, -1.0)])
def test_version_space_extremizes_its_entropy(alpha, margin):
    space, step = version_space(alpha, margin), 1e-4
    assert space.entropy == pytest.approx(_entropy(space.overlap, alpha, margin), abs=1e-10)
    slope = _entropy(space.overlap + step, alpha, margin) - _entropy(space.overlap - step, alpha, margin)
    assert slope / (2 * step) == pytest.approx(0.0, abs=1e-5)


def test_version_space_shrinks_to_a_point_at_capacity():
    gaps = [1 - version_space(2.0 * (1 - distance)).overlap for distance in (1e-3, 1e-6)]
    assert gaps[0] == pytest.approx(5e-4, rel=0.05)
    assert gaps[1] < 1e-6
    with pytest.raises(InvalidArgument, match="minimal_errors"):
        version_space(2.0)


def test_stability_line():
    """It leaves the capacity at alpha = 2, margin 0, and lies below it; there the replicon changes sign."""
    assert stability_line(-1e-4) == pytest.approx(2.0, abs=2e-3)
    for margin in (-0.5, -1.5):
        line = stability_line(margin)
        assert line < spherical_capacity(margin).alpha
        assert version_space(0.999 * line, margin).stable
        assert not version_space(1.001 * line, margin).stable
    with pytest.raises(InvalidArgument, match="must be negative"):
        stability_line(0.1)


@pytest.mark.parametrize(("alpha", "margin"), [(3.0, 0.0), (10.0, 0.0), (1.0, 1.0)])
def test_minimal_errors_extremize_the_energy(alpha, margin):
    """e = max over chi of alpha E min_h [theta(kappa - h) + (h - z)^2/(2 chi)] - 1/(2 chi)  [Gardner and Derrida]."""

    def energy(chi):
        gap = math.sqrt(2 * chi)
        wrong = stats.norm.cdf(margin - gap)
        moved = integrate.quad(lambda z: stats.norm.pdf(z) * (margin - z) ** 2, margin - gap, margin, epsabs=1e-14)[0]
        return alpha * (wrong + moved / (2 * chi)) - 1 / (2 * chi)

    state = minimal_errors(alpha, margin)
    chi = state.susceptibility
    assert energy(chi) > max(energy(0.99 * chi), energy(1.01 * chi))
    assert energy(chi) == pytest.approx(alpha * state.fraction, abs=1e-10)
    assert not state.stable


def test_minimal_errors_vanish_up_to_capacity():
    assert minimal_errors(1.9).fraction == 0.0
    assert 0 < minimal_errors(2.01).fraction < 1e-3
    assert minimal_errors(1e6).fraction == pytest.approx(0.5, abs=0.01)


def test_ising_capacity():
    """Krauth and Mezard 1989: the entropy vanishes at alpha = 0.833 for margin 0."""
    capacity = ising_capacity()
    assert capacity.alpha == pytest.approx(0.833, abs=5e-4)
    assert capacity.stable
    assert capacity.residual < 1e-10


def test_ising_entropy_is_stationary():
    """dS/dalpha = E log H at the saddle; S = log 2 without patterns; a small machine counts as predicted."""
    step = 1e-4
    slope = (ising_version_space(0.5 + step).entropy - ising_version_space(0.5 - step).entropy) / (2 * step)
    q = ising_version_space(0.5).overlap
    scale = math.sqrt(1 - q)
    assert slope == pytest.approx(_mean(lambda z: LOG_TAIL(-math.sqrt(q) * z / scale)), abs=1e-7)
    assert ising_version_space(1e-6).entropy == pytest.approx(math.log(2), abs=1e-5)


def test_ising_entropy_by_enumeration():
    """All 2^15 weights, alpha = 0.4: mean of log(number)/N within four standard errors and 0.02 for finite size."""
    rng, size, count = np.random.default_rng(3), 15, 6
    weights = 1.0 - 2.0 * ((np.arange(2**size)[:, None] >> np.arange(size)) & 1)
    logs = []
    for _ in range(60):
        fields = weights @ rng.standard_normal((size, count))
        logs.append(math.log(np.sum(np.all(fields > 0, axis=1))) / size)
    error = np.std(logs, ddof=1) / math.sqrt(len(logs))
    assert np.mean(logs) == pytest.approx(ising_version_space(count / size).entropy, abs=4 * error + 0.02)


@pytest.mark.parametrize(
    ("learn", "coefficient"), [(gibbs_learning, 0.625), (bayes_learning, 0.442), (maximum_margin_learning, 0.5005)]
)
def test_learning_curves_for_many_examples(learn, coefficient):
    """Gyorgyi and Tishby 1990; Opper and Haussler 1991; Opper, Kinzel, Kleinz and Nehl 1990."""
    assert 2000.0 * learn(2000.0).error == pytest.approx(coefficient, abs=1e-3)


def test_learning_curves_for_few_examples():
    """The first examples are learned as by Hebb's rule, R^2 = 2 alpha/pi; Bayes is best, Gibbs worst."""
    assert maximum_margin_learning(1e-4).overlap ** 2 == pytest.approx(2e-4 / math.pi, rel=1e-3)
    for alpha in (0.5, 3.0, 20.0):
        errors = [learn(alpha).error for learn in (bayes_learning, maximum_margin_learning, gibbs_learning)]
        assert errors == sorted(errors)


def test_gibbs_learning_extremizes_its_entropy():
    alpha, step = 2.0, 1e-4

    def entropy(overlap):
        gamma = math.sqrt(overlap / (1 - overlap))
        volume = _mean(lambda z: stats.norm.sf(gamma * z) * LOG_TAIL(gamma * z))
        return 0.5 * (math.log(1 - overlap) + overlap) + 2 * alpha * volume

    state = gibbs_learning(alpha)
    assert state.entropy == pytest.approx(entropy(state.overlap), abs=1e-10)
    slope = (entropy(state.overlap + step) - entropy(state.overlap - step)) / (2 * step)
    assert slope == pytest.approx(0.0, abs=1e-5)


def _widest_separation(examples, rounds=400):
    """Weights of maximum margin by coordinate ascent on the dual of min |w|^2/2, w.example >= 1."""
    kernel = examples @ examples.T
    dual, fields = np.zeros(len(examples)), np.zeros(len(examples))
    for _ in range(rounds):
        largest = 0.0
        for i in range(len(examples)):
            step = max(-dual[i], (1.0 - fields[i]) / kernel[i, i])
            dual[i] += step
            fields += step * kernel[i]
            largest = max(largest, abs(step) * kernel[i, i])
        if largest < 1e-4:
            break
    return dual @ examples


def test_maximum_margin_of_a_finite_machine():
    """N = 50, alpha = 2: overlap with the teacher within four standard errors and 1/N."""
    rng, size, alpha = np.random.default_rng(5), 50, 2.0
    overlaps = []
    for _ in range(16):
        teacher = rng.standard_normal(size)
        examples = rng.standard_normal((int(alpha * size), size))
        examples *= np.sign(examples @ teacher)[:, None]
        weights = _widest_separation(examples)
        overlaps.append(weights @ teacher / np.linalg.norm(weights) / np.linalg.norm(teacher))
    error = np.std(overlaps, ddof=1) / 4
    assert np.mean(overlaps) == pytest.approx(maximum_margin_learning(alpha).overlap, abs=4 * error + 1 / size)
    assert abs(np.mean(overlaps) - maximum_margin_learning(1.2).overlap) > 4 * error + 1 / size  # it can fail
