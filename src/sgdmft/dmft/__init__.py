"""Dynamical mean field theory: `solve` integrates the closed equations of m, C and R for infinitely many weights.

The equations stand in `sgdmft.dmft.integrator`; methods of integration in `sgdmft.dmft.methods`.
"""

from __future__ import annotations

from typing import Any

from sgdmft import _validation as check
from sgdmft.algorithms import Descent
from sgdmft.batches import FullBatch
from sgdmft.dmft.checkpoint import Checkpoint
from sgdmft.dmft.dyson import Dyson
from sgdmft.dmft.methods import Compressed, Dense, Estimate, Method, Problem, cheapest
from sgdmft.errors import InvalidArgument
from sgdmft.models import GaussianLeastSquares, Start
from sgdmft.progress import Progress
from sgdmft.selfenergy import SelfEnergy
from sgdmft.trajectory import Recovered, Save, Trajectory

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
    replicas: bool = False,
    linearized: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Trajectory:
    r"""Solve the dynamical mean field theory of a descent, for N -> infinity.

    Integrates equations (4.1) to (4.10) of `sgdmft.dmft.integrator`, causally and without sampling.

    Parameters
    ----------
    model : GaussianLeastSquares or SelfEnergy
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
    replicas : bool, default False
        Also follow the overlap of two runs with the same data and start but independent selections and noise:
        `replica_overlap` C12(t,t) and `replica_correlation` C12(t,t'). Only for schemes with P(t,s) = 1.
    linearized : bool, default False
        Keep only what is linear in m (needs f'(0) = 0): C, R, and the loss are those of m = 0, and m(t)/m(0) is the growth.
    checkpoint : Checkpoint or None
        Save the state of a long run on disk, and continue from it.

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
    problem = _problem(
        model, algorithm, steps, start, save, stop, progress, strict, replicas, linearized, checkpoint
    )  # fmt: skip
    return (method or _best(problem)).run(problem)


def estimate(
    model: Any,
    algorithm: Descent,
    *,
    steps: int,
    method: Method | None = None,
    save: Save | None = None,
    replicas: bool = False,
) -> Estimate:
    """Memory and rough time that `solve` with these arguments would need.

    >>> import sgdmft as sg
    >>> print(sg.estimate(sg.GaussianLeastSquares(alpha=2.0), sg.GradientDescent(0.1), steps=20000, method=sg.Dense(threads=1)))
    Dense, 20000 steps: 6.4 GB of memory, about 2.1e+03 s
    """
    problem = _problem(model, algorithm, steps, None, save, None, False, True, replicas, False, None)
    return (method or _best(problem)).estimate(problem)


def _best(problem: Problem) -> Method:
    """The fastest method that can solve the problem."""
    if isinstance(problem.model, SelfEnergy) and not problem.model.pointwise:
        return Dyson()
    return cheapest(problem)


def _problem(
    model: Any,
    algorithm: Any,
    steps: Any,
    start: Start | None,
    save: Save | None,
    stop: Recovered | None,
    progress: Progress,
    strict: bool,
    replicas: bool,
    linearized: bool,
    checkpoint: Checkpoint | None,
) -> Problem:
    if not isinstance(model, (GaussianLeastSquares, SelfEnergy)):
        raise InvalidArgument(f"Argument `model` must be a `GaussianLeastSquares` or a `SelfEnergy`, but is {model!r}.")
    if not isinstance(algorithm, Descent):
        raise InvalidArgument(
            f"Argument `algorithm` must be a `Descent`, `GradientDescent(...)` or `SGD(...)`, but is {algorithm!r}."
        )
    steps = check.integer("steps", steps, at_least=0)
    if isinstance(model, SelfEnergy):
        _check_self_energy(algorithm, replicas, linearized, checkpoint)
    if replicas and not algorithm.batches.memoryless:
        raise InvalidArgument(
            f"The theory of two replicas needs a scheme with P(t, s) = 1, but the scheme is {algorithm.batches!r}. "
            "Use `FullBatch()` or `Bernoulli(...)`, or `simulate(..., replicas=2)`."
        )
    if linearized and stop is not None:
        raise InvalidArgument("The run linearized in m has no distance to the signal: leave out `stop`.")
    return Problem(
        model=model,
        algorithm=algorithm,
        start=start or Start(),
        steps=steps,
        save=save or Save(),
        stop=stop,
        progress=progress,
        strict=strict,
        replicas=replicas,
        linearized=linearized,
        checkpoint=checkpoint,
    )


def _check_self_energy(algorithm: Descent, replicas: bool, linearized: bool, checkpoint: Checkpoint | None) -> None:
    """Refuse what only a `GaussianLeastSquares` has."""
    if not isinstance(algorithm.batches, FullBatch):
        raise InvalidArgument(
            f"A `SelfEnergy` knows nothing of samples, so `batches` must be `FullBatch()`, but is {algorithm.batches!r}. "
            "Put the noise of the selection into the self-energy."
        )
    for name, asked in (("replicas", replicas), ("linearized", linearized), ("checkpoint", checkpoint)):
        if asked:
            raise InvalidArgument(f"A run of a `SelfEnergy` has no `{name}`: leave it out.")
