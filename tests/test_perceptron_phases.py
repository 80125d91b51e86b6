"""Where replica symmetry ends for the perceptron at negative margins, by plain sums over equations (8.13) to (8.15)."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from sgdmft import cli
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.statics import perceptron_transitions, stability_line, tricritical_margin, version_space

# dynamical, condensation, de Almeida-Thouless
LINES = {-2.5: (280.808, 287.115, 328.709), -3.0: (1449.61, 1586.35, 3087.0)}


def _normal(step):
    z = np.arange(-9.0, 9.0 + step / 2, step)
    return z, stats.norm.pdf(z) * step


def _overlap(alpha, margin):
    """The saddle of (8.4), q/(1-q) = alpha E A^2."""
    z, w = _normal(0.05)

    def equation(q):
        u = (margin - math.sqrt(q) * z) / math.sqrt(1 - q)
        return q / (1 - q) - alpha * w @ np.exp(2 * (stats.norm.logpdf(u) - stats.norm.logsf(u)))

    return optimize.brentq(equation, 1e-6, 0.9, xtol=1e-15)


def _complexity(alpha, margin, q1, q0=None):
    """Equation (8.14) as it stands."""
    q0 = _overlap(alpha, margin) if q0 is None else q0
    (z0, w0), (z1, w1) = _normal(0.2), _normal(0.02)
    u = (margin - math.sqrt(q0) * z0[:, None] - math.sqrt(q1 - q0) * z1) / math.sqrt(1 - q1)
    log_g = stats.norm.logsf(u)
    f = np.exp(log_g) @ w1
    information = w0 @ ((np.exp(log_g) * log_g) @ w1 / f - np.log(f))
    t = (q1 - q0) / (1 - q0)
    return 0.5 * (math.log((1 - q0) / (1 - q1)) - t + q0 * t / (1 - q0)) - alpha * information


def _volume(m, q0, q1, alpha, margin):
    """Equation (8.13) as it stands."""
    (z0, w0), (z1, w1) = _normal(0.2), _normal(0.02)
    d = q1 - q0
    g = stats.norm.sf((margin - math.sqrt(q0) * z0[:, None] - math.sqrt(d) * z1) / math.sqrt(1 - q1))
    width = 1 - q1 + m * d
    return 0.5 * (math.log(1 - q1) + math.log(width / (1 - q1)) / m + q0 / width) + alpha / m * w0 @ np.log(g**m @ w1)


def _clusters(alpha, margin, high):
    """Complexities on a grid of q1 between the overlap of (8.4) and `high`."""
    q0 = _overlap(alpha, margin)
    return np.array([_complexity(alpha, margin, q1, q0) for q1 in np.linspace(q0 + 0.4 * (1 - q0), high, 25)])


@pytest.mark.parametrize("margin", LINES)
def test_lines_at_negative_margins(margin):
    lines = perceptron_transitions(margin)
    assert (lines.dynamical, lines.condensation, lines.instability) == pytest.approx(LINES[margin], rel=1e-5)
    assert lines.uncertainty < 1e-7 * lines.dynamical
    assert stability_line(margin) == lines.alpha == lines.condensation


@pytest.mark.parametrize("margin", LINES)
def test_dynamical_transition_is_where_the_complexity_stops_rising(margin):
    """As a function of q1 it rises, and has a minimum beyond the transition (within 0.1 %)."""
    line, high = perceptron_transitions(margin).dynamical, {-2.5: 0.85, -3.0: 0.94}[margin]
    assert np.all(np.diff(_clusters(0.998 * line, margin, high)) > 0)
    assert not np.all(np.diff(_clusters(1.002 * line, margin, high)) > 0)


@pytest.mark.parametrize("margin", LINES)
def test_condensation_is_where_the_complexity_vanishes(margin):
    lines = perceptron_transitions(margin)
    alpha, (q0, q1) = lines.condensation, lines.overlaps
    assert _overlap(alpha, margin) == pytest.approx(q0, abs=1e-8)
    complexity = [_complexity(alpha, margin, q, q0) for q in (q1 - 2e-3, q1, q1 + 2e-3)]
    assert complexity[1] == pytest.approx(0.0, abs=1e-8)
    assert min(complexity) == complexity[1]
    change = [(_complexity(share * alpha, margin, q1)) for share in (0.999, 1.001)]
    assert change[0] > 1e-5 > -1e-5 > change[1]


@pytest.mark.parametrize(("share", "wins"), [(0.998, False), (1.002, True)])
def test_breaking_lowers_the_volume_beyond_condensation(share, wins):
    """At m slightly below 1 and the best q1 the volume (8.13) of kappa = -3 lies below the symmetric one, and only there."""
    lines = perceptron_transitions(-3.0)
    alpha, q1 = share * lines.condensation, lines.overlaps[1]
    q0 = _overlap(alpha, -3.0)
    assert (_volume(0.999, q0, q1, alpha, -3.0) < _volume(1.0, q0, q1, alpha, -3.0)) == wins


@pytest.mark.parametrize("margin", [-1.0, *LINES])
def test_instability_is_where_the_replicon_vanishes(margin):
    alpha = perceptron_transitions(margin).instability
    q, (z, w) = _overlap(alpha, margin), _normal(0.05)
    u = (margin - math.sqrt(q) * z) / math.sqrt(1 - q)
    rate = np.exp(stats.norm.logpdf(u) - stats.norm.logsf(u))
    assert alpha * w @ (rate * (rate - u)) ** 2 == pytest.approx(1.0, abs=1e-7)


def test_the_lines_meet_at_the_tricritical_margin():
    """Above it the clusters are not there; below, all three lines part like a power of the distance."""
    margin = tricritical_margin()
    assert margin == pytest.approx(-2.0431, abs=1e-4)
    above = perceptron_transitions(margin + 1e-3)
    assert (above.dynamical, above.condensation, above.alpha) == (None, None, above.instability)
    partings = []
    for distance in (0.05, 0.1):
        lines = perceptron_transitions(margin - distance)
        assert lines.dynamical < lines.condensation < lines.instability
        partings.append(lines.instability / lines.dynamical - 1)
    assert 0 < 2 * partings[0] < partings[1] < 0.02


@pytest.mark.parametrize(
    ("alpha", "margin", "phase", "stable"),
    [
        (270.0, -2.5, "replica symmetric", True),
        (284.0, -2.5, "clustered", True),
        (312.3, -2.5, "condensed", False),
        (5.0, -1.0, "replica symmetric", True),
        (9.0, -1.0, "continuously broken", False),
        (300.0, -4.5, "undecided", None),
    ],
)
def test_the_phase_that_a_user_is_told(alpha, margin, phase, stable):
    space = version_space(alpha, margin)
    assert (space.phase, space.stable) == (phase, stable)
    assert phase in repr(space)
    assert ("WRONG" in repr(space)) == (stable is False)


def test_on_a_line_no_phase_is_told():
    lines = perceptron_transitions(-2.5)
    space = version_space(lines.condensation, -2.5)
    assert space.stable is None
    assert "within the uncertainty of a line" in space.reason
    assert version_space(perceptron_transitions(-1.0).instability, -1.0).stable is None


def test_margins_without_lines():
    with pytest.raises(InvalidArgument, match="convex"):
        perceptron_transitions(0.0)
    with pytest.raises(NotConverged, match="not resolved"):
        stability_line(-4.5)


def test_command_says_which_line_decides(capsys):
    assert cli.main(["gardner", "--margin", "-2.5", "--alpha", "312.3"]) == 0
    said = capsys.readouterr().out
    assert "right up to alpha = 287.115" in said
    assert "dynamical transition        alpha = 280.807" in said
    assert "de Almeida-Thouless line    alpha = 328.708" in said
    assert "condensed" in said
    assert "(" not in said.replace("(Kauzmann)", "")  # no representation of an object
    assert cli.main(["gardner", "--margin", "-5"]) == 0
    assert "not resolved" in capsys.readouterr().out
