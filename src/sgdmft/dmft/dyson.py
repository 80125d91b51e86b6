r"""Dyson's equation on whole two-time matrices: an independent solution of the theory, for every self-energy.

Solves Q^-1 = K + Sigma[Q] by plain iteration, Q <- (K + Sigma[Q])^-1, with the pieces of `sgdmft.dmft.dyson_matrices`. By
causality the row of Q at t+1 follows from rows of Sigma up to t, hence of Q up to t: each iteration settles at least one
more time, and the iteration is exact after at most T + 1 iterations. It works on matrices of all times at once, O(T^3)
per iteration, and shares no equation with the causal steps of `sgdmft.dmft.integrator`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from sgdmft import _validation as check
from sgdmft.dmft.dyson_matrices import LeastSquares, Motion
from sgdmft.dmft.integrator import largest_norm
from sgdmft.dmft.methods import Estimate, refuse_too_large
from sgdmft.dmft.run import Run
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.problem.models import Linearized, Start
from sgdmft.problem.selfenergy import SelfEnergy
from sgdmft.run.request import Feature, Request
from sgdmft.run.trajectory import Status, Trajectory
from sgdmft.superfield import Superfield


@dataclass(frozen=True, slots=True, kw_only=True)
class Dyson:
    """Dyson's equation on whole matrices: T^2 memory, T^3 time for each of some 20 to 100 iterations.

    Slow and independent of the other methods; the one for a `SelfEnergy` that is not pointwise.

    Parameters
    ----------
    tolerance : float, default 1e-13
        A further iteration must change no C(t,s) and no R(t,s) eta by more than this times their largest values.
    max_iterations : int, optional
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

    resumable: ClassVar[bool] = False
    tolerance: float = 1e-13
    max_iterations: int | None = None
    memory_limit: float = field(default=8e9, metadata=check.NOT_IDENTITY)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tolerance", check.number("tolerance", self.tolerance, above=0.0))
        if self.max_iterations is not None:
            object.__setattr__(self, "max_iterations", check.integer("max_iterations", self.max_iterations, at_least=1))
        object.__setattr__(self, "memory_limit", check.number("memory_limit", self.memory_limit, above=0.0))

    def estimate(self, request: Request) -> Estimate:
        points = request.steps + 2.0
        seconds = 60 * 20 * points**3 / 3e10 + 1e-3  # 60 iterations of some 10 matrix products
        return Estimate(method="Dyson", steps=request.steps, memory=24 * 8 * points**2, seconds=seconds)

    def begin(self, request: Request) -> DysonRun:
        """The run at t = 0."""
        if isinstance(request.model, Linearized):
            raise InvalidArgument("`Dyson` solves no linearized model. Use `Dense()`.")
        supported = {Feature.KICKS, Feature.LOSS_TIMES}
        if not isinstance(request.model, SelfEnergy):
            supported |= {Feature.MINIBATCHES, Feature.RESELECTION}
        remedy = "It solves for all times at once. Leave it out, or use `Dense()`."
        request.refuse_beyond(f"`Dyson`, for {request.model!r},", supported, remedy)
        refuse_too_large(self.estimate(request), self.memory_limit)
        return DysonRun(request, request.theory_start, self)


@dataclass(frozen=True, slots=True)
class Solution:
    """Solution of Dyson's equation on the points *, 0, ..., T.

    `weights` is Q, with the response to a force; `sigma` the self-energy; `scale` the factors z_t of the projection;
    `residual` the largest relative change by a further iteration.
    """

    weights: Superfield
    sigma: Superfield
    scale: np.ndarray
    iterations: int
    residual: float


class DysonRun(Run):
    """The iteration on a window of points, one more of them settled by each iteration at least.

    Where the iterates leave the region of the solution the window is cut, down to one row, which is exact at once.
    Settled rows are kept to the last bit: rounding there would be amplified by the rows that follow.
    """

    def __init__(self, request: Request, start: Start, method: Dyson) -> None:
        super().__init__(request, method)
        model, self._motion = request.model, Motion(request.algorithm, start, request.steps)
        self.sigma: SelfEnergy | LeastSquares
        if isinstance(model, SelfEnergy):
            self.sigma = model
        else:
            self.sigma = LeastSquares(model, request.algorithm, request.steps)  # type: ignore[arg-type]
        self._tolerance, self._limit = method.tolerance, largest_norm(start)
        self._most = method.max_iterations or max(50, 3 * request.steps)
        self._settled, self._iterations = 2, 0
        self._Q = _extend(self._motion.free(2), request.steps + 2)
        self._arrive()

    @property
    def t(self) -> int:
        return self._settled - 2

    def _go(self, target: int) -> None:
        Q, settled, motion = self._Q, self._settled, self._motion
        if settled == len(Q):
            Q = _extend(Q, min(self.request.steps + 2, 3 * settled))
        if self._iterations == self._most:
            message = (
                f"Dyson's equation is not solved after {self._iterations} iterations: {settled - 1} of "
                f"{self.request.steps + 1} times are settled. Raise `max_iterations`. The last iterate is in `error.value`."
            )
            raise NotConverged(message, Solution(Q, self.sigma(Q), motion.scale, self._iterations, np.inf))
        scale = motion.scale.copy()
        new = motion.under(self.sigma(Q))
        self._iterations += 1
        last_row = settled + 1 == len(Q)
        if last_row and (new is None or not _size(new) <= self._limit):
            self.status = Status.DIVERGED
        elif new is None or (not last_row and _size(new) > 1e3 * (1.0 + _size(_leading(Q, settled)))):
            Q = _extend(_leading(Q, settled), settled + max(1, (len(Q) - settled) // 4))
            motion.scale[: settled - 2] = scale[: settled - 2]
            motion.scale[settled - 2 :] = scale[settled - 3] if settled > 2 else 1.0
        else:
            motion.scale[: settled - 2] = scale[: settled - 2]
            self._settled = _settled(new, Q, settled, 0.1 * self._tolerance)
            Q = _with_settled(new, Q, settled)
        self._Q = Q

    def solution(self) -> Solution:
        """Q and Sigma on the settled points.

        Raises
        ------
        NotConverged
            When the equation does not hold there to the tolerance.
        """
        Q = _leading(self._Q, self._settled)
        S = self.sigma(Q)
        scale = self._motion.scale.copy()
        once_more = self._motion.under(S)
        self._motion.scale[:] = scale
        residual = np.inf if once_more is None else float(np.max(_changes(once_more, Q)))
        solution = Solution(Q, S, scale[: len(Q) - 2], self._iterations, residual)
        if not residual <= self._tolerance:
            raise NotConverged(
                f"Dyson's equation holds to {residual:.2g} only, not to the tolerance {self._tolerance:.2g}, after "
                f"{self._iterations} iterations. Raise `tolerance`. The last iterate is in `error.value`.",
                solution,
            )
        return solution

    def trajectory(self) -> Trajectory:
        solution, request = self.solution(), self.request
        Q, steps = solution.weights, self.t
        loss = np.full(len(Q), np.nan)
        if isinstance(self.sigma, LeastSquares):
            loss = self.sigma.loss(Q)
        elif self.sigma.energy:
            loss = self.sigma.energy(Q)
        values = {
            "magnetization": Q.correlation[0, 1:],
            "loss": loss[1:],
            "norm": np.diagonal(Q.correlation)[1:],
        }
        eta = np.append(request.algorithm.rates(request.steps).learning_rate[:steps], 1.0)
        times = request.save.recorded(steps)
        saved = request.save.two_times(request.steps)
        saved = saved[saved <= steps]
        pairs = np.ix_(saved + 1, saved + 1)
        return self._trajectory(
            {"iterations": solution.iterations, "residual": solution.residual},
            time=times,
            quantities={name: array[times] for name, array in values.items()},
            two_time=saved,
            two_time_quantities={"correlation": Q.correlation[pairs], "response": Q.response[pairs] / eta[saved]},
        )

    def _reason(self) -> str:
        return "No further row is finite"


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
