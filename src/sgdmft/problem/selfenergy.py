r"""Theories stated by their self-energy: the way in for new models.

A mean-field dynamics is closed by its self-energy, a function Q -> Sigma of the superfield Q(a,b) = <x(a) x(b)>, in

    Q^-1 = K + Sigma[Q],                                                                               (6.6)

K the free motion, which comes with the algorithm and the start. In the language of forces, at step t

    F(t) = -sum_s Sigma_R(t,s) x(s) - Sigma_R(t,*) x* + noise of covariance -Sigma_C(t,s).             (6.7)

The response in Q is the one to a force, R(t,s) eta_s, so that `Q.integral()` and sums over s are integrals over time.
Point 0 of Q is the signal x* (any fixed direction, where there is none): Q.correlation[:, 0] is the magnetization.

Three theories that are not least squares of Gaussian functions stand here as examples; each is one or three lines.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import Covariance, Model
from sgdmft.superfield import NotPointwise, Row, Superfield, against_signal, onto_signal, signal


class SelfEnergy(Model):
    """A model of `solve` given by its self-energy, equation (6.6). Immutable.

    A self-energy of pointwise operations (`*`, `+`, functions) runs with `Dense` and `Compressed`; one with operator
    products or inverses with `Dyson`, which takes every self-energy.

    Parameters
    ----------
    sigma : function of a Superfield that returns a Superfield on the same points
        Sigma[Q].
    energy : function of a Superfield that returns an array over its points, optional
        What the trajectory holds as `loss`.
    name : str, default "self-energy"
        How it prints.

    Examples
    --------
    Langevin dynamics in a Gaussian random energy of covariance N f(x.y/N) has Sigma = -f'(Q) and energy -int f(Q):

    >>> import sgdmft as sg
    >>> f = sg.Covariance({3: 1.0})
    >>> model = SelfEnergy(lambda Q: -f.derivative(Q), energy=lambda Q: -f(Q).integral(), name="p-spin")
    >>> model
    SelfEnergy('p-spin')
    >>> descent = sg.GradientDescent(0.05, spherical=True)
    >>> round(float(sg.solve(model, descent, steps=20, start=sg.Start(magnetization=0.0)).loss[-1]), 4)
    -1.1756
    """

    __slots__ = ("energy", "name", "sigma")

    sigma: Callable[[Superfield], Superfield]
    energy: Callable[[Superfield], np.ndarray] | None
    name: str

    def __init__(
        self,
        sigma: Callable[[Superfield], Superfield],
        *,
        energy: Callable[[Superfield], np.ndarray] | None = None,
        name: str = "self-energy",
    ) -> None:
        for label, value in (("sigma", sigma), ("energy", energy)):
            if not callable(value) and (label, value) != ("energy", None):
                raise InvalidArgument(f"Argument `{label}` must be a function of a `Superfield`, but is {value!r}.")
        for label, value in (("sigma", sigma), ("energy", energy), ("name", str(name))):
            object.__setattr__(self, label, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"A `SelfEnergy` is immutable; `{name}` cannot be set.")

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(SelfEnergy, energy=self.energy, name=self.name), (self.sigma,)

    def __repr__(self) -> str:
        return f"SelfEnergy({self.name!r})"

    @property
    def pointwise(self) -> bool:
        """Whether Sigma(t,s) depends on row t of Q alone: no operator products, no inverses."""
        try:
            self.sigma(Row(np.ones(2), np.zeros(2), np.ones(2)))
        except NotPointwise:
            return False
        return True

    @property
    def polynomials(self) -> np.ndarray | None:
        """Coefficients of P, P', T, E' and e, shape (5, degree + 1), if Sigma = P(Q) + S o T(Q), (6.12), with S the unit
        response to the signal, and the energy is sum_s E'(C(t,s)) R(t,s) eta_s + e(m(t)); None if it is not of that form.

        Sigma is evaluated once on polynomials in place of numbers; what comes out must hold on random numbers.
        """
        x, one, none = _Formal([0.0, 1.0]), _Formal([1.0]), _Formal([0.0])
        points = np.array([x, x, x], dtype=object), np.array([none, one, none], dtype=object)
        try:
            sigma = self(Row(*points, np.array([1.0, 1.0, 1.0])))
            local, whole = (
                self.energy(Row(*points, np.array([1.0, weight, 0.0])))[0] if self.energy else none
                for weight in (0.0, 1.0)
            )
            parts = [
                _Formal([0.0]) + part
                for part in (sigma.correlation[0, 1], sigma.response[0, 1], sigma.response[0, 0], whole - local, local)
            ]
        except Exception:  # whatever a function of the user's own does with polynomials
            return None
        table = np.zeros((5, max(len(part.coef) for part in parts)))
        for line, part in zip(table, parts, strict=True):
            line[: len(part.coef)] = part.coef
        return table if self._is(table) else None

    def _is(self, table: np.ndarray) -> bool:
        """Whether the polynomials of `table` give Sigma and the energy on random numbers."""
        rng = np.random.default_rng(0)
        C, R, w = rng.uniform(-1.0, 1.0, 7), np.append(rng.uniform(-1.0, 1.0, 6), 0.0), rng.uniform(0.5, 2.0, 7)
        R[0], w[0] = 0.0, 1.0
        Q = Row(C, R, w)
        P, slope, pull, weight, local = (np.polynomial.polynomial.polyval(C, line) for line in table)
        sigma, energy = self(Q), self.energy(Q)[0] if self.energy else 0.0
        response = slope * R
        response[0] = pull[0]
        pairs = (
            (sigma.correlation[0, 1:], P[1:]),
            (sigma.response[0], response),
            (energy, local[0] + (weight * R) @ w),
        )
        return all(np.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in pairs)

    def parameters(self) -> dict[str, Any]:
        """What tells one self-energy from another, its polynomials; any other function has no text form."""
        table = self.polynomials
        if table is None:
            raise InvalidArgument(
                f"The self-energy {self.name!r} is no polynomial, so it has no text form, and what is computed with it "
                "cannot be kept on disk. Leave out cache and checkpoint."
            )
        return {"polynomials": table}

    def __call__(self, Q: Superfield) -> Superfield:
        """Sigma[Q], checked."""
        sigma = self.sigma(Q)
        if not isinstance(sigma, Superfield) or sigma.correlation.shape != Q.correlation.shape or not sigma.symmetric:
            raise InvalidArgument(
                f"The self-energy {self.name!r} must return a symmetric `Superfield` on the points it was given, but "
                f"returned {sigma!r}. A product of operators can be made symmetric by `.symmetrized()`."
            )
        return sigma


class _Formal(np.polynomial.Polynomial):
    """A polynomial that counts as false where it vanishes, as numbers do."""

    def __bool__(self) -> bool:
        return bool(self.coef.any())


def spherical_pspin(covariance: Covariance) -> SelfEnergy:
    """Descent or Langevin dynamics in a Gaussian random energy H of covariance N f(x.y/N) [CugliandoloKurchan1993].

    Sigma = -f'(Q), energy per weight -int f(Q). Use with `Descent(..., spherical=True)`; the p-spin model is
    f(q) = q^p/2, its time learning rate times step.
    """
    return SelfEnergy(
        partial(_rough, f=covariance),
        energy=partial(_rough_energy, f=covariance),
        name=f"spherical p-spin, {covariance}",
    )


def spiked_tensor(covariance: Covariance, snr: float) -> SelfEnergy:
    """A Gaussian random energy with a planted signal, H - N snr f(x.x*/N) [MannelliEtAl2019].

    Sigma = -f'(Q) - snr S o f'(Q), with S the unit response to the signal.
    """
    snr = check.number("snr", snr, at_least=0.0)
    return SelfEnergy(
        partial(_spiked, f=covariance, snr=snr),
        energy=partial(_spiked_energy, f=covariance, snr=snr),
        name=f"spiked tensor, {covariance}, snr = {snr:g}",
    )


def linear_regression(alpha: float, noise: float = 0.0) -> SelfEnergy:
    """Full-batch descent on high-dimensional linear regression with Gaussian inputs, y = x*.a + sqrt(noise) z.

    The multipliers of the residuals h(x) - h(x*) are Lambda = (1 + Q_* + noise)^-1, and Sigma = alpha Lambda, pulled onto
    the signal; f'(q) = 1. Not pointwise: use `method=Dyson()`.
    """
    alpha, noise = check.number("alpha", alpha, above=0.0), check.number("noise", noise, at_least=0.0)
    sigma = partial(_regression, alpha=alpha, noise=noise)
    return SelfEnergy(sigma, name=f"linear regression, alpha = {alpha:g}, noise = {noise:g}")


# Functions of the module, and not of those that make the models: these can be pickled.


def _rough(Q: Superfield, f: Covariance) -> Superfield:
    return -f.derivative(Q)


def _rough_energy(Q: Superfield, f: Covariance) -> np.ndarray:
    return -f(Q).integral()


def _spiked(Q: Superfield, f: Covariance, snr: float) -> Superfield:
    return -f.derivative(Q) - snr * (signal(Q) * f.derivative(Q))


def _spiked_energy(Q: Superfield, f: Covariance, snr: float) -> np.ndarray:
    return -f(Q).integral() - snr * f(Q.correlation[:, 0])


def _regression(Q: Superfield, alpha: float, noise: float) -> Superfield:
    residuals = against_signal(Q) + noise
    return alpha * onto_signal((Q.identity + residuals).inverse())
