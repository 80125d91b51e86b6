"""The faces of the statics: commands and pictures."""

import tomllib

import numpy as np
import pytest

import sgdmft as sg
from sgdmft import cli, plotting
from sgdmft.reports import phase_diagram
from sgdmft.statics import equilibrium


def test_statics_prints_and_saves_states(tmp_path, capsys):
    output = tmp_path / "states.toml"
    words = ["statics", "--alpha", "1.5", "0.2", "--target", "1", "--levels", "1", "--transitions", "-o", str(output)]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "unsatisfiable" in said
    assert "log volume" in said
    table = tomllib.loads(output.read_text())
    model = sg.GaussianLeastSquares(alpha=1.5, labels=sg.ConstantTarget(1.0))
    assert table["state_0"]["energy"] == equilibrium(model, levels=1).energy
    assert table["symmetry_breaking"]["alpha"] == pytest.approx(0.25)
    assert cli.main(words) == cli.INVALID  # the file exists


def test_statics_of_a_teacher(capsys):
    assert cli.main(["statics", "--alpha", "2.5", "--transitions"]) == 0
    said = capsys.readouterr().out
    assert "recovered" in said
    assert "weak recovery at alpha = 0.5" in said
    assert cli.main(["statics", "--alpha", "2", "--noise", "1", "--target", "1"]) == cli.INVALID
    assert "either" in capsys.readouterr().err


def test_gardner(tmp_path, capsys):
    output = tmp_path / "capacities.toml"
    assert cli.main(["gardner", "--alpha", "1", "3", "-o", str(output)]) == 0
    assert "0.833" in capsys.readouterr().out
    table = tomllib.loads(output.read_text())
    assert table["spherical_capacity"]["alpha"] == 2.0
    assert (table["storage_0"]["kind"], table["storage_1"]["kind"]) == ("VersionSpace", "MinimalErrors")
    assert cli.main(["gardner", "--margin", "-1"]) == 0
    assert "Replica symmetry breaks at alpha = 7.87" in capsys.readouterr().out


def test_pictures():
    _, panels = plotting.figure(2)
    x = np.linspace(0.0, 2.0, 5)
    left = plotting.recovery_diagram(
        {"a": (x, x / 2)}, {"b": (1.0, 0.9, 1.1)}, {"a": (x, x / 2, x / 9)}, axes=panels[0, 0]
    )
    assert [text.get_text() for text in left.texts] == ["b"]
    right = plotting.satisfiability_diagram(x, {"c": x}, regions=[(1.0, 1.0, "d")], axes=panels[0, 1])
    assert right.get_xlabel() == "target $y$"


def test_phases_of_the_target_model():
    """Columns: y = 0.5 and 1; broken symmetry lowers the threshold, to at most one equation per unknown."""
    symmetric, broken, breaking = phase_diagram._target_phases(np.array([0.5, 1.0]), 1, lambda *_: None)
    assert symmetric == pytest.approx([1 / 0.75, 1 / 1.5])
    assert broken == pytest.approx([1.0, 0.64559], abs=1e-4)
    assert np.isnan(breaking[0])
    assert breaking[1] == 0.25
