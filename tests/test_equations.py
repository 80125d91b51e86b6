"""Equation numbers are names: each belongs to one equation of the package, and what is cited exists."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
TESTS = sorted((ROOT / "tests").glob("*.py"))

NUMBER = r"([1-9]\d?)\.([1-9]\d?)"


def defined(text):
    """Numbers of the equations of a module: at the right margin, a gap before them."""
    return [".".join(found) for found in re.findall(rf"\S {{2,}}\({NUMBER}\)$", text, re.MULTILINE)]


def tagged(text):
    """Numbers of the displayed equations of a page."""
    return [".".join(found) for tag in re.findall(r"\\tag\{([^}]*)\}", text) for found in re.findall(NUMBER, tag)]


def cited(text):
    """Numbers in parentheses, those defined too; f(1.5) and Start(2.5) are calls, and no citations."""
    return {".".join(found) for found in re.findall(rf"(?<![\w\])}}])\({NUMBER}\)", text)}


@pytest.fixture(scope="module")
def equations():
    """Number -> modules that define it."""
    table = defaultdict(list)
    for path in SOURCES:
        for number in defined(path.read_text(encoding="utf-8")):
            table[number].append(str(path.relative_to(ROOT)))
    return table


def test_what_counts_as_a_definition_and_as_a_citation():
    text = "    x = 1,      (3.7)\nBy (3.7) and f(2.5), equations (4.1) to (4.10)  # (0.3) of (5.20)\n\\tag{4.3, 4.4}"
    assert defined(text) == ["3.7"]
    assert tagged(text) == ["4.3", "4.4"]
    assert cited(text) == {"3.7", "4.1", "4.10", "5.20"}


def test_each_number_is_that_of_one_equation(equations):
    twice = {number: paths for number, paths in equations.items() if len(paths) > 1}
    assert not twice
    assert len(equations) > 50


def test_chapters_are_numbered_through(equations):
    """In each chapter 1, 2, 3, ... without a gap."""
    chapters = defaultdict(set)
    for number in equations:
        chapter, place = map(int, number.split("."))
        chapters[chapter].add(place)
    for chapter, places in chapters.items():
        assert places == set(range(1, len(places) + 1)), chapter
    index = (ROOT / "docs" / "theory" / "index.md").read_text(encoding="utf-8")
    assert sorted(chapters) == [int(found) for found in re.findall(r"\((\d+)\.x\)", index)]


def test_pages_show_an_equation_once_and_under_the_number_of_its_module(equations):
    tags = [number for path in PAGES for number in tagged(path.read_text(encoding="utf-8"))]
    assert len(tags) == len(set(tags))
    assert set(tags) <= set(equations)


@pytest.mark.parametrize("path", [*SOURCES, *PAGES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_cited_equations_exist(path, equations):
    if path != Path(__file__):
        assert cited(path.read_text(encoding="utf-8")) <= set(equations)
