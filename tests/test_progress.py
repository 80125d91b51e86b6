"""Progress: throttled, and truthful over parts."""

import io

from sgdmft import progress


def test_reports_are_throttled_and_the_last_one_arrives():
    seen = []
    with progress.reporter(lambda *report: seen.append(report), "work") as report:
        for step in range(10_000):
            report.update(step + 1, 10_000)
    assert len(seen) < 50
    assert seen[-1] == (10_000, 10_000, "work")


def test_silent_and_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    for choice in (False, True):
        with progress.reporter(choice, "theory") as report:
            for step in range(10):
                report.update(step + 1, 10)
    assert stream.getvalue().splitlines()[::9] == ["theory: 10 %", "theory: 100 %"]


def test_parts_add_up():
    seen = []
    parts = progress.Parts(lambda done, total, label: seen.append(done / total), {"a": 1, "b": 3})
    parts["b"](1, 2, "")
    parts.finish("a")
    parts.finish("b")
    assert seen == [0.375, 0.625, 1.0]
