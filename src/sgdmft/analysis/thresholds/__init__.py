"""Recovery thresholds: relaxation times, power-law fits with honest uncertainty, and the threshold without a start."""

from sgdmft.analysis.thresholds.finite import RecoverySteps, recovery_steps, wilson_interval
from sgdmft.analysis.thresholds.fit import PowerLaw, fit_power_law
from sgdmft.analysis.thresholds.fitted import (
    RecoveryThreshold,
    recovery_threshold,
    recovery_thresholds,
    threshold_table,
)
from sgdmft.analysis.thresholds.linear import Growth, LinearThreshold, Verdict, growth, linear_table, linear_threshold
from sgdmft.analysis.thresholds.relaxation import RelaxationTimes, relaxation_time, relaxation_times

__all__ = [
    "Growth",
    "LinearThreshold",
    "PowerLaw",
    "RecoverySteps",
    "RecoveryThreshold",
    "RelaxationTimes",
    "Verdict",
    "fit_power_law",
    "growth",
    "linear_table",
    "linear_threshold",
    "recovery_steps",
    "recovery_threshold",
    "recovery_thresholds",
    "relaxation_time",
    "relaxation_times",
    "threshold_table",
    "wilson_interval",
]
