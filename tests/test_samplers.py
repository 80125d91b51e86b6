"""Every minibatch scheme in the registry: its sampler against its own b_t and P(t, s)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import sgdmft as sg
from helpers import assert_chance, z_of_mean

STEPS, DATA, RUNS = 12, 120, 400
SCHEMES = [scheme for name in sorted(sg.Batches.registry) for scheme in sg.Batches.registry[name].examples()]


def selections(scheme, *, data=DATA, runs=RUNS, steps=STEPS):
    """s_mu(t) of independent runs, shape (runs, steps, data)."""
    s = np.zeros((runs, steps, data))
    for k in range(runs):
        sampler = scheme.sampler(data, steps, np.random.default_rng([7, k]))
        for t, chosen in enumerate(itertools.islice(sampler, steps)):
            assert chosen.dtype == np.int64
            assert (np.diff(chosen) > 0).all()
            s[k, t, chosen] = 1.0
    return s


def pair_scores(s, scheme):
    """z-scores of E[s(t) s(s)] = b_s b_t P(t, s), from the means over the data of independent runs."""
    b = scheme.fractions(STEPS)
    pairs = [(t, u) for t in range(1, STEPS) for u in range(t)]
    expected = [b[t] * b[u] * float(scheme.reselection(t, np.array([float(u)]))[0]) for t, u in pairs]
    observed = np.array([(s[:, t] * s[:, u]).mean(axis=1) for t, u in pairs]).T
    return z_of_mean(observed - expected)


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_sampler_has_the_stated_probabilities(scheme):
    s = selections(scheme)
    assert_chance(z_of_mean(s.mean(axis=2) - scheme.fractions(STEPS)))
    assert_chance(pair_scores(s, scheme))


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_only_the_latest_selection_matters(scheme):
    """The condition of the theory: given s(u) = 1, the earlier s(v) says nothing about s(t)."""
    s, b = selections(scheme), scheme.fractions(STEPS)
    scores = []
    for t, u, v in [(2, 1, 0), (5, 2, 1), (7, 6, 2), (11, 9, 4), (11, 6, 1)]:
        unselected = 1.0 - s[:, u + 1 : t]  # none in between, so that u is the latest one
        given = s[:, u] * s[:, v] * unselected.prod(axis=1)
        hazard = s[:, u] * unselected.prod(axis=1)
        if given.sum() < 100 or hazard.sum() < 100:
            continue
        rest = hazard - given
        difference = (given * s[:, t]).sum(axis=1) * rest.sum() - (rest * s[:, t]).sum(axis=1) * given.sum()
        scores.append(float(z_of_mean(difference)) if difference.any() else 0.0)
    assert b.shape == (STEPS,)
    if scores:
        assert_chance(scores)


def test_wrong_probabilities_are_rejected():
    s = selections(sg.Persistent(0.3, memory=0.8))
    for wrong in (sg.Bernoulli(0.3), sg.Persistent(0.3, memory=0.75)):
        with pytest.raises(AssertionError):
            assert_chance(pair_scores(s, wrong))


@pytest.mark.parametrize("scheme", [sg.Shuffled(5), sg.Cyclic(5), sg.OnePass(5)], ids=repr)
def test_batch_sizes_are_exact(scheme):
    s = selections(scheme, data=23, runs=3, steps=5)
    assert set(s.sum(axis=2).ravel()) == {4.0, 5.0}
    np.testing.assert_array_equal(s.sum(axis=1), 1.0)


def test_limits():
    everyone = selections(sg.FullBatch(), runs=1)
    for scheme in (sg.Bernoulli(1.0), sg.Shuffled(1), sg.Cyclic(1), sg.Persistent(1.0, memory=0.3)):
        np.testing.assert_array_equal(selections(scheme, runs=1), everyone)
    fixed = selections(sg.Persistent(0.4, memory=1.0), runs=2)
    np.testing.assert_array_equal(fixed, np.broadcast_to(fixed[:, :1], fixed.shape))
