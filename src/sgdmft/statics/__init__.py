"""Statics: replica free energy and ground states, Gardner's capacities, what can be recovered of a signal.

Independent of the dynamics: it shares with it only the models.
"""

from sgdmft.statics.equilibrium import Equilibrium as Equilibrium, equilibrium as equilibrium
from sgdmft.statics.gardner import Capacity as Capacity, MinimalErrors as MinimalErrors, VersionSpace as VersionSpace
from sgdmft.statics.gardner import ising_capacity as ising_capacity, ising_version_space as ising_version_space
from sgdmft.statics.gardner import minimal_errors as minimal_errors, spherical_capacity as spherical_capacity
from sgdmft.statics.gardner import stability_line as stability_line, version_space as version_space
from sgdmft.statics.generalization import PerceptronLearning as PerceptronLearning, bayes_learning as bayes_learning
from sgdmft.statics.generalization import gibbs_learning as gibbs_learning
from sgdmft.statics.generalization import maximum_margin_learning as maximum_margin_learning
from sgdmft.statics.inference import BayesOverlap as BayesOverlap, InferenceThresholds as InferenceThresholds
from sgdmft.statics.inference import SpectralOverlap as SpectralOverlap, bayes_overlap as bayes_overlap
from sgdmft.statics.inference import inference_thresholds as inference_thresholds, spectral_overlap as spectral_overlap
from sgdmft.statics.perceptron_phases import PerceptronTransitions as PerceptronTransitions
from sgdmft.statics.perceptron_phases import perceptron_transitions as perceptron_transitions
from sgdmft.statics.perceptron_phases import tricritical_margin as tricritical_margin
from sgdmft.statics.transitions import Transition as Transition, recovery_noise as recovery_noise
from sgdmft.statics.transitions import satisfiability as satisfiability, symmetry_breaking as symmetry_breaking
