r"""C(t,t'), m(t), C12(t,t'), R(t,t') and the loss from the weights of a run, wherever these come from.

A copy is a run that shares data and start with the first one: a replica has selections and noise of its own, a kicked
copy has those of the first replica and begins as x(t'+1) + epsilon n, with n_i = +-1. Then

    C(t,t')   = x(t).x(t')/N                             of the first replica
    C12(t,t') = x^a(t).x^b(t')/N                         averaged over the pairs a != b of replicas
    R(t,t')   = n.(x^kicked(t) - x(t)) / (N epsilon)

The error of a mean over n samples is the standard error, sqrt(sum (q_k - mean)^2 / (n (n - 1))); every quantity, the
distance to the reference and the generalization error included, is computed sample by sample first. For one sample the
error is not known and is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.run.request import Save
from sgdmft.run.trajectory import Trajectory


class Recorder:
    """Measures one run from its weights, at the times that `save` names.

    Parameters
    ----------
    save : Save
    steps : int >= 0
        The last step that will be recorded.
    size : int
        N, the number of weights.
    reference : ndarray (N,), optional
        x*, from which overlap and distance are measured; without it there are none.
    signs : ndarray (kicks, N), optional
        The directions n of the kicks that `save.response` asks for.

    Attributes
    ----------
    reached : int
        The last recorded step; -1 before the first.

    Examples
    --------
    >>> w, recorder = np.ones(50), Recorder(Save(two_time=[0, 10]), 10, size=50)
    >>> for step in range(11):
    ...     recorder.record(step, w, loss=0.5 * w @ w / 50)
    ...     w = 0.9 * w
    >>> run = recorder.trajectory()
    >>> bool(np.isclose(run.correlation[1, 0], 0.9**10)), run.loss.shape, "magnetization" in run
    (True, (11,), False)
    """

    def __init__(
        self, save: Save, steps: int, *, size: int, reference: np.ndarray | None = None, signs: np.ndarray | None = None
    ) -> None:
        self.save = save
        self.steps = check.integer("steps", steps, at_least=0)
        self.size = check.integer("size", size, at_least=1)
        kicks = len(save.response)
        signs = np.zeros((0, size)) if signs is None else signs
        for name, value, shape in (("reference", reference, (size,)), ("signs", signs, (kicks, size))):
            if value is not None and value.shape != shape:
                raise InvalidArgument(f"Argument `{name}` must have shape {shape}, but has {value.shape}.")
        self.reference, self.signs = reference, signs
        names = ["norm", "loss"]
        names += ["magnetization"] * (reference is not None) + ["replica_overlap"] * (save.replicas > 1)
        self.two_times, count = save.two_times(steps), len(save.recorded(steps))
        self.one_time = {name: np.full(count, np.nan) for name in names}
        self.points = np.full((save.replicas, len(self.two_times), size), np.nan)
        self.response = np.full((len(self.two_times), kicks), np.nan)
        self.reached = -1
        self._saved = set(self.two_times.tolist())

    def saves(self, step: int) -> bool:
        """Whether the weights of this step are kept."""
        return step in self._saved

    def distance(self, points: np.ndarray) -> float:
        """|x - x*|^2/N of the first of the points (copies, N); needs a reference."""
        values = self._overlaps(points)
        return self._from_reference(values["magnetization"], values["norm"])

    def record(self, step: int, points: np.ndarray, *, loss: float = math.nan, to_the_end: bool = False) -> None:
        """Measure at a step later than the one before; what `save` does not name is passed over.

        Parameters
        ----------
        points : ndarray (N,) or (copies, N)
            The weights: of the replicas, then of the kicked copies that exist by now, in the order of their kicks.
        loss : H/N of the first replica, if it is known
        to_the_end : the run stops here, and is held at these weights at all later steps
        """
        points = np.atleast_2d(points)
        replicas, size = self.save.replicas, self.size
        if points.shape[1:] != (size,) or not replicas <= len(points) <= replicas + len(self.save.response):
            raise InvalidArgument(
                f"The weights at a step must have shape ({size},), or ({replicas} replicas and then kicked copies, {size}), "
                f"but have {points.shape}."
            )
        if not self.reached < step <= self.steps:
            raise InvalidArgument(
                f"Step {step} cannot be recorded: the last one was {self.reached}, and the run has {self.steps}."
            )
        self.reached = step
        if to_the_end or step == self.steps or step % self.save.every == 0:
            place = -(-step // self.save.every)
            where = slice(place, None if to_the_end else place + 1)
            values = {**self._overlaps(points), "loss": loss}
            if replicas > 1:
                values["replica_overlap"] = pair_overlap(points[:replicas, None])[0, 0]
            for name, value in values.items():
                self.one_time[name][where] = value
        if to_the_end or self.saves(step):
            place = int(np.searchsorted(self.two_times, step))
            where = slice(place, None if to_the_end else place + 1)
            self.points[:, where] = points[:replicas, None]
            moved = (points[replicas:] - points[0]) / (size * self.save.kick_size)
            self.response[where, : len(moved)] = np.einsum("ci,ci->c", self.signs[: len(moved)], moved)
            kicks = np.array(self.save.response[len(moved) :])
            self.response[where, len(moved) :][self.two_times[where][:, None] <= kicks] = 0.0

    def trajectory(self, **options: Any) -> Trajectory:
        """What is known by now, of this run alone; `options` as in `mean_trajectory`."""
        return mean_trajectory([self], **options)

    def table(self, last: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """One-time quantities up to step `last`, and two-time functions at the saved times up to it."""
        kept = None if last == self.steps else last // self.save.every + 1
        columns = {name: values[:kept] for name, values in self.one_time.items()}
        if "magnetization" in columns:
            columns["distance"] = self._from_reference(columns["magnetization"], columns["norm"])
        saved = self.two_times <= last
        points = self.points[:, saved]
        functions = {"correlation": points[0] @ points[0].T / self.size}
        if len(points) > 1:
            functions["replica_correlation"] = pair_overlap(points)
        if self.save.response:
            kicks = np.array(self.save.response)
            known = np.searchsorted(self.two_times[saved], kicks[kicks <= last])
            functions["response"] = np.full((saved.sum(),) * 2, np.nan)
            functions["response"][:, known] = self.response[saved][:, : len(known)]
        return columns, functions

    def _overlaps(self, points: np.ndarray) -> dict[str, float]:
        values = {"norm": np.einsum("ci,ci->c", points, points)[0] / self.size}
        if self.reference is not None:
            values["magnetization"] = points[0] @ self.reference / self.size
        return values

    def _from_reference(self, magnetization: Any, norm: Any) -> Any:
        own = float(self.reference @ self.reference) / self.size  # type: ignore[operator]
        own = 1.0 if abs(own - 1.0) < 1e-12 else own  # a signal has |x*|^2 = N up to rounding
        return own - 2.0 * magnetization + norm


def mean_trajectory(
    recorders: Sequence[Recorder],
    *,
    last: int | None = None,
    model: Any = None,
    attributes: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> Trajectory:
    """Means and standard errors over independent samples, recorded alike, up to step `last` (the first to end).

    `model`, and `options` such as `algorithm`, `status`, `time_unit`, are those of `Trajectory.build`.
    """
    first = recorders[0]
    last = min(recorder.reached for recorder in recorders) if last is None else last
    tables = [recorder.table(last) for recorder in recorders]
    if hasattr(model, "generalization_error") and first.reference is not None:
        for columns, _ in tables:
            columns["generalization_error"] = model.generalization_error(columns["magnetization"], columns["norm"])
    times = first.save.recorded(first.steps)
    return Trajectory.build(
        kind="simulation",
        model=model,
        time=times[times <= last],
        quantities=_statistics([columns for columns, _ in tables]),
        two_time=first.two_times[first.two_times <= last],
        two_time_quantities=_statistics([functions for _, functions in tables]),
        attributes={"size": first.size, "samples": len(recorders), **attributes},
        **options,
    )


def pair_overlap(points: np.ndarray) -> np.ndarray:
    """x^a(t).x^b(t')/N averaged over the pairs a != b of replicas; points (replicas, times, N) to (times, times)."""
    replicas, _, size = points.shape
    total = points.sum(axis=0)
    within = np.einsum("ati,asi->ts", points, points)
    return (total @ total.T - within) / (size * replicas * (replicas - 1))


def _statistics(samples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Mean and standard error of each quantity over the samples."""
    result, n = {}, len(samples)
    for name in samples[0]:
        values = np.array([sample[name] for sample in samples])
        result[name] = values.mean(axis=0)
        deviations = values - result[name]
        result[f"{name}_error"] = np.sqrt((deviations**2).sum(axis=0) / (n * (n - 1) if n > 1 else np.nan))
    return result
