# The public names, once: modules are imported when a name is first used.
from . import algorithm, analysis, cli, dmft, errors, plotting, problem, progress, reports, run, simulation, statics
from . import superfield, sweeps
from ._version import __version__ as __version__
from .algorithm.batches import Batches as Batches, Bernoulli as Bernoulli, Cyclic as Cyclic, FullBatch as FullBatch
from .algorithm.batches import OnePass as OnePass, Persistent as Persistent, Shuffled as Shuffled
from .algorithm.descent import SGD as SGD, Descent as Descent, GradientDescent as GradientDescent
from .analysis import aging as aging, comparison as comparison, landscape as landscape, thresholds as thresholds
from .analysis.comparison import Comparison as Comparison, compare as compare
from .analysis.thresholds import Growth as Growth, LinearThreshold as LinearThreshold, PowerLaw as PowerLaw
from .analysis.thresholds import RecoverySteps as RecoverySteps, RecoveryThreshold as RecoveryThreshold
from .analysis.thresholds import RelaxationTimes as RelaxationTimes, Verdict as Verdict
from .analysis.thresholds import fit_power_law as fit_power_law, growth as growth
from .analysis.thresholds import linear_threshold as linear_threshold, recovery_steps as recovery_steps
from .analysis.thresholds import recovery_threshold as recovery_threshold, recovery_thresholds as recovery_thresholds
from .analysis.thresholds import relaxation_time as relaxation_time, relaxation_times as relaxation_times
from .dmft import Checkpoint as Checkpoint, Compressed as Compressed, Dense as Dense, Dyson as Dyson
from .dmft import estimate as estimate, solve as solve
from .problem.models import ConstantTarget as ConstantTarget, Covariance as Covariance
from .problem.models import GaussianLeastSquares as GaussianLeastSquares, Linearized as Linearized, Start as Start
from .problem.models import Teacher as Teacher
from .problem.selfenergy import SelfEnergy as SelfEnergy
from .run.request import Recovered as Recovered, Request as Request, Save as Save
from .run.stability import StabilityLimit as StabilityLimit, stability_limit as stability_limit
from .run.trajectory import Status as Status, Trajectory as Trajectory, load as load
from .simulation import SpectralStart as SpectralStart, simulate as simulate
from .statics import Equilibrium as Equilibrium, equilibrium as equilibrium
from .superfield import Superfield as Superfield
