"""The faces of the statics: commands and pictures."""

import tomllib
from types import SimpleNamespace

import numpy as np
import pytest

import sgdmft as sg
from sgdmft import cli, plotting
from sgdmft.reports import page
from sgdmft.reports.sections import phase_diagram
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
    assert "Equilibrium(" not in said
    assert "InferenceThresholds(" not in said
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
    assert "right up to alpha = 7.87" in capsys.readouterr().out


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
    symmetric, broken, breaking = np.transpose([phase_diagram._phases(y, 1) for y in (0.5, 1.0)])
    assert symmetric == pytest.approx([1 / 0.75, 1 / 1.5])
    assert broken == pytest.approx([1.0, 0.64559], abs=1e-4)
    assert np.isnan(breaking[0])
    assert breaking[1] == 0.25


def test_the_section_of_the_report(monkeypatch, tmp_path):
    """Everything is computed, but for the overlap of a random point of zero loss, which takes seconds."""
    monkeypatch.setattr(phase_diagram, "_SAMPLES", 3)
    monkeypatch.setattr(phase_diagram, "equilibrium", lambda model: SimpleNamespace(magnetization=model.alpha))
    section = phase_diagram.build(True, steps=120, size=20, magnetization=0.1, level=0.05)
    (figure,), (table,) = section.figures, section.tables
    diagram, phases = figure.figure.axes
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows)[:2] == ["weak recovery, Bayes-optimal and spectral", "signal determined (Bayes-optimal)"]
    assert [rows[name][0] for name in list(rows)[:2]] == ["0.5", "1"]
    for name in (
        "gradient descent",
        "SGD, b = 0.2",
    ):  # a fit with its interval, which the picture shows too, or a refusal
        if rows[name][0] == "refused":
            assert len(rows[name][1]) > 20
        else:
            low, high = (float(end) for end in rows[name][1].strip("[]").split(","))
            assert low < float(rows[name][0]) < high
            assert any(f"alpha^*={float(rows[name][0]):.2f}" in text.get_text() for text in diagram.texts)
    optimal = next(line for line in diagram.lines if line.get_label() == "Bayes-optimal")
    assert np.interp([0.4, 1.5], *optimal.get_data()) == pytest.approx([0.0, 1.0], abs=1e-9)
    x, y = next(line for line in diagram.lines if line.get_label() == "random point of zero loss").get_data()
    np.testing.assert_allclose(y, x**2)
    assert phases.get_xlabel() == "target $y$"
    data = section.data["phase_diagram"]
    np.testing.assert_allclose(data["satisfiability_symmetric"], 1.0 / (data["target"] ** 2 + 0.5), rtol=1e-9)
    assert (data["spectral_overlap_squared_error"] > 0).all()
    assert (data.attrs["size"], data.attrs["samples"]) == (20, 3)
    page.save_files(tmp_path, section)
    table = tomllib.loads((tmp_path / "phase_diagram.toml").read_text())
    assert (table["steps"], table["level"], table["start"]["magnetization"]) == (120, 0.05, 0.1)
    assert (tmp_path / "phase_diagram.png").is_file()
