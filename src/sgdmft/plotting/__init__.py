"""Pictures of trajectories on matplotlib axes: theory as lines, simulations as points with error bars.

Every function takes the axes to draw on (new ones where none are given) and returns them. Nothing global is set, not
the backend and not the style; matplotlib is imported when a picture is drawn. Colours are those of Okabe and Ito, which
readers with any colour vision tell apart; equal algorithms have equal colours.
"""

from sgdmft.plotting.runs import (
    algorithm_label,
    decays,
    fluctuation_dissipation,
    learning_curves,
    lowest_eigenvalues,
    replica_overlap,
    setting,
    spectrum,
    two_time,
    z_scores,
)
from sgdmft.plotting.style import COLORS, figure, palette, png
from sgdmft.plotting.thresholds import (
    descent_diagram,
    growth_exponents,
    linear_intervals,
    linear_threshold_figure,
    power_law_collapse,
    recovery_diagram,
    recovery_fraction,
    recovery_quartiles,
    relaxation,
    relaxation_curves,
    satisfiability_diagram,
    threshold_against_fraction,
    threshold_figure,
)

__all__ = [
    "COLORS",
    "algorithm_label",
    "decays",
    "descent_diagram",
    "figure",
    "fluctuation_dissipation",
    "growth_exponents",
    "learning_curves",
    "linear_intervals",
    "linear_threshold_figure",
    "lowest_eigenvalues",
    "palette",
    "png",
    "power_law_collapse",
    "recovery_diagram",
    "recovery_fraction",
    "recovery_quartiles",
    "relaxation",
    "relaxation_curves",
    "replica_overlap",
    "satisfiability_diagram",
    "setting",
    "spectrum",
    "threshold_against_fraction",
    "threshold_figure",
    "two_time",
    "z_scores",
]
