"""Statics: replica free energy and ground states, Gardner's capacities, what can be recovered of a signal.

Independent of the dynamics: it shares with it only the models.
"""

from sgdmft.statics.equilibrium import Equilibrium, equilibrium
from sgdmft.statics.gardner import (
    Capacity,
    MinimalErrors,
    VersionSpace,
    ising_capacity,
    ising_version_space,
    minimal_errors,
    spherical_capacity,
    stability_line,
    version_space,
)
from sgdmft.statics.generalization import (
    PerceptronLearning,
    bayes_learning,
    gibbs_learning,
    maximum_margin_learning,
)
from sgdmft.statics.recovery import (
    BayesOverlap,
    InferenceThresholds,
    SpectralOverlap,
    bayes_overlap,
    inference_thresholds,
    spectral_overlap,
)
from sgdmft.statics.transitions import Transition, recovery_noise, satisfiability, symmetry_breaking

__all__ = [
    "BayesOverlap",
    "Capacity",
    "Equilibrium",
    "InferenceThresholds",
    "MinimalErrors",
    "PerceptronLearning",
    "SpectralOverlap",
    "Transition",
    "VersionSpace",
    "bayes_learning",
    "bayes_overlap",
    "equilibrium",
    "gibbs_learning",
    "inference_thresholds",
    "ising_capacity",
    "ising_version_space",
    "maximum_margin_learning",
    "minimal_errors",
    "recovery_noise",
    "satisfiability",
    "spectral_overlap",
    "spherical_capacity",
    "stability_line",
    "symmetry_breaking",
    "version_space",
]
