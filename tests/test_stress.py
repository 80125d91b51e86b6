"""What kills, flipped bits and full disks leave behind. The long form: `pytest -m slow tests/test_stress.py -n 0`."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

import sgdmft as sg
import stress

RUN = ["--alpha", "2", "--learning-rate", "0.1", "--quiet"]
#: Commands that take longer than a second: arguments, and what they leave.
COMMANDS = {
    "solve": ["solve", *RUN, "--batch-fraction", "0.3", "--steps", "6000", "-o", "out.nc"],
    "simulate": ["simulate", *RUN, "--steps", "200", "--size", "200", "--samples", "8", "-o", "out.nc"],
    "compare": [
        "compare",
        *RUN,
        "--steps",
        "60",
        "--magnetization",
        "0.3",
        "--size",
        "100",
        "--samples",
        "4",
        "-o",
        "out",
    ],
    "threshold": ["threshold", "--learning-rate", "0.1", "--steps", "300", "--quiet", "-o", "out.nc"],
    "hessian": ["hessian", *RUN, "--steps", "1000", "--size", "100", "--samples", "4", "-o", "out.nc"],
}


@pytest.mark.parametrize("kind", stress.KINDS)
def test_a_flipped_bit_is_refused_or_harmless(kind, tmp_path):
    answer = stress.flip(kind, tmp_path, 0, 30)
    assert answer.endswith("equal")
    assert kind == "toml" or answer == "30 refused, 0 equal"


@pytest.mark.slow
@pytest.mark.parametrize("kind", stress.KINDS)
def test_a_thousand_flipped_bits_are_refused_or_harmless(kind, tmp_path):
    for first in range(0, 1000, 100):
        folder = tmp_path / str(first)
        folder.mkdir()
        answer = stress.apart("flip", kind, folder, first, 100)
        assert answer.endswith("equal"), answer
        assert kind == "toml" or answer == "100 refused, 0 equal"


@pytest.mark.slow
@pytest.mark.parametrize("kind", stress.KINDS)
def test_a_disk_that_fills_anywhere_is_a_sentence(kind, tmp_path):
    (tmp_path / "whole").mkdir()
    size = stress.written(kind, tmp_path / "whole").stat().st_size
    for k, limit in enumerate(np.unique(np.linspace(0, size + 100, 25).astype(int))):
        folder = tmp_path / str(k)
        folder.mkdir()
        answer = stress.apart("fill", kind, folder, int(limit))
        assert answer == "written" if limit >= size + 100 else answer in ("sentence", "written"), (limit, answer)


@pytest.mark.parametrize("kind", stress.KINDS)
def test_every_call_of_the_system_may_fail(kind, tmp_path, monkeypatch):
    """The k-th call that writes fails for want of room, for all k: nothing is lost, and it is a sentence."""
    write, read, _ = stress.KINDS[kind]
    path = stress.written(kind, tmp_path)
    at = path if kind != "store" else tmp_path / "file"
    content, count = path.read_bytes(), 0

    def failing(call, k):
        def wrapped(*arguments, **options):
            nonlocal count
            count += 1
            if count == k:
                raise OSError(28, os.strerror(28))
            return call(*arguments, **options)

        return wrapped

    for k in range(1, 10):
        count = 0
        with monkeypatch.context() as patch:
            for name in ("open", "fsync", "chmod", "replace"):
                patch.setattr(os, name, failing(getattr(os, name), k))
            try:
                write(at)
            except sg.errors.SgdmftError:
                assert path.read_bytes() == content
            done = count < k
        read(at)
        content = path.read_bytes()
        assert not list(tmp_path.rglob("*.part"))
        if done:
            break
    assert k > 2


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_kill_leaves(command, tmp_path, monkeypatch):
    """100 kills at random moments: each file is absent or whole, and the same command gives the result afterwards."""
    monkeypatch.setenv("SGDMFT_CACHE", str(tmp_path / "cache"))
    arguments = [*COMMANDS[command], "--overwrite"]
    full = [sys.executable, "-m", "sgdmft.cli", *arguments]
    subprocess.run(full, cwd=tmp_path, check=True, capture_output=True)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    began = time.monotonic()
    subprocess.run(full, cwd=tmp_path, check=True, capture_output=True)
    seconds = time.monotonic() - began
    right = {path.name: sg.run.files.read_dataset(path) for path in tmp_path.rglob("out*.nc")}
    rng = np.random.default_rng(3)
    for _ in range(int(os.environ.get("SGDMFT_KILLS", "100"))):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        stress.kill(arguments, rng.uniform(0.3, 1.05) * seconds, tmp_path)
        for path in tmp_path.rglob("*.nc"):
            sg.run.files.read_dataset(path)
    subprocess.run(full, cwd=tmp_path, check=True, capture_output=True)
    for path in tmp_path.rglob("out*.nc"):
        found = sg.run.files.read_dataset(path)
        for name in right[path.name].data_vars:
            if found[name].dtype.kind == "f":
                np.testing.assert_array_equal(found[name], right[path.name][name])
    assert not list(tmp_path.rglob("*.part")), "what was left is removed by the next write"
