"""What the commands share: the flags, the TOML file that is the call, the output path, and the end of a run.

A TOML file of a run holds `steps` and the tables [model], [algorithm], [start], [save], [stop], [method] (for the
theory) and [simulation]; a flag on the command line replaces the entry of the same name in the file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from cyclopts import Group, Parameter

from sgdmft import _validation as check
from sgdmft.algorithm.descent import Descent
from sgdmft.cli import DIVERGED, INTERRUPTED
from sgdmft.errors import Diverged, InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares, Start
from sgdmft.run import files, parameters
from sgdmft.run.request import Recovered, Save
from sgdmft.run.trajectory import Status, Trajectory

_MODEL, _ALGORITHM, _RUN = (Group(name, sort_key=key) for key, name in enumerate(("Model", "Algorithm", "Run")))


def flag(text: str, **options: Any) -> Parameter:
    """A flag without a negative form."""
    return Parameter(help=text, negative="", **options)


File: TypeAlias = Annotated[Path | None, Parameter(help="TOML file of the run.")]
Output: TypeAlias = Annotated[Path, Parameter(name=["--output", "-o"], help="Where the result goes; required.")]
Overwrite: TypeAlias = Annotated[bool, flag("Replace what is there.")]
Quiet: TypeAlias = Annotated[bool, flag("No progress bar and no summary.")]


def _whole(kind: Any, tokens: Sequence[Any]) -> int:
    """A whole number, 10000 or 1e4; anything else is refused, never rounded."""
    text = tokens[0].value
    try:
        value = float(text)
        if value == int(value):
            return int(text) if text.lstrip("+-").isdecimal() else int(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"This must be a whole number, but is {text!r}.")


#: An integer flag.
Whole: TypeAlias = Annotated[int | None, Parameter(converter=_whole, n_tokens=1)]


def several(text: str) -> Parameter:
    """A flag that takes one value or more."""
    return flag(text, consume_multiple=True)


#: A covariance f(q), and what is said of its flag.
Powers: TypeAlias = dict[str, float] | None
POWERS = "f(q) by powers: --covariance.1 0.4 --covariance.2 0.45 (default q²/2)."


def _flag(group: Group, text: str) -> Parameter:
    return flag(text, group=group)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Flags:
    """Flags of a run; each stands for the entry of the same name in a TOML file."""

    alpha: Annotated[float | None, _flag(_MODEL, "Samples per weight, P = alpha N.")] = None
    noise: Annotated[float | None, _flag(_MODEL, "Variance of the label noise.")] = None
    target: Annotated[float | None, _flag(_MODEL, "The same label for every sample, instead of a teacher's.")] = None
    covariance: Annotated[Powers, _flag(_MODEL, POWERS)] = None
    learning_rate: Annotated[float | None, _flag(_ALGORITHM, "eta.")] = None
    batch_fraction: Annotated[float | None, _flag(_ALGORITHM, "b in (0, 1], batches redrawn at every step.")] = None
    batches: Annotated[
        dict[str, str] | None,
        _flag(_ALGORITHM, "Another scheme: --batches.kind Shuffled --batches.batches_per_epoch 5."),
    ] = None
    momentum: Annotated[float | None, _flag(_ALGORITHM, "Heavy-ball coefficient.")] = None
    weight_decay: Annotated[float | None, _flag(_ALGORITHM, "Ridge coefficient.")] = None
    temperature: Annotated[float | None, _flag(_ALGORITHM, "Temperature of Langevin noise.")] = None
    spherical: Annotated[bool | None, _flag(_ALGORITHM, "Project onto the sphere after every step.")] = None
    steps: Annotated[Whole, _flag(_RUN, "Number of steps.")] = None
    magnetization: Annotated[float | None, _flag(_RUN, "Overlap with the signal at the start, m(0).")] = None
    norm: Annotated[float | None, _flag(_RUN, "Squared norm per weight at the start, C(0,0).")] = None
    stop_distance: Annotated[float | None, _flag(_RUN, "Stop when Delta(t) falls below this.")] = None
    two_time: Annotated[Whole, _flag(_RUN, "Number of saved times of C(t,t') and R(t,t').")] = None
    every: Annotated[Whole, _flag(_RUN, "Keep the one-time quantities every so many steps.")] = None


#: Table of the file -> the flags that are entries of it.
_PLACE = {
    "model": ("alpha", "covariance"),
    "algorithm": ("learning_rate", "batch_fraction", "momentum", "weight_decay", "temperature", "spherical"),
    "start": ("magnetization", "norm"),
    "save": ("two_time", "every"),
}
_TABLES = ("steps", "model", "algorithm", "start", "save", "stop", "method", "simulation", "threshold")


@dataclass(frozen=True)
class Call:
    """The arguments of `solve` and `simulate`, read from a file and flags."""

    model: GaussianLeastSquares
    algorithm: Descent
    start: Start
    steps: int
    save: Save
    stop: Recovered | None
    method: Any = None
    simulation: Mapping[str, Any] = field(default_factory=dict)
    threshold: Mapping[str, Any] = field(default_factory=dict)

    @property
    def common(self) -> dict[str, Any]:
        """Keyword arguments that `solve` and `simulate` share."""
        return {"steps": self.steps, "start": self.start, "save": self.save, "stop": self.stop}

    def plain(self) -> dict[str, Any]:
        """The call as the tables of a TOML file."""
        table = {name: parameters.plain(getattr(self, name), steps=self.steps) for name in _TABLES}
        return {name: entry for name, entry in table.items() if entry not in (None, {})}

    def solve(self, quiet: bool) -> Trajectory:
        """The theory of the run."""
        import sgdmft as sg

        return sg.solve(self.model, self.algorithm, method=self.method, progress=not quiet, **self.common)

    def simulate(self, quiet: bool, options: Mapping[str, Any]) -> Trajectory:
        """The experiment, of the size, samples and seed in `options`."""
        import sgdmft as sg

        return sg.simulate(self.model, self.algorithm, progress=not quiet, **self.common, **options)

    def finite(self, default_size: int, **flags: int | None) -> dict[str, Any]:
        """Size, samples and seed: from the flags, else from the table [simulation], else the defaults."""
        parameters.check_keys(self.simulation, flags, "[simulation]")
        return {"size": default_size, "samples": 16, "seed": 0, **self.simulation, **_stated(flags)}


def read(file: Path | None, flags: Flags, *, steps: int | None = None, alpha: float | None = None) -> Call:
    """The call that a TOML file (or none) and the flags describe; a flag replaces the file's entry.

    `steps` and `alpha` are what is meant where neither gives them.

    Raises
    ------
    InvalidArgument
        When a key is unknown, something needed is missing, or a value lies outside its domain.
    """
    tables: dict[str, Any] = parameters.read_toml(file) if file else {}
    parameters.check_keys(tables, _TABLES, f"`{file}`")
    tables = {name: dict(entry) if isinstance(entry, Mapping) else entry for name, entry in tables.items()}
    if flags.batch_fraction is not None or flags.batches is not None:  # the file's scheme is replaced
        for key in ("batches", "batch_fraction"):
            tables.get("algorithm", {}).pop(key, None)
    for table, names in _PLACE.items():
        if stated := _stated({name: getattr(flags, name) for name in names}):
            tables.setdefault(table, {}).update(stated)
    if flags.batches is not None:
        tables.setdefault("algorithm", {})["batches"] = {key: _number(value) for key, value in flags.batches.items()}
    if flags.stop_distance is not None:
        tables.setdefault("stop", {})["distance"] = flags.stop_distance
    if labels := labels_of(flags.noise, flags.target):
        tables.setdefault("model", {})["labels"] = labels
    if alpha is not None:
        tables.setdefault("model", {}).setdefault("alpha", alpha)
    steps = flags.steps if flags.steps is not None else tables.get("steps", steps)
    if steps is None:
        raise InvalidArgument("A run needs its number of steps: pass `--steps`, or put `steps = 1000` in the file.")
    stop, method = tables.get("stop"), tables.get("method")
    if method is not None:
        from sgdmft.dmft import Compressed, Dense

        method = parameters.rebuild("method", method, classes=(Dense, Compressed))
    return Call(
        **{name: parameters.rebuild(name, tables.get(name, {})) for name in ("model", "algorithm", "start")},
        steps=check.integer("steps", steps, at_least=0),
        save=parameters.rebuild("save", tables.get("save", {}), classes=(Save,)),
        stop=None if stop is None else parameters.rebuild("stop", stop, classes=(Recovered,)),
        method=method,
        simulation=tables.get("simulation", {}),
        threshold=tables.get("threshold", {}),
    )


def labels_of(noise: float | None, target: float | None) -> dict[str, Any]:
    """The table of the labels that two flags describe; empty where neither is given."""
    if noise is not None and target is not None:
        raise InvalidArgument("Pass either `--noise` (labels of a teacher) or `--target` (the same label for all).")
    if target is not None:
        return {"kind": "ConstantTarget", "value": target}
    return {} if noise is None else {"kind": "Teacher", "noise": noise}


def check_output(path: Path, overwrite: bool, *, folder: bool = False) -> Path:
    """Refuse, before a run, an output path that exists or cannot be written.

    Raises
    ------
    InvalidArgument
    """
    if path.exists() and not overwrite and not (folder and path.is_dir() and not any(path.iterdir())):
        raise InvalidArgument(f"The output `{path}` exists already. Choose another path, or pass --overwrite.")
    if path.exists() and path.is_dir() != folder:
        raise InvalidArgument(f"The output `{path}` is {'a file' if folder else 'a folder'}. Choose another path.")
    where = path if folder else path.absolute().parent
    if not where.is_dir() and not folder:
        raise InvalidArgument(f"The folder `{path.parent}` of the output does not exist. Create it first.")
    try:
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where):
            pass
    except OSError as error:
        raise InvalidArgument(
            f"The output `{path}` cannot be written ({error.strerror or error}). "
            "Choose a path in a folder that you may write to."
        ) from error
    return path


def finish(work: Callable[[], Trajectory], output: Path, *, overwrite: bool) -> tuple[Trajectory, int]:
    """Compute a trajectory and save it whatever happens; the trajectory and the exit code."""
    message, code = "", 0
    try:
        trajectory = work()
    except Diverged as error:
        trajectory, message, code = error.trajectory, str(error), DIVERGED
    if trajectory.status is Status.INTERRUPTED:
        message, code = trajectory.status.value, INTERRUPTED
    trajectory.save(output, overwrite=overwrite)
    if message:
        print(f"sgdmft: {message} Saved in `{output}`.", file=sys.stderr)
    return trajectory, code


def run(work: Callable[[], Trajectory], output: Path, *, overwrite: bool, quiet: bool) -> int:
    """`finish`, and say what the trajectory is; the exit code."""
    trajectory, code = finish(work, output, overwrite=overwrite)
    if code == 0 and not quiet:
        print(f"{trajectory}\n  saved in {output}")
    return code


def save_tables(results: Mapping[str, Any], output: Path | None, heading: str) -> None:
    """The results of a command without runs, as TOML where an output is wanted."""
    if output is not None:
        files.write(output, parameters.toml(parameters.plain(results), heading=heading))


def _stated(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _number(text: str) -> Any:
    """A number where the text is one, as in --batches.batches_per_epoch 5."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
