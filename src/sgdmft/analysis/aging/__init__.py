r"""Aging, effective temperature and interrupted aging: two-time functions of one trajectory, read as physicists do.

    q(t_w + tau, t_w) = C(t,t_w) / sqrt(C(t,t) C(t_w,t_w))      the normalized correlation
    chi(t,t_w) = sum_{t_w <= s < t} R(t,s) eta_s                the response to a field switched on at t_w
    T_eff = - dC(t,t_w)/dchi(t,t_w) at fixed t,   X = T/T_eff   the fluctuation-dissipation ratio       (11.1)

In equilibrium q depends on tau alone and X = 1. A system that ages relaxes at lags that grow with its age, tau ~ t_w^mu;
mu = 1 is full aging, mu = 0 stationarity. Aging is interrupted if beyond some t_w correlations depend on tau alone while
they still decay. Sources: [CugliandoloKurchan1993; BouchaudEtAl1998; CugliandoloKurchanPeliti1997].

A unit step is no small step: the effective temperature of lags of a few steps contains the discreteness (a Langevin
mode of curvature k has T_eff = T/(1 - eta k/2)). What cannot be read off from the saved times is refused or NaN.
"""

from sgdmft.analysis.aging.decay import Decay as Decay, decays as decays, times as times, waiting_times as waiting_times
from sgdmft.analysis.aging.scaling import (
    Interruption as Interruption,
    Rescaling as Rescaling,
    interruption as interruption,
)
from sgdmft.analysis.aging.scaling import rescaling as rescaling
from sgdmft.analysis.aging.summary import Aging as Aging, analyse as analyse
from sgdmft.analysis.aging.temperature import EffectiveTemperature as EffectiveTemperature
from sgdmft.analysis.aging.temperature import FluctuationDissipation as FluctuationDissipation
from sgdmft.analysis.aging.temperature import effective_temperature as effective_temperature
from sgdmft.analysis.aging.temperature import fluctuation_dissipation as fluctuation_dissipation
