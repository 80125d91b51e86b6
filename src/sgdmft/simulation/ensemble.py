"""`simulate`: independent samples side by side, and their means with standard errors."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from sgdmft import _memory, _validation as check
from sgdmft.algorithm.descent import Descent
from sgdmft.errors import Diverged, TooLarge
from sgdmft.problem.models import GaussianLeastSquares, Start
from sgdmft.progress import Progress, reporter
from sgdmft.run.request import Feature, Recovered, Request, Save
from sgdmft.run.stability import stability_limit
from sgdmft.run.trajectory import Status, Trajectory
from sgdmft.simulation.descent import Plan, Record, descend, signs
from sgdmft.simulation.gaussian import Instance, precision
from sgdmft.simulation.recorder import Recorder, mean_trajectory
from sgdmft.simulation.risk import Needs, data_needs, risk_of
from sgdmft.sweeps import cores, on_threads


def simulate(
    model: GaussianLeastSquares,
    algorithm: Descent,
    *,
    steps: int,
    start: Start | Callable[[Instance, np.random.Generator], np.ndarray] | None = None,
    size: int = 500,
    samples: int = 16,
    seed: int | None = 0,
    save: Save | None = None,
    stop: Recovered | None = None,
    progress: Progress = False,
    cancel: threading.Event | None = None,
    dtype: Literal["float64", "float32"] = "float64",
    workers: int | None = None,
    memory_limit: float = 8e9,
    norm_limit: float = 1e6,
    strict: bool = True,
) -> Trajectory:
    r"""Run equation (2.2) for `size` weights and `round(alpha * size)` data, in independent samples.

    Sample k has data, signal, start, selections and noise from streams of its own, `SeedSequence(seed)` with the spawn
    key (k, ...): it is the same whatever the number of samples and workers. Samples run side by side on threads.

    Parameters
    ----------
    model, algorithm : what is learned, and how
    steps : int >= 0
    start : Start, or a function (instance, rng) -> x(0) of shape (N,)
        A `Start` is a uniformly random point with exactly these norm and overlap.
    size, samples : int
        N >= 2 weights; number of independent samples. With one sample the errors are NaN.
    seed : int or None
        None draws a fresh one, which `dataset.attrs['seed']` then holds.
    save, stop : as in `solve`
        With `stop` a sample that recovers stops there and is held at that point, in all means, until the last one
        has stopped. `dataset.attrs['recovered']` is the fraction of recovered samples and `recovery_step` the step of
        each (-1: not recovered).

    Other parameters
    ----------------
    cancel : threading.Event or None
        When it is set, the run stops as on Ctrl-C, SIGTERM or SIGHUP.
    dtype : 'float64' or 'float32'
        Precision of couplings, values and gradients; the weights are kept in float64. Stated in the attributes.
    workers : int
        Samples that run at a time, by default as many as there are cores and as fit into `memory_limit` (bytes).
    norm_limit : float
        C(t,t) beyond which a sample counts as diverged.
    strict : bool
        False: return a diverged trajectory (`status` DIVERGED) where True raises `Diverged`.

    Returns
    -------
    Trajectory
        kind 'simulation', each quantity with `<name>_error`. Ctrl-C returns the samples that are complete, or, if none
        is, those that have started up to the step that all of them reached, with status INTERRUPTED; it raises
        `KeyboardInterrupt` if none has.

    Raises
    ------
    InvalidArgument, TooLarge
    Diverged
        When a sample diverged; `error.trajectory` holds all samples up to the step before.

    Examples
    --------
    >>> import sgdmft as sg
    >>> model = sg.GaussianLeastSquares(alpha=2.0)
    >>> data = sg.simulate(model, sg.SGD(learning_rate=0.1, batch_fraction=0.5), steps=10, size=60, samples=4)
    >>> data.magnetization.shape, bool(data.error("magnetization")[-1] < 0.1)
    ((11,), True)
    """
    request = Request(model=model, algorithm=algorithm, steps=steps, start=start, save=save, stop=stop)  # type: ignore[arg-type]
    save, steps = request.save, request.steps
    size = check.integer("size", size, at_least=2, remedy="It is the number N of weights.")
    samples = check.integer("samples", samples, at_least=1)
    seed = secrets.randbits(63) if seed is None else check.integer("seed", seed, at_least=0)
    kind = precision(dtype)
    needs = data_needs(model, size, save.replicas + len(save.response), kind)
    if kind == np.float32:
        remedy = "It cannot resolve small kicks: use `dtype='float64'`."
        request.refuse_beyond("A simulation in float32", set(Feature) - {Feature.KICKS}, remedy)
    norm_limit = check.number("norm_limit", norm_limit, above=0.0)
    with _memory.within(check.number("memory_limit", memory_limit, above=0.0)):
        workers = _workers(needs, size, samples, workers, memory_limit, request)
    plan = Plan(request=request, seed=seed, norm_limit=norm_limit)

    records: dict[int, Record] = {}

    def run(sample: int) -> None:
        risk = risk_of(model, size, seed, sample, dtype=dtype)
        directions = signs(seed, sample, len(save.response), size)
        record = Record(Recorder(save, steps, size=size, reference=risk.signal, signs=directions))
        records[sample] = record
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is caught by its norm
            descend(risk, sample, plan, record)

    with reporter(progress, f"simulation, {samples} samples of N = {size}") as report:
        total = samples * plan.work()
        interrupted = not on_threads(
            [partial(run, sample) for sample in range(samples)],
            plan.stop,
            workers=workers,
            cancel=cancel,
            tell=lambda: report.update(sum(record.work for record in list(records.values())), total),
        )
    if interrupted and not any(record.recorder.reached >= 0 for record in records.values()):
        raise KeyboardInterrupt
    attributes = {
        "method": f"finite-size simulation, N = {size}, {len(records)} samples",
        "data": needs.data_size,
        "seed": str(seed),
        "dtype": str(kind),
        "kick_size": save.kick_size if save.response else 0.0,
    }
    trajectory = _collect(request, records, interrupted, attributes)
    if strict and trajectory.status is Status.DIVERGED:
        raise Diverged(_explain(model, plan, records), trajectory)
    return trajectory


def _collect(request: Request, records: dict[int, Record], interrupted: bool, attributes: dict[str, Any]) -> Trajectory:
    """Means and errors over the samples, up to the last step that holds for all of them."""
    steps = request.steps
    diverged = any(record.diverged_at is not None for record in records.values())
    final = {k: steps if record.recovered_at is not None else record.recorder.reached for k, record in records.items()}
    if interrupted and not diverged:
        complete = [k for k in records if final[k] == steps]
        used = sorted(complete or [k for k in records if records[k].recorder.reached >= 0])
    else:
        used = sorted(records)
    last = min(final[k] for k in used)
    status = Status.DIVERGED if diverged else Status.INTERRUPTED if interrupted else Status.COMPLETED
    if request.stop is not None:
        steps_of = np.array([-1 if (step := records[k].recovered_at) is None else step for k in used])
        attributes |= {"recovered": float(np.mean(steps_of >= 0)), "recovery_step": steps_of}
        if min(steps_of) >= 0 and status is Status.COMPLETED:
            recorded = request.save.recorded(steps)
            status, last = Status.RECOVERED, int(recorded[np.searchsorted(recorded, max(steps_of))])
    return mean_trajectory(
        [records[k].recorder for k in used],
        last=last,
        model=request.model,
        algorithm=request.algorithm,
        start=request.start,
        status=status,
        attributes=attributes,
    )


def _workers(needs: Needs, size: int, samples: int, workers: int | None, limit: float, request: Request) -> int:
    """How many samples run at a time; `TooLarge` where they do not fit."""
    save = request.save
    steps, saved = request.steps, len(save.two_times(request.steps))
    functions = 1 + (save.replicas > 1) + bool(save.response)
    recorded = steps / save.every + 1
    kept = samples * 8.0 * (save.replicas * saved * size + (functions + 3) * saved**2 + 9 * recorded)
    kept += 8.0 * (12 * recorded + 8 * steps)  # means and errors; rates and what else there is for every step
    fit = int(max(limit - kept, 0.0) // needs.bytes)
    most = max(min(cores(), fit), 1) if workers is None else check.integer("workers", workers, at_least=1)
    wanted = min(most, samples)
    if wanted > fit:
        total = wanted * needs.bytes + kept
        raise TooLarge(
            f"{wanted} sample(s) at a time of N = {size} with {needs.data_size} data need {total / 1e9:.3g} GB, more than "
            f"the limit of {limit / 1e9:.3g} GB. Lower `size`, use `dtype='float32'` or fewer `workers`, or raise "
            f"`memory_limit` to {1.01 * total:.3g}."
        )
    return wanted


def _explain(model: GaussianLeastSquares, plan: Plan, records: dict[int, Record]) -> str:
    step, sample = min((r.diverged_at, k) for k, r in records.items() if r.diverged_at is not None)
    limit = stability_limit(model, plan.request.algorithm)
    eta = plan.rates.learning_rate[max(step - 1, 0)] if plan.request.steps else np.nan
    return (
        f"Diverged: C(t,t) exceeded {plan.norm_limit:g} at step {step} of sample {sample}. The learning rate is {eta:g}; "
        f"stability limit at the signal: {limit}. All samples up to step {step - 1} are in `error.trajectory`."
    )
