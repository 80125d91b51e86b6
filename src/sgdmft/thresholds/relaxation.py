r"""Relaxation times: when the squared distance to the signal, Delta(t) = 1 - 2 m(t) + C(t,t), first falls below a level.

    tau = first t with Delta(t) < level                                                                     (8.3)

with log Delta interpolated linearly between the steps around the crossing, so that tau is a smooth function of alpha.
"""

from __future__ import annotations

import math

import numpy as np

from sgdmft import _validation as check
from sgdmft.trajectory import Trajectory


def relaxation_time(trajectory: Trajectory, level: float = 0.01) -> float:
    """First time, in steps, at which the squared distance to the signal falls below `level`; equation (8.3).

    Parameters
    ----------
    trajectory : Trajectory
        Of the theory. Of a simulation it is the time at which the mean distance over the samples falls below the level.
    level : float > 0, default 0.01

    Returns
    -------
    float
        0 if the start lies below the level already, inf if the trajectory never does. Between two recorded times, log
        Delta is taken as linear; where Delta is not positive (rounding), Delta is.

    Examples
    --------
    >>> import sgdmft as sg
    >>> theory = sg.solve(sg.GaussianLeastSquares(alpha=3.0), sg.GradientDescent(0.1), steps=100)
    >>> round(sg.relaxation_time(theory, 0.01), 3)
    39.686
    """
    level = check.number("level", level, above=0.0)
    distance, time = trajectory.distance, trajectory.time
    below = np.flatnonzero(distance < level)
    if not len(below):
        return math.inf
    i = int(below[0])
    if i == 0:
        return float(time[0])
    before, after = float(distance[i - 1]), float(distance[i])
    if after > 0:
        before, after, level = math.log(before), math.log(after), math.log(level)
    return float(time[i - 1] + (time[i] - time[i - 1]) * (before - level) / (before - after))
