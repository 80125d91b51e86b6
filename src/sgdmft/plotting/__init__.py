"""Pictures of trajectories on matplotlib axes: theory as lines, simulations as points with error bars.

Every function takes the axes to draw on (new ones where none are given) and returns them. Nothing global is set, not
the backend and not the style; matplotlib is imported when a picture is drawn. Colours are those of Okabe and Ito, which
readers with any colour vision tell apart; equal algorithms have equal colours.
"""

from sgdmft.plotting.labels import algorithm_label as algorithm_label, labels as labels, setting as setting
from sgdmft.plotting.runs import decays as decays
from sgdmft.plotting.runs import fluctuation_dissipation as fluctuation_dissipation
from sgdmft.plotting.runs import learning_curves as learning_curves, lowest_eigenvalues as lowest_eigenvalues
from sgdmft.plotting.runs import replica_overlap as replica_overlap, spectrum as spectrum
from sgdmft.plotting.runs import two_time as two_time, z_scores as z_scores
from sgdmft.plotting.style import COLORS as COLORS, figure as figure, palette as palette, png as png
from sgdmft.plotting.thresholds import descent_diagram as descent_diagram, growth_exponents as growth_exponents
from sgdmft.plotting.thresholds import linear_intervals as linear_intervals
from sgdmft.plotting.thresholds import linear_threshold_figure as linear_threshold_figure
from sgdmft.plotting.thresholds import power_law_collapse as power_law_collapse, recovery_diagram as recovery_diagram
from sgdmft.plotting.thresholds import recovery_fraction as recovery_fraction
from sgdmft.plotting.thresholds import recovery_quartiles as recovery_quartiles, relaxation as relaxation
from sgdmft.plotting.thresholds import relaxation_curves as relaxation_curves
from sgdmft.plotting.thresholds import satisfiability_diagram as satisfiability_diagram
from sgdmft.plotting.thresholds import threshold_against_fraction as threshold_against_fraction
from sgdmft.plotting.thresholds import threshold_figure as threshold_figure
