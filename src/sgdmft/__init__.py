"""Dynamical mean field theory of stochastic gradient descent on high-dimensional glassy landscapes.

>>> import sgdmft as sg
>>> model = sg.GaussianLeastSquares(alpha=2.5)
>>> theory = sg.solve(model, sg.SGD(learning_rate=0.1, batch_fraction=0.3), steps=20)
>>> print(f"{theory.magnetization[-1]:.6f}")
0.540495
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

#: Public name -> module that defines it; modules are imported when a name is first used.
_PUBLIC = {
    "Covariance": "models",
    "GaussianLeastSquares": "models",
    "Teacher": "models",
    "ConstantTarget": "models",
    "Linearized": "models",
    "Start": "models",
    "Descent": "algorithms",
    "GradientDescent": "algorithms",
    "SGD": "algorithms",
    "Batches": "batches",
    "FullBatch": "batches",
    "Bernoulli": "batches",
    "Shuffled": "batches",
    "Cyclic": "batches",
    "Persistent": "batches",
    "OnePass": "batches",
    "Trajectory": "trajectory",
    "Status": "trajectory",
    "Save": "run.request",
    "Recovered": "run.request",
    "Request": "run.request",
    "StabilityLimit": "stability",
    "stability_limit": "stability",
    "load": "trajectory",
    "PowerLaw": "thresholds",
    "fit_power_law": "thresholds",
    "relaxation_time": "thresholds",
    "RelaxationTimes": "thresholds",
    "relaxation_times": "thresholds",
    "RecoveryThreshold": "thresholds",
    "recovery_threshold": "thresholds",
    "recovery_thresholds": "thresholds",
    "RecoverySteps": "thresholds",
    "recovery_steps": "thresholds",
    "Growth": "thresholds",
    "growth": "thresholds",
    "LinearThreshold": "thresholds",
    "linear_threshold": "thresholds",
    "Verdict": "thresholds",
    "solve": "dmft",
    "estimate": "dmft",
    "Dense": "dmft",
    "Compressed": "dmft",
    "Dyson": "dmft",
    "SelfEnergy": "selfenergy",
    "Superfield": "superfield",
    "Checkpoint": "dmft",
    "simulate": "simulation",
    "SpectralStart": "simulation",
    "Equilibrium": "statics",
    "equilibrium": "statics",
    "compare": "comparison",
    "Comparison": "comparison",
}

__all__ = sorted([*_PUBLIC, "__version__"])
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"sgdmft.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    try:
        return importlib.import_module(f"sgdmft.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"sgdmft.{name}":
            raise
        raise AttributeError(f"module 'sgdmft' has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from sgdmft.algorithms import SGD, Descent, GradientDescent
    from sgdmft.batches import Batches, Bernoulli, Cyclic, FullBatch, OnePass, Persistent, Shuffled
    from sgdmft.comparison import Comparison, compare
    from sgdmft.dmft import Checkpoint, Compressed, Dense, Dyson, estimate, solve
    from sgdmft.models import ConstantTarget, Covariance, GaussianLeastSquares, Linearized, Start, Teacher
    from sgdmft.run.request import Recovered, Request, Save
    from sgdmft.simulation import SpectralStart, simulate
    from sgdmft.stability import StabilityLimit, stability_limit
    from sgdmft.statics import Equilibrium, equilibrium
    from sgdmft.thresholds import (
        Growth,
        LinearThreshold,
        PowerLaw,
        RecoverySteps,
        RecoveryThreshold,
        RelaxationTimes,
        Verdict,
        fit_power_law,
        growth,
        linear_threshold,
        recovery_steps,
        recovery_threshold,
        recovery_thresholds,
        relaxation_time,
        relaxation_times,
    )
    from sgdmft.trajectory import Status, Trajectory, load
