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


def next_selection(scheme):
    """g(t, u): the chance that a sample selected at u is selected next at t, from P by the renewal equation."""
    b, g = scheme.fractions(STEPS), np.zeros((STEPS, STEPS))
    for u in range(STEPS):
        for t in range(u + 1, STEPS):
            chance = b[t] * scheme.reselection(t, np.arange(t, dtype=float))
            g[t, u] = chance[u] - g[u + 1 : t, u] @ chance[u + 1 :]
    return g


def latest_scores(s, scheme):
    """z-scores of the condition of the theory: if u was the latest selection, the next one is at t with chance g(t, u),
    whether an earlier v was one or not; for all v < u < t, of v selected and of v not selected.

    Where g is 0 or 1 nothing else may ever happen (z = 0, or infinity if it did); other events enter from 20 expected ones.
    """
    g = next_selection(scheme)
    scores = [], []
    for u in range(1, STEPS):
        for t in range(u + 1, STEPS):
            next_one = s[:, t] * (1.0 - s[:, u + 1 : t]).prod(axis=1)
            for v in range(u):
                for kind, earlier in zip(scores, (s[:, v], 1.0 - s[:, v]), strict=True):
                    given = s[:, u] * earlier
                    certain = round(g[t, u])
                    if abs(g[t, u] - certain) < 1e-12:
                        kind.append(np.inf if (given * (next_one != certain)).any() else 0.0)
                    elif given.sum() * min(g[t, u], 1.0 - g[t, u]) >= 20:
                        kind.append(float(z_of_mean((given * (next_one - g[t, u])).mean(axis=1))))
    return scores


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_only_the_latest_selection_matters(scheme):
    for scores in latest_scores(selections(scheme), scheme):
        assert_chance(scores)


class Mixed(sg.Bernoulli, register=False):
    """Samples of two kinds, selected with chance 0.1 and 0.5: P(t, s) is a constant, but more than the latest one matters."""

    def reselection(self, t, s):
        return np.full_like(s, (0.1**2 + 0.5**2) / 2 / 0.3**2)

    def sampler(self, samples, steps, rng):
        chance = np.where(rng.permutation(samples) < samples // 2, 0.1, 0.5)
        while True:
            yield np.flatnonzero(rng.random(samples) < chance)


def test_what_remembers_more_than_the_latest_selection_is_rejected():
    mixed = Mixed(0.3)
    s = selections(mixed)
    assert_chance(pair_scores(s, mixed))
    for scores in latest_scores(s, mixed):
        with pytest.raises(AssertionError):
            assert_chance(scores)


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_every_scheme_has_scores_that_reject_another_sampler(scheme):
    """The condition is put to the test for each scheme: selections of which one is left out or added now and then fail."""
    s = selections(scheme)
    rng = np.random.default_rng(3)
    wrong = np.where(rng.random(s.shape) < 0.15, 1.0 - s, s)
    for scores in latest_scores(wrong, scheme):
        with pytest.raises(AssertionError, match="max"):
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
