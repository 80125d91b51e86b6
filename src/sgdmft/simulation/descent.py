r"""The descent of one sample, equation (2.2), with all its copies in one pass over the data per step.

Replicas and kicked copies are explained in `sgdmft.simulation.recorder`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sgdmft.algorithm.descent import Rates
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import Start
from sgdmft.run.request import Feature, Request
from sgdmft.simulation.recorder import Recorder
from sgdmft.simulation.risk import Risk, stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What every sample of a run does."""

    request: Request
    rates: Rates
    seed: int
    loss_wanted: np.ndarray  # bool, shape (steps + 1,)
    norm_limit: float

    def work(self) -> float:
        """Readings of a datum by a sample in all steps, divided by P."""
        fractions = np.append(self.rates.batch_fraction, 0.0)
        union = 1.0 - (1.0 - fractions) ** self.request.save.replicas
        return float(np.where(self.loss_wanted, 1.0, union).sum())


@dataclass(slots=True)
class Control:
    """Shared by the samples of a run: nothing is needed beyond `horizon`, nothing at all once `stop` is set."""

    horizon: int
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Record:
    """What one sample did, filled in as it goes."""

    recorder: Recorder
    recovered_at: int | None = None
    diverged_at: int | None = None
    work: float = 0.0  # passes over the data

    @property
    def reached(self) -> int:
        return self.recorder.reached


def signs(seed: int, sample: int, kicks: int, size: int) -> np.ndarray:
    """The directions n of the kicks of a sample, n_i = +-1, shape (kicks, N)."""
    return np.where(stream(seed, sample, "kick").random((kicks, size)) < 0.5, -1.0, 1.0)


def descend(risk: Risk, sample: int, plan: Plan, control: Control, record: Record) -> None:
    """Run one sample into `record`. A recovered sample stops and is held where it is."""
    request, rates, recorder, seed = plan.request, plan.rates, record.recorder, plan.seed
    save, stop, algorithm, steps = request.save, request.stop, request.algorithm, request.steps
    size, data, replicas, kicks = risk.size, risk.data_size, save.replicas, save.response
    if risk.signal is None:
        request.refuse_beyond("A data set without a signal", set(Feature) - {Feature.STOP})
    copies = replicas + len(kicks)
    x = np.empty((copies, size))
    x[:replicas] = _first_point(request.start, risk, stream(seed, sample, "start"))
    previous = x.copy()
    radius2 = x[0] @ x[0]
    noises = [stream(seed, sample, "noise", a) for a in range(replicas)]
    samplers = [algorithm.batches.sampler(data, steps, stream(seed, sample, "selection", a)) for a in range(replicas)]
    everyone = np.ones((1, data), dtype=bool)
    active = replicas  # the copies that exist by now; the kicked ones come in the order of their kicks

    for t in range(steps + 1):
        if control.stop.is_set() or t > control.horizon:
            return
        now = x[:active]
        if not np.einsum("ci,ci->c", now, now).max() / size <= plan.norm_limit:  # so that NaN counts as beyond
            record.diverged_at = t
            control.horizon = min(control.horizon, t - 1)
            return
        if save.observe is not None and recorder.saves(t):
            save.observe(risk, t, x[0].copy())
        recovered = stop is not None and recorder.distance(now) < stop.distance
        loss_wanted, last = plan.loss_wanted[t] or recovered, t == steps or recovered
        selections = [] if last else [next(sampler) for sampler in samplers]
        rows, chosen, wanted = _selection(selections, data, active, replicas, loss_wanted)
        reading = risk.read(now, rows, wanted)
        record.work += len(rows) / data
        loss = reading.loss(everyone)[0] / size if loss_wanted else math.nan
        recorder.record(t, now, loss=loss, to_the_end=recovered)
        if last:
            record.recovered_at = t if recovered else None
            return

        force = reading.force(chosen, rates.batch_fraction[t])
        eta, momentum, temperature = rates.learning_rate[t], rates.momentum[t], rates.temperature[t]
        new = (1.0 - eta * rates.weight_decay[t]) * now - eta * force
        if t > 0:
            new += momentum * (now - previous[:active])
        if temperature > 0:
            noise = math.sqrt(2.0 * eta * temperature) * np.array([rng.standard_normal(size) for rng in noises])
            new += noise[_owners(active, replicas)]
        previous[:active], x[:active] = now, new
        while active < copies and kicks[active - replicas] == t:
            x[active] = new[0] + save.kick_size * recorder.signs[active - replicas]
            previous[active] = previous[0]
            active += 1
        if algorithm.spherical:
            x[:active] *= np.sqrt(radius2 / np.einsum("ci,ci->c", x[:active], x[:active]))[:, None]


def starting_point(start: Start, risk: Risk, rng: np.random.Generator) -> np.ndarray:
    """A uniformly random point with x.x*/N = m(0) and |x|^2/N = C(0,0), both exactly."""
    if risk.signal is None and start.magnetization != 0.0:
        raise InvalidArgument(
            f"The data have no signal that {start!r} could overlap with. Use a start of magnetization 0."
        )
    signal = np.zeros(risk.size) if risk.signal is None else risk.signal
    other = rng.standard_normal(risk.size)
    other -= (other @ signal) / risk.size * signal
    other *= math.sqrt(risk.size * max(start.norm - start.magnetization**2, 0.0) / (other @ other))
    return start.magnetization * signal + other


def _first_point(start: Start | Callable[..., np.ndarray], risk: Risk, rng: np.random.Generator) -> np.ndarray:
    if isinstance(start, Start):
        return starting_point(start, risk, rng)
    point = np.asarray(start(risk, rng), dtype=float)
    if point.shape != (risk.size,) or not np.isfinite(point).all():
        raise InvalidArgument(
            f"The function given as `start` must return {risk.size} finite numbers, one per weight, "
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
    """The rows to read, and for every copy whether a row pushes it (`chosen`) and whether it is `wanted`."""
    selected = np.zeros((replicas, data), dtype=bool)
    for replica, indices in enumerate(selections):
        selected[replica, indices] = True
    rows = np.arange(data) if loss_wanted else np.flatnonzero(selected.any(axis=0))
    chosen = selected[_owners(copies, replicas)][:, rows]
    wanted = chosen.copy()
    if loss_wanted:
        wanted[0] = True
    return rows, chosen, wanted
