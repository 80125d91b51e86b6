"""The README and the project files say what is true: the example prints what it says, commands and names exist."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import sgdmft as sg
from sgdmft import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL).group(1)


def test_readme_is_short_and_its_figure_is_there():
    assert len(README.splitlines()) <= 120
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).is_file(), target


def test_example_prints_what_the_readme_says():
    code = block("python")
    assert len(code.strip().splitlines()) <= 11
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), {})
    assert output.getvalue() == block("text")


def test_functions_named_in_the_table_exist():
    table = README[README.index("| equation |") :]
    for name in re.findall(r"`(\w+)(?:\(|`)", table):
        assert hasattr(sg, name), name


@pytest.mark.parametrize(("code", "lowest"), [(0, 0), (7, 0), (0, 7)])
def test_the_ci_runs_the_command_of_the_readme_and_then_the_lowest_versions(code, lowest, tmp_path):
    """`.ci/run` with pythons that only write down how they are called: all steps, and the exit code of the first failure."""
    calls, folder = tmp_path / "calls", tmp_path / "bin"
    for part in (".ci/run", "README.md"):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / part, tmp_path / part)
    folder.mkdir()
    for name in ("python3", "python3.11"):
        (folder / name).write_text(
            f'#!/bin/sh\necho "$@" >> {calls}\n'
            f'case "$*" in "-m venv "*) mkdir -p $3/bin; cp "$0" $3/bin/python;; "-m pytest") exit {code};; '
            f'"-m pytest -m "*) exit {lowest};; esac\n'
        )
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", env=environment, capture_output=True, text=True)
    assert done.returncode == (code or lowest), done.stderr
    first = ["-m venv .venv", "-m pip install -e .[test]", "-m pytest"]
    constraints = ".venv-lowest/constraints.txt"
    second = ["-m venv .venv-lowest", ".ci/lowest.py", f"-m pip install -q -e .[test] -c {constraints}"]
    second.append("-m pytest -m not slow and not quality")
    assert calls.read_text().splitlines() == (first if code else first + second)


@pytest.mark.parametrize("command", re.findall(r"\.venv/bin/sgdmft (\w+)", README))
def test_commands_of_the_readme_exist(command):
    assert command in cli._COMMANDS


def test_cited_keys_are_in_the_bibliography():
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "references.bib").read_text(encoding="utf-8")))
    cited = set()
    for path in (ROOT / "src").rglob("*.py"):
        for group in re.findall(r"\[([A-Z]\w+\d{4}[a-z]?(?:[;,] ?[A-Z]\w+\d{4}[a-z]?)*)\]", path.read_text("utf-8")):
            cited |= {key.strip() for key in re.split("[;,]", group)}
    assert cited, "docstrings cite their sources"
    assert cited <= keys, f"not in references.bib: {sorted(cited - keys)}"


def test_versions_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == sg.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()
