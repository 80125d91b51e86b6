r"""What is learned: Gaussian random functions, their labels, and the start of the descent.

A sample mu of the data set carries a Gaussian random function h_mu(x) of the N weights x, with zero mean and covariance

    E[h_mu(x) h_nu(y)] = delta_{mu nu} f(x.y / N),        f(q) = sum_p a_p q^p,   a_p >= 0.              (1.1)

The loss of P = alpha N samples is

    H(x) = 1/2 sum_mu r_mu(x)^2,      r_mu(x) = h_mu(x) - y_mu,                                         (1.2)

with labels of a teacher, y_mu = h_mu(x*) + sqrt(noise) z_mu and |x*|^2 = N, or a constant target y_mu = y.
The model of the talk is f(q) = q^2 / 2: recover a signal from random quadratic measurements
[KamaliUrbani2023a; Fyodorov2019].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sgdmft import _memory, _validation as check
from sgdmft.errors import InvalidArgument

#: Bytes of the coefficients of a covariance, which every evaluation runs through.
_COEFFICIENTS = 1e6
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Covariance:
    """Covariance f(q) = sum_p a_p q^p of the random functions, equation (1.1).

    Parameters
    ----------
    powers : mapping from the power p >= 0 to its coefficient a_p >= 0
        p = 1 is linear regression, p = 2 random quadratic measurements, p >= 3 higher interactions.

    Raises
    ------
    InvalidArgument
        When empty, constant, or when a power or a coefficient is negative or not finite.

    Examples
    --------
    >>> f = Covariance({1: 0.4, 2: 0.45})
    >>> f
    Covariance(f(q) = 0.4 q + 0.45 q²)
    >>> float(f(1.0)), float(f.derivative(1.0)), float(f.derivative(1.0, order=2))
    (0.8500000000000001, 1.3, 0.9)
    """

    coefficients: tuple[float, ...]

    def __init__(self, powers: Mapping[int, float]) -> None:
        if not isinstance(powers, Mapping) or not powers:
            raise InvalidArgument(
                "A `Covariance` needs at least one power, for example `Covariance({2: 0.5})` for f(q) = q²/2, "
                f"but got {powers!r}."
            )
        table: dict[int, float] = {}
        for power, coefficient in powers.items():
            p = check.integer("power of the covariance", power, at_least=0)
            table[p] = check.number(f"coefficient of q^{p}", coefficient, at_least=0.0)
        if not any(value > 0 for p, value in table.items() if p >= 1):
            raise InvalidArgument(
                f"A `Covariance` needs a positive coefficient of q^p with p >= 1, but got {dict(powers)!r}: "
                "nothing in it depends on the weights."
            )
        degree = max(p for p, value in table.items() if value > 0)
        _memory.ask(8.0 * degree, f"A covariance of degree {degree}", "Lower the power", limit=_COEFFICIENTS)
        object.__setattr__(self, "coefficients", tuple(table.get(p, 0.0) for p in range(degree + 1)))

    @property
    def powers(self) -> dict[int, float]:
        """Powers with positive coefficient, ascending."""
        return {p: a for p, a in enumerate(self.coefficients) if a > 0}

    @property
    def even(self) -> bool:
        """Whether f(-q) = f(q): then m -> -m is a symmetry, and m(0) = 0 stays 0."""
        return not any(self.coefficients[1::2])

    def derived(self, order: int) -> np.ndarray:
        """Ascending coefficients of the derivative of the given order, shape (max(degree - order, 0) + 1,)."""
        return np.polynomial.polynomial.polyder(np.array(self.coefficients), order)

    def __call__(self, q):
        """f(q), elementwise."""
        return np.polynomial.polynomial.polyval(q, np.array(self.coefficients))

    def derivative(self, q, order: int = 1):
        """Derivative of f of the given order at q, elementwise."""
        return np.polynomial.polynomial.polyval(q, self.derived(order))

    def __str__(self) -> str:
        powers = {0: "", 1: " q"}
        terms = (f"{a:g}" + powers.get(p, f" q{str(p).translate(_SUPERSCRIPT)}") for p, a in self.powers.items())
        return "f(q) = " + " + ".join(terms)

    def __repr__(self) -> str:
        return f"Covariance({self})"

    def __reduce__(self):
        return Covariance, (self.powers,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """Labels of a teacher with the hidden weights x*: y_mu = h_mu(x*) + sqrt(noise) z_mu, z_mu standard normal.

    Parameters
    ----------
    noise : float, default 0
        Variance of the label noise.
    """

    noise: float = 0.0

    def __post_init__(self) -> None:
        check.settle(self, "noise", at_least=0.0)


@dataclass(frozen=True, slots=True)
class ConstantTarget:
    """The same label y_mu = value for every sample: continuous constraint satisfaction, confluent tissue.

    There is no signal: `magnetization` is then the overlap with an arbitrary fixed direction.
    """

    value: float

    def __post_init__(self) -> None:
        check.settle(self, "value")


class Model:
    """What is learned; the base class of what `solve` and `simulate` take as `model`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianLeastSquares(Model):
    """Least squares on alpha N Gaussian random functions of N weights, equations (1.1) and (1.2).

    Parameters
    ----------
    alpha : float > 0
        Samples per weight, P = alpha N. Below 1 the talk's model is overparametrized.
    covariance : Covariance, default f(q) = q²/2
        Covariance of the random functions.
    labels : Teacher or ConstantTarget, default Teacher()
        Where the labels come from.

    Examples
    --------
    >>> GaussianLeastSquares(alpha=2.5)
    GaussianLeastSquares(alpha=2.5, covariance=Covariance(f(q) = 0.5 q²), labels=Teacher(noise=0.0))
    """

    alpha: float
    covariance: Covariance = field(default_factory=lambda: Covariance({2: 0.5}))
    labels: Teacher | ConstantTarget = field(default_factory=Teacher)

    def __post_init__(self) -> None:
        check.settle(self, "alpha", above=0.0, remedy="It is the number of samples per weight, P = alpha N.")
        if not isinstance(self.covariance, Covariance):
            raise InvalidArgument(
                f"Argument `covariance` must be a `Covariance`, for example `Covariance({{2: 0.5}})`, "
                f"but is {self.covariance!r}."
            )
        if not isinstance(self.labels, (Teacher, ConstantTarget)):
            raise InvalidArgument(
                f"Argument `labels` must be `Teacher(noise=...)` or `ConstantTarget(value)`, but is {self.labels!r}."
            )

    def generalization_error(self, magnetization, norm):
        """Half the mean squared error on a fresh sample without label noise, elementwise.

        [f(C) + f(1) - 2 f(m)] / 2 for a teacher, [f(C) + y^2] / 2 for a constant target.
        """
        f = self.covariance
        if isinstance(self.labels, Teacher):
            return 0.5 * (f(norm) + f(1.0) - 2.0 * f(magnetization))
        return 0.5 * (f(norm) + self.labels.value**2)


@dataclass(frozen=True, slots=True)
class Linearized(Model):
    """A model at an infinitesimal overlap with the signal, for `solve`: only what is linear in m is kept.

    C, R, L, G and the loss follow the solution with m = 0, and m(t) is proportional to m(0): its growth is m(t)/m(0).

    Parameters
    ----------
    model : GaussianLeastSquares
        With a teacher and f'(0) = 0.

    Examples
    --------
    >>> Linearized(GaussianLeastSquares(alpha=2.5)).model.alpha
    2.5
    """

    model: GaussianLeastSquares

    def __post_init__(self) -> None:
        model = self.model
        if not isinstance(model, GaussianLeastSquares):
            raise InvalidArgument(f"Argument `model` must be a `GaussianLeastSquares`, but is {model!r}.")
        if not isinstance(model.labels, Teacher) or model.covariance.derivative(0.0) != 0.0:
            raise InvalidArgument(
                f"The equations linearized in m need a teacher and a covariance with f'(0) = 0, but the model is {model!r}: "
                "without a teacher there is no signal, and a linear term drives m from the first step on."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where the descent starts: a uniformly random point of given norm and overlap with the signal.

    Parameters
    ----------
    magnetization : float, default 0.1
        m(0) = x(0).x*/N. For an even covariance m(0) = 0 stays 0 for ever, hence the warm start.
    norm : float, default 1
        C(0, 0) = |x(0)|^2/N; at least m(0)^2.
    """

    magnetization: float = 0.1
    norm: float = 1.0

    def __post_init__(self) -> None:
        check.settle(self, "magnetization")
        check.settle(self, "norm", above=0.0)
        m, norm = self.magnetization, self.norm
        if m * m > norm * (1 + 1e-12):
            raise InvalidArgument(
                f"A start needs magnetization² <= norm (Cauchy-Schwarz), but {m:g}² > {norm:g}. "
                "Lower `magnetization` or raise `norm`."
            )
