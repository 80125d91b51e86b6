"""Whatever a user's machine is like, a command works, or says in a sentence what to change."""

import itertools
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sgdmft as sg
from sgdmft import progress
from sgdmft._kernels import compiled

SOURCES = Path(sg.__file__).parent
SOLVE = "solve --alpha 2.5 --learning-rate 0.1 --batch-fraction 0.3 --magnetization 0.3 --steps 5 -o {output}"
COMMANDS = {
    "solve": SOLVE,
    "simulate": SOLVE.replace("solve", "simulate") + " --size 20 --samples 2",
    "compare": SOLVE.replace("solve", "compare") + " --size 20 --samples 2",
    "aging": SOLVE.replace("solve", "aging").replace("steps 5", "steps 400"),
    "hessian": SOLVE.replace("solve", "hessian"),
    "statics": "statics --alpha 1.5 --noise 0.2 -o {output}",
    "gardner": "gardner -o {output}",
    "threshold": "threshold --learning-rate 0.1 --linearized --alphas 0.8 3 --tolerance 0.2 --steps 300 -o {output}",
}
SETTINGS = {
    "no home": {"HOME": None, "XDG_CACHE_HOME": None, "USER": None, "LOGNAME": None},
    "a home that is none": {"HOME": "/dev/null", "XDG_CACHE_HOME": None},
    "no path": {"PATH": "/nonexistent"},
    "no folder for temporary files": {"TMPDIR": "/nonexistent/folder"},
    "ascii": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
    "latin": {"PYTHONIOENCODING": "latin-1:strict"},
    "posix": {"LC_ALL": "POSIX", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "backend": {"MPLBACKEND": "nonsense", "MPLCONFIGDIR": "/nonexistent/folder"},
    "no compiler": {"NUMBA_DISABLE_JIT": "1"},
    "threads": {"NUMBA_NUM_THREADS": "64", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    "odd threads": {"NUMBA_NUM_THREADS": "0", "OMP_NUM_THREADS": "nonsense", "OPENBLAS_NUM_THREADS": "0"},
    "locks of HDF5": {"HDF5_USE_FILE_LOCKING": "TRUE"},
    "optimized": {"PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "7"},
    "narrow": {"COLUMNS": "1", "LINES": "1", "NO_COLOR": "1"},
    "dumb": {"TERM": "dumb", "FORCE_COLOR": "1"},
    "no cache": {"SGDMFT_CACHE": "/dev/null/cache", "NUMBA_CACHE_DIR": "/dev/null/cache"},
}
SHELLS = {
    "plain": "exec {command}",
    "all streams are closed": "exec {command} <&- >&- 2>&-",
    "no output": "exec {command} >&-",
    "no errors": "exec {command} 2>&-",
    "background": "trap '' INT HUP; exec {command} < /dev/null",
    "one core": "if command -v taskset > /dev/null; then exec taskset 1 {command}; else exec {command}; fi",
}

GONE = {"a folder that is deleted": "mkdir gone && cd gone && rmdir ../gone && exec {command}"}


def run(words, folder, settings=None, shell="plain", python=("-m", "sgdmft.cli"), sources=SOURCES):
    """The finished process of a command whose output is `folder`/result."""
    environment = {**os.environ, "PYTHONPATH": str(sources.parent), **(settings or {})}
    command = shlex.join([sys.executable, *python, *words.format(output=folder / "result").split(" ")])
    return subprocess.run(
        ["/bin/sh", "-c", (SHELLS | GONE)[shell].format(command=command)],
        env={name: value for name, value in environment.items() if value is not None},
        cwd=folder, capture_output=True, timeout=300,
    )  # fmt: skip


def works(done, folder):
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"Warning" not in done.stderr, done.stderr
    assert (folder / "result").exists()
    assert not (folder / "~").exists(), "nothing is left in a folder named ~"


@pytest.mark.parametrize(
    ("names", "shell"),
    [
        (["no home", "no path", "no folder for temporary files", "narrow", "odd threads"], "all streams are closed"),
        (["ascii", "no compiler", "optimized", "dumb", "a home that is none"], "one core"),
        (["no cache", "posix", "backend", "threads"], "background"),
    ],
)
def test_a_run_works_in_surroundings_that_are_odd_in_many_ways(names, shell, tmp_path):
    settings = {key: value for name in names for key, value in SETTINGS[name].items()}
    works(run(SOLVE, tmp_path, settings, shell), tmp_path)
    assert sg.load(tmp_path / "result").time[-1] == 5


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_works_in_every_surrounding(command, name, shell, tmp_path):
    works(run(COMMANDS[command], tmp_path, SETTINGS[name], shell), tmp_path)


def test_in_a_folder_that_was_deleted_a_sentence_says_so(tmp_path):
    done = run(SOLVE, tmp_path, shell="a folder that is deleted")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"has been deleted" in done.stderr


def test_a_reader_that_went_away_is_no_error(tmp_path):
    command = shlex.join([sys.executable, "-m", "sgdmft.cli", "--help"])
    program = f"{{ {command}; echo $? >&2; }} | true"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES.parent)}
    done = subprocess.run(["/bin/sh", "-c", f"sleep 0.3 | {program}"], env=environment, capture_output=True, text=True)
    assert done.stderr.strip() in {"0", "141"}


def test_names_of_files_that_are_no_text(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9"))
    folder.mkdir()
    works(run(SOLVE, folder), folder)


# -- compiled code -----------------------------------------------------------------------------------------------------


@pytest.fixture
def installation(tmp_path):
    """A copy of the package; its folder of compiled code cannot be made where `__pycache__` is a file."""
    target = tmp_path / "site" / "sgdmft"
    shutil.copytree(SOURCES, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


NO_PLACE = {"HOME": "/dev/null", "XDG_CACHE_HOME": None, "NUMBA_CACHE_DIR": None}
PROGRAM = """import numpy as np
from sgdmft._kernels.simulation import set_constant
values, mask = np.zeros((1, 1)), np.ones((1, 1), dtype=bool)
set_constant(np.ones(1), np.zeros(1, dtype=int), mask, values, np.zeros((1, 1, 1)))
assert values[0, 0] == 1
open(r'{output}', 'w').close()
"""


@pytest.mark.parametrize("words", [None, pytest.param(COMMANDS["solve"], marks=pytest.mark.slow)])
def test_without_any_place_for_compiled_code_a_run_works_and_says_so_once(words, installation, tmp_path):
    (installation / "_kernels" / "__pycache__").touch()
    if words is None:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM.format(output=tmp_path / "result"))
        done = run(str(program), tmp_path, NO_PLACE, python=(), sources=installation)
    else:
        done = run(words, tmp_path, NO_PLACE, sources=installation)
    works(done, tmp_path)
    assert done.stderr.count(b"NUMBA_CACHE_DIR") == 1


def damages(content):
    yield b""
    yield content[: len(content) // 2]
    yield bytes(np.random.default_rng(0).integers(0, 256, len(content), dtype=np.uint8))
    for place in np.random.default_rng(1).integers(0, len(content), 20):
        yield content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :]


@compiled.compiled()
def double(x):
    return 2 * x


def test_damaged_compiled_code_is_compiled_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled.config, "CACHE_DIR", str(tmp_path))

    def compile_anew():
        function = compiled.compiled()(double.py_func)
        assert function(3) == 6
        return sum(function.stats.cache_hits.values())

    assert compile_anew() == 0
    assert compile_anew() == 1
    files = [*tmp_path.rglob("*.nb?")]
    assert {file.suffix for file in files} == {".nbi", ".nbc"}
    for file in files:
        content = file.read_bytes()
        for damage in itertools.islice(damages(content), 6):
            file.write_bytes(damage)
            assert compile_anew() == 0
            assert compile_anew() == 1
        for damage in damages(content):
            file.write_bytes(damage)
            assert double._cache._cache_file._read(str(file)) is None
        file.write_bytes(content)
    monkeypatch.setattr(compiled, "_sources", lambda: b"other sources")
    assert compile_anew() == 0, "code of other sources is stale"


# -- Python ------------------------------------------------------------------------------------------------------------


def test_progress_needs_no_stream(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress.reporter(True, "work") as report:
        report.update(1, 1)


def test_without_a_compiler_a_sentence_says_so(tmp_path):
    program = "import sgdmft as sg\ntry: sg.solve\nexcept sg.errors.InvalidArgument as error: print(error)"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES.parent), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "NUMBA_DISABLE_JIT" in done.stdout, done.stderr
