"""The Hessian along a solution of the theory: its bulk and its outliers, equations (10.1) to (10.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft.analysis.landscape.conditioned import path_of
from sgdmft.analysis.landscape.law import bulk
from sgdmft.analysis.landscape.outliers import Spectrum, known_outliers
from sgdmft.dmft import Dense, solve
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares
from sgdmft.run.request import Save
from sgdmft.run.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray


#: The outliers are found up to this step: their derivation needs every step before, and some t^3 operations.
LONGEST = 400


def spectrum(trajectory: Trajectory, time: int) -> Spectrum:
    """The Hessian at one of the saved two-times of a solution of the theory, equations (10.1) to (10.5).

    Later than step `LONGEST` only the bulk is given, and `outliers` is None.

    Raises
    ------
    InvalidArgument
        When the trajectory is a simulation (see `Probe`), or `time` is not among its saved two-times.

    Examples
    --------
    >>> import sgdmft as sg
    >>> theory = sg.solve(sg.GaussianLeastSquares(alpha=3.0), sg.SGD(0.1, 0.3), steps=6, start=sg.Start(magnetization=0.3))
    >>> now = spectrum(theory, 6)
    >>> print(f"{now.bulk.lower_edge:.4f} {now.descent.eigenvalue:.4f} {now.descent.overlap:.4f}")
    -0.5825 -0.7999 0.3779
    """
    return _spectra(trajectory, [time])[0]


def evolution(trajectory: Trajectory) -> xarray.Dataset:
    """Edges, negative fraction and the outlier towards the signal at all saved two-times of a solution of the theory.

    Returns
    -------
    xarray.Dataset over `saved_time`
        loss, lower_edge, upper_edge, negative_fraction; outlier, outlier_overlap, outlier_error (NaN where none lies below
        the bulk, or where it is not known), outlier_known (False after step `LONGEST`).
    """
    import xarray as xr

    spectra = _spectra(trajectory, [int(time) for time in trajectory.two_time])
    here = np.searchsorted(trajectory.time, trajectory.two_time)
    found = [now.descent for now in spectra]
    columns = {
        "loss": trajectory.loss[here],
        "lower_edge": [now.bulk.lower_edge for now in spectra],
        "upper_edge": [now.bulk.upper_edge for now in spectra],
        "negative_fraction": [now.bulk.negative_fraction() for now in spectra],
        "outlier": [math.nan if outlier is None else outlier.eigenvalue for outlier in found],
        "outlier_overlap": [math.nan if outlier is None else outlier.overlap for outlier in found],
        "outlier_error": [math.nan if outlier is None else outlier.error for outlier in found],
        "outlier_known": [now.outliers is not None for now in spectra],
    }
    attributes = {
        name: trajectory.dataset.attrs[name] for name in ("model", "algorithm", "start", "version", "revision")
    }
    data = {name: ("saved_time", np.asarray(values)) for name, values in columns.items()}
    return xr.Dataset(data, {"saved_time": ("saved_time", trajectory.two_time, {"units": "steps"})}, attributes)


def _spectra(trajectory: Trajectory, times: Sequence[int]) -> list[Spectrum]:
    """The spectra at some of the saved two-times."""
    model, algorithm = trajectory.model, trajectory.algorithm
    if trajectory.kind != "theory" or not isinstance(model, GaussianLeastSquares) or algorithm is None:
        raise InvalidArgument(
            "The spectrum needs a solution of the theory by `solve`; at a point of a simulation measure it by "
            "`simulate(..., save=Save(observe=simulation.Probe()))`."
        )
    for time in times:
        if time not in trajectory.two_time:
            raise InvalidArgument(
                f"Step {time} is not among the saved times; keep it by `Save(two_time=[..., {time}])`."
            )
        if time not in trajectory.time:
            raise InvalidArgument(f"The loss is not recorded at step {time}; record it by `Save(every=...)`.")
    last = max((time for time in times if time <= LONGEST), default=0)
    every = Save(two_time=range(last + 1))
    run = solve(model, algorithm, steps=last, start=trajectory.start, save=every, method=Dense(), progress=False)
    answer = []
    for time in times:
        norm, loss = (float(trajectory[name][np.searchsorted(trajectory.time, time)]) for name in ("norm", "loss"))
        decay = _value_at(algorithm.weight_decay, time)
        law, outliers, now = bulk(model, norm=norm, loss=loss, weight_decay=decay), None, slice(time + 1)
        if time <= LONGEST:
            C, R = run.correlation[now, now], run.response[now, now]
            past = path_of(model, algorithm, C, R, run.magnetization[now])
            outliers = known_outliers(model, law, past, decay)
        answer.append(Spectrum(time=time, bulk=law, outliers=outliers))
    return answer


def _value_at(schedule: Any, time: int) -> float:
    """A schedule's value at a step; after its last step, the last value."""
    if isinstance(schedule, tuple):
        return float(schedule[min(time, len(schedule) - 1)])
    value: Any = schedule(time) if callable(schedule) else schedule
    return float(value)
