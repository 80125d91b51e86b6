"""The signal x* of a planted problem, point 0 of a superfield: the pull towards it, and differences from it."""

from __future__ import annotations

import numpy as np

from sgdmft.superfield.algebra import Superfield
from sgdmft.superfield.row import Row


def signal(Q: Superfield) -> Superfield:
    """The unit response to the signal: R(t, *) = 1, all else 0.

    An energy -N g(x.x*/N) pulls with g'(m(t)) x*; its self-energy is `-signal(Q) * g'(Q)`.
    """
    R = np.zeros_like(Q.response)
    R[:, 0] = 1.0
    if not isinstance(Q, Row):
        R[0, 0] = 0.0
    return Q._like(np.zeros_like(R), R, R)


def against_signal(h: Superfield) -> Superfield:
    """The superfield of h(x(t)) - h(x*), from that of h; zero at the signal.

    Its correlation is C(t,s) - C(t,*) - C(*,s) + C(*,*).
    """
    if isinstance(h, Row):
        raise h._refusal("a difference from the signal")
    C = h.correlation
    return h._like(C - C[:, :1] - C[:1, :] + C[0, 0], h.response, h.reverse)


def onto_signal(multiplier: Superfield) -> Superfield:
    """The adjoint of `against_signal`: every pull on h(x(s)) pulls on h(x*) with the opposite sign.

    Puts R(t,*) = -sum_s R(t,s) over the times s >= 0, and no correlation with the signal, which has no equation of motion.
    """
    if isinstance(multiplier, Row):
        raise multiplier._refusal("the adjoint of a difference from the signal")

    def row_sums(part: np.ndarray) -> np.ndarray:
        result = part.copy()
        result[:, 0] = -part[:, 1:].sum(axis=1)
        result[0, 0] = 0.0
        return result

    C = multiplier.correlation.copy()
    C[0, :] = C[:, 0] = 0.0
    R = row_sums(multiplier.response)
    return multiplier._like(C, R, R if multiplier.symmetric else row_sums(multiplier.reverse))
