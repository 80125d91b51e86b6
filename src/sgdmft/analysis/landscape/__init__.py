r"""The Hessian of the loss along a trajectory: its bulk by free probability, its edges, and the outlier towards the signal.

At a point x with q = |x|^2/N the Hessian d^2 H is the sum of two independent parts,

    sum_mu grad h_mu grad h_mu^T     Marchenko-Pastur, ratio alpha, variance f'(q)/N of the entries,
    sum_mu r_mu d^2 h_mu             semicircle, variance v/N with v = f''(q) alpha E r^2 = 2 f''(q) loss,

so that its Stieltjes transform g(z) = tr (z - d^2 H)^-1 / N solves [Voiculescu1991; MarchenkoPastur1967]

    z(g) = 1/g + alpha f'/(1 - f' g) + v g + lambda                                                          (10.1)

(lambda the weight decay). Edges are where dz/dg = 0, a quartic in g. The bulk is exact at every time for N -> infinity:
what the point remembers of the data changes the Hessian by finite rank. That finite rank makes outliers [BaikBenArousPeche2005].

Towards the signal. Let p be the direction of x* orthogonal to x, and M(g) the Hessian's block on (x, p) after the other
directions are integrated out; outliers are zeros of det[z(g) - M(g)] off the bulk. At a random start, with overlap m,
Gaussian conditioning on h(x), h(x*) and the derivatives along x and p gives all entries of M,

    M(g) = alpha [ S + f'' q e_x e_x^T - f''(m) e e^T + W f' g/(1 - f' g) + E r^2 diag(kappa_x, f'') g ]             (10.2)
    S = diag(f' + q f'', f'),   W = S + c s^T + s c^T + E r^2 c c^T,   kappa_x = f'' + q f''' - q f''^2/f'
    s = sqrt(q) f' e_x - f'(m) e,   c = sqrt(q) f''/f' e_x,   e = (m, sqrt(q - m^2))/sqrt(q),   e_x = (1, 0).

For f = q^2/2, C(0,0) = 1, m = 0 the signal is a spike -alpha on the bulk: it leaves the bulk at alpha^3 = alpha + 1.

At later times, if m(t) = 0 and f'(0) = 0, nothing in the dynamics but the labels knows the direction of x*, and

    M_pp(g) = z(g) - 1/g - alpha f''(0) l(t),    l(t) the response of r(t) to its label, `label_response`,          (10.3)

exactly: a spike -alpha f''(0) l(t). With m(t) > 0 and t > 0 no number is given: `outliers` is None. Outliers along
past points of the trajectory, and those inside a gap of
the bulk, are not predicted. For a spherical descent this is the Hessian in the flat space around the sphere.
"""

from sgdmft.analysis.landscape.along import evolution as evolution, spectrum as spectrum
from sgdmft.analysis.landscape.law import Bulk as Bulk, bulk as bulk
from sgdmft.analysis.landscape.outliers import (
    Outlier as Outlier,
    Spectrum as Spectrum,
    start_spectrum as start_spectrum,
)
