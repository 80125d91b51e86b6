"""The report: self-contained, complete, with its data; finished sections survive a failing or interrupted one."""

import re
import tomllib

import numpy as np
import pytest
import xarray as xr
from markupsafe import Markup

import sgdmft as sg
from sgdmft import cli, plotting, reports
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.reports import page
from sgdmft.reports.section import Figure, Section, Table, html
from sgdmft.reports.sections import correlations, learning_curves

SMALL = {"fractions": (1.0, 0.2)}


@pytest.fixture(scope="module")
def sections():
    """Real sections with tiny parameters."""
    return [
        learning_curves.build(True, steps=20, size=30, samples=3, **SMALL),
        correlations.build(True, steps=60, waiting=[3, 10], **SMALL),
    ]


def test_every_section_is_saved_with_pictures_data_and_parameters(sections, tmp_path):
    for section in sections:
        page.save_files(tmp_path, section)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"learning_curves.png", "learning_curves_z.png", "correlations.png", "correlations_b0.2.nc"} <= names
    for section in sections:
        assert section.text
        assert section.figures
        tomllib.loads((tmp_path / f"{section.name}.toml").read_text())
    theory = sg.load(tmp_path / "learning_curves_theory_b0.2.nc")
    data = sg.load(tmp_path / "learning_curves_simulation_b0.2.nc")
    again = sg.solve(theory.model, theory.algorithm, steps=20, start=theory.start)
    np.testing.assert_array_equal(again.magnetization, theory.magnetization)
    assert data.dataset.attrs["size"] == 30


def test_parameters_of_the_file_give_the_run(sections):
    table = tomllib.loads(sg.run.parameters.toml(sections[1].parameters))
    model = sg.run.parameters.rebuild("model", table["model"])
    assert model == sections[1].data["correlations_b1"].model


def test_page_is_self_contained(sections, tmp_path):
    text = page.render(sections)
    assert text.count("<img") == sum(len(section.figures) for section in sections)
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert not re.search(r"https?://|<script|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    for section in sections:
        assert section.title in text


def test_texts_are_escaped_unless_they_are_markup():
    figure, _ = plotting.figure()
    section = Section(
        name="made",
        title="a & b",
        text=["Δ < 1", *html("m<sub>0</sub> &lt; 1")],
        figures=[Figure(name="made", figure=figure, caption="<b>caption</b>")],
        tables=[Table(caption="t<w", head=["<th>"], rows=[[Markup("t<sub>w</sub>")]])],
        parameters={"label": "</pre><b>"},
    )
    text = page.render([section], failed={"<i>": "x < y"})
    body = text[text.index("<body>") :]
    for shown in (
        "a &amp; b",
        "Δ &lt; 1",
        "m<sub>0</sub> &lt; 1",
        "&lt;b&gt;caption",
        "t&lt;w",
        "<td>t<sub>w</sub></td>",
    ):
        assert shown in body, shown
    for hidden in ("<b>", "<i>", "<th><th>", "x < y"):
        assert hidden not in body, hidden


def test_near_the_threshold_small_batches_are_faster():
    runs = [
        learning_curves.near_threshold(sg.GradientDescent(0.15).at_fraction(fraction))
        for fraction in (1.0, 0.5, 0.2, 0.1)
    ]
    taus = [sg.relaxation_time(run, 0.1) for run in runs]
    assert all(np.diff(taus) < 0), "as the report's text says"
    assert taus[0] > 3 * taus[-1]


def fake(name, error=None):
    """A section module whose build returns a small section or fails."""

    def build(quick, progress):
        progress(1, 2, "half")
        if error:
            raise error
        figure, axes = plotting.figure()
        axes[0, 0].plot([0, 1])
        return Section(
            name=name,
            title=f"Title of {name}",
            text=["a < b"],
            figures=[Figure(name=name, figure=figure, caption="c")],
            tables=[Table(caption="t", head=["x"], rows=[["1"]])],
            data={f"{name}_data": xr.Dataset({"a": ("x", [1.0])})},
            parameters={"steps": 3},
        )

    return type("Module", (), {"build": staticmethod(build)})


@pytest.fixture
def fake_sections(monkeypatch):
    def install(**errors):
        modules = {name: fake(name, error) for name, error in errors.items()}
        monkeypatch.setattr(reports, "SECTIONS", dict.fromkeys(errors, (3.0, 1.0)))
        monkeypatch.setattr(reports, "TALK", tuple(errors))
        monkeypatch.setattr(reports, "_module", modules.__getitem__)

    return install


def test_a_failing_section_leaves_the_others(fake_sections, tmp_path, capsys):
    fake_sections(one=None, two=NotConverged("It did not converge."), three=None)
    assert cli.main(["reproduce", "-o", str(tmp_path / "out"), "--quick"]) == cli.INVALID
    text = (tmp_path / "out" / "report.html").read_text()
    assert "Title of one" in text
    assert "Title of three" in text
    assert "could not be built: It did not converge." in text
    assert (tmp_path / "out" / "three_data.nc").is_file()
    assert "Section `two` failed" in capsys.readouterr().out


def test_an_interrupted_report_keeps_what_was_finished(fake_sections, tmp_path):
    fake_sections(one=None, two=KeyboardInterrupt(), three=None)
    assert cli.main(["reproduce", "-o", str(tmp_path / "out"), "--quiet"]) == cli.INTERRUPTED
    text = (tmp_path / "out" / "report.html").read_text()
    assert "Title of one" in text
    assert "was interrupted" in text
    assert "Title of three" not in text


def test_progress_tells_the_truth_over_the_whole_report(fake_sections, tmp_path, monkeypatch):
    fake_sections(one=None, two=None)
    monkeypatch.setattr("sgdmft.progress._INTERVAL", 0.0)
    seen = []
    reports.write(tmp_path, progress=lambda done, total, label: seen.append((label, done / total)))
    assert seen == [("one", 0.25), ("one", 0.5), ("two", 0.75), ("two", 1.0)]


def test_unknown_section_and_used_folder_are_refused(tmp_path, capsys):
    with pytest.raises(InvalidArgument, match="no section `five`"):
        reports.write(tmp_path, only=["five"])
    (tmp_path / "precious").write_text("x")
    assert cli.main(["reproduce", "-o", str(tmp_path)]) == cli.INVALID
    assert "exists already" in capsys.readouterr().err


def test_a_quick_report_is_on_the_talk_alone():
    assert set(reports.TALK) < set(reports.SECTIONS)
