"""Recovery thresholds: relaxation times, power-law fits with honest uncertainty, and the threshold without a start."""

from sgdmft.analysis.thresholds.finite import RecoverySteps as RecoverySteps
from sgdmft.analysis.thresholds.finite import recovery_steps as recovery_steps
from sgdmft.analysis.thresholds.finite import wilson_interval as wilson_interval
from sgdmft.analysis.thresholds.fit import PowerLaw as PowerLaw
from sgdmft.analysis.thresholds.fit import fit_power_law as fit_power_law
from sgdmft.analysis.thresholds.fitted import RecoveryThreshold as RecoveryThreshold
from sgdmft.analysis.thresholds.fitted import recovery_threshold as recovery_threshold
from sgdmft.analysis.thresholds.fitted import recovery_thresholds as recovery_thresholds
from sgdmft.analysis.thresholds.fitted import threshold_table as threshold_table
from sgdmft.analysis.thresholds.linear import Growth as Growth
from sgdmft.analysis.thresholds.linear import LinearThreshold as LinearThreshold
from sgdmft.analysis.thresholds.linear import Verdict as Verdict
from sgdmft.analysis.thresholds.linear import growth as growth
from sgdmft.analysis.thresholds.linear import linear_table as linear_table
from sgdmft.analysis.thresholds.linear import linear_threshold as linear_threshold
from sgdmft.analysis.thresholds.relaxation import RelaxationTimes as RelaxationTimes
from sgdmft.analysis.thresholds.relaxation import relaxation_time as relaxation_time
from sgdmft.analysis.thresholds.relaxation import relaxation_times as relaxation_times
