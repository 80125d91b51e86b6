"""The theory pages: every name they give exists, every link leads somewhere, every example prints what it says."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs" / "theory").glob("*.md"))


def resolve(name):
    """The object of a dotted name; ImportError or AttributeError if there is none."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise ImportError(name)


def test_resolve_rejects_what_is_not_there():
    assert resolve("sgdmft.problem.models.Covariance.derivative")
    for wrong in ("sgdmft.problem.models.Covarance", "sgdmft.nothing", "sgdmftt"):
        with pytest.raises((ImportError, AttributeError)):
            resolve(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`(sgdmft(?:\.\w+)+)`", text):
        resolve(name)
    for target in re.findall(r"\]\(([^)#]+\.md)\)", text):
        assert (page.parent / target).is_file(), target
    for test in re.findall(r"`(tests/[\w.]+)`", text):
        assert (page.parents[2] / test).is_file(), test
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted == text.count(">>> ")
