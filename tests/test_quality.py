"""Lint, format, types and layers: the same tools as by hand, over the whole repository, side by side."""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.quality
ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
TOOLS = {
    "ruff check": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
    "pyright": ["pyright", "--pythonpath", sys.executable],
    "lint-imports": ["lint-imports", "--no-cache"],
}


@pytest.fixture(scope="module")
def running():
    with contextlib.ExitStack() as stack:
        started = {}
        for name, (tool, *options) in TOOLS.items():
            output = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            command = [BIN / tool, *options]
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT))
            started[name] = process, output
        yield started


@pytest.mark.parametrize("name", TOOLS)
def test_tool_is_content(name, running):
    process, output = running[name]
    code = process.wait()
    output.seek(0)
    assert code == 0, f"{' '.join(TOOLS[name])}\n{output.read()}"
