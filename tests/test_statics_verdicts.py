"""What is said about the stability of an equilibrium state, and where nothing is."""

import pytest

import sgdmft as sg
from sgdmft.statics import equilibrium, satisfiability


def test_many_steps_of_a_continuous_breaking_are_undecided():
    """alpha = 1.3, noise 0.5: the third step gains 9e-9, five more another 1e-9 in all, below what each must gain."""
    state = equilibrium(sg.GaussianLeastSquares(alpha=1.3, labels=sg.Teacher(noise=0.5)), levels=4)
    assert state.levels == 3
    assert state.stable is None
    assert abs(state.replicon) < state.replicon_error
    assert 1.15e-9 < state.uncertainty < 1e-7
    assert "undecided: marginal" in repr(state)


@pytest.mark.parametrize(
    ("model", "levels"),
    [
        (sg.GaussianLeastSquares(alpha=2.0, labels=sg.Teacher(noise=0.5)), 0),
        (sg.GaussianLeastSquares(alpha=2.0, labels=sg.Teacher(noise=0.5)), 2),
        (sg.GaussianLeastSquares(alpha=0.25, labels=sg.ConstantTarget(1.0)), 0),
    ],
)
def test_a_marginal_state_is_neither_stable_nor_unstable(model, levels):
    state = equilibrium(model, levels=levels)
    assert state.stable is None
    assert state.replicon_error < 1e-10
    assert "marginal" in repr(state)


@pytest.mark.parametrize(("distance", "stable"), [(1e-6, True), (-1e-6, False)])
def test_a_millionth_from_the_marginal_point_is_decided(distance, stable):
    model = sg.GaussianLeastSquares(alpha=0.25 * (1 - distance), labels=sg.ConstantTarget(1.0))
    assert equilibrium(model).stable is stable


def test_a_positive_replicon_is_not_enough():
    """y = 0.3, alpha = 1.3: more equations than unknowns, yet the symmetric state has zero loss and replicon 0.53."""
    model = sg.GaussianLeastSquares(alpha=1.3, labels=sg.ConstantTarget(0.3))
    state = equilibrium(model)
    assert state.replicon > 0.5
    assert state.stable is False
    assert "UNSTABLE: symmetry breaks by a jump" in repr(state)
    assert satisfiability(model, levels=1).alpha <= 1.0 < model.alpha
