"""The command line: parsing, refusals before the run, and what is left after a failure."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import sgdmft as sg
from sgdmft import cli, statics
from sgdmft.errors import Diverged

TOML = """
steps = 5
[model]
alpha = 2.5
[algorithm]
learning_rate = 0.1
batch_fraction = 0.3
[simulation]
size = 40
samples = 2
"""


class Fake:
    """Stands in for `solve` and `simulate`: records the call and returns a trajectory of that many steps."""

    def __init__(self, status=sg.Status.COMPLETED, error=None):
        self.calls, self.status, self.error = [], status, error

    def __call__(self, model, algorithm, *, steps, start, **options):
        self.calls.append({"model": model, "algorithm": algorithm, "steps": steps, "start": start, **options})
        time = np.arange(steps + 1)
        quantities = {name: np.linspace(1.0, 0.0, steps + 1) for name in ("magnetization", "loss", "norm")}
        trajectory = sg.Trajectory.build(
            kind="theory",
            model=model,
            algorithm=algorithm,
            start=start,
            time=time,
            quantities=quantities,
            status=self.status,
        )
        if self.error:
            raise Diverged(self.error, trajectory)
        return trajectory


@pytest.fixture
def fakes(monkeypatch):
    fakes = {name: Fake() for name in ("solve", "simulate")}
    for name, fake in fakes.items():
        monkeypatch.setattr(sg, name, fake, raising=False)
    return fakes


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(TOML)
    return path


def modules_after(arguments):
    """What a call of the command line prints, and the modules that it has imported."""
    program = f"import sys; from sgdmft.cli import main; main({arguments!r}); print('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    text, modules = done.stdout.split("MODULES")
    return text, set(modules.split())


def test_help_lists_every_command_and_is_fast():
    """Fast because no command is imported for the help of all, and no library that computes or draws."""
    text, modules = modules_after(["--help"])
    assert all(name in text for name in cli._COMMANDS)
    assert {name for name in modules if name.startswith("sgdmft")} == {
        "sgdmft",
        "sgdmft.cli",
        "sgdmft.cli.streams",
        "sgdmft._version",
        "sgdmft.errors",
        "sgdmft.signals",
    }
    assert not modules & {"numpy", "scipy", "numba", "xarray", "matplotlib", "h5py", "pandas"}
    _, modules = modules_after(["solve", "--help"])  # the same look sees what a command imports
    assert modules >= {"numpy", "sgdmft.cli.solve"}
    assert not modules & {"matplotlib", "sgdmft.cli.simulate"}


@pytest.mark.parametrize("name", sorted(cli._COMMANDS))
def test_every_command_has_readable_help(name, capsys):
    assert cli.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--output" in text
    assert f"sgdmft {name}" in text.split("Arguments")[0], "the help shows an example"


def test_flags_replace_entries_of_the_file(fakes, toml, tmp_path, capsys):
    output = tmp_path / "out.nc"
    assert cli.main(["solve", str(toml), "--alpha", "3", "--magnetization", "0.2", "-o", str(output)]) == 0
    (call,) = fakes["solve"].calls
    assert call["model"] == sg.GaussianLeastSquares(alpha=3)
    assert call["algorithm"] == sg.SGD(learning_rate=0.1, batch_fraction=0.3)
    assert call["start"] == sg.Start(magnetization=0.2)
    assert (call["steps"], call["stop"]) == (5, None)
    assert "saved in" in capsys.readouterr().out
    assert sg.load(output).time[-1] == 5


def test_flags_alone_are_a_call(fakes, tmp_path):
    words = "--alpha 2 --noise 0.1 --covariance.1 0.4 --covariance.3 0.2 --learning-rate 0.05 --spherical --steps 4"
    words += " --batches.kind Shuffled --batches.batches_per_epoch 5 --stop-distance 1e-3 --two-time 3 --seed 7"
    assert cli.main(["simulate", *words.split(), "-o", str(tmp_path / "a.nc"), "--quiet"]) == 0
    (call,) = fakes["simulate"].calls
    covariance = sg.Covariance({1: 0.4, 3: 0.2})
    assert call["model"] == sg.GaussianLeastSquares(alpha=2, covariance=covariance, labels=sg.Teacher(noise=0.1))
    assert call["algorithm"] == sg.Descent(learning_rate=0.05, batches=sg.Shuffled(5), spherical=True)
    assert (call["stop"], call["save"]) == (sg.Recovered(distance=1e-3), sg.Save(two_time=3))
    assert (call["size"], call["samples"], call["seed"], call["progress"]) == (500, 16, 7, False)


def test_simulation_table_gives_the_defaults(fakes, toml, tmp_path):
    assert cli.main(["simulate", str(toml), "--samples", "3", "-o", str(tmp_path / "a.nc")]) == 0
    (call,) = fakes["simulate"].calls
    assert (call["size"], call["samples"], call["seed"]) == (40, 3, 0)


def refused(words, capsys):
    """Exit code 2 and one clean line, which is returned."""
    assert cli.main(words) == cli.INVALID
    streams = capsys.readouterr()
    assert "Traceback" not in streams.err
    assert streams.out == ""
    return " ".join(streams.err.replace("│", " ").replace('"--', "--").split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--alpha", "-1"], "Argument `alpha` must be a finite number above 0"),
        (["--alpha", "nan"], "Argument `alpha`"),
        (["--learning-rate", "0"], "Argument `learning_rate`"),
        (["--batch-fraction", "1.3"], "To use every sample"),
        (["--steps", "-3"], "Argument `steps` must be an integer of at least 0, but is -3"),
        (["--steps", "2.5"], "whole number, but is '2.5'"),
        (["--two-time", "many"], "whole number"),
        (["--magnetization", "2"], "Cauchy-Schwarz"),
        (["--covariance.2", "-1"], "Argument `coefficient of q^2`"),
        (["--learning-rat", "1"], "Did you mean --learning-rate"),
    ],
)
def test_bad_flags_are_refused(words, message, fakes, toml, tmp_path, capsys):
    assert message.lower() in refused(["solve", str(toml), *words, "-o", str(tmp_path / "a.nc")], capsys).lower()
    assert not fakes["solve"].calls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stpes = 3\n" + TOML, "Unknown key `stpes`"),
        (TOML.replace("[simulation]", "[simulaton]"), "did you mean `simulation`?"),
        (TOML.replace("alpha", "alhpa"), "Unknown key `alhpa` in [model]; did you mean `alpha`?"),
        (TOML.replace("size", "sise"), "Unknown key `sise` in [simulation]; did you mean `size`?"),
        (TOML.replace("steps = 5", ""), "number of steps"),
        (TOML + "[stop]\ndistanse = 1\n", "did you mean `distance`?"),
        (TOML.replace("[model]", "[model"), "no valid TOML"),
        (TOML.replace("[model]", "model = 3\n[other]"), "Unknown key `other`"),
    ],
)
def test_bad_files_are_refused(text, message, fakes, tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    assert message in refused(["simulate", str(path), "-o", str(tmp_path / "a.nc")], capsys)


def test_output_is_required_and_checked_before_the_run(fakes, toml, tmp_path, capsys, monkeypatch):
    assert "--output" in refused(["solve", str(toml)], capsys)
    here = tmp_path / "here.nc"
    here.write_text("precious")
    assert "exists already" in refused(["solve", str(toml), "-o", str(here)], capsys)
    assert here.read_text() == "precious"
    assert "is a folder" in refused(["solve", str(toml), "-o", str(tmp_path), "--overwrite"], capsys)
    assert "does not exist" in refused(["solve", str(toml), "-o", str(tmp_path / "no" / "a.nc")], capsys)

    def denied(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    assert "Permission denied" in refused(["solve", str(toml), "-o", str(tmp_path / "a.nc")], capsys)
    assert not fakes["solve"].calls
    monkeypatch.undo()
    monkeypatch.setattr(sg, "solve", Fake(), raising=False)
    assert cli.main(["solve", str(toml), "-o", str(here), "--overwrite"]) == 0
    assert sg.load(here).status is sg.Status.COMPLETED


@pytest.mark.parametrize(
    ("fake", "code", "said"),
    [
        (Fake(sg.Status.INTERRUPTED), cli.INTERRUPTED, "interrupted"),
        (Fake(sg.Status.DIVERGED, error="Diverged at step 5; lower the learning rate."), cli.DIVERGED, "step 5"),
    ],
)
def test_what_was_computed_is_saved(fake, code, said, toml, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sg, "solve", fake, raising=False)
    output = tmp_path / "part.nc"
    assert cli.main(["solve", str(toml), "-o", str(output)]) == code
    assert said in capsys.readouterr().err
    assert sg.load(output).status is fake.status


def test_interrupt_outside_a_run_is_one_line(monkeypatch, toml, tmp_path, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sg, "solve", interrupted, raising=False)
    assert cli.main(["solve", str(toml), "-o", str(tmp_path / "a.nc")]) == cli.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_compare_writes_both_runs_a_picture_and_the_parameters(toml, tmp_path, capsys):
    folder = tmp_path / "check"
    assert cli.main(["compare", str(toml), "--samples", "3", "-o", str(folder), "--false-alarm-rate", "0.01"]) == 0
    assert "false-alarm rate 0.01" in capsys.readouterr().out
    names = {path.name for path in folder.iterdir()}
    assert names == {"theory.nc", "simulation.nc", "comparison.png", "parameters.toml"}
    theory, data = sg.load(folder / "theory.nc"), sg.load(folder / "simulation.nc")
    assert (theory.kind, data.kind) == ("theory", "simulation")
    assert (data.dataset.attrs["size"], data.dataset.attrs["samples"]) == (40, 3)
    again = tmp_path / "again.nc"
    assert cli.main(["simulate", str(folder / "parameters.toml"), "-o", str(again), "--quiet"]) == 0
    np.testing.assert_array_equal(sg.load(again).magnetization, data.magnetization)


def test_compare_keeps_the_theory_when_the_simulation_is_interrupted(toml, tmp_path, monkeypatch):
    monkeypatch.setattr(sg, "simulate", Fake(sg.Status.INTERRUPTED))
    assert cli.main(["compare", str(toml), "-o", str(tmp_path / "check")]) == cli.INTERRUPTED
    assert sg.load(tmp_path / "check" / "theory.nc").status is sg.Status.COMPLETED


def test_the_method_of_the_file_is_used(fakes, toml, tmp_path):
    toml.write_text(TOML + '[method]\nkind = "Compressed"\ntolerance = 1e-6\n')
    assert cli.main(["solve", str(toml), "-o", str(tmp_path / "a.nc")]) == 0
    assert fakes["solve"].calls[0]["method"] == sg.Compressed(tolerance=1e-6)


@pytest.mark.parametrize("run", ["solve", "simulate"])
@pytest.mark.parametrize(
    "words",
    ["hessian --alpha 3 --learning-rate 0.1 --steps 90 --size 20 --samples 2", "compare-schemes --quick --size 20"],
)
def test_no_table_is_made_of_interrupted_runs(words, run, tmp_path, monkeypatch, capsys):
    """Ctrl-C is pressed once, in the first run of its kind: the command ends as interrupted and writes nothing."""
    original, pressed = getattr(sg, run), threading.Event()

    def press(done, total, label):
        if not pressed.is_set():
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sg, run, lambda *args, **options: original(*args, **options | {"progress": press}))
    assert cli.main([*words.split(), "--quiet", "-o", str(tmp_path / "out")]) == cli.INTERRUPTED
    assert pressed.is_set()
    assert "interrupted" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_command_that_is_asked_to_end_saves_what_it_has(name, tmp_path, monkeypatch, capsys):
    original, number = sg.solve, getattr(signal, name)
    monkeypatch.setattr(
        sg,
        "solve",
        lambda *args, **options: original(*args, **options | {"progress": lambda *_: os.kill(os.getpid(), number)}),
    )
    words = "solve --alpha 2 --learning-rate 0.1 --batch-fraction 0.3 --magnetization 0 --steps 5000 --quiet"
    assert cli.main([*words.split(), "-o", str(tmp_path / "a.nc")]) == 128 + number
    assert "interrupted" in capsys.readouterr().err
    part = sg.load(tmp_path / "a.nc")
    assert part.status is sg.Status.INTERRUPTED
    assert 0 < part.time[-1] < 5000


def test_a_command_without_runs_ends_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(statics, "spherical_capacity", lambda margin: os.kill(os.getpid(), signal.SIGTERM))
    assert cli.main(["gardner"]) == 143
    assert "interrupted by SIGTERM" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_every_divergence_has_the_same_code(tmp_path, capsys):
    for name in ("solve", "hessian"):
        words = f"{name} --alpha 2 --learning-rate 9 --batch-fraction 0.3 --magnetization 0.3 --steps 300 --quiet"
        assert cli.main([*words.split(), "-o", str(tmp_path / name)]) == cli.DIVERGED
    assert capsys.readouterr().err.count("Diverged") == 2


def test_the_help_tells_the_exit_codes(capsys):
    cli.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert all(f"{code} {meaning}" in text for code, meaning in cli.EXIT_CODES.items())
