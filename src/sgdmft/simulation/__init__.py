"""Finite-size runs: the same model and algorithm objects as the theory, sampled at N weights."""

from sgdmft.simulation.ensemble import simulate
from sgdmft.simulation.instance import Instance

__all__ = ["Instance", "simulate"]
