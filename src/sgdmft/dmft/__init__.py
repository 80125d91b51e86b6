"""Dynamical mean field theory: `solve` integrates the closed equations of m, C and R for infinitely many weights.

The equations stand in `sgdmft.dmft.integrator`; methods of integration in `sgdmft.dmft.methods`.
"""

from __future__ import annotations

import threading
from typing import Any

from sgdmft.algorithms import Descent
from sgdmft.dmft.checkpoint import Checkpoint
from sgdmft.dmft.dyson import Dyson
from sgdmft.dmft.methods import Compressed, Dense, Estimate, Method, Problem, cheapest
from sgdmft.errors import InvalidArgument
from sgdmft.models import Linearized, Start
from sgdmft.progress import Progress
from sgdmft.run.request import Feature, Recovered, Request, Save
from sgdmft.selfenergy import SelfEnergy
from sgdmft.trajectory import Trajectory

__all__ = ["Checkpoint", "Compressed", "Dense", "Dyson", "Estimate", "Problem", "estimate", "solve"]


def solve(
    model: Any,
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
        Save the state of a long run on disk, and continue from it.
    cancel : threading.Event or None
        When it is set, the run stops and returns what it has, with `Status.INTERRUPTED`.

    Returns
    -------
    Trajectory
        m(t), C(t,t), the loss, ... at steps 0 .. steps, and C(t,t'), R(t,t') at the saved times.

    Raises
    ------
    InvalidArgument, TooLarge, Diverged, NotConverged

    Examples
    --------
    >>> import sgdmft as sg
    >>> theory = sg.solve(sg.GaussianLeastSquares(alpha=2.5), sg.SGD(learning_rate=0.1, batch_fraction=0.3), steps=100)
    >>> print(f"{theory.magnetization[-1]:.6f} {theory.loss[-1]:.6f}")
    0.998468 0.000059
    """
    request = Request(model=model, algorithm=algorithm, steps=steps, start=start, save=save, stop=stop)  # type: ignore[arg-type]
    problem = _problem(request, progress, strict, checkpoint, cancel)
    return (method or _best(problem)).run(problem)


def estimate(
    model: Any,
    algorithm: Descent,
    *,
    steps: int,
    method: Method | None = None,
    save: Save | None = None,
) -> Estimate:
    """Memory and rough time that `solve` with these arguments would need.

    >>> import sgdmft as sg
    >>> print(sg.estimate(sg.GaussianLeastSquares(alpha=2.0), sg.GradientDescent(0.1), steps=20000, method=sg.Dense(threads=1)))
    Dense, 20000 steps: 6.4 GB of memory, about 2.1e+03 s
    """
    problem = _problem(Request(model=model, algorithm=algorithm, steps=steps, save=save))  # type: ignore[arg-type]
    return (method or _best(problem)).estimate(problem)


def _best(problem: Problem) -> Method:
    """The fastest method that can solve the problem."""
    if isinstance(problem.model, SelfEnergy) and not problem.model.pointwise:
        return Dyson()
    return cheapest(problem)


def _problem(
    request: Request,
    progress: Progress = False,
    strict: bool = True,
    checkpoint: Checkpoint | None = None,
    cancel: threading.Event | None = None,
) -> Problem:
    model = request.model.model if isinstance(request.model, Linearized) else request.model
    supported = {Feature.STOP, Feature.KICKS, Feature.LOSS_TIMES}
    if not isinstance(model, SelfEnergy):
        supported |= {Feature.MINIBATCHES, Feature.RESELECTION, Feature.REPLICAS}
    request.refuse_beyond(f"The theory of {request.model!r}", supported)
    if isinstance(model, SelfEnergy) and checkpoint:
        raise InvalidArgument("A run of a `SelfEnergy` has no `checkpoint`: leave it out.")
    if {Feature.REPLICAS, Feature.RESELECTION} <= request.features:
        raise InvalidArgument(
            f"The theory of two replicas needs a scheme with P(t, s) = 1, but the scheme is {request.algorithm.batches!r}. "
            "Use `FullBatch()` or `Bernoulli(...)`, or a simulation."
        )
    return Problem(
        model=model,
        asked=request.model,
        algorithm=request.algorithm,
        start=request.start,  # type: ignore[arg-type]
        steps=request.steps,
        save=request.save,
        stop=request.stop,
        progress=progress,
        strict=strict,
        replicas=request.save.replicas > 1,
        linearized=isinstance(request.model, Linearized),
        checkpoint=checkpoint,
        cancel=cancel,
    )
