"""docs/architecture.md against the code: every arrow is an import, every floor is one of the contract."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sgdmft"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def drawing():
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imports(path):
    """Modules and members of the package that a file imports, wherever the statement stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sgdmft"):
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith("sgdmft")}
    return {name.removeprefix("sgdmft.") for name in found}


def files(module):
    """The file of a module, or all files of a package."""
    path = SOURCE.joinpath(*module.split("."))
    return [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.rglob("*.py"))


def reaches(source, target):
    """Whether `source` imports `target`, or what `target`'s room says of it (a scheme comes with its algorithm)."""
    known = set().union(*(imports(path) for path in files(source)))
    room = target.partition(".")[0]
    direct = any(name == target or name.startswith(f"{target}.") for name in known)
    return direct or (room == "algorithm" and any(name.startswith("algorithm.") for name in known))


@pytest.mark.parametrize("arrow", drawing().FLOW, ids=lambda arrow: f"{arrow[0]}-{arrow[1]}")
def test_every_arrow_is_an_import(arrow):
    source, target, _ = arrow
    assert files(source), source
    assert files(target), target
    assert reaches(source, target)


def test_arrows_that_are_none_are_seen():
    assert not reaches("problem.models", "dmft.run")
    assert not reaches("dmft.solver", "simulation.ensemble")
    assert not files("dmft.nothing")


def test_the_page_tells_the_way_that_is_drawn():
    told = re.findall(r"^\d+\. `([\w.]+)` → `([\w.]+)`: (.+)$", PAGE, flags=re.M)
    assert told == drawing().FLOW


def test_the_floors_are_those_of_the_contract():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [
        set(re.findall(r"[\w]+", layer)) - {"explorer", "_validation", "_version"}
        for layer in contract["contracts"][0]["layers"]
    ]
    told = [set(re.findall(r"`(\w+)`", line.split("|")[1])) for line in re.findall(r"^\| `.*$", PAGE, flags=re.M)]
    told = [rooms for rooms in told if rooms]
    assert told == [rooms for rooms in layers if rooms]


def test_the_picture_is_drawn(tmp_path):
    drawing().draw(tmp_path / "architecture.png")
    assert (tmp_path / "architecture.png").stat().st_size > 20_000
