r"""`simulate`: independent samples side by side, and their means with standard errors.

The error of a mean over n samples is the standard error, sqrt(sum (q_k - mean)^2 / (n (n - 1))); every quantity, the
distance to the signal and the generalization error included, is computed sample by sample first. For one sample the
error is not known and is NaN.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, Literal

import numpy as np

from sgdmft import _validation as check
from sgdmft.algorithms import Descent
from sgdmft.errors import Diverged, InvalidArgument, TooLarge
from sgdmft.models import GaussianLeastSquares, Start
from sgdmft.progress import Progress, reporter
from sgdmft.run.request import Recovered, Request, Save
from sgdmft.simulation.descent import Control, Plan, Record, descend, pair_overlap
from sgdmft.simulation.instance import Instance, data_bytes, data_size, precision
from sgdmft.stability import stability_limit
from sgdmft.trajectory import Status, Trajectory

_POLL = 0.1  # seconds between two looks at the progress of the samples


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
        When it is set, the run stops as on Ctrl-C.
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
        is, those that have started up to the step that all of them reached, with status INTERRUPTED.

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
    if not isinstance(model, GaussianLeastSquares):
        raise InvalidArgument(f"A simulation needs data, so a `GaussianLeastSquares`, but `model` is {model!r}.")
    start, save, steps = request.start, request.save, request.steps
    size = check.integer("size", size, at_least=2, remedy="It is the number N of weights.")
    samples = check.integer("samples", samples, at_least=1)
    seed = secrets.randbits(63) if seed is None else check.integer("seed", seed, at_least=0)
    count = data_size(model, size)
    if save.response and precision(dtype) == np.float32:
        raise InvalidArgument("The response to small kicks needs `dtype='float64'`: float32 cannot resolve them.")
    kicks, two_times = np.array(save.response, dtype=np.int64), save.two_times(steps)
    rates = algorithm.rates(steps)
    plan = Plan(
        algorithm=algorithm,
        rates=rates,
        steps=steps,
        start=start,
        seed=seed,
        replicas=save.replicas,
        kicks=kicks,
        kick_size=save.kick_size,
        recorded=save.recorded(steps),
        two_times=two_times,
        loss_wanted=_loss_wanted(rates.batch_fraction, save.loss_times, two_times, steps),
        stop_distance=None if stop is None else stop.distance,
        norm_limit=check.number("norm_limit", norm_limit, above=0.0),
        observe=save.observe,
    )
    workers = _workers(
        model, size, samples, dtype, workers, check.number("memory_limit", memory_limit, above=0.0), plan
    )

    records: dict[int, Record] = {}
    control = Control(horizon=steps, cancel=cancel)

    def run(sample: int) -> None:
        if control.cancelled:
            return
        instance = Instance(model, size, seed, sample, dtype=dtype)
        record = records[sample] = Record(plan, size)
        with np.errstate(over="ignore", invalid="ignore"):  # a diverging run is caught by its norm
            descend(instance, plan, control, record)

    interrupted = False
    pool = ThreadPoolExecutor(workers)
    futures = [pool.submit(run, sample) for sample in range(samples)]
    try:
        with reporter(progress, f"simulation, {samples} samples of N = {size}") as report:
            total = samples * plan.work()
            running = set(futures)
            while running:
                finished, running = wait(running, timeout=_POLL, return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()
                if cancel is not None and cancel.is_set():
                    interrupted = True
                    break
                report.update(sum(record.work for record in list(records.values())), total)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        control.ended = True
        pool.shutdown(wait=True, cancel_futures=True)

    if interrupted and not any(record.reached >= 0 for record in records.values()):
        raise KeyboardInterrupt
    attributes = {
        "method": f"finite-size simulation, N = {size}, {len(records)} samples",
        "size": size,
        "data": count,
        "seed": str(seed),
        "dtype": str(precision(dtype)),
        "kick_size": plan.kick_size if len(kicks) else 0.0,
    }
    trajectory = _collect(model, plan, records, control.horizon, interrupted, attributes)
    if strict and trajectory.status is Status.DIVERGED:
        raise Diverged(_explain(model, plan, records), trajectory)
    return trajectory


def _collect(
    model: GaussianLeastSquares,
    plan: Plan,
    records: dict[int, Record],
    horizon: int,
    interrupted: bool,
    attributes: dict[str, Any],
) -> Trajectory:
    """Means and errors over the samples, up to the last step that holds for all of them."""
    diverged = any(record.diverged_at is not None for record in records.values())
    final = {k: plan.steps if record.recovered_at is not None else record.reached for k, record in records.items()}
    if interrupted and not diverged:
        complete = [k for k in records if final[k] == plan.steps]
        used = sorted(complete or [k for k in records if records[k].reached >= 0])
    else:
        used = sorted(records)
    last = min(final[k] for k in used)
    status = Status.DIVERGED if diverged else Status.INTERRUPTED if interrupted else Status.COMPLETED
    steps_of = [-1 if (step := records[k].recovered_at) is None else step for k in used]
    if plan.stop_distance is not None:
        attributes |= {"recovered": float(np.mean(np.array(steps_of) >= 0)), "recovery_step": np.array(steps_of)}
        if min(steps_of) >= 0 and status is Status.COMPLETED:
            status, last = Status.RECOVERED, int(plan.recorded[np.searchsorted(plan.recorded, max(steps_of))])
    attributes |= {"samples": len(used)}

    kept = plan.recorded <= last
    columns = {name: np.array([records[k].one_time[name][kept] for k in used]) for name in plan.one_time}
    columns["distance"] = 1.0 - 2.0 * columns["magnetization"] + columns["norm"]
    columns["generalization_error"] = model.generalization_error(columns["magnetization"], columns["norm"])

    saved = plan.two_times <= last
    points = [records[k].points[:, saved] for k in used]
    size = attributes["size"]
    two_time = {"correlation": np.array([x[0] @ x[0].T / size for x in points])}
    if plan.replicas > 1:
        two_time["replica_correlation"] = np.array([pair_overlap(x) for x in points])
    if len(plan.kicks):
        n = int(saved.sum())
        response = np.full((len(used), n, n), np.nan)
        known = np.searchsorted(plan.two_times[saved], plan.kicks[plan.kicks <= last])
        response[:, :, known] = [records[k].response[saved][:, : len(known)] for k in used]
        two_time["response"] = response
    return Trajectory.build(
        kind="simulation",
        model=model,
        algorithm=plan.algorithm,
        start=plan.start,
        time=plan.recorded[kept],
        quantities=_statistics(columns),
        two_time=plan.two_times[saved],
        two_time_quantities=_statistics(two_time),
        status=status,
        attributes=attributes,
    )


def _statistics(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean and standard error over the first axis of each array."""
    result = {}
    for name, values in table.items():
        n = len(values)
        result[name] = values.mean(axis=0)
        deviations = values - result[name]
        result[f"{name}_error"] = np.sqrt((deviations**2).sum(axis=0) / (n * (n - 1) if n > 1 else np.nan))
    return result


def _loss_wanted(
    fractions: np.ndarray, loss_times: Sequence[int] | np.ndarray | None, two_times: np.ndarray, steps: int
) -> np.ndarray:
    wanted = np.zeros(steps + 1, dtype=bool)
    if loss_times is None:
        wanted[np.round(np.expm1(np.linspace(0.0, np.log1p(steps), 100))).astype(int)] = True
        wanted[two_times] = True
    else:
        wanted[list(loss_times)] = True
    wanted[:steps] |= fractions >= 1.0
    if steps and fractions[-1] >= 1.0:
        wanted[steps] = True
    return wanted


def _workers(
    model: GaussianLeastSquares, size: int, samples: int, dtype: Any, workers: int | None, limit: float, plan: Plan
) -> int:
    """How many samples run at a time; `TooLarge` where they do not fit."""
    itemsize = precision(dtype).itemsize
    copies = plan.replicas + len(plan.kicks)
    each = data_bytes(model, size, dtype) + copies * data_size(model, size) * (size + 1) * itemsize
    kept = samples * 8.0 * (plan.replicas * len(plan.two_times) * (size + len(plan.two_times)) + 3 * len(plan.recorded))
    fit = int(max(limit - kept, 0.0) // each)
    wanted = (
        min(os.cpu_count() or 1, samples, max(fit, 1))
        if workers is None
        else min(check.integer("workers", workers, at_least=1), samples)
    )
    if wanted > fit:
        raise TooLarge(
            f"{wanted} sample(s) at a time of N = {size} with {data_size(model, size)} data need "
            f"{(wanted * each + kept) / 1e9:.3g} GB, more than the limit of {limit / 1e9:.3g} GB. Lower `size`, use "
            f"`dtype='float32'` or fewer `workers`, or raise `memory_limit` to {1.01 * (wanted * each + kept):.3g}."
        )
    return wanted


def _explain(model: GaussianLeastSquares, plan: Plan, records: dict[int, Record]) -> str:
    step, sample = min((r.diverged_at, k) for k, r in records.items() if r.diverged_at is not None)
    limit = stability_limit(model, plan.algorithm)
    eta = plan.rates.learning_rate[max(step - 1, 0)] if plan.steps else np.nan
    return (
        f"Diverged: C(t,t) exceeded {plan.norm_limit:g} at step {step} of sample {sample}. The learning rate is {eta:g}; "
        f"stability limit at the signal: {limit}. All samples up to step {step - 1} are in `error.trajectory`."
    )
