"""The comparison of minibatch schemes: its times are those of `solve`, and it says no more than they do."""

from __future__ import annotations

import doctest
import math
from pathlib import Path

import pytest

import sgdmft as sg
from sgdmft import cli
from sgdmft.reports.sections import schemes

SMALL = {"steps": 150, "size": 30, "samples": 4, "curve_steps": 8}


@pytest.fixture(scope="module")
def section():
    return schemes.build(True, alphas=[3.0, 1.0], fractions=[0.5, 0.3], **SMALL)


def test_times_are_those_of_solve(section):
    (table,) = section.tables
    rows = {tuple(row[:2]): dict(zip(table.head, row, strict=True)) for row in table.rows}
    for name, scheme in {"FullBatch": sg.FullBatch(), "Bernoulli": sg.Bernoulli(0.5), "Cyclic": sg.Cyclic(2)}.items():
        run = sg.solve(
            sg.GaussianLeastSquares(alpha=3.0),
            sg.Descent(learning_rate=0.1, batches=scheme),
            steps=150,
            start=sg.Start(magnetization=0.01),
        )
        assert rows["3", "0.5"][name] == f"{sg.relaxation_time(run, 0.01):.1f}"
    assert rows["1", "0.5"]["Bernoulli"] == "> 150"
    assert rows["3", "0.3"]["Shuffled"] == "–", "1/0.3 is no whole number"
    times = section.data["schemes_times"].relaxation_time
    assert f"{times.sel(alpha=3.0, batch_fraction=0.5, scheme='Cyclic').item():.1f}" == rows["3", "0.5"]["Cyclic"]


def test_every_scheme_with_a_batch_fraction_takes_part(section):
    (table,) = section.tables
    present = {name for name, cls in sg.Batches.registry.items() if cls.at_fraction(0.5) or cls.at_fraction(1.0)}
    assert set(table.head[2:-1]) == present
    assert present >= {"FullBatch", "Bernoulli", "Shuffled", "Cyclic", "Persistent"}


@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.2, 0.1])
def test_schemes_at_a_fraction_have_it(fraction):
    found = [scheme for cls in sg.Batches.registry.values() if (scheme := cls.at_fraction(fraction))]
    assert len(found) == (5 if fraction == 1.0 else 4)
    assert all((abs(scheme.fractions(7) - fraction) < 1e-15).all() for scheme in found)


def test_the_finding_says_who_is_first_and_where_none_is():
    times = {(2.0, 0.5, "Bernoulli"): 100.0, (2.0, 0.5, "Shuffled"): 80.0, (2.0, 0.5, "Cyclic"): math.inf}
    assert schemes._finding(times).endswith("Of 1 settings (α, b), the first to recover is Shuffled in 1 "
                                            "(0.80 of the time of Bernoulli).")  # fmt: skip
    times[2.0, 0.2, "Bernoulli"], times[2.0, 0.2, "Cyclic"] = 50.0, math.nan
    assert "Of 1 settings" in schemes._finding(times)
    assert "nothing is said" in schemes._finding({(2.0, 0.5, "Bernoulli"): math.inf, (2.0, 0.5, "Shuffled"): 3.0})
    assert schemes._row(times, 2.0, 0.2, ["Bernoulli", "Cyclic", "Shuffled"], 9)[2:] == [
        "50.0", "diverges", "–", "Bernoulli (1.00)",
    ]  # fmt: skip


def test_command_writes_figure_table_and_data(tmp_path, capsys, monkeypatch):
    calls = []
    build = schemes.build
    monkeypatch.setattr(schemes, "build", lambda *a, **k: calls.append(k) or build(*a, **{**k, **SMALL}))
    words = "compare-schemes --quick --alphas 3 4 --batch-fractions 0.5 --momentum 0.2 --size 30 -o"
    assert cli.main([*words.split(), str(tmp_path / "out")]) == 0
    assert calls[0]["alphas"] == [3.0, 4.0]
    assert calls[0]["momentum"] == 0.2
    assert "Shuffled" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"report.html", "schemes.png", "schemes.toml", "schemes_times.nc", "schemes_theory_Shuffled.nc"}
    assert cli.main([*words.split(), str(tmp_path / "out")]) == cli.INVALID, "what is there is not overwritten"


PAGE = Path(__file__).parents[1] / "docs" / "schemes.md"


def test_examples_of_the_page_print_what_it_says():
    assert doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8") == (0, 4)


def test_numbers_of_the_page_are_those_of_solve():
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "| " in line]
    head = next(line for line in lines if line[:2] == ["α", "b"])
    rows = [dict(zip(head, line, strict=True)) for line in lines if len(line) == len(head) and line != head]
    assert len(rows) == 18
    checked = 0
    for row in rows:
        alpha, b = float(row["α"]), float(row["b"])
        times = {name: float(row[name]) for name in head[2:7] if not row[name].startswith(">")}
        first = min(times, key=times.__getitem__)
        assert row["first"] == first
        assert abs(float(row["time over Bernoulli's"]) - times[first] / times["Bernoulli"]) < 0.006  # of rounded times
        for name, tau in times.items():
            if tau < 250 and alpha < 2.5:  # the quick ones
                scheme = sg.FullBatch() if name == "FullBatch" else sg.Batches.registry[name].at_fraction(b)
                algorithm = sg.Descent(learning_rate=0.1, batches=scheme)
                found = schemes.relaxation(alpha, algorithm, sg.Start(magnetization=0.01), level=0.01, steps=300)
                assert f"{found:.1f}" == row[name]
                checked += 1
    assert checked >= 12
