"""Kills, flipped bits and full disks, as programs of their own, so that a crash is seen; used by `test_stress.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import sgdmft as sg
from sgdmft.errors import SgdmftError
from sgdmft.run import files, parameters
from sgdmft.sweeps import Store

MODEL, DESCENT = sg.GaussianLeastSquares(alpha=2.0), sg.SGD(0.1, 0.3)
SHORT = {"steps": 30, "save": sg.Save(two_time=5)}
TOML = (
    "steps = 30\n[model]\nalpha = 2.5\nlabels = { kind = 'Teacher', noise = 0.1 }\n[algorithm]\nlearning_rate = 0.1\n"
)


def _held():
    run = sg.Compressed().begin(sg.Request(model=MODEL, algorithm=DESCENT, **SHORT))
    run.advance(20)
    return run.state()


def _theory():
    return sg.solve(MODEL, DESCENT, **SHORT)


def _simulation():
    return sg.simulate(MODEL, DESCENT, size=10, samples=2, **SHORT)


def _table():
    import xarray as xr

    return xr.Dataset({"alpha": ("b", np.arange(4.0))}, attrs={"kind": "thresholds"})


def _call(path):
    tables = parameters.read_toml(path)
    return [parameters.rebuild(role, tables.get(role, {})) for role in ("model", "algorithm")]


#: Kind of file -> (write it at a path, read it, whether damage must be noticed).
KINDS = {
    "theory": (lambda path: _theory().save(path, overwrite=True), lambda path: sg.load(path).dataset, True),
    "simulation": (lambda path: _simulation().save(path, overwrite=True), lambda path: sg.load(path).dataset, True),
    "thresholds": (lambda path: files.write_dataset(path, _table()), files.read_dataset, True),
    "checkpoint": (
        lambda path: sg.Checkpoint(path).write("k", _held()),
        lambda path: sg.Checkpoint(path).read("k"),
        True,
    ),
    "store": (
        lambda path: Store(path.parent).put(lambda: {"a": 1.0}, {"time": 2.5}),
        lambda path: Store(path.parent).get(lambda: {"a": 1.0}),
        True,
    ),
    "toml": (lambda path: files.write(path, TOML), _call, False),
}


def same(one, other) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if hasattr(one, "identical"):
        return bool(one.identical(other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return bool(one == other)


def written(kind: str, folder: Path) -> Path:
    """A whole file of a kind."""
    KINDS[kind][0](folder / "file")
    (path,) = [path for path in folder.rglob("*") if path.is_file()]
    return path


def flip(kind: str, folder: Path, first: int, count: int) -> str:
    """Flip bits number `first` on, of a fixed random order, one at a time; 'refused, equal', or the first silent difference."""
    _, read, strict = KINDS[kind]
    path = written(kind, folder)
    at = path if kind != "store" else folder / "file"
    whole, content = read(at), path.read_bytes()
    places = np.random.default_rng(0).integers(0, 8 * len(content), first + count)[first:]
    refused = equal = 0
    for place in places:
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = read(at)
        except SgdmftError:
            refused += 1
            continue
        if found is None and kind == "store":
            refused += 1
        elif strict and not same(whole, found):
            return f"bit {place} is not noticed"
        else:
            equal += 1
    return f"{refused} refused, {equal} equal"


def fill(kind: str, folder: Path, limit: int) -> str:
    """Write where the disk takes `limit` bytes: 'sentence' or 'written'; the old file must then be whole."""
    import resource

    write, read, _ = KINDS[kind]
    path = written(kind, folder)
    at = path if kind != "store" else folder / "file"
    whole, content = read(at), path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(at)
        outcome = "written"
    except SgdmftError as error:
        outcome = "sentence" if "cannot be written" in str(error) else str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if outcome == "sentence" and path.read_bytes() != content:
        return "the old file is gone"
    read(at) if kind in ("theory", "simulation", "toml") else same(whole, read(at))
    left = [entry.name for entry in folder.rglob("*.part")]
    return outcome if not left else f"left {left}"


def apart(name: str, *arguments: object, timeout: float = 120.0) -> str:
    """The answer of a function of this module in a process of its own; 'crashed ...' where there is none."""
    call = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import warnings; warnings.simplefilter('ignore')\n"
    call += f"from pathlib import Path; import stress; print(stress.{name}(*eval(sys.argv[1])))"
    plain = repr(tuple(arguments)).replace("PosixPath", "Path")
    options = {"capture_output": True, "text": True, "timeout": timeout, "check": False}
    done = subprocess.run([sys.executable, "-c", call, plain], **options)
    return done.stdout.strip() if done.returncode == 0 else f"crashed with {done.returncode}: {done.stderr[-500:]}"


def kill(command: list[str], seconds: float, folder: Path) -> None:
    """Run `sgdmft` with these arguments and kill it after so many seconds."""
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "env": os.environ}
    process = subprocess.Popen([sys.executable, "-m", "sgdmft.cli", *command], **options)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
