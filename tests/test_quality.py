"""Lint, format, types and layers: the same tools as by hand, over the whole repository.

The tools are started when this file is collected and run beside the other tests.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
TOOLS = {
    "ruff check": ["ruff", "check", "--no-cache", "."],
    "ruff format": ["ruff", "format", "--no-cache", "--check", "."],
    "pyright": ["pyright", "--pythonpath", sys.executable],
    "lint-imports": ["lint-imports", "--no-cache"],
}


def start(command):
    output = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed by the test
    done = subprocess.Popen([BIN / command[0], *command[1:]], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    return done, output


RUNNING = {name: start(command) for name, command in TOOLS.items()}


@pytest.mark.parametrize("name", TOOLS)
def test_tool_is_content(name):
    process, output = RUNNING[name]
    code = process.wait()
    with output:
        output.seek(0)
        assert code == 0, f"{' '.join(map(str, TOOLS[name]))}\n{output.read()}"
