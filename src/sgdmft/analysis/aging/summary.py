"""Everything that the analysis of aging says about a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdmft.analysis.aging.decay import Decay, decays
from sgdmft.analysis.aging.scaling import Interruption, Rescaling, interruption, rescaling
from sgdmft.analysis.aging.temperature import EffectiveTemperature, effective_temperature
from sgdmft.errors import InvalidArgument
from sgdmft.run.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class Aging:
    """Everything this package says about the aging of a run; prints itself.

    `loss` is that of the end, `loss_error` its change since half of the run (the error of the stationary value, if the
    run is stationary). `rescaling` is None where no exponent can be fitted.
    """

    decays: list[Decay]
    plateau: tuple[float, float] | None
    rescaling: Rescaling | None
    interruption: Interruption
    temperature: EffectiveTemperature
    loss: float
    loss_error: float

    def __str__(self) -> str:
        t = self.temperature
        lines = [
            str(self.interruption),
            "plateau               " + (f"{self.plateau[0]:.4f} ± {self.plateau[1]:.1g}" if self.plateau else "none"),
            f"T_eff, one step       {t.short:.4g} ± {t.short_error:.2g}",
            f"T_eff, slow half      {t.long:.4g} ± {t.long_error:.2g}",
            f"loss at the end       {self.loss:.6g}, changed by {self.loss_error:.1g} since half of the run",
        ]
        if self.rescaling:
            r = self.rescaling
            lines.insert(1, f"tau ~ t_w^mu with mu  {r.exponent:.3f} ± {r.error:.1g}, drift {r.drift:+.1g}")
        return "\n".join(lines)


def analyse(trajectory: Trajectory, *, tolerance: float = 0.02) -> Aging:
    """Aging, plateau, interruption and effective temperatures of a run saved at `times(steps)`."""
    curves = decays(trajectory)
    try:
        scale = rescaling(curves)
    except InvalidArgument:
        scale = None
    half = int(np.searchsorted(trajectory.time, trajectory.time[-1] / 2))
    return Aging(
        decays=curves,
        plateau=curves[-1].plateau(),
        rescaling=scale,
        interruption=interruption(curves, tolerance=tolerance),
        temperature=effective_temperature(trajectory),
        loss=float(trajectory.loss[-1]),
        loss_error=abs(float(trajectory.loss[-1] - trajectory.loss[half])),
    )
