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

exactly: a spike -alpha f''(0) l(t). With m(t) > 0 and t > 0 we use -alpha f''(m) l(t), which neglects terms of order m: an
approximation, flagged as such (`Outlier.exact`). Outliers along past points of the trajectory, and those inside a gap of
the bulk, are not predicted. For a spherical descent this is the Hessian in the flat space around the sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument
from sgdmft.models import GaussianLeastSquares, Start, Teacher
from sgdmft.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray

    from sgdmft.simulation import Instance

#: Mean of the Tracy-Widom law of real symmetric matrices (largest eigenvalue) and its standard deviation.
TRACY_WIDOM_MEAN, TRACY_WIDOM_STD = -1.2065335745820, 1.2679957


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """The law of the bulk of eigenvalues, equation (10.1).

    Parameters
    ----------
    alpha : float > 0
        Ratio of the Marchenko-Pastur part, samples per weight.
    gradient_variance : float > 0
        f'(q), N times the variance of a component of grad h_mu.
    curvature_variance : float >= 0
        v = 2 f''(q) loss, N times the variance of an entry of the semicircle part.
    shift : float
        Weight decay.

    Examples
    --------
    >>> bulk = Bulk(alpha=4.0, gradient_variance=1.0, curvature_variance=0.0)   # Marchenko-Pastur: (1 -+ sqrt(alpha))^2
    >>> [round(float(edge), 9) for edge in bulk.edges]
    [1.0, 9.0]
    >>> bulk = Bulk(alpha=2.0, gradient_variance=1.0, curvature_variance=2.0)
    >>> f"{bulk.lower_edge:.4f} {bulk.negative_fraction():.4f}"
    '-1.6167 0.1896'
    """

    alpha: float
    gradient_variance: float
    curvature_variance: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        for name in ("alpha", "gradient_variance"):
            object.__setattr__(self, name, check.number(name, getattr(self, name), above=0.0))
        value = check.number("curvature_variance", self.curvature_variance, at_least=0.0)
        object.__setattr__(self, "curvature_variance", value)
        object.__setattr__(self, "shift", check.number("shift", self.shift))

    def point(self, g, order: int = 0):
        """z(g) of (10.1) or its first or second derivative, elementwise."""
        a, w, v = self.alpha, self.gradient_variance, self.curvature_variance
        if order == 0:
            return 1.0 / g + a * w / (1.0 - w * g) + v * g + self.shift
        if order == 1:
            return -1.0 / g**2 + a * w**2 / (1.0 - w * g) ** 2 + v
        return 2.0 / g**3 + 2.0 * a * w**3 / (1.0 - w * g) ** 3

    @property
    def critical(self) -> np.ndarray:
        """g at the edges of the bulk, in the order of `edges`: real roots of g^2 (1 - w g)^2 dz/dg."""
        a, w, v = self.alpha, self.gradient_variance, self.curvature_variance
        if v == 0.0:
            return np.array(
                [1.0 / (w * (1.0 - math.sqrt(a))) if a != 1.0 else -math.inf, 1.0 / (w * (1.0 + math.sqrt(a)))]
            )
        one = np.array([1.0, -2.0 * w, w * w])  # (1 - w g)^2, ascending
        quartic = np.zeros(5)
        quartic[:3] -= one
        quartic[2] += a * w * w
        quartic[2:] += v * one
        roots = np.polynomial.polynomial.polyroots(np.trim_zeros(quartic, "b"))
        real = roots[np.abs(roots.imag) < 1e-7 * np.abs(roots)].real
        real = real[np.abs(1.0 - w * real) > 1e-12]
        return real[np.argsort(self.point(real))]

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bulk, ascending: two, or four when there is a gap (one part then holds the 1 - alpha flat directions).

        Without semicircle part and with alpha < 1, a mass 1 - alpha sits exactly at `shift`, outside of these edges.
        """
        if self.curvature_variance == 0.0:
            return self.shift + self.gradient_variance * (1.0 + np.array([-1.0, 1.0]) * math.sqrt(self.alpha)) ** 2
        return self.point(self.critical)

    @property
    def lower_edge(self) -> float:
        """Lower edge of the bulk; the flat directions are counted in."""
        flat = [self.shift] if self.curvature_variance == 0.0 and self.alpha < 1.0 else []
        return float(min([self.edges[0], *flat]))

    @property
    def upper_edge(self) -> float:
        return float(self.edges[-1])

    def stieltjes(self, z) -> np.ndarray:
        """g(z + i0): for real z in the bulk the root with Im g < 0, outside the real one; shape of z."""
        z = np.atleast_1d(np.asarray(z, dtype=float))
        a, w, v = self.alpha, self.gradient_variance, self.curvature_variance
        y = z.ravel() - self.shift
        if v == 0.0:  # a density may diverge at 0
            y[np.abs(y) < 1e-15 * w] = 1e-15 * w
        # v w g^3 - (v + w y) g^2 + (y + w - a w) g - 1 = 0
        table = np.stack([np.full_like(y, v * w), -(v + w * y), y + w - a * w, np.full_like(y, -1.0)], axis=1)
        roots = _roots(table)
        inside = np.argmin(np.imag(roots), axis=1)
        g = np.take_along_axis(roots, inside[:, None], axis=1)[:, 0]
        g[np.imag(g) > -1e-9 * np.abs(g)] = np.nan
        return g.reshape(z.shape)

    def density(self, z) -> np.ndarray:
        """Eigenvalues per weight and unit of z, elementwise; zero outside the bulk (the flat directions' peak left out)."""
        g = self.stieltjes(z)
        return np.where(np.isnan(g), 0.0, -np.imag(g) / math.pi)

    def fraction_below(self, z: float) -> float:
        """Fraction of eigenvalues below z: 1 - Im[g z - log g + alpha log(1 - f' g) - v g^2/2 - lambda g]/pi.

        (The antiderivative of g dz is that of g dz/dg dg, with z(g) of (10.1).)
        """
        edges = self.edges
        parts = np.searchsorted(edges, z)
        if parts % 2 == 0:  # off the bulk: below it, in the gap above the flat directions, or above it
            flat = 1.0 - self.alpha if self.alpha < 1.0 else 0.0
            if self.curvature_variance == 0.0:
                return 1.0 if parts else flat * (z > self.shift)
            return [0.0, flat if len(edges) == 4 else 1.0, 1.0][parts // 2]
        g = self.stieltjes(z)[0]
        if np.isnan(g):  # at an edge, to rounding
            return self.fraction_below(z - 1e-12 * max(1.0, abs(z)))
        phase = g * z - np.log(g) + self.alpha * np.log(1.0 - self.gradient_variance * g)
        phase -= 0.5 * self.curvature_variance * g * g + self.shift * g
        return float(1.0 - np.imag(phase) / math.pi)

    def negative_fraction(self) -> float:
        """Fraction of directions of negative curvature (the index per weight)."""
        return self.fraction_below(0.0)

    def extreme(self, size: int, *, upper: bool = False) -> tuple[float, float]:
        """Mean and standard deviation of the lowest (or largest) eigenvalue at N = `size`, without outliers.

        Edge plus (|z''|/2)^(1/3) N^(-2/3) times the Tracy-Widom law; corrections are of higher order in 1/N.
        """
        g = self.critical[-1 if upper else 0]
        scale = (abs(float(self.point(g, order=2))) / 2.0) ** (1.0 / 3.0) * size ** (-2.0 / 3.0)
        sign = 1.0 if upper else -1.0
        return float(self.point(g)) + sign * scale * TRACY_WIDOM_MEAN, scale * TRACY_WIDOM_STD


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """An eigenvalue off the bulk.

    Attributes
    ----------
    eigenvalue : float
    overlap : float
        Squared overlap of its unit eigenvector with the direction of the signal, x*/sqrt(N).
    exact : bool
        Whether equation (10.2) or (10.3) is exact for N -> infinity here, or an approximation.
    """

    eigenvalue: float
    overlap: float
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """The Hessian at one time of a trajectory: its bulk, and the outliers known (ascending; at t > 0 the signal's only)."""

    time: int
    bulk: Bulk
    outliers: tuple[Outlier, ...]

    @property
    def descent(self) -> Outlier | None:
        """The outlier below the bulk with the largest overlap with the signal: a way down towards it. None if none."""
        below = [outlier for outlier in self.outliers if outlier.eigenvalue < self.bulk.lower_edge]
        return max(below, key=lambda outlier: outlier.overlap, default=None)

    @property
    def lowest(self) -> float:
        """The lowest eigenvalue for N -> infinity."""
        return min([self.bulk.lower_edge, *(outlier.eigenvalue for outlier in self.outliers)])


def bulk(model: GaussianLeastSquares, *, norm: float, loss: float, weight_decay: float = 0.0) -> Bulk:
    """The bulk of the Hessian at a point of C(t,t) = `norm` and `loss` per weight, equation (10.1).

    >>> bulk(GaussianLeastSquares(alpha=2.0), norm=1.0, loss=1.0)
    Bulk(alpha=2.0, gradient_variance=1.0, curvature_variance=2.0, shift=0.0)
    """
    f = model.covariance
    return Bulk(
        alpha=model.alpha,
        gradient_variance=float(f.derivative(norm)),
        curvature_variance=2.0 * float(f.derivative(norm, order=2)) * max(loss, 0.0),  # a loss of 0 rounds either way
        shift=weight_decay,
    )


def start_spectrum(model: GaussianLeastSquares, start: Start | None = None, *, weight_decay: float = 0.0) -> Spectrum:
    """The Hessian at a random point, with all its outliers, exactly: equations (10.1) and (10.2).

    Examples
    --------
    >>> from sgdmft import GaussianLeastSquares, Start
    >>> start_spectrum(GaussianLeastSquares(alpha=1.3), Start(magnetization=0.0)).descent   # alpha^3 < alpha + 1
    >>> outlier = start_spectrum(GaussianLeastSquares(alpha=2.0), Start(magnetization=0.0)).descent
    >>> print(f"{outlier.eigenvalue:.4f} {outlier.overlap:.4f}")
    -1.6667 0.2778
    """
    start = start or Start()
    f, alpha, q, m = model.covariance, model.alpha, start.norm, start.magnetization
    teacher = isinstance(model.labels, Teacher)
    w, f2, f3 = (float(f.derivative(q, order=order)) for order in (1, 2, 3))
    f1_signal, f2_signal = (float(f.derivative(m, order=order)) * teacher for order in (1, 2))
    residual2 = _start_residual(model, m, q)

    along = np.array([1.0, 0.0])
    signal = np.array([m, math.sqrt(max(q - m * m, 0.0))]) / math.sqrt(q)
    derivative = np.diag([w + q * f2, w])
    s = math.sqrt(q) * w * along - f1_signal * signal
    c = math.sqrt(q) * f2 / w * along
    weighted = derivative + np.outer(c, s) + np.outer(s, c) + residual2 * np.outer(c, c)
    constant = derivative + f2 * q * np.outer(along, along) - f2_signal * np.outer(signal, signal)
    curvature = residual2 * np.diag([f2 + q * f3 - q * f2 * f2 / w, f2])

    law = bulk(model, norm=q, loss=0.5 * alpha * residual2, weight_decay=weight_decay)
    block = (alpha * constant + weight_decay * np.eye(2), alpha * weighted, alpha * curvature)
    return Spectrum(time=0, bulk=law, outliers=_outliers(law, *block, signal * teacher, exact=True))


def spectrum(trajectory: Trajectory, time: int) -> Spectrum:
    """The Hessian at one of the saved two-times of a solution of the theory, equations (10.1) to (10.3).

    Raises
    ------
    InvalidArgument
        When the trajectory is a simulation (see `Probe`), or `time` is not among its saved two-times.

    Examples
    --------
    >>> import sgdmft as sg
    >>> theory = sg.solve(sg.GaussianLeastSquares(alpha=3.0), sg.SGD(0.1, 0.3), steps=30, start=sg.Start(magnetization=0.0))
    >>> now = spectrum(theory, 30)
    >>> print(f"{now.bulk.lower_edge:.4f} {now.descent.eigenvalue:.4f} {now.descent.overlap:.4f} {now.descent.exact}")
    -0.6285 -0.7750 0.4652 True
    """
    model, algorithm = trajectory.model, trajectory.algorithm
    if trajectory.kind != "theory" or not isinstance(model, GaussianLeastSquares) or algorithm is None:
        raise InvalidArgument(
            "The spectrum needs a solution of the theory by `solve`; at a point of a simulation measure it by "
            "`simulate(..., save=Save(observe=landscape.Probe()))`."
        )
    i, saved = int(np.searchsorted(trajectory.two_time, time)), trajectory.two_time
    if i == len(saved) or saved[i] != time:
        raise InvalidArgument(f"Step {time} is not among the saved times; keep it by `Save(two_time=[..., {time}])`.")
    decay = _value_at(algorithm.weight_decay, time)
    if time == 0:
        return start_spectrum(model, trajectory.start, weight_decay=decay)
    here = int(np.searchsorted(trajectory.time, time))
    if here == len(trajectory.time) or trajectory.time[here] != time:
        raise InvalidArgument(f"The loss is not recorded at step {time}; record it by `Save(every=...)`.")
    m, q, loss = (float(trajectory[name][here]) for name in ("magnetization", "norm", "loss"))
    law = bulk(model, norm=q, loss=loss, weight_decay=decay)
    if not isinstance(model.labels, Teacher):
        return Spectrum(time=time, bulk=law, outliers=())
    f, w = model.covariance, law.gradient_variance
    label = float(trajectory["label_response"][i])
    constant = model.alpha * (w - float(f.derivative(m, order=2)) * label) + decay
    block = np.array([constant, model.alpha * w, law.curvature_variance]).reshape(3, 1, 1)
    signal = np.array([math.sqrt(max(1.0 - m * m / q, 0.0))])
    exact = m == 0.0 and float(f.derivative(0.0)) == 0.0
    return Spectrum(time=time, bulk=law, outliers=_outliers(law, block[0], block[1], block[2], signal, exact=exact))


def evolution(trajectory: Trajectory) -> xarray.Dataset:
    """Edges, negative fraction and signal outlier at all saved two-times of a solution of the theory.

    Returns
    -------
    xarray.Dataset over `saved_time`
        loss, lower_edge, upper_edge, negative_fraction, outlier, outlier_overlap (NaN where there is none below the bulk),
        outlier_exact.
    """
    import xarray as xr

    spectra = [spectrum(trajectory, int(time)) for time in trajectory.two_time]
    here = np.searchsorted(trajectory.time, trajectory.two_time)
    found = [now.descent for now in spectra]
    columns = {
        "loss": trajectory.loss[here],
        "lower_edge": [now.bulk.lower_edge for now in spectra],
        "upper_edge": [now.bulk.upper_edge for now in spectra],
        "negative_fraction": [now.bulk.negative_fraction() for now in spectra],
        "outlier": [math.nan if outlier is None else outlier.eigenvalue for outlier in found],
        "outlier_overlap": [math.nan if outlier is None else outlier.overlap for outlier in found],
        "outlier_exact": [outlier is not None and outlier.exact for outlier in found],
    }
    attributes = {
        name: trajectory.dataset.attrs[name] for name in ("model", "algorithm", "start", "version", "revision")
    }
    data = {name: ("saved_time", np.asarray(values)) for name, values in columns.items()}
    return xr.Dataset(data, {"saved_time": ("saved_time", trajectory.two_time, {"units": "steps"})}, attributes)


def _outliers(
    law: Bulk, constant: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, signal: np.ndarray, *, exact: bool
) -> tuple[Outlier, ...]:
    """Zeros of det K off the bulk, K(g) = z(g) - constant - gradient f' g/(1 - f' g) - curvature g.

    K is the inverse of the resolvent's block, so each of its eigenvalues increases with z: below the bulk it has a zero
    if it is positive at the edge, above if negative there. With K n = 0, the overlap is (signal.n)^2/(n.dK/dz n).
    """
    from scipy.optimize import brentq

    w = law.gradient_variance

    def inverse(g: float) -> np.ndarray:
        return law.point(g) * np.eye(len(constant)) - constant - gradient * w * g / (1.0 - w * g) - curvature * g

    found = []
    for edge, sign in ((law.critical[0], -1.0), (law.critical[-1], 1.0)):
        if not (edge * sign > 0.0 and math.isfinite(edge)):  # without semicircle part: nothing lies below
            continue
        far = 1e-9 * edge  # z -> -+ infinity, where K has the sign of z
        for i in range(len(constant)):
            if np.linalg.eigvalsh(inverse(edge))[i] * edge >= 0.0:
                continue
            g: Any = brentq(lambda g, i=i: g * np.linalg.eigvalsh(inverse(g))[i], far, edge, xtol=1e-300)
            n = np.linalg.eigh(inverse(g))[1][:, i]
            slope = law.point(g, order=1) * np.eye(len(n)) - gradient * w / (1.0 - w * g) ** 2 - curvature
            overlap = float((signal @ n) ** 2 * law.point(g, order=1) / (n @ slope @ n))
            found.append(Outlier(eigenvalue=float(law.point(g)), overlap=overlap, exact=exact))
    return tuple(sorted(found, key=lambda outlier: outlier.eigenvalue))


def _start_residual(model: GaussianLeastSquares, m: float, q: float) -> float:
    """E r^2 at a random point."""
    noise = model.labels.noise if isinstance(model.labels, Teacher) else 0.0
    return 2.0 * float(model.generalization_error(m, q)) + noise


def _value_at(schedule: Any, time: int) -> float:
    """A schedule's value at a step; after its last step, the last value."""
    if isinstance(schedule, tuple):
        return float(schedule[min(time, len(schedule) - 1)])
    value: Any = schedule(time) if callable(schedule) else schedule
    return float(value)


def _roots(table: np.ndarray) -> np.ndarray:
    """Roots of polynomials with descending coefficients, shape (n, degree + 1) -> (n, degree)."""
    while table.shape[1] > 2 and not table[:, 0].any():
        table = table[:, 1:]
    degree = table.shape[1] - 1
    companion = np.zeros((len(table), degree, degree))
    companion[:, 0] = -table[:, 1:] / table[:, :1]
    companion[:, np.arange(1, degree), np.arange(degree - 1)] = 1.0
    return np.linalg.eigvals(companion).astype(complex)


# -- simulation --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Eigenpairs:
    """Eigenvalues at one point of one sample, ascending, and the squared overlaps of their eigenvectors with the signal."""

    eigenvalues: np.ndarray
    overlaps: np.ndarray


def eigenpairs(instance: Instance, x: np.ndarray, *, extremes: int | None = 3, weight_decay: float = 0.0) -> Eigenpairs:
    """The lowest and the largest `extremes` eigenpairs of the Hessian at x by Lanczos; all of them with None.

    Examples
    --------
    >>> import numpy as np
    >>> from sgdmft import GaussianLeastSquares
    >>> from sgdmft.simulation import Instance
    >>> data = Instance(GaussianLeastSquares(alpha=2.0), size=50)
    >>> few, all_ = eigenpairs(data, data.signal, extremes=2), eigenpairs(data, data.signal, extremes=None)
    >>> bool(np.allclose(few.eigenvalues, all_.eigenvalues[[0, 1, -2, -1]]))
    True
    """
    hessian = instance.hessian(x)
    hessian[np.diag_indices_from(hessian)] += weight_decay
    if extremes is None or 2 * extremes >= instance.size - 1:
        values, vectors = np.linalg.eigh(hessian)
    else:
        from scipy.sparse.linalg import eigsh

        first = np.random.default_rng(0).standard_normal(instance.size)  # scipy's own is not reproducible
        ends = [eigsh(hessian, k=extremes, which=which, v0=first) for which in ("SA", "LA")]
        values = np.concatenate([end[0] for end in ends])
        vectors = np.concatenate([end[1] for end in ends], axis=1)
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
    return Eigenpairs(eigenvalues=values, overlaps=(instance.signal @ vectors) ** 2 / instance.size)


class Probe:
    """Measures the Hessian's eigenpairs during `simulate(..., save=Save(observe=Probe()))`, at the saved two-times.

    Parameters
    ----------
    extremes : int or None
        How many eigenpairs at each end; None: the full spectrum (small N).

    Attributes
    ----------
    found : dict (step, sample) -> Eigenpairs

    Examples
    --------
    >>> import sgdmft as sg
    >>> probe = Probe(extremes=1)
    >>> data = sg.simulate(sg.GaussianLeastSquares(alpha=1.5), sg.SGD(0.1, 0.5), steps=5, size=40, samples=3,
    ...                    save=sg.Save(two_time=[0, 5], observe=probe))
    >>> mean, error = probe.mean(5, 0)   # of the lowest eigenvalue
    >>> len(probe.found), bool(error > 0)
    (6, True)
    """

    def __init__(self, extremes: int | None = 3) -> None:
        self.extremes = None if extremes is None else check.integer("extremes", extremes, at_least=1)
        self.found: dict[tuple[int, int], Eigenpairs] = {}

    def __call__(self, instance: Instance, step: int, x: np.ndarray) -> None:
        self.found[step, instance.sample] = eigenpairs(instance, x, extremes=self.extremes)

    def at(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and overlaps of all samples at a step, each of shape (samples, eigenvalues)."""
        pairs = [self.found[key] for key in sorted(self.found) if key[0] == step]
        if not pairs:
            raise InvalidArgument(f"Nothing was measured at step {step}; keep it by `Save(two_time=[..., {step}])`.")
        return np.array([pair.eigenvalues for pair in pairs]), np.array([pair.overlaps for pair in pairs])

    def mean(self, step: int, index: int = 0) -> tuple[float, float]:
        """Mean over samples and standard error of the eigenvalue `index` (0: the lowest, -1: the largest)."""
        values = self.at(step)[0][:, index]
        n = len(values)
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
