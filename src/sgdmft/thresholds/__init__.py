"""Recovery thresholds: relaxation times, power-law fits with honest uncertainty, and the threshold without a start."""

from sgdmft.thresholds.fit import PowerLaw, fit_power_law
from sgdmft.thresholds.relaxation import relaxation_time

__all__ = ["PowerLaw", "fit_power_law", "relaxation_time"]
