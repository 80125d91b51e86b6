"""Dynamical mean field theory: the closed equations of m, C and R for infinitely many weights, and methods to solve them.

The equations stand in `sgdmft.dmft.integrator`; what one sample feels in `sgdmft.dmft.closures`.
"""

from sgdmft.dmft.dyson import Dyson
from sgdmft.dmft.methods import Compressed, Dense, Estimate
from sgdmft.dmft.solver import estimate, solve
from sgdmft.run.checkpoint import Checkpoint

__all__ = ["Checkpoint", "Compressed", "Dense", "Dyson", "Estimate", "estimate", "solve"]
