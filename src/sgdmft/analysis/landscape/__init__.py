r"""The Hessian of the loss along a trajectory: its bulk by free probability, its edges, and its outliers.

At a point x with q = |x|^2/N the Hessian d^2 H is the sum of two independent parts,

    sum_mu grad h_mu grad h_mu^T     Marchenko-Pastur, ratio alpha, variance f'(q)/N of the entries,
    sum_mu r_mu d^2 h_mu             semicircle, variance v/N with v = f''(q) alpha E r^2 = 2 f''(q) loss,

so that its Stieltjes transform g(z) = tr (z - d^2 H)^-1 / N solves [Voiculescu1991; MarchenkoPastur1967]

    z(g) = 1/g + alpha f'/(1 - f' g) + v g + lambda                                                          (10.1)

(lambda the weight decay). Edges are where dz/dg = 0, a quartic in g. The bulk is exact at every time for N -> infinity:
what the point remembers of the data changes the Hessian by finite rank. That finite rank makes outliers [BaikBenArousPeche2005].

Outliers. Given a path x(0), ..., x(t), the residuals on it and all derivatives of h_mu in the span of the path and of x*,
the rest of the data is Gaussian under one linear condition: off that span every step's force vanishes (but for Langevin
noise), sum_mu u_mu(s) grad h_mu(x(s)) = 0 at s < t. Let a = grad h_mu(x(t)) and beta_w = sum_mu r_mu D_w grad h_mu(x(t))
be components off the span, D_w the derivative along w = x(0), ..., x(t), x*; Gram matrix E_ww' = w.w'/N, times v, w = t, s.
Outliers are zeros of det[z(g) - M(g)] off the bulk, where in the metric E

    M = alpha E[d d^T + r D D h] + lambda E + d^T g S (1 - g S)^-1 d + d^T g (1 - g S)^-1 c + (..)^T
        + g B + g^2 c^T (1 - g S)^-1 c,         d_w = D_w h(x(t)), vectors in the space of samples                (10.2)

and S, c, B are the covariances of a with a, a with beta, beta with beta under the condition, of covariance
F(s,s') = alpha E[u(s)u(s')] f'(C(s,s')) + 2 T delta/eta:

    S = f'(C(t,t)) - u f'(C(t,.)) F^-1 f'(C(t,.)) u^T,   cov(force(s), beta_w) = alpha E[u(s) r(t)] f''(C(t,s)) E_ws,
    c_w = r f''(C(t,t)) E_wt - (..),   B = alpha E r^2 [f''(C(t,t)) E + f'''(C(t,t)) E_.t E_t.] - (..)              (10.3)

with (..) the regression on the forces. Products of samples' vectors are those of one sample, which answers its own u:

    d_w = d0_w - sum_v eta_v u(v) [R(w,v) f'(C(t,v)) + R(t,v) f''(C(t,v)) E_wv],      R(x*, v) = 0                 (10.4)
    D_a D_b h = (..)0 - sum_v eta_v u(v) [f'' (R(a,v) E_bv + R(b,v) E_av) + R(t,v) f''' E_av E_bv]                (10.5)

where d0, (..)0 and xi are Gaussian; correlations with u and r follow from dE u/dxi and E u u, (4.2) to (4.6). At a random start
(t = 0) with f = q^2/2, C(0,0) = 1, m = 0 the signal is a spike -alpha on the bulk: it leaves it at alpha^3 = alpha + 1. At m = 0
and f'(0) = 0 the spike at time t is -alpha f''(0) times `label_response`.

Outliers inside a gap of the bulk are not predicted. For a spherical descent this is the Hessian in the flat space around
the sphere. Points of a smooth path are nearly dependent: `Outlier.error` says what that costs.
"""

from sgdmft.analysis.landscape.along import LONGEST as LONGEST, evolution as evolution, spectrum as spectrum
from sgdmft.analysis.landscape.law import Bulk as Bulk, bulk as bulk
from sgdmft.analysis.landscape.outliers import (
    Outlier as Outlier,
    Spectrum as Spectrum,
    start_spectrum as start_spectrum,
)
