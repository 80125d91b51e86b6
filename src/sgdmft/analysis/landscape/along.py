"""The Hessian along a solution of the theory: its bulk and the outlier towards the signal, equations (10.1) to (10.3)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft.analysis.landscape.law import bulk
from sgdmft.analysis.landscape.outliers import Spectrum, off_bulk, start_spectrum
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares, Teacher
from sgdmft.run.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray


def spectrum(trajectory: Trajectory, time: int) -> Spectrum:
    """The Hessian at one of the saved two-times of a solution of the theory, equations (10.1) to (10.3).

    Raises
    ------
    InvalidArgument
        When the trajectory is a simulation (see `Probe`), or `time` is not among its saved two-times.

    Examples
    --------
    >>> import sgdmft as sg
    >>> theory = sg.solve(sg.GaussianLeastSquares(alpha=3.0), sg.SGD(0.1, 0.3), steps=30, start=sg.Start(magnetization=0.0))
    >>> now = spectrum(theory, 30)
    >>> print(f"{now.bulk.lower_edge:.4f} {now.descent.eigenvalue:.4f} {now.descent.overlap:.4f}")
    -0.6285 -0.7750 0.4652
    """
    model, algorithm = trajectory.model, trajectory.algorithm
    if trajectory.kind != "theory" or not isinstance(model, GaussianLeastSquares) or algorithm is None:
        raise InvalidArgument(
            "The spectrum needs a solution of the theory by `solve`; at a point of a simulation measure it by "
            "`simulate(..., save=Save(observe=simulation.Probe()))`."
        )
    i, saved = int(np.searchsorted(trajectory.two_time, time)), trajectory.two_time
    if i == len(saved) or saved[i] != time:
        raise InvalidArgument(f"Step {time} is not among the saved times; keep it by `Save(two_time=[..., {time}])`.")
    decay = _value_at(algorithm.weight_decay, time)
    if time == 0:
        return start_spectrum(model, trajectory.start, weight_decay=decay)
    here = int(np.searchsorted(trajectory.time, time))
    if here == len(trajectory.time) or trajectory.time[here] != time:
        raise InvalidArgument(f"The loss is not recorded at step {time}; record it by `Save(every=...)`.")
    m, q, loss = (float(trajectory[name][here]) for name in ("magnetization", "norm", "loss"))
    law = bulk(model, norm=q, loss=loss, weight_decay=decay)
    if not isinstance(model.labels, Teacher):
        return Spectrum(time=time, bulk=law, outliers=())
    f, w = model.covariance, law.gradient_variance
    if m != 0.0 or float(f.derivative(0.0)) != 0.0:
        return Spectrum(time=time, bulk=law, outliers=None)
    label = float(trajectory["label_response"][i])
    constant = model.alpha * (w - float(f.derivative(m, order=2)) * label) + decay
    block = np.array([constant, model.alpha * w, law.curvature_variance]).reshape(3, 1, 1)
    signal = np.array([math.sqrt(max(1.0 - m * m / q, 0.0))])
    return Spectrum(time=time, bulk=law, outliers=off_bulk(law, block[0], block[1], block[2], signal))


def evolution(trajectory: Trajectory) -> xarray.Dataset:
    """Edges, negative fraction and signal outlier at all saved two-times of a solution of the theory.

    Returns
    -------
    xarray.Dataset over `saved_time`
        loss, lower_edge, upper_edge, negative_fraction, outlier, outlier_overlap (NaN where there is none below the bulk,
        or where it is not known: at t > 0 with m(t) > 0), outlier_known.
    """
    import xarray as xr

    spectra = [spectrum(trajectory, int(time)) for time in trajectory.two_time]
    here = np.searchsorted(trajectory.time, trajectory.two_time)
    found = [now.descent for now in spectra]
    columns = {
        "loss": trajectory.loss[here],
        "lower_edge": [now.bulk.lower_edge for now in spectra],
        "upper_edge": [now.bulk.upper_edge for now in spectra],
        "negative_fraction": [now.bulk.negative_fraction() for now in spectra],
        "outlier": [math.nan if outlier is None else outlier.eigenvalue for outlier in found],
        "outlier_overlap": [math.nan if outlier is None else outlier.overlap for outlier in found],
        "outlier_known": [now.outliers is not None for now in spectra],
    }
    attributes = {
        name: trajectory.dataset.attrs[name] for name in ("model", "algorithm", "start", "version", "revision")
    }
    data = {name: ("saved_time", np.asarray(values)) for name, values in columns.items()}
    return xr.Dataset(data, {"saved_time": ("saved_time", trajectory.two_time, {"units": "steps"})}, attributes)


def _value_at(schedule: Any, time: int) -> float:
    """A schedule's value at a step; after its last step, the last value."""
    if isinstance(schedule, tuple):
        return float(schedule[min(time, len(schedule) - 1)])
    value: Any = schedule(time) if callable(schedule) else schedule
    return float(value)
