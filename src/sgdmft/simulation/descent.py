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


@dataclass(slots=True, kw_only=True)
class Plan:
    """What every sample of a run does: nothing is needed beyond `horizon`, nothing at all once `stop` is set."""

    request: Request
    seed: int
    norm_limit: float
    stop: threading.Event = field(default_factory=threading.Event)
    horizon: int = field(init=False)
    rates: Rates = field(init=False)
    loss_wanted: np.ndarray = field(init=False)  # bool, shape (steps + 1,)

    def __post_init__(self) -> None:
        save, steps = self.request.save, self.request.steps
        self.horizon, self.rates = steps, self.request.algorithm.rates(steps)
        fractions = np.append(self.rates.batch_fraction, self.rates.batch_fraction[-1:] if steps else 0.0)
        self.loss_wanted = fractions >= 1.0  # where it is free
        if save.loss_times is None:
            self.loss_wanted[np.round(np.expm1(np.linspace(0.0, np.log1p(steps), 100))).astype(int)] = True
            self.loss_wanted[save.two_times(steps)] = True
        else:
            self.loss_wanted[list(save.loss_times)] = True

    def work(self) -> float:
        """Readings of a datum by a sample in all steps, divided by P."""
        fractions = np.append(self.rates.batch_fraction, 0.0)
        union = 1.0 - (1.0 - fractions) ** self.request.save.replicas
        return float(np.where(self.loss_wanted, 1.0, union).sum())


@dataclass(slots=True)
class Record:
    """What one sample did, filled in as it goes."""

    recorder: Recorder
    recovered_at: int | None = None
    diverged_at: int | None = None
    work: float = 0.0  # passes over the data


def signs(seed: int, sample: int, kicks: int, size: int) -> np.ndarray:
    """The directions n of the kicks of a sample, n_i = +-1, shape (kicks, N)."""
    return np.where(stream(seed, sample, "kick").random((kicks, size)) < 0.5, -1.0, 1.0)


def descend(risk: Risk, sample: int, plan: Plan, record: Record) -> None:
    """Run one sample into `record`. A recovered sample stops and is held where it is."""
    request, rates, recorder, seed = plan.request, plan.rates, record.recorder, plan.seed
    save, stop, algorithm, steps = request.save, request.stop, request.algorithm, request.steps
    size, data, replicas, kicks = risk.size, risk.data_size, save.replicas, save.response
    if risk.signal is None:
        request.refuse_beyond("A data set without a signal", set(Feature) - {Feature.STOP})
    copies = replicas + len(kicks)
    owners = np.array([*range(replicas), *[0] * len(kicks)])  # the replica whose selections and noise each copy shares
    x = np.empty((copies, size))
    x[:replicas] = _first_point(request.start, risk, stream(seed, sample, "start"))
    previous = x.copy()
    radius2 = x[0] @ x[0]
    noises = [stream(seed, sample, "noise", a) for a in range(replicas)]
    samplers = [algorithm.batches.sampler(data, steps, stream(seed, sample, "selection", a)) for a in range(replicas)]
    everyone = np.arange(data)
    active = replicas  # the copies that exist by now; the kicked ones come in the order of their kicks

    for t in range(steps + 1):
        if plan.stop.is_set() or t > plan.horizon:
            return
        now = x[:active]
        if not np.einsum("ci,ci->c", now, now).max() / size <= plan.norm_limit:  # so that NaN counts as beyond
            record.diverged_at = t
            plan.horizon = min(plan.horizon, t - 1)
            return
        if save.observe is not None and recorder.saves(t):
            save.observe(risk, t, x[0].copy())
        recovered = stop is not None and recorder.distance(now) < stop.distance
        loss_wanted, last = plan.loss_wanted[t] or recovered, t == steps or recovered
        selected = np.zeros((replicas, data), dtype=bool)
        for replica, sampler in enumerate(samplers if not last else []):
            selected[replica, next(sampler)] = True
        rows = everyone if loss_wanted else np.flatnonzero(selected.any(axis=0))
        chosen = selected[owners[:active]][:, rows]  # whether a row pushes a copy
        wanted = chosen.copy()
        wanted[0] |= loss_wanted
        reading = risk.read(now, rows, wanted)
        record.work += len(rows) / data
        loss = reading.loss(np.ones((1, data), dtype=bool))[0] / size if loss_wanted else math.nan
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
            new += noise[owners[:active]]
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
