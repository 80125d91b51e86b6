"""Recovery thresholds: relaxation times, power-law fits with honest uncertainty, and the threshold without a start."""

from sgdmft.thresholds.fit import PowerLaw, fit_power_law
from sgdmft.thresholds.recovery import RecoveryThreshold, recovery_threshold, recovery_thresholds
from sgdmft.thresholds.relaxation import RelaxationTimes, relaxation_time, relaxation_times

__all__ = [
    "PowerLaw",
    "RecoveryThreshold",
    "RelaxationTimes",
    "fit_power_law",
    "recovery_threshold",
    "recovery_thresholds",
    "relaxation_time",
    "relaxation_times",
]
