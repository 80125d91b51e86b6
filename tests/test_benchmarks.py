"""Benchmarks and the programs beside the package do not rot: all are imported, and what can be made small is run."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
#: Arguments that make a benchmark small, each passed to the benchmarks that have it.
SMALL = {"steps": 60, "parts": 4, "begin": 60, "count": 30, "threads": 1, "dtype": "float64", "name": "b = 0.3"}
#: Benchmarks of long runs and of fresh processes: found, but not run here.
LONG = {"bench_late_recovery_at_three_tolerances", "bench_start"}
#: Stands in for `capsys`: what is announced is captured like all else.
QUIET = SimpleNamespace(disabled=contextlib.nullcontext)


def load(name):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PROGRAMS = {path.stem: load(path.stem) for path in sorted(FOLDER.glob("*.py"))}
BENCHMARKS = {name: thing for module in PROGRAMS.values() for name, thing in vars(module).items() if "bench_" in name}


class Once:
    """Stands in for the fixture of pytest-benchmark: runs the work once and keeps what is noted."""

    def __init__(self):
        self.extra_info = {}

    def pedantic(self, work, **options):
        work()


@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - LONG))
def test_benchmarks_run(name, monkeypatch):
    """What they say of speed is not judged, with so little to do."""
    monkeypatch.setattr(PROGRAMS["bench_simulation"], "SIZE", 20)
    function, once = BENCHMARKS[name], Once()
    wanted = set(inspect.signature(function).parameters) - {"benchmark", "capsys"}
    with contextlib.suppress(AssertionError):
        function(once, QUIET, **{key: SMALL[key] for key in wanted})
    assert once.extra_info
    assert np.isfinite(list(once.extra_info.values())).all()


def test_the_table_of_schemes_is_printed(capsys):
    PROGRAMS["bench_schemes"].main(60, 20)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == len(PROGRAMS["bench_schemes"].SCHEMES)


def test_coverage_is_measured():
    program = PROGRAMS["coverage_thresholds"]
    found = program.measure(program.scatter(0.01), 3, 1)
    assert set(found) == set(program.CONFIDENCES)


def test_tables_are_printed(capsys):
    program = PROGRAMS["tables_thresholds"]
    assert all(callable(function) for function in program.TABLES.values())
    program.table(["a", "b"], [[program.grouped(20_000), "1"]])
    assert capsys.readouterr().out.splitlines() == ["| a | b |", "| --- | --- |", "| 20 000 | 1 |", ""]
