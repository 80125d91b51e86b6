"""`solve`: a loop over a `Run`, with progress, checkpoints, cancelling and errors."""

from __future__ import annotations

import threading
import time

from sgdmft.algorithm.descent import Descent
from sgdmft.dmft.dyson import Dyson
from sgdmft.dmft.methods import Compressed, Dense, Estimate, Method
from sgdmft.errors import InvalidArgument, TooLarge
from sgdmft.problem.models import Model, Start
from sgdmft.problem.selfenergy import SelfEnergy
from sgdmft.progress import Progress, reporter
from sgdmft.run.checkpoint import Checkpoint, Clock
from sgdmft.run.parameters import content_key
from sgdmft.run.request import Recovered, Request, Save
from sgdmft.run.trajectory import Status, Trajectory, provenance
from sgdmft.sweeps.executor import interruptible

_CHUNK_SECONDS = 0.1  # between two looks at progress, interruption and checkpoints


def solve(
    model: Model,
    algorithm: Descent,
    *,
    steps: int,
    start: Start | None = None,
    method: Method | None = None,
    save: Save | None = None,
    stop: Recovered | None = None,
    progress: Progress = False,
    strict: bool = True,
    checkpoint: Checkpoint | None = None,
    cancel: threading.Event | None = None,
) -> Trajectory:
    r"""Solve the dynamical mean field theory of a descent, for N -> infinity.

    Integrates equations (4.1) to (4.10) of `sgdmft.dmft.integrator`, causally and without sampling.

    Parameters
    ----------
    model : GaussianLeastSquares, Linearized or SelfEnergy
    algorithm : Descent
        Also `GradientDescent(...)` or `SGD(...)`.
    steps : int >= 0
    start : Start, default Start()
    method : Dense, Compressed, Dyson or None
        How the past is kept; None takes the fastest one.

    Other parameters
    ----------------
    save : Save
        Which two-time functions to keep (default: 64 times) and how often one-time quantities.
    stop : Recovered or None
        End the run early when the signal is recovered.
    progress : bool or callable(done, total, label)
    strict : bool, default True
        Raise `Diverged` on divergence; with False return the trajectory with `Status.DIVERGED`.
    checkpoint : Checkpoint or None
        Save the state of a long run on disk, and continue from it. Where it cannot be written the run goes on, with the
        warning `sgdmft.errors.Unsaved`.
    cancel : threading.Event or None
        When it is set, the run stops and returns what it has, with `Status.INTERRUPTED`; so it does on Ctrl-C, and on
        SIGTERM or SIGHUP, after which every later run of the process stops at once (see `sgdmft.signals`).

    Returns
    -------
    Trajectory
        m(t), C(t,t), the loss, ... at steps 0 .. steps, and C(t,t'), R(t,t') at the saved times.

    Raises
    ------
    InvalidArgument, DamagedFile, NotConverged
    Diverged, TooLarge
        With what was computed before in `error.trajectory`.

    Examples
    --------
    >>> import sgdmft as sg
    >>> theory = sg.solve(sg.GaussianLeastSquares(alpha=2.5), sg.SGD(learning_rate=0.1, batch_fraction=0.3), steps=100)
    >>> print(f"{theory.magnetization[-1]:.6f} {theory.loss[-1]:.6f}")
    0.998468 0.000059
    """
    request = Request(model=model, algorithm=algorithm, steps=steps, start=start, save=save, stop=stop)  # type: ignore[arg-type]
    method = method or cheapest(request)
    if checkpoint and not method.resumable:
        raise InvalidArgument(f"`{type(method).__name__}` has no `checkpoint`. Leave it out, or use `Dense()`.")
    run = method.begin(request)
    key = content_key(question=request.identity, method=method, version=provenance()["version"]) if checkpoint else ""
    state = checkpoint.read(key) if checkpoint else None
    if state is not None:
        run.restore(state)
    clock = Clock(checkpoint.seconds) if checkpoint else None
    steps_at_once = 64
    with reporter(progress, f"{type(method).__name__.lower()} theory") as report, interruptible(cancel) as stopped:
        while not run.ended and not stopped():
            began, t = time.perf_counter(), run.t
            try:
                run.advance(steps_at_once)
            except TooLarge as error:
                if checkpoint:
                    checkpoint.keep(key, run.state())
                raise TooLarge(f"{error} What was computed is in `error.trajectory`.", run.trajectory()) from None
            if run.t - t == steps_at_once:  # a full chunk tells the speed
                share = _CHUNK_SECONDS / max(time.perf_counter() - began, 1e-9)
                steps_at_once = int(min(max(steps_at_once * min(max(share, 0.25), 2.0), 8), 65536))
            report.update(run.work, 1.0)
            if checkpoint and clock and clock.due():
                checkpoint.keep(key, run.state())
    if checkpoint and run.ended:
        checkpoint.remove()
    elif checkpoint:
        checkpoint.keep(key, run.state())
    if strict and run.status is Status.DIVERGED:
        raise run.divergence()
    return run.trajectory()


def estimate(
    model: Model,
    algorithm: Descent,
    *,
    steps: int,
    method: Method | None = None,
    save: Save | None = None,
) -> Estimate:
    """Memory and rough time that `solve` with these arguments would need.

    >>> import sgdmft as sg
    >>> print(sg.estimate(sg.GaussianLeastSquares(alpha=2.0), sg.GradientDescent(0.1), steps=20000, method=sg.Dense()))
    Dense, 20000 steps: 6.4 GB of memory, about 2.1e+03 s
    """
    request = Request(model=model, algorithm=algorithm, steps=steps, save=save)  # type: ignore[arg-type]
    return (method or cheapest(request)).estimate(request)


def cheapest(request: Request) -> Method:
    """Dense or compressed, by the estimated time; Dyson's equation where only it will do."""
    if isinstance(request.model, SelfEnergy) and not request.model.pointwise:
        return Dyson()
    dense, compressed = Dense(), Compressed()
    one, two = dense.estimate(request), compressed.estimate(request)
    fits = one.memory <= dense.memory_limit
    return dense if fits and one.seconds <= two.seconds else compressed
