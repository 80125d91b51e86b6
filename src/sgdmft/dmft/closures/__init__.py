"""What one sample feels: the closures of the theory, one for each kind of model."""

from __future__ import annotations

import functools

from sgdmft.dmft.closures.base import Closure
from sgdmft.dmft.closures.least_squares import LeastSquares, Replicas
from sgdmft.dmft.closures.self_energy import Pointwise, Polynomial
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares, Linearized, Model
from sgdmft.problem.selfenergy import SelfEnergy
from sgdmft.run.request import Request

__all__ = ["Closure", "LeastSquares", "Pointwise", "Polynomial", "Replicas", "begin", "closure_of"]


@functools.singledispatch
def closure_of(model: Model, request: Request) -> Closure:
    """The closure of a model; a new kind of model is registered here."""
    raise InvalidArgument(f"The theory has no closure for {model!r}. Register one with `closure_of.register`.")


@closure_of.register
def _(model: GaussianLeastSquares, request: Request) -> Closure:
    return (Replicas if request.save.replicas > 1 else LeastSquares)(model)


@closure_of.register
def _(model: Linearized, request: Request) -> Closure:
    return (Replicas if request.save.replicas > 1 else LeastSquares)(model.model, linearized=True)


@closure_of.register
def _(model: SelfEnergy, request: Request) -> Closure:
    return Pointwise(model) if model.polynomials is None else Polynomial(model)


def begin(request: Request) -> Closure:
    """The closure of a request, which it supports.

    Raises
    ------
    InvalidArgument
        When it does not.
    """
    closure = closure_of(request.model, request)
    if not request.features <= closure.supports:
        request.refuse_beyond(f"The theory of {request.model!r}", closure.supports, closure.remedy)
    return closure
