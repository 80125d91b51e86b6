"""A run of the theory that can be held: advanced, asked for its trajectory at any moment, kept, and continued."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sgdmft.errors import Diverged, InvalidArgument
from sgdmft.run.request import Request
from sgdmft.run.trajectory import Status, Trajectory


class Run(ABC):
    """What a method of integration begins; `solve` is a loop over it.

    Attributes
    ----------
    request : Request
    t : int
        The current time.
    status : Status
        `INTERRUPTED` as long as it can go on.
    seconds : float
        Spent in `advance`.

    Examples
    --------
    >>> import sgdmft as sg
    >>> request = sg.Request(model=sg.GaussianLeastSquares(alpha=2.0), algorithm=sg.SGD(0.1, 0.3), steps=30)
    >>> run = sg.Dense().begin(request)
    >>> run.advance(10)
    >>> print(run.t, run.ended, f"{run.trajectory().loss[-1]:.4f}")
    10 False 0.3225
    >>> run.advance()
    >>> run.status.name
    'COMPLETED'
    """

    def __init__(self, request: Request, method: Any) -> None:
        self.request, self.status, self.seconds = request, Status.INTERRUPTED, 0.0
        self._method = method

    @property
    @abstractmethod
    def t(self) -> int: ...

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do: all steps are taken, or the run stopped or diverged."""
        return self.status is not Status.INTERRUPTED

    @property
    def work(self) -> float:
        """Part of the work that is done, from 0 to 1."""
        return 1.0 if self.ended else self.t / self.request.steps

    def advance(self, steps: int | None = None) -> None:
        """Take so many steps, or all that are left; fewer where the run ends."""
        began = time.perf_counter()
        target = self.request.steps if steps is None else min(self.t + steps, self.request.steps)
        while not self.ended and self.t < target:
            self._go(target)
            self._arrive()
        self.seconds += time.perf_counter() - began

    @abstractmethod
    def _go(self, target: int) -> None:
        """Steps towards `target`, at least one; or the status that ends the run."""

    def _arrive(self) -> None:
        """Notice the end."""
        if self.t == self.request.steps and not self.ended:
            self.status = Status.COMPLETED

    # -- answers -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def trajectory(self) -> Trajectory:
        """Everything computed so far, up to the current time."""

    def _trajectory(self, attributes: dict[str, Any], **parts: Any) -> Trajectory:
        request = self.request
        objects = {"model": request.model, "algorithm": request.algorithm, "start": request.start}
        attributes = {"method": repr(self._method), "seconds": self.seconds, **attributes}
        return Trajectory.build(kind="theory", status=self.status, attributes=attributes, **objects, **parts)

    def divergence(self) -> Diverged:
        """The error that says where the run diverged and why, with its trajectory."""
        message = (
            f"Diverged: C(t,t) left the finite region at step {self.t}. {self._reason()}. Lower the learning rate. "
            f"The solution up to step {self.t} is in `error.trajectory`."
        )
        return Diverged(message, self.trajectory())

    @abstractmethod
    def _reason(self) -> str: ...

    # -- state -----------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, np.ndarray]:
        """All that makes the run what it is, as arrays; `restore` continues from it bit for bit."""
        raise InvalidArgument(f"A run of {self._method!r} has no state to keep or to continue from. Use `Dense()`.")

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Continue from the `state` of an equal run."""
        self.state()
