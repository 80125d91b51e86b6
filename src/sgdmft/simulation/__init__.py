"""Finite-size runs: the same model and algorithm objects as the theory, sampled at N weights."""

from sgdmft.simulation.ensemble import simulate as simulate
from sgdmft.simulation.gaussian import Instance as Instance
from sgdmft.simulation.recorder import Recorder as Recorder
from sgdmft.simulation.risk import Reading as Reading
from sgdmft.simulation.risk import Risk as Risk
from sgdmft.simulation.risk import risk_of as risk_of
from sgdmft.simulation.spectral import Eigenpairs as Eigenpairs
from sgdmft.simulation.spectral import Probe as Probe
from sgdmft.simulation.spectral import SpectralStart as SpectralStart
from sgdmft.simulation.spectral import eigenpairs as eigenpairs
from sgdmft.simulation.spectral import spectral_estimate as spectral_estimate
