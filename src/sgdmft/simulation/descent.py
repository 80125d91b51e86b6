r"""The descent of one sample, equation (2.2), with all its copies in one pass over the data per step.

A copy is a run that shares data and start with the first one: a replica has selections and noise of its own, a kicked
copy has those of the first replica and begins as x(t'+1) + epsilon n. Then

    C(t,t')   = x(t).x(t')/N                             of the first replica
    C12(t,t') = x^a(t).x^b(t')/N                         averaged over the pairs a != b of replicas
    R(t,t')   = n.(x^kicked(t) - x(t)) / (N epsilon)     with random signs n_i
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sgdmft._kernels import simulation as kernels
from sgdmft.algorithms import Descent, Rates
from sgdmft.errors import InvalidArgument
from sgdmft.models import Start
from sgdmft.simulation.instance import Instance, stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every sample of a run does; times are ascending arrays of steps."""

    algorithm: Descent
    rates: Rates
    steps: int
    start: Start | Callable[[Instance, np.random.Generator], np.ndarray]
    seed: int
    replicas: int
    kicks: np.ndarray
    kick_size: float
    recorded: np.ndarray
    two_times: np.ndarray
    loss_wanted: np.ndarray  # bool, shape (steps + 1,)
    stop_distance: float | None
    norm_limit: float
    observe: Callable[[Instance, int, np.ndarray], None] | None

    @property
    def one_time(self) -> tuple[str, ...]:
        """Names of the one-time quantities that are measured."""
        return ("magnetization", "norm", "loss", *(("replica_overlap",) if self.replicas > 1 else ()))

    def work(self) -> float:
        """Readings of a datum by a sample in all steps, divided by P."""
        fractions = np.append(self.rates.batch_fraction, 0.0)
        union = 1.0 - (1.0 - fractions) ** self.replicas
        return float(np.where(self.loss_wanted, 1.0, union).sum())


@dataclass(slots=True)
class Control:
    """Shared by the samples of a run: nothing is needed beyond `horizon`, nothing at all once `cancelled`."""

    horizon: int
    cancel: threading.Event | None = None
    ended: bool = False

    @property
    def cancelled(self) -> bool:
        return self.ended or (self.cancel is not None and self.cancel.is_set())


class Record:
    """What one sample did, filled in as it goes; NaN where nothing is known.

    `points` has shape (replicas, two-times, N), `response` (two-times, kicks), the rest one entry per recorded step.
    """

    def __init__(self, plan: Plan, size: int) -> None:
        self.plan = plan
        self.one_time = {name: np.full(len(plan.recorded), np.nan) for name in plan.one_time}
        self.points = np.full((plan.replicas, len(plan.two_times), size), np.nan)
        self.response = np.full((len(plan.two_times), len(plan.kicks)), np.nan)
        self.reached = -1  # last step whose state is known
        self.recovered_at: int | None = None
        self.diverged_at: int | None = None
        self.work = 0.0  # passes over the data
        self._next = self._next_saved = 0

    def saves(self, t: int) -> bool:
        """Whether t is one of the saved two-times."""
        return self._next_saved < len(self.plan.two_times) and self.plan.two_times[self._next_saved] == t

    def save(self, points: np.ndarray, response: np.ndarray, *, to_the_end: bool) -> None:
        """Keep points of the replicas, (replicas, N), and the response to the kicks given so far."""
        first, kicked = self._next_saved, len(response)
        where = slice(first, None if to_the_end else first + 1)
        self.points[:, where] = points[:, None]
        self.response[where, :kicked] = response
        unborn = self.plan.two_times[where][:, None] <= self.plan.kicks[kicked:]
        self.response[where, kicked:][unborn] = 0.0
        self._next_saved += 1

    def note(self, t: int, values: dict[str, float], *, to_the_end: bool) -> None:
        """Keep one-time quantities if t is one of the recorded steps."""
        self.reached = t
        if self._next < len(self.plan.recorded) and (to_the_end or self.plan.recorded[self._next] == t):
            where = slice(self._next, None if to_the_end else self._next + 1)
            for name, array in self.one_time.items():
                array[where] = values[name]
            self._next += 1


def starting_point(start: Start, instance: Instance, rng: np.random.Generator) -> np.ndarray:
    """A uniformly random point with x.x*/N = m(0) and |x|^2/N = C(0,0), both exactly."""
    size, signal = instance.size, instance.signal
    other = rng.standard_normal(size)
    other -= (other @ signal) / size * signal
    other *= math.sqrt(size * max(start.norm - start.magnetization**2, 0.0) / (other @ other))
    return start.magnetization * signal + other


def descend(instance: Instance, plan: Plan, control: Control, record: Record) -> None:
    """Run one sample into `record`. A recovered sample stops and is held where it is."""
    size, data, replicas = instance.size, instance.data_size, plan.replicas
    copies = replicas + len(plan.kicks)
    rates = plan.rates
    x = np.empty((copies, size))
    x[:replicas] = _first_point(instance, plan)
    previous, force = x.copy(), np.empty((copies, size))
    radius2 = x[0] @ x[0]
    signs = np.where(stream(plan.seed, instance.sample, "kick").random((len(plan.kicks), size)) < 0.5, -1.0, 1.0)
    noises = [stream(plan.seed, instance.sample, "noise", a) for a in range(replicas)]
    samplers = [
        plan.algorithm.batches.sampler(data, plan.steps, stream(plan.seed, instance.sample, "selection", a))
        for a in range(replicas)
    ]
    workspace = instance.workspace(copies)
    active = replicas  # the copies that exist by now; the kicked ones come in the order of their kicks

    for t in range(plan.steps + 1):
        if control.cancelled or t > control.horizon:
            return
        now = x[:active]
        norms = np.einsum("ci,ci->c", now, now) / size
        if not norms.max() <= plan.norm_limit:  # so that NaN counts as beyond
            record.diverged_at = t
            control.horizon = min(control.horizon, t - 1)
            return
        magnetization, norm = x[0] @ instance.signal / size, norms[0]
        recovered = plan.stop_distance is not None and 1.0 - 2.0 * magnetization + norm < plan.stop_distance
        if record.saves(t) or recovered:
            moved = (now[replicas:] - x[0]) / (size * plan.kick_size)
            response = np.einsum("ci,ci->c", signs[: active - replicas], moved)
            if plan.observe is not None and record.saves(t):
                plan.observe(instance, t, x[0].copy())
            record.save(now[:replicas], response, to_the_end=recovered)

        values = {"magnetization": magnetization, "norm": norm, "loss": np.nan}
        if replicas > 1:
            values["replica_overlap"] = pair_overlap(now[:replicas, None])[0, 0]
        loss_wanted, last = plan.loss_wanted[t] or recovered, t == plan.steps or recovered
        selections = [] if last else [next(sampler) for sampler in samplers]
        rows, chosen, mask = _selection(selections, data, active, replicas, loss_wanted)
        instance.read(now, rows, mask, workspace)
        residuals = workspace.values[:active, : len(rows)] - instance.labels[rows]
        record.work += len(rows) / data
        if loss_wanted:
            values["loss"] = residuals[0] @ residuals[0] / (2 * size)
        record.note(t, values, to_the_end=recovered)
        if last:
            record.recovered_at = t if recovered else None
            return

        u = np.where(chosen, residuals, 0.0) / rates.batch_fraction[t]
        kernels.weighted_sum(u, workspace.gradients[:active], force[:active])
        eta, momentum, temperature = rates.learning_rate[t], rates.momentum[t], rates.temperature[t]
        new = (1.0 - eta * rates.weight_decay[t]) * now - eta * force[:active]
        if t > 0:
            new += momentum * (now - previous[:active])
        if temperature > 0:
            noise = math.sqrt(2.0 * eta * temperature) * np.array([rng.standard_normal(size) for rng in noises])
            new += noise[_owners(active, replicas)]
        previous[:active], x[:active] = now, new
        while active < copies and plan.kicks[active - replicas] == t:
            x[active] = new[0] + plan.kick_size * signs[active - replicas]
            previous[active] = previous[0]
            active += 1
        if plan.algorithm.spherical:
            x[:active] *= np.sqrt(radius2 / np.einsum("ci,ci->c", x[:active], x[:active]))[:, None]


def pair_overlap(points: np.ndarray) -> np.ndarray:
    """x^a(t).x^b(t')/N averaged over the pairs a != b of replicas; points (replicas, times, N) to (times, times)."""
    replicas, _, size = points.shape
    total = points.sum(axis=0)
    within = np.einsum("ati,asi->ts", points, points)
    return (total @ total.T - within) / (size * replicas * (replicas - 1))


def _first_point(instance: Instance, plan: Plan) -> np.ndarray:
    rng = stream(plan.seed, instance.sample, "start")
    if isinstance(plan.start, Start):
        return starting_point(plan.start, instance, rng)
    point = np.asarray(plan.start(instance, rng), dtype=float)
    if point.shape != (instance.size,) or not np.isfinite(point).all():
        raise InvalidArgument(
            f"The function given as `start` must return {instance.size} finite numbers, one per weight, "
            f"but returned {point!r}."
        )
    return point


def _owners(copies: int, replicas: int) -> np.ndarray:
    """The replica whose selections and noise each copy shares."""
    owner = np.arange(copies)
    owner[replicas:] = 0
    return owner


def _selection(
    selections: list[np.ndarray], data: int, copies: int, replicas: int, loss_wanted: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows to read, and for every copy whether a row pushes it (`chosen`) and whether it is needed (`mask`)."""
    selected = np.zeros((replicas, data), dtype=bool)
    for replica, indices in enumerate(selections):
        selected[replica, indices] = True
    rows = np.arange(data) if loss_wanted else np.flatnonzero(selected.any(axis=0))
    chosen = selected[_owners(copies, replicas)][:, rows]
    mask = chosen.copy()
    if loss_wanted:
        mask[0] = True
    return rows, chosen, mask
