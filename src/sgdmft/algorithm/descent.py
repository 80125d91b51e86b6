r"""How it is learned: descent by minibatches, with everything that is one line in the equations.

    x(t+1) = x(t) - eta_t F(t) - eta_t lambda_t x(t) + beta_t (x(t) - x(t-1)) + sqrt(2 eta_t T_t) n(t),          (2.2)
    F(t) = (1/b_t) sum_mu s_mu(t) r_mu(t) grad h_mu(x(t)),         beta_0 = 0,

optionally followed by a projection onto |x|^2 = const. The selection variables s_mu(t) come from a scheme of
`sgdmft.algorithm.batches`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from sgdmft import _validation as check
from sgdmft._validation import Schedule
from sgdmft.algorithm.batches import Batches, Bernoulli, FullBatch
from sgdmft.errors import InvalidArgument

_DOMAINS: dict[str, dict[str, Any]] = {
    "learning_rate": {"above": 0.0, "remedy": "It is the step size eta of equation (2.2)."},
    "momentum": {"at_least": 0.0, "at_most": 1.0},
    "weight_decay": {"at_least": 0.0},
    "temperature": {"at_least": 0.0},
}


class Rates(NamedTuple):
    """The schedules of a run, each of shape (steps,)."""

    learning_rate: np.ndarray
    batch_fraction: np.ndarray
    momentum: np.ndarray
    weight_decay: np.ndarray
    temperature: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """Descent by minibatches, equation (2.2).

    Every rate is a number, an array over steps, or a function of the step.

    Parameters
    ----------
    learning_rate : > 0
        eta_t.
    batches : Batches, default FullBatch()
        The minibatch scheme.

    Other parameters
    ----------------
    momentum : in [0, 1], default 0
        beta_t (heavy ball).
    weight_decay : >= 0, default 0
        lambda_t, the ridge.
    temperature : >= 0, default 0
        T_t of the Langevin noise. The stationary state of finite steps differs from Gibbs' by O(eta): extrapolate to eta = 0.
    spherical : bool, default False
        Project onto |x|^2 = |x(0)|^2 after every step.

    Examples
    --------
    >>> Descent(learning_rate=0.1, batches=Bernoulli(0.3), momentum=0.5)
    Descent(learning_rate=0.1, batches=Bernoulli(fraction=0.3), momentum=0.5)
    """

    learning_rate: float | check.Table | Callable[[int], float]
    batches: Batches = field(default_factory=FullBatch)
    momentum: float | check.Table | Callable[[int], float] = 0.0
    weight_decay: float | check.Table | Callable[[int], float] = 0.0
    temperature: float | check.Table | Callable[[int], float] = 0.0
    spherical: bool = False

    def __post_init__(self) -> None:
        for name, domain in _DOMAINS.items():
            check.settle(self, name, check.schedule, **domain)
        if not isinstance(self.batches, Batches):
            raise InvalidArgument(
                f"Argument `batches` must be a minibatch scheme such as `FullBatch()` or `Bernoulli(0.3)`, "
                f"but is {self.batches!r}."
            )
        if not isinstance(self.spherical, bool):
            raise InvalidArgument(f"Argument `spherical` must be True or False, but is {self.spherical!r}.")

    @property
    def batch_fraction(self) -> float:
        """b_0, the batch fraction of the first step."""
        return float(self.batches.fractions(1)[0])

    def at_fraction(self, fraction: float) -> Descent:
        """This descent with all samples in each batch for 1, else with batches of that fraction redrawn at every step."""
        return replace(self, batches=FullBatch.at_fraction(fraction) or Bernoulli(fraction))

    def rates(self, steps: int) -> Rates:
        """All schedules at steps 0 .. steps - 1, checked; a constant takes no memory."""
        self.batches.check_run(steps)
        values = {name: check.resolve(name, getattr(self, name), steps, **domain) for name, domain in _DOMAINS.items()}
        return Rates(batch_fraction=self.batches.fractions(steps), **values)

    def __repr__(self) -> str:
        always, values = ("learning_rate", "batches"), {f.name: getattr(self, f.name) for f in fields(self)}
        stated = [f"{name}={check.shown(value)}" for name, value in values.items() if name in always or value != 0.0]
        return f"Descent({', '.join(stated)})"


def GradientDescent(learning_rate: Schedule, **options: Any) -> Descent:
    """Full-batch gradient descent: `Descent(learning_rate=..., batches=FullBatch(), ...)`.

    >>> GradientDescent(learning_rate=0.1)
    Descent(learning_rate=0.1, batches=FullBatch())
    """
    return Descent(learning_rate=learning_rate, batches=FullBatch(), **options)  # type: ignore[arg-type]


def SGD(learning_rate: Schedule, batch_fraction: Schedule, **options: Any) -> Descent:
    """The talk's SGD: `Descent(learning_rate=..., batches=Bernoulli(batch_fraction), ...)`.

    >>> SGD(learning_rate=0.1, batch_fraction=0.3)
    Descent(learning_rate=0.1, batches=Bernoulli(fraction=0.3))
    """
    return Descent(learning_rate=learning_rate, batches=Bernoulli(batch_fraction), **options)  # type: ignore[arg-type]
