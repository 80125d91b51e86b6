"""Replica statics against closed forms, exact solutions of the linear model, derivatives and an independent solver."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize

import sgdmft as sg
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.statics import _functional as functional, equilibrium, recovery_noise, satisfiability, symmetry_breaking
from sgdmft.statics._saddle import break_symmetry, symmetric_ground

TARGET = sg.GaussianLeastSquares(alpha=1.5, labels=sg.ConstantTarget(1.0))
MIXED = sg.GaussianLeastSquares(
    alpha=1.7, covariance=sg.Covariance({1: 0.3, 2: 0.4, 3: 0.2}), labels=sg.Teacher(noise=0.3)
)


# -------------------------------------------------------------------------------------------------- the functional


def test_parisi_sum_is_the_determinant_of_a_hierarchical_matrix():
    """At integer n with blocks of 12 and 3 replicas: log det M = n [log H_k + S'] + log(1 + n (g_0 + c)/H_0)."""
    n, blocks, levels, shift, replicon = 24, (12, 3), np.array([0.3, 0.5, 0.9]), 0.2, 0.7
    index = np.arange(n)
    matrix = np.full((n, n), levels[0])
    for size, level in zip(blocks, levels[1:], strict=True):
        matrix[index[:, None] // size == index // size] = level
    matrix += replicon * np.eye(n) + shift
    value, first, *_ = functional.parisi_sum(levels, np.array(blocks, dtype=float), replicon, shift)
    head = (levels[0] + shift) * first
    assert np.linalg.slogdet(matrix)[1] == pytest.approx(n * (math.log(replicon) + value - head) + math.log1p(n * head))


@pytest.mark.parametrize("name", ["thermal", "ground", "threshold"])
def test_gradients_by_finite_differences(name):
    rng = np.random.default_rng(1)
    q, x = np.sort(rng.uniform(0.2, 1.1, 5)), np.sort(rng.uniform(0.1, 0.9, 4))
    if name != "thermal":
        q[-1] = 1.3
    at = {"q": q, "x": x, "chi": 0.7, "overlap": 0.4, "norm": 1.3, "temperature": 0.2}

    def value(**moved):
        new = at | moved
        if name != "thermal" and "norm" in moved:
            new["q"] = np.append(q[:-1], moved["norm"])
        problem = functional.Problem(MIXED, new["norm"], new["overlap"], new["temperature"])
        return getattr(functional, name)(problem, new["q"], new["x"], new["chi"])

    exact, step = value(), 1e-6
    for key in ["overlap", "norm"] + (["temperature"] if name == "thermal" else ["chi"] if name == "ground" else []):
        slope = (value(**{key: at[key] + step}).value - value(**{key: at[key] - step}).value) / (2 * step)
        assert getattr(exact, key) == pytest.approx(slope, abs=2e-8), key
    for key in ("q", "x"):
        for i in range(len(at[key])):
            shift = step * np.eye(len(at[key]))[i]
            slope = (value(**{key: at[key] + shift}).value - value(**{key: at[key] - shift}).value) / (2 * step)
            assert getattr(exact, key)[i] == pytest.approx(slope, abs=2e-8), (key, i)


def test_one_step_contains_the_replica_symmetric_functional():
    """q_0 = q_1 at any x; x = 1 leaves q_0, x = 0 leaves q_1."""
    problem = functional.Problem(MIXED, 1.0, 0.3, 0.2)

    def phi(q, x):
        return functional.thermal(problem, np.array(q), np.array(x)).value

    assert phi([0.5, 0.5], [0.4]) == pytest.approx(phi([0.5], []), abs=1e-14)
    assert phi([0.5, 0.8], [1.0]) == pytest.approx(phi([0.5], []), abs=1e-14)
    assert phi([0.5, 0.8], [1e-9]) == pytest.approx(phi([0.8], []), abs=1e-7)


# ------------------------------------------------------------------------------------------------ replica symmetric


@pytest.mark.parametrize(("alpha", "noise"), [(1.5, 0.2), (2.5, 0.5), (2.5, 2.2)])
def test_ground_state_extremizes_the_published_formula(alpha, noise):
    """E = min over m of max over chi of (alpha/2) [2(f(1)-f(m)) + noise]/(1 + chi f'(1)) - (1 - m^2)/(2 chi)."""
    model = sg.GaussianLeastSquares(alpha=alpha, labels=sg.Teacher(noise=noise))

    def inner(m):
        def negative(log_chi):
            chi = math.exp(log_chi)
            return -(alpha / 2 * (1 - m**2 + noise) / (1 + chi) - (1 - m**2) / (2 * chi))

        return -optimize.minimize_scalar(negative, bounds=(-8, 8), method="bounded", options={"xatol": 1e-10}).fun

    m = optimize.minimize_scalar(inner, bounds=(0, 0.9999), method="bounded", options={"xatol": 1e-10})
    best = min(float(m.fun), inner(0.0))
    state = equilibrium(model)
    assert state.energy == pytest.approx(best, abs=1e-9)
    assert state.phase == "unsatisfiable"


def test_least_squares_of_a_linear_model_is_ordinary_regression():
    """f = q, free norm, alpha > 1: m = 1, C = 1 + noise/(alpha - 1), loss noise (alpha - 1)/2."""
    model = sg.GaussianLeastSquares(alpha=2.0, covariance=sg.Covariance({1: 1.0}), labels=sg.Teacher(noise=0.5))
    state = equilibrium(model, norm=None)
    assert (state.magnetization, state.norm, state.energy) == pytest.approx((1.0, 1.5, 0.25), abs=1e-7)
    assert state.stable


def _marchenko_pastur(function, alpha):
    """Mean over the N eigenvalues of A^T A, A of shape (alpha N, N) with variance 1/N."""
    low, high = (1 - math.sqrt(alpha)) ** 2, (1 + math.sqrt(alpha)) ** 2

    def integrand(angle):
        l = (low + high) / 2 - (high - low) / 2 * math.cos(angle)
        return function(l) * ((high - low) / 2 * math.sin(angle)) ** 2 / (2 * math.pi * l)

    return integrate.quad(integrand, 0, math.pi, epsabs=1e-13)[0] + max(0.0, 1 - alpha) * function(0.0)


@pytest.mark.parametrize(("alpha", "decay"), [(2.0, 0.2), (0.6, 0.3)])
def test_free_energy_of_ridge_regression_is_exact(alpha, decay):
    """A Gaussian integral: F = E_min + (T/2) <log((l + decay)/(2 pi T))>, with Marchenko and Pastur's density."""
    noise, temperature = 0.5, 0.3
    model = sg.GaussianLeastSquares(alpha=alpha, covariance=sg.Covariance({1: 1.0}), labels=sg.Teacher(noise=noise))
    # |A(x - x*) - sqrt(noise) z|^2/2 + decay |x|^2/2 at its minimum, averaged over x*, z
    signal = _marchenko_pastur(lambda l: l * decay / (l + decay), alpha)
    projected = alpha - _marchenko_pastur(lambda l: l / (l + decay), alpha)
    minimum = 0.5 * (signal + noise * projected)
    logs = _marchenko_pastur(lambda l: math.log((l + decay) / (2 * math.pi * temperature)), alpha)
    state = equilibrium(model, norm=None, temperature=temperature, weight_decay=decay)
    assert state.free_energy == pytest.approx(minimum + 0.5 * temperature * logs, abs=1e-8)
    assert state.stable
    assert equilibrium(model, norm=None, weight_decay=decay).free_energy == pytest.approx(minimum, abs=1e-8)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (MIXED, {}),
        (TARGET, {"norm": None, "weight_decay": 0.2}),
        (MIXED, {"norm": 1.4}),
        (sg.GaussianLeastSquares(alpha=2.5), {}),
        (TARGET, {"levels": 2}),
    ],
)
def test_energy_and_entropy_are_derivatives_of_the_free_energy(model, options):
    temperature, step = 0.3, 1e-3
    state = equilibrium(model, temperature=temperature, **options)
    above, below = (equilibrium(model, temperature=temperature + s, **options).free_energy for s in (step, -step))
    assert state.entropy == pytest.approx(-(above - below) / (2 * step), abs=1e-5)
    decay = options.get("weight_decay", 0.0)
    total = state.energy + 0.5 * decay * state.norm
    assert state.free_energy == pytest.approx(total - temperature * state.entropy, abs=1e-12)


def test_high_temperature_energy_is_the_mean_loss():
    state = equilibrium(TARGET, temperature=1e4)
    assert state.energy == pytest.approx(0.75 * 1.5, abs=1e-3)  # alpha [f(1) + y^2]/2
    assert state.entropy == pytest.approx(0.0, abs=1e-3)


def test_low_temperature_energy_goes_to_the_ground_state():
    """Equipartition: e = E_0 + O(T)."""
    ground = equilibrium(TARGET, levels=2).energy
    warm = [equilibrium(TARGET, levels=2, temperature=t).energy - ground for t in (0.02, 0.01)]
    assert warm[1] < 0.011
    assert warm[0] == pytest.approx(2 * warm[1], rel=0.05)


def test_noise_free_labels():
    """alpha < 1: zero loss on a manifold with q = m = max(0, 2 alpha - 1) (Nishimori); alpha > 1: only the signal."""
    for alpha, overlap in ((0.4, 0.0), (0.75, 0.5), (0.9, 0.8)):
        state = equilibrium(sg.GaussianLeastSquares(alpha=alpha))
        assert state.phase == "satisfiable"
        assert (state.magnetization, state.overlaps[0]) == pytest.approx((overlap, overlap), abs=1e-7)
        assert state.stable
    state = equilibrium(sg.GaussianLeastSquares(alpha=2.5))
    assert (state.phase, state.energy, state.magnetization, state.stable) == ("recovered", 0.0, 1.0, True)
    cold = equilibrium(sg.GaussianLeastSquares(alpha=2.5), temperature=1e-4)
    assert cold.susceptibility == pytest.approx(state.susceptibility, rel=1e-3)
    assert cold.replicon == pytest.approx(state.replicon, abs=1e-3)


def test_away_from_the_signal_replica_symmetry_is_broken():
    state = equilibrium(sg.GaussianLeastSquares(alpha=2.5), magnetization=0.5)
    assert state.energy == pytest.approx((math.sqrt(2.5) - 1) ** 2 * 0.75 / 2, abs=1e-12)
    assert state.stable is False
    assert "UNSTABLE" in repr(state)


# -------------------------------------------------------------------------------------------------- broken symmetry


def _full_breaking_on_a_grid(model, count):
    """Ground-state energy with x(q) free on a fixed grid of q: another discretization, another optimizer."""
    problem = functional.Problem(model)
    q = np.linspace(0.0, 1.0, count + 1)

    def objective(v):
        slopes = functional.ground(problem, q, np.cumsum(v[1:]), v[0])
        return -slopes.value, -np.append(slopes.chi, np.cumsum(slopes.x[::-1])[::-1])

    start = np.append(1.0, np.full(count, 2.0 / count))
    result = optimize.minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=[(1e-3, None)] + [(0.0, None)] * count,
        options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip
    return -result.fun


def test_steps_of_breaking_converge_to_full_breaking():
    """Gains fall as k^-5 and the limit is that of a free function on a grid, up to the stated uncertainty."""
    state = equilibrium(TARGET, levels=5)
    assert state.levels == 5
    assert all(gain > 0 for gain in state.gains)
    assert state.gains[-1] < 0.5 * state.gains[-2]
    full = _full_breaking_on_a_grid(TARGET, 100)
    assert full <= state.energy + 3 * state.uncertainty
    assert full == pytest.approx(state.energy, abs=2e-6)
    assert not state.stable
    assert "truncated" in repr(state)


def test_one_step_is_enough_at_small_target():
    """y = 0.3: the ground state breaks in one step, x jumps from 0, a second step gains nothing."""
    model = sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(0.3))
    state = equilibrium(model, levels=3)
    assert state.levels == 1
    assert state.stable
    assert state.energy > 5 * equilibrium(model).energy
    assert state.energy == pytest.approx(_full_breaking_on_a_grid(model, 100), abs=2e-5)


def test_breaking_of_a_stable_state_returns_it():
    model = sg.GaussianLeastSquares(alpha=2.5, labels=sg.Teacher(noise=0.5))
    state, tried = equilibrium(model), equilibrium(model, levels=1)
    assert state.stable
    assert (tried.levels, tried.energy) == (0, pytest.approx(state.energy, abs=1e-12))


@pytest.mark.parametrize(
    ("model", "temperature"), [(MIXED, 0.2), (TARGET, 0.1), (sg.GaussianLeastSquares(alpha=2.5), 0.3)]
)
def test_replicon_is_the_curvature_along_the_breaking_of_symmetry(model, temperature):
    """q_0 = q - (1 - x) e, q_1 = q + x e is a replicon mode: d2 Phi/de2 = replicon x (1 - x)/(2 (C - q)^2)."""
    state, x, step = equilibrium(model, temperature=temperature), 0.4, 1e-4
    problem = functional.Problem(model, 1.0, state.magnetization, temperature)
    (q,) = state.overlaps

    def phi(e):
        return functional.thermal(problem, np.array([q - (1 - x) * e, q + x * e]), np.array([x])).value

    curvature = (phi(step) - 2 * phi(0.0) + phi(-step)) / step**2
    assert curvature == pytest.approx(state.replicon * x * (1 - x) / (2 * (1 - q) ** 2), rel=2e-3, abs=1e-6)


def test_replicon_sign_is_that_of_the_one_step_gain():
    """f(q) = 0.4 q + a q^2: as a grows replica symmetry breaks where the replicon changes sign."""
    for a, noise in ((0.05, 1.0), (0.45, 0.3), (2.0, 1.0), (2.0, 3.0)):
        model = sg.GaussianLeastSquares(
            alpha=2.0, covariance=sg.Covariance({1: 0.4, 2: a}), labels=sg.Teacher(noise=noise)
        )
        state = equilibrium(model)
        saddle = symmetric_ground(functional.Problem(model, 1.0, state.magnetization))
        assert (break_symmetry(saddle, 1) is saddle) == (state.replicon > 0), (a, noise)


def test_nonlinearity_breaks_symmetry_in_an_interval_of_noise():
    """Fyodorov arXiv:1805.06982: beyond a threshold of nonlinearity, in some interval of the noise-to-signal ratio."""

    def verdicts(covariance):
        models = [
            sg.GaussianLeastSquares(alpha=1.2, covariance=covariance, labels=sg.Teacher(noise=float(noise)))
            for noise in np.geomspace(0.01, 100.0, 9)
        ]
        return [equilibrium(model).stable for model in models]

    assert all(verdicts(sg.Covariance({1: 0.4, 2: 0.1})))
    stable = verdicts(sg.Covariance({1: 0.1, 2: 1.0}))
    assert stable[0]
    assert stable[-1]
    assert not any(stable[3:7])


def test_with_a_linear_term_the_overlap_falls_as_inverse_root_of_the_noise():
    """Fyodorov arXiv:1805.06982: p ~ gamma^(-1/2)."""

    def overlap(noise):
        covariance = sg.Covariance({1: 0.4, 2: 0.1})
        model = sg.GaussianLeastSquares(alpha=2.0, covariance=covariance, labels=sg.Teacher(noise=noise))
        return equilibrium(model).magnetization

    assert overlap(4e6) == pytest.approx(overlap(1e6) / 2, rel=1e-3)


def test_a_quadratic_signal_is_lost_at_the_critical_noise():
    """Fyodorov arXiv:1805.06982: p = 0 above a threshold for f purely quadratic; ours is noise_c = alpha - 1/2."""
    below, above = (
        equilibrium(sg.GaussianLeastSquares(alpha=2.5, labels=sg.Teacher(noise=noise)), levels=2)
        for noise in (1.97, 2.03)
    )
    assert recovery_noise(below.model) == 2.0
    assert above.magnetization == 0.0
    assert 0.01 < below.magnetization < 0.06


@pytest.mark.slow
def test_overlap_near_the_critical_noise_has_exponent_three_quarters():
    """Fyodorov arXiv:1805.06982: p ~ (gamma_c - gamma)^(3/4), controlled by replica symmetry breaking."""
    distances = np.array([0.32, 0.16, 0.08])
    overlaps = [
        equilibrium(sg.GaussianLeastSquares(alpha=2.5, labels=sg.Teacher(noise=2.0 - d)), levels=4).magnetization
        for d in distances
    ]
    local = np.diff(np.log(overlaps)) / np.diff(np.log(distances))
    assert local == pytest.approx(0.75, abs=0.06)
    assert abs(local[1] - 0.75) < abs(local[0] - 0.75)


# ------------------------------------------------------------------------------------------------------ transitions


def test_satisfiability():
    """Replica symmetric f'/(f + y^2); with breaking lower, never above one equation per unknown; E > 0 just above."""
    symmetric, broken = satisfiability(TARGET), satisfiability(TARGET, levels=3)
    assert symmetric.alpha == pytest.approx(2 / 3, abs=1e-12)
    assert broken.alpha == pytest.approx(0.64535, abs=2e-5)
    assert satisfiability(sg.GaussianLeastSquares(alpha=1, labels=sg.ConstantTarget(0.3)), levels=2).alpha == 1.0

    def state(alpha):
        return equilibrium(sg.GaussianLeastSquares(alpha=alpha, labels=sg.ConstantTarget(1.0)), levels=2)

    above, below = state(0.66), state(0.63)
    assert (above.phase, below.phase) == ("unsatisfiable", "satisfiable")
    assert 0 < above.energy < 1e-4
    assert above.uncertainty >= 0


def test_a_noisy_teacher_is_no_easier_to_satisfy_than_its_label_variance():
    """At m = 0 the labels are those of a target y^2 = f(1) + noise."""
    noisy = satisfiability(sg.GaussianLeastSquares(alpha=1, labels=sg.Teacher(noise=0.5)), levels=1)
    assert noisy.alpha == pytest.approx(satisfiability(TARGET, levels=1).alpha, abs=1e-6)


@pytest.mark.parametrize("target", [0.6, 1.0, 2.0])
def test_symmetry_breaking_of_the_zero_loss_manifold(target):
    """f = q^2/2: q = 0 is stable up to alpha = 1/(4 y^2), from (1 + q)^2/4 = alpha (3 q^2/2 + y^2) at q = 0."""
    model = sg.GaussianLeastSquares(alpha=1, labels=sg.ConstantTarget(target))
    assert symmetry_breaking(model).alpha == pytest.approx(1 / (4 * target**2), rel=1e-9)


# --------------------------------------------------------------------------------------------------------- refusals


def test_refusals():
    with pytest.raises(NotConverged, match="runs to the edge"):
        equilibrium(sg.GaussianLeastSquares(alpha=2.0, labels=sg.ConstantTarget(0.0)), norm=None)
    with pytest.raises(NotConverged, match="Replica symmetry holds"):
        symmetry_breaking(sg.GaussianLeastSquares(alpha=1, labels=sg.ConstantTarget(0.2)))
    with pytest.raises(InvalidArgument, match="no satisfiability"):
        satisfiability(sg.GaussianLeastSquares(alpha=1))
    with pytest.raises(InvalidArgument, match="weight_decay"):
        equilibrium(TARGET, weight_decay=0.1)
    with pytest.raises(InvalidArgument, match="magnetization"):
        equilibrium(TARGET, magnetization=1.5)
    with pytest.raises(InvalidArgument, match="temperature"):
        equilibrium(TARGET, temperature=-1.0)


@pytest.mark.parametrize(("model", "levels"), [
    (sg.GaussianLeastSquares(alpha=0.65, labels=sg.ConstantTarget(1.0)), 2),
    (sg.GaussianLeastSquares(alpha=2.0, covariance=sg.Covariance({3: 1.0}), labels=sg.ConstantTarget(0.5)), 1),
])  # fmt: skip
def test_a_search_that_runs_to_infinite_breakpoints_is_refused_in_a_sentence(model, levels):
    with pytest.raises(NotConverged, match="stationary only to") as caught:
        equilibrium(model, levels=levels)
    assert caught.value.value.model == model
