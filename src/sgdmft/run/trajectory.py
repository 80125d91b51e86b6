r"""The answer of every run, of the theory and of a simulation alike: one type, with an xarray dataset inside.

Notation: C(t,t') = x(t).x(t')/N is `correlation`, R(t,t') the `response` to a unit kick added to x(t'+1), so that
R(t'+1,t') = 1 (on the sphere the factor of the projection), chi(t,t_w) = sum_{t_w <= s < t} R(t,s) eta_s the
`integrated_response` to a field in the gradient from t_w on, m(t) = x(t).x*/N the `magnetization`, H/N the `loss`; time
is counted in `time_unit`, of a descent in steps. A simulation has for every quantity `name` also `name_error`, its
standard error over samples. A run holds what is known of it: without a signal, for example, there is no magnetization.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sgdmft.errors import DamagedFile, InvalidArgument, TooLarge
from sgdmft.problem.models import Linearized
from sgdmft.run import parameters, rounding
from sgdmft.run.files import read_dataset, write_dataset
from sgdmft.run.provenance import provenance

if TYPE_CHECKING:
    import xarray

#: Quantity -> (long name, LaTeX symbol, units).
QUANTITIES: dict[str, tuple[str, str, str]] = {
    "magnetization": ("overlap with the signal", r"$m(t)$", "1"),
    "loss": ("loss per weight", r"$H/N$", "1"),
    "norm": ("squared norm per weight", r"$C(t,t)$", "1"),
    "distance": ("squared distance to the signal per weight", r"$\Delta(t)$", "1"),
    "generalization_error": ("error on a fresh sample", r"$\epsilon_g(t)$", "1"),
    "gradient_evaluations": ("gradient evaluations per weight", r"$\sum_{s<t}\alpha b_s$", "1"),
    "correlation": ("two-time correlation", r"$C(t,t')$", "1"),
    "response": ("response to a unit kick", r"$R(t,t')$", "1"),
    "integrated_response": ("response to a field switched on at t'", r"$\chi(t,t')$", "1"),
    "replica_overlap": ("overlap of two runs with the same data", r"$C_{12}(t,t)$", "1"),
    "replica_correlation": ("two-time correlation of two runs", r"$C_{12}(t,t')$", "1"),
    "label_response": ("response of a residual to minus its label", r"$\partial r(t)/\partial(-y)$", "1"),
}
_ONE_TIME = ("magnetization", "loss", "norm", "distance", "generalization_error")
_UNITS = ("steps", "physical time", "epochs")
_FORMAT = "sgdmft trajectory 1"


class Status(enum.Enum):
    """How a run ended; the value says it in a sentence, with the remedy where one is needed."""

    COMPLETED = "All steps were computed."
    RECOVERED = "The distance to the signal fell below the requested level, and the run stopped there."
    DIVERGED = "The norm C(t,t) left the finite region; lower the learning rate."
    INTERRUPTED = "The run was interrupted; what was computed up to then is here."


class _Variable(NamedTuple):
    """A tuple that xarray takes for a variable."""

    dimensions: str | tuple[str, ...]
    values: np.ndarray
    attrs: dict[str, str]


class _Contents(NamedTuple):
    """What an xarray.Dataset is made of, read in the same way."""

    data_vars: dict[str, _Variable]
    coords: dict[str, _Variable]
    attrs: dict[str, Any]

    @property
    def variables(self) -> dict[str, _Variable]:
        return self.coords | self.data_vars


def _quantity(name: str, text: str | None = None) -> property:
    """A property that reads one quantity of a trajectory."""
    return property(lambda run: run[name], doc=text or "{1}: {0}, shape (n,).".format(*QUANTITIES[name]))


class Trajectory:
    """Result of `solve` or `simulate`.

    Attributes
    ----------
    dataset : xarray.Dataset
        Everything: quantities over `time`, two-time functions over (`saved_time`, `earlier_time`), units, LaTeX
        symbols, provenance.
    status : Status
    model, algorithm, start : the objects of the run
        `load` rebuilds them from the JSON in `dataset.attrs["parameters"]` (a schedule that was a function is then an
        array); None where an object has no text form there, as for a model class of one's own.
    """

    def __init__(
        self, dataset: xarray.Dataset | _Contents, *, model: Any = None, algorithm: Any = None, start: Any = None
    ) -> None:
        self._contents = dataset  # becomes an xarray.Dataset when it is asked for: importing xarray takes long
        self.model = model
        self.algorithm = algorithm
        self.start = start

    @classmethod
    def build(
        cls,
        *,
        kind: str,
        time: np.ndarray,
        quantities: Mapping[str, np.ndarray],
        model: Any = None,
        algorithm: Any = None,
        start: Any = None,
        two_time: np.ndarray | None = None,
        two_time_quantities: Mapping[str, np.ndarray] | None = None,
        status: Status = Status.COMPLETED,
        attributes: Mapping[str, Any] | None = None,
        time_unit: str = "steps",
    ) -> Trajectory:
        """Assemble from arrays: `quantities` of shape (len(time),), two-time ones of shape (len(two_time),) * 2
        or, where they are wanted at the saved times only, (len(two_time),).

        A missing `distance` or `generalization_error` is computed from m and C(t,t), if these are there and m is no growth
        of an infinitesimal overlap (`Linearized`); losses and distances that are negative by rounding are 0 (`run.rounding`);
        the gradient evaluations are those of the algorithm, if time is steps
        and the model has samples. `time_unit` is 'steps', 'physical time' or 'epochs'.
        """
        if time_unit not in _UNITS:
            raise InvalidArgument(f"Argument `time_unit` must be one of {', '.join(_UNITS)}, but is {time_unit!r}.")
        table, time = dict(quantities), np.asarray(time)
        steps = int(time[-1]) if len(time) and time_unit == "steps" else 0
        if table.keys() >= {"magnetization", "norm"} and not isinstance(model, Linearized):
            m, norm = table["magnetization"], table["norm"]
            table.setdefault("distance", 1.0 - 2.0 * m + norm)
            if "generalization_error" not in table and hasattr(model, "generalization_error"):
                table["generalization_error"] = model.generalization_error(m, norm)
        alpha = getattr(model.model if isinstance(model, Linearized) else model, "alpha", None)
        if alpha is not None and algorithm is not None and time_unit == "steps":
            table.setdefault("gradient_evaluations", alpha * _selections(algorithm.batches.fractions(steps), time))
        variables = {
            name: _Variable("time", rounding.clipped(name, values, model), _attributes(name))
            for name, values in table.items()
        }
        coordinates = {"time": _Variable("time", time, {"units": time_unit, "long_name": "time"})}
        if two_time is not None and len(two_time):
            for axis in ("saved_time", "earlier_time"):
                coordinates[axis] = _Variable(axis, np.asarray(two_time), {"units": time_unit})
            for name, values in (two_time_quantities or {}).items():
                variables[name] = _Variable(("saved_time", "earlier_time")[: values.ndim], values, _attributes(name))
        objects = {"model": model, "algorithm": algorithm, "start": start}
        attrs = {
            "format": _FORMAT,
            "kind": kind,
            "status": status.name,
            **{name: repr(value) for name, value in objects.items()},
            "parameters": parameters.to_json(steps=steps, **objects),
            **provenance(),
            **(attributes or {}),
        }
        return cls(_Contents(variables, coordinates, attrs), **objects)

    # -- reading ---------------------------------------------------------------------------------------------------

    @property
    def dataset(self) -> xarray.Dataset:
        if isinstance(self._contents, _Contents):
            import xarray as xr

            self._contents = xr.Dataset(*self._contents)
        return self._contents

    @property
    def kind(self) -> str:
        """'theory' or 'simulation'."""
        return self._contents.attrs["kind"]

    @property
    def status(self) -> Status:
        return Status[self._contents.attrs["status"]]

    @property
    def time_unit(self) -> str:
        """'steps', 'physical time' or 'epochs'."""
        return self._contents.variables["time"].attrs["units"]

    time = _quantity("time", "Times at which the one-time quantities are given, shape (n,).")
    magnetization = _quantity("magnetization")
    loss = _quantity("loss")
    norm = _quantity("norm")
    distance = _quantity("distance")
    generalization_error = _quantity("generalization_error")
    gradient_evaluations = _quantity("gradient_evaluations")
    correlation = _quantity("correlation", "C(t, t') at the saved times, shape (n, n).")
    response = _quantity("response", "R(t, t') at the saved times, shape (n, n); zero for t <= t'.")

    @property
    def two_time(self) -> np.ndarray:
        """The saved times, shape (n,); empty if none were saved."""
        return self["saved_time"] if "saved_time" in self else np.zeros(0, dtype=np.int64)

    def __contains__(self, name: object) -> bool:
        return name in self._contents.variables

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            raise KeyError(
                f"This trajectory holds no `{name}`; it holds {', '.join(map(str, self._contents.data_vars))}. "
                "Two-time functions are kept at the times named in `Save(two_time=...)`."
            )
        return self._contents.variables[name].values

    def error(self, name: str) -> np.ndarray:
        """Standard error of a quantity over the samples of a simulation; zeros for the theory."""
        key = f"{name}_error"
        return self[key] if key in self else np.zeros_like(self[name])

    # -- files -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write as netCDF, whole or not at all (through a temporary file beside it).

        Raises
        ------
        InvalidArgument
            When the file exists and `overwrite` is False, or the folder cannot be written.
        """
        target = Path(path)
        if target.exists() and not overwrite:
            raise InvalidArgument(
                f"The file `{target}` exists already. Choose another name, or pass `overwrite=True` to replace it."
            )
        # An attribute of netCDF holds 64 kB, and a list of one number is no list there.
        moved = {
            name: value
            for name, value in self.dataset.attrs.items()
            if name == "parameters" or np.ndim(value) or (isinstance(value, str) and len(value) > 10_000)
        }
        kept = {name: value for name, value in self.dataset.attrs.items() if name not in moved}
        dataset = self.dataset.drop_attrs(deep=False).assign_attrs(kept)
        for name, value in moved.items():
            axes = tuple(f"{name}_{axis}" for axis in range(np.ndim(value)))
            dataset[name] = _Variable(axes, np.asarray(value), {"role": "attribute"})
        write_dataset(target, dataset)

    def plot(self, axes: Any = None) -> Any:
        """Loss, magnetization and distance against time, as far as known, on matplotlib axes; returns the axes."""
        from sgdmft import plotting

        return plotting.learning_curves(self, axes=axes)

    # -- printing --------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        attrs = self._contents.attrs
        last = f"{self.time[-1]} {self.time_unit}" if len(self.time) else "no steps"
        lines = [f"Trajectory of the {self.kind}: {last}, {self.status.name.lower()}. {self.status.value}"]
        known = [key for key in ("model", "algorithm", "start", "method") if attrs.get(key, "None") != "None"]
        lines += [f"  {key:<10} {attrs[key]}" for key in known]
        for name in _ONE_TIME:
            if name in self and len(self.time):
                values, errors = self[name], self.error(name)
                known = np.flatnonzero(np.isfinite(values))
                if len(known):
                    first, final = known[0], known[-1]
                    spread = f" ± {errors[final]:.2g}" if errors[final] else ""
                    lines.append(f"  {name:<21} {values[first]:.6g} -> {values[final]:.6g}{spread}")
        if len(self.two_time):
            lines.append(f"  two-time functions    at {len(self.two_time)} saved times")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.dataset._repr_html_()


def load(path: str | os.PathLike[str], *, memory_limit: float = 1e9) -> Trajectory:
    """Read a trajectory that `Trajectory.save` wrote.

    A file without digest, of an earlier version or rewritten by another program, is read with the warning
    `sgdmft.errors.Unchecked`.

    Raises
    ------
    DamagedFile
        When the file is missing, damaged, or not a trajectory.
    TooLarge
        When it unfolds to more than `memory_limit` bytes, and to more than twice its size on disk.
    """
    dataset = read_dataset(path, memory_limit=memory_limit)
    if dataset.attrs.get("format") != _FORMAT:
        raise DamagedFile(f"The file `{path}` is no `{_FORMAT}` file; its format says {dataset.attrs.get('format')!r}.")
    moved = {
        str(name): entry.values if entry.ndim else entry.values.item()
        for name, entry in dataset.variables.items()
        if entry.attrs.get("role") == "attribute" or name == "parameters"
    }
    dataset = dataset.drop_vars(moved).assign_attrs(moved)
    try:
        return _checked(Trajectory(dataset, **parameters.from_json(dataset.attrs.get("parameters", "{}"))))
    except TooLarge:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise DamagedFile(f"The file `{path}` is no complete trajectory ({what}). Compute it again.") from error


def _checked(run: Trajectory) -> Trajectory:
    """The trajectory, if it has what every trajectory has."""
    times = (run.time, run.two_time)
    if run.kind not in ("theory", "simulation") or run.time_unit not in _UNITS or run.status not in Status:
        raise ValueError(f"it is a {run.kind} in {run.time_unit}")
    if not all(axis.ndim == 1 and np.all(np.diff(axis) > 0) for axis in times):
        raise ValueError("its times do not ascend")
    return run


def time_unit(*runs: Trajectory) -> str:
    """The unit of time that the trajectories share, or `InvalidArgument`."""
    units = sorted({run.time_unit for run in runs})
    if len(units) > 1:
        raise InvalidArgument(f"The trajectories count time in different units: {' and '.join(units)}.")
    return units[0]


def _selections(fractions: np.ndarray, time: np.ndarray) -> np.ndarray:
    """sum_{s<t} b_s at each of the times; a constant takes no memory."""
    if len(fractions) and fractions.strides != (0,):
        return np.concatenate([[0.0], np.cumsum(fractions)])[time]
    return fractions[0] * time if len(fractions) else np.zeros(len(time))


def _attributes(name: str) -> dict[str, str]:
    base = name if name in QUANTITIES else name.removesuffix("_error")
    long_name, symbol, units = QUANTITIES.get(base, (base.replace("_", " "), base, "1"))
    if base != name:
        long_name = f"standard error of the {long_name}"
    return {"long_name": long_name, "symbol": symbol, "units": units}
