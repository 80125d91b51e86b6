r"""Causal two-time superfields: the algebra in which dynamical mean field theory is one Dyson equation.

A two-time function of a stochastic dynamics and its response are one object (MSRJD formalism, [DeDominicis1976]),

    A(a,b) = C(t_a,t_b) + theta_a S(t_b,t_a) + theta_b R(t_a,t_b),        theta^2 = 0,                     (6.1)

over points a = (t_a, theta_a). R and S are causal (lower triangular); the term theta_a theta_b is absent by causality.
A superfield is symmetric, A(a,b) = A(b,a), when C is and S = R. With int dtheta theta = 1 and matrices over the times:

    product      (A B)(a,b) = int dc A(a,c) B(c,b):   R = R_A R_B,   S = S_B S_A,   C = R_A C_B + C_A S_B^T          (6.2)
    inverse      R = R_A^-1,   S = S_A^-1,   C = -R_A^-1 C_A S_A^-T                                                  (6.3)
    pointwise    (A o B)(a,b) = A(a,b) B(a,b):        R = C_A o R_B + R_A o C_B,   C = C_A o C_B                     (6.4)
    function     f(A)(a,b) = f(A(a,b)):               R = f'(C_A) o R_A,           C = f(C_A)                        (6.5)

The product of two symmetric superfields is not symmetric, (A B)^T = B A: this is why S is kept.

The signal x* of a planted problem is one more point, at which nothing ever moves; where it is present it comes first.

Notation: C correlation, R response, S reverse (the response of the transposed superfield), o entry by entry.
"""

from sgdmft.superfield.algebra import Superfield as Superfield
from sgdmft.superfield.planted import against_signal as against_signal, onto_signal as onto_signal, signal as signal
from sgdmft.superfield.row import NotPointwise as NotPointwise, Row as Row
