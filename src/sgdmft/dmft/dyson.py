r"""Dyson's equation on whole two-time matrices: an independent solution of the theory, for every self-energy.

Solves Q^-1 = K + Sigma[Q] by plain iteration, Q <- (K + Sigma[Q])^-1, with the pieces of `sgdmft.dmft.whole`. By
causality the row of Q at t+1 follows from rows of Sigma up to t, hence of Q up to t: each sweep settles at least one
more time, and the iteration is exact after at most T + 1 sweeps. It works on matrices of all times at once, O(T^3)
per sweep, and shares no equation with the causal sweep of `sgdmft.dmft.integrator`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.dmft.methods import Estimate, Problem, refuse_too_large
from sgdmft.dmft.whole import LeastSquares, Motion
from sgdmft.errors import Diverged, InvalidArgument, NotConverged
from sgdmft.progress import reporter
from sgdmft.selfenergy import SelfEnergy
from sgdmft.superfield import Superfield
from sgdmft.trajectory import Status, Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Dyson:
    """Dyson's equation on whole matrices: T^2 memory, T^3 time for each of some 20 to 100 sweeps.

    Slow and independent of the other methods; the one for a `SelfEnergy` that is not pointwise.

    Parameters
    ----------
    tolerance : float, default 1e-13
        A further sweep must change no C(t,s) and no R(t,s) eta by more than this times their largest values.
    max_sweeps : int, optional
        Default: three times the steps, and at least 50.
    memory_limit : float, default 8e9
        Bytes above which a run is refused.

    Raises
    ------
    NotConverged
        By `solve`; `error.value` is the last iterate, a `Solution`.

    Examples
    --------
    >>> import sgdmft as sg
    >>> problem = dict(model=sg.GaussianLeastSquares(alpha=2.0), algorithm=sg.SGD(0.1, 0.3), steps=30)
    >>> one, other = sg.solve(**problem), sg.solve(**problem, method=Dyson())
    >>> bool(abs(one.loss - other.loss).max() < 1e-13)
    True
    """

    tolerance: float = 1e-13
    max_sweeps: int | None = None
    memory_limit: float = field(default=8e9, metadata=check.NOT_IDENTITY)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", check.number("tolerance", self.tolerance, above=0.0))
        if self.max_sweeps is not None:
            object.__setattr__(self, "max_sweeps", check.integer("max_sweeps", self.max_sweeps, at_least=1))
        object.__setattr__(self, "memory_limit", check.number("memory_limit", self.memory_limit, above=0.0))

    def estimate(self, problem: Problem) -> Estimate:
        points = problem.steps + 2.0
        seconds = 60 * 20 * points**3 / 3e10 + 1e-3  # 60 sweeps of some 10 matrix products
        return Estimate(method="Dyson", steps=problem.steps, memory=24 * 8 * points**2, seconds=seconds)

    def run(self, problem: Problem) -> Trajectory:
        """The trajectory of a `Problem`; see `sgdmft.dmft.solve`."""
        began = time.perf_counter()
        self._check(problem)
        refuse_too_large(self.estimate(problem), self.memory_limit)
        with reporter(problem.progress, "Dyson's equation") as report:
            points = problem.steps + 2
            solution = solution_of(problem, self, lambda settled: report.update(settled, points))
        trajectory = _trajectory(problem, self, solution, time.perf_counter() - began)
        if solution.status is Status.DIVERGED and problem.strict:
            raise Diverged(
                f"Diverged: C(t,t) left the finite region after step {int(trajectory.time[-1])}. Lower the learning rate. "
                "The solution up to that step is in `error.trajectory`.",
                trajectory,
            )
        return trajectory

    def _check(self, problem: Problem) -> None:
        asked = {
            "stop": problem.stop is not None,
            "replicas": problem.replicas,
            "linearized": problem.linearized,
            "checkpoint": problem.checkpoint is not None,
        }
        for name, given in asked.items():
            if given:
                raise InvalidArgument(
                    f"`Dyson` solves for all times at once and has no `{name}`. Leave it out, or use `Dense()`."
                )


@dataclass(frozen=True, slots=True)
class Solution:
    """Solution of Dyson's equation on the points *, 0, ..., T.

    `weights` is Q, with the response to a force; `sigma` the self-energy; `scale` the factors z_t of the projection;
    `residual` the largest relative change by a further sweep.
    """

    weights: Superfield
    sigma: Superfield
    scale: np.ndarray
    sweeps: int
    residual: float
    status: Status = Status.COMPLETED


def self_energy(problem: Problem) -> SelfEnergy | LeastSquares:
    """Sigma of the model, as a function of Q."""
    if isinstance(problem.model, SelfEnergy):
        return problem.model
    return LeastSquares(problem.model, problem.algorithm, problem.steps)


def solution_of(problem: Problem, method: Dyson, report: Callable[[int], None] = lambda settled: None) -> Solution:
    """Iterate on a window of points until all of them are settled.

    Where the iterates leave the region of the solution the window is cut, down to one row, which is exact at once.
    Settled rows are kept to the last bit: rounding there would be amplified by the rows that follow.
    """
    from sgdmft.dmft.integrator import NORM_LIMIT  # here, because it brings numba

    sigma = self_energy(problem)
    motion = Motion(problem.algorithm, problem.start, problem.steps)
    final, sweeps, status = problem.steps + 2, 0, Status.COMPLETED
    most = method.max_sweeps or max(50, 3 * problem.steps)
    limit = NORM_LIMIT * max(problem.start.norm, 1.0)
    settled = 2
    Q = _extend(motion.free(2), final)
    while settled < final:
        report(settled)
        if settled == len(Q):
            Q = _extend(Q, min(final, 3 * settled))
        if sweeps == most:
            message = (
                f"Dyson's equation is not solved after {sweeps} sweeps: {settled - 1} of {final - 1} times are settled. "
                "Raise `max_sweeps`. The last iterate is in `error.value`."
            )
            raise NotConverged(message, Solution(Q, sigma(Q), motion.scale, sweeps, np.inf))
        scale = motion.scale.copy()
        new = motion.under(sigma(Q))
        sweeps += 1
        last_row = settled + 1 == len(Q)
        if last_row and (new is None or not _size(new) <= limit):
            final, status = settled, Status.DIVERGED
        elif new is None or (not last_row and _size(new) > 1e3 * (1.0 + _size(_leading(Q, settled)))):
            Q = _extend(_leading(Q, settled), settled + max(1, (len(Q) - settled) // 4))
            motion.scale[: settled - 2] = scale[: settled - 2]
            motion.scale[settled - 2 :] = scale[settled - 3] if settled > 2 else 1.0
        else:
            motion.scale[: settled - 2] = scale[: settled - 2]
            Q, settled = _with_settled(new, Q, settled), _settled(new, Q, settled, 0.1 * method.tolerance)
    Q = _leading(Q, final)
    S = sigma(Q)
    once_more = motion.under(S)
    residual = np.inf if once_more is None else float(np.max(_changes(once_more, Q)))
    solution = Solution(Q, S, motion.scale[: final - 2], sweeps, residual, status)
    if not residual <= method.tolerance:
        raise NotConverged(
            f"Dyson's equation holds to {residual:.2g} only, not to the tolerance {method.tolerance:.2g}, after {sweeps} "
            "sweeps. Raise `tolerance`. The last iterate is in `error.value`.",
            solution,
        )
    return solution


def _trajectory(problem: Problem, method: Dyson, solution: Solution, seconds: float) -> Trajectory:
    Q, sigma = solution.weights, self_energy(problem)
    steps = len(Q) - 2
    loss = sigma.energy(Q) if isinstance(sigma, SelfEnergy) and sigma.energy else np.full(len(Q), np.nan)
    if isinstance(sigma, LeastSquares):
        loss = sigma.loss(Q)
    values = {
        "magnetization": Q.correlation[0, 1:],
        "loss": loss[1:],
        "norm": np.diagonal(Q.correlation)[1:],
    }
    eta = np.append(problem.algorithm.rates(problem.steps).learning_rate[:steps], 1.0)
    times = problem.save.recorded(steps)
    saved = problem.save.two_times(problem.steps)
    saved = saved[saved <= steps]
    pairs = np.ix_(saved + 1, saved + 1)
    attributes: dict[str, Any] = {"method": repr(method), "seconds": seconds}
    attributes |= {"sweeps": solution.sweeps, "residual": solution.residual}
    return Trajectory.build(
        kind="theory",
        model=problem.asked,
        algorithm=problem.algorithm,
        start=problem.start,
        time=times,
        quantities={name: array[times] for name, array in values.items()},
        two_time=saved,
        two_time_quantities={"correlation": Q.correlation[pairs], "response": Q.response[pairs] / eta[saved]},
        status=solution.status,
        attributes=attributes,
    )


# -- rows ------------------------------------------------------------------------------------------------------------


def _leading(Q: Superfield, points: int) -> Superfield:
    return Superfield(Q.correlation[:points, :points], Q.response[:points, :points])


def _extend(Q: Superfield, points: int) -> Superfield:
    """A guess on more points: the last time stays as it is."""
    index = np.minimum(np.arange(points), len(Q) - 1)
    R = np.zeros((points, points))
    R[:, : len(Q)] = Q.response[index]
    return Superfield(Q.correlation[np.ix_(index, index)], np.tril(R, -1))


def _with_settled(new: Superfield, old: Superfield, settled: int) -> Superfield:
    """`new`, but as in `old` on the settled points."""
    C, R = new.correlation.copy(), new.response.copy()
    C[:settled, :settled] = old.correlation[:settled, :settled]
    R[:settled, :settled] = old.response[:settled, :settled]
    return Superfield(C, R)


def _settled(new: Superfield, old: Superfield, settled: int, tolerance: float) -> int:
    """How many leading points are settled now: one more than before, and all further ones that have stopped to move."""
    moving = _changes(new, old) > tolerance
    moving[: settled + 1] = False
    return int(np.argmax(moving)) if moving.any() else len(new)


def _size(Q: Superfield) -> float:
    return float(np.max(np.abs(Q.correlation)))


def _changes(new: Superfield, old: Superfield) -> np.ndarray:
    """Largest change in the row of each point of C and R, relative to their largest entries, shape (points,)."""
    parts = ((np.tril(new.correlation), np.tril(old.correlation)), (new.response, old.response))
    return np.max([np.max(np.abs(a - b), axis=1) / max(np.max(np.abs(a)), 1e-300) for a, b in parts], axis=0)
