"""Finite-size runs: the same model and algorithm objects as the theory, sampled at N weights."""

from sgdmft.simulation.ensemble import simulate
from sgdmft.simulation.instance import Instance
from sgdmft.simulation.probe import Eigenpairs, Probe, eigenpairs
from sgdmft.simulation.spectral import SpectralStart, spectral_estimate

__all__ = ["Eigenpairs", "Instance", "Probe", "SpectralStart", "eigenpairs", "simulate", "spectral_estimate"]
