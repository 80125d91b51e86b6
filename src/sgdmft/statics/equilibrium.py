r"""Thermodynamics of least squares on Gaussian functions: phases, free energy, ground state, order parameters.

`equilibrium` extremizes the replica free energy (equations 8.2 and 8.3 in `sgdmft.statics._functional`) over overlaps
and breakpoints at fixed norm C and overlap m with the signal, and then minimizes it over m (teacher labels) and C (free
norm). With weight decay the free energy has the further term decay C/2. Three phases exist:

    thermal         T > 0
    unsatisfiable   T = 0, ground-state energy E > 0; responses chi = lim (C - q)/T
    satisfiable     T = 0, E = 0 on a manifold of zero loss, with overlap q < C between two of its points
    recovered       T = 0, E = 0 at the signal only

References: Fyodorov arXiv:1805.06982 (teacher, T = 0); Urbani arXiv:2208.11730 (constant target).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.models import GaussianLeastSquares, Teacher
from sgdmft.statics._functional import Problem
from sgdmft.statics._saddle import (
    Saddle,
    break_symmetry,
    make,
    reoptimize,
    symmetric_ground,
    symmetric_thermal,
    symmetric_threshold,
)

#: energies below are rounding
_ZERO_ENERGY = 1e-13
_NORM_RANGE = (1e-3, 1e3)


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Equilibrium:
    """Equilibrium state of a model.

    Attributes
    ----------
    phase : 'thermal', 'unsatisfiable', 'satisfiable' or 'recovered'
    free_energy : float
        Per weight, with the term weight_decay * norm / 2; at T = 0 the ground-state energy with that term. On a sphere
        relative to the uniform measure, with free norm relative to Lebesgue measure.
    energy : float
        Loss per weight.
    entropy : float or None
        Per weight at T > 0. At T = 0 it is minus infinity in units of volume and None here.
    log_volume : float or None
        (1/N) log Int dx prod_mu delta(r_mu(x)) of the zero-loss manifold, in the satisfiable phase.
    magnetization, norm : float
        Overlap with the signal m, and C.
    overlaps, breakpoints : tuples
        Levels q_0 < ... < q_k and breakpoints x_1 < ... < x_k of the overlap distribution; in the unsatisfiable
        phase the breakpoints are in units of temperature, lim x/T, and the last overlap is the norm.
    susceptibility : float
        (C - q_k)/T; infinite in the satisfiable phase.
    replicon : float
        Replicon eigenvalue at the top level, relative: negative means that this solution is unstable.
    stable : bool
        Whether no finer breaking of replica symmetry is needed: replicon > 0 and, for a broken state, a further step
        was tried and gained nothing.
    residual : float
        Largest derivative of the functional with respect to its coordinates.
    uncertainty : float
        Of the free energy (of the log volume in the satisfiable phase): k/4 times the last gain when symmetry is broken
        (k-step errors fall as k^-4), rounding where a further step gains nothing. An unstable replica-symmetric state
        is off by more.
    """

    model: GaussianLeastSquares
    temperature: float
    weight_decay: float
    phase: str
    free_energy: float
    energy: float
    entropy: float | None
    log_volume: float | None
    magnetization: float
    norm: float
    overlaps: tuple[float, ...]
    breakpoints: tuple[float, ...]
    susceptibility: float
    replicon: float
    stable: bool
    residual: float
    uncertainty: float
    gains: tuple[float, ...] = ()

    @property
    def levels(self) -> int:
        """Steps of replica symmetry breaking that were needed (0: replica symmetric)."""
        return len(self.breakpoints)

    def __repr__(self) -> str:
        order = "replica symmetric" if not self.levels else f"{self.levels}-step broken replica symmetry"
        if not self.stable:
            order += ", truncated: finer steps change it by about the uncertainty" if self.levels else ", UNSTABLE"
        else:
            order += ", stable"
        if self.log_volume is not None:
            main = f"zero loss, log volume {self.log_volume:.10g} ± {self.uncertainty:.1g}"
        else:
            name = "free energy" if self.temperature > 0 else "ground-state energy"
            main = f"{name} {self.free_energy:.10g} ± {self.uncertainty:.1g}, loss {self.energy:.6g}"
        signal = f", m = {self.magnetization:.6g}" if isinstance(self.model.labels, Teacher) else ""
        return (
            f"Equilibrium({self.phase} phase at T = {self.temperature:g}: {main}{signal}, C = {self.norm:.6g}, "
            f"q = [{', '.join(f'{q:.6g}' for q in self.overlaps)}], {order} (replicon {self.replicon:.3g}), "
            f"residual {self.residual:.1g})"
        )


def equilibrium(
    model: GaussianLeastSquares,
    *,
    temperature: float = 0.0,
    norm: float | None = 1.0,
    weight_decay: float = 0.0,
    levels: int = 0,
    magnetization: float | None = None,
) -> Equilibrium:
    """Equilibrium state by the replica method.

    Parameters
    ----------
    model : GaussianLeastSquares
    temperature : float >= 0
        Of the Gibbs measure exp(-H/T); 0 is the ground state (or the manifold of zero loss).
    norm : float or None
        Radius |x|^2/N of the sphere; None leaves the norm free.
    weight_decay : float >= 0
        Coefficient of |x|^2/2 in the energy; only with free norm.
    levels : int
        0 is replica symmetric, 1 one-step, k k-step; k = 4 is within 1e-6 of full breaking in the talk's model. Fewer
        steps are returned where they are enough.
    magnetization : float, optional
        Hold the overlap with the signal at this value instead of minimizing over it.

    Raises
    ------
    NotConverged
        When an optimum lies on the edge of what was searched, or its residual is above 1e-6; `value` holds the state.

    Examples
    --------
    >>> from sgdmft import ConstantTarget, GaussianLeastSquares
    >>> model = GaussianLeastSquares(alpha=1.5, labels=ConstantTarget(1.0))
    >>> state = equilibrium(model)                      # RS: [sqrt(1.5 * 1.5) - 1]^2 / 2, unstable
    >>> state.energy, state.stable, state.phase
    (0.125, False, 'unsatisfiable')
    >>> round(equilibrium(model, levels=3).energy, 5)
    0.1317
    """
    temperature = check.number("temperature", temperature, at_least=0.0)
    weight_decay = check.number("weight_decay", weight_decay, at_least=0.0)
    levels = check.integer("levels", levels, at_least=0)
    if norm is not None:
        norm = check.number("norm", norm, above=0.0)
        if weight_decay:
            raise InvalidArgument(
                f"Argument `weight_decay` is {weight_decay:g}, but on a sphere it only shifts the energy. "
                "Leave it 0, or free the norm with `norm=None`."
            )
    if magnetization is not None:
        magnetization = check.number("magnetization", magnetization)
        limit = norm if norm is not None else math.inf
        if magnetization**2 >= limit:
            raise InvalidArgument(
                f"Argument `magnetization` must have a square below the norm {limit:g}, but is {magnetization:g}."
            )
    if not isinstance(model.labels, Teacher):
        magnetization = 0.0 if magnetization is None else magnetization
    search = _Search(model, temperature, norm, weight_decay, magnetization)
    if temperature > 0.0:
        return _checked(search.state(search.best("thermal", levels)))
    signal = _signal(search)
    if signal is not None and model.alpha >= 1.0:
        return signal
    candidate = search.best("ground", levels)
    if candidate is not None and signal is None:
        return _checked(search.state(candidate))
    zero = search.best("thermal", levels)
    if zero is None:
        if signal is not None:
            return signal
        raise NotConverged(
            f"Neither a positive ground-state energy nor a manifold of zero loss was found for {model!r}: "
            "the model is at its satisfiability threshold to rounding. Move `alpha` slightly."
        )
    return _checked(search.state(zero))


def _signal(search: _Search) -> Equilibrium | None:
    """The signal itself, a point of zero loss, where nothing excludes it."""
    model = search.model
    allowed = search.norm in (None, 1.0) and search.magnetization is None and search.weight_decay == 0.0
    if not (allowed and isinstance(model.labels, Teacher) and model.labels.noise == 0.0):
        return None
    # thermal fluctuations around x*: isotropic after the average over data, q = m^2, chi = 1/[f'(1)(alpha - 1)]
    alpha, stiffness = model.alpha, float(model.covariance.derivative(1.0))
    return Equilibrium(
        model=model, temperature=0.0, weight_decay=0.0, phase="recovered", free_energy=0.0, energy=0.0, entropy=None,
        log_volume=None, magnetization=1.0, norm=1.0, overlaps=(1.0,), breakpoints=(),
        susceptibility=1.0 / (stiffness * (alpha - 1.0)) if alpha > 1.0 else math.inf,
        replicon=1.0 - 1.0 / alpha, stable=alpha > 1.0, residual=0.0, uncertainty=0.0,
    )  # fmt: skip


def _checked(state: Equilibrium) -> Equilibrium:
    if not state.residual < 1e-6:
        raise NotConverged(
            f"The saddle point is stationary only to {state.residual:.1g}. The state is in `error.value`.", state
        )
    return state


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Inner saddle with its cost (free energy at this norm and overlap) and the history of costs over levels."""

    saddle: Saddle
    cost: float
    by_overlap: float
    by_norm: float
    history: tuple[float, ...]
    exhausted: bool


@dataclass(frozen=True, slots=True)
class _Search:
    """Minimization over norm and overlap of the inner saddle's free energy."""

    model: GaussianLeastSquares
    temperature: float
    norm: float | None
    weight_decay: float
    magnetization: float | None

    def inner(
        self, form: str, levels: int, overlap: float, norm: float, near: _Candidate | None = None
    ) -> _Candidate | None:
        """The saddle at this overlap and norm; None where the form has none (no energy, or no manifold).

        With `near`, a saddle is followed from there instead of being built step by step.
        """
        problem = Problem(self.model, norm, overlap, self.temperature)
        if near is not None and near.exhausted and near.saddle.levels == 0:
            levels = 0
        elif near is not None and near.saddle.levels > 0:
            saddle = reoptimize(near.saddle, problem)
            if form == "thermal" or saddle.value > _ZERO_ENERGY:
                return self._cost(saddle, (saddle.value,), exhausted=False)
        saddle = symmetric_thermal(problem) if form == "thermal" else _ground(problem, levels)
        if saddle is None:
            return None
        history, exhausted = [saddle.value], False
        if saddle.levels > 0:  # energy only appears with broken symmetry
            coarser = _ground(problem, saddle.levels - 1)
            history.insert(0, coarser.value if coarser is not None else 0.0)
        while saddle.levels < levels and not exhausted:
            finer = break_symmetry(saddle, saddle.levels + 1)
            exhausted = finer is saddle
            if not exhausted:
                saddle = finer
                history.append(saddle.value)
        return self._cost(saddle, tuple(history), exhausted)

    def _cost(self, saddle: Saddle, history: tuple[float, ...], exhausted: bool) -> _Candidate:
        """Free energy (at T = 0 without energy: minus the log volume), with weight decay, and its slopes."""
        slopes, norm = saddle.slopes, saddle.problem.norm
        scale = 1.0 if saddle.form == "ground" else -(self.temperature or 1.0)
        on_sphere = self.norm is not None
        decay = self.weight_decay if saddle.form == "ground" or self.temperature > 0 else 0.0
        return _Candidate(
            saddle=saddle,
            cost=scale * slopes.value + 0.5 * decay * norm,
            by_overlap=scale * slopes.overlap,
            by_norm=0.0 if on_sphere else scale * slopes.norm + 0.5 * decay,
            history=tuple(scale * value for value in history),
            exhausted=exhausted,
        )

    def best(self, form: str, levels: int) -> _Candidate | None:
        """The candidate of least cost; for form 'ground' None where zero loss can be reached."""
        if self.norm is not None and self.magnetization is not None:
            return self.inner(form, levels, self.magnetization, self.norm)
        points = self._scan(form)
        if points is None:
            return None
        best: _Candidate | None = None
        for overlap, norm in points:
            found = self._polish(form, levels, overlap, norm)
            if found is None:
                if form == "ground":
                    return None
                continue
            if best is None or found.cost < best.cost - 1e-14:
                best = found
        return best

    def _grids(self) -> tuple[np.ndarray, np.ndarray]:
        """Norms, and overlaps in units of sqrt(norm): f(-m) <= f(m), so that the minimum has m >= 0."""
        count = 61 if self.norm is not None else 16
        norms = np.array([self.norm]) if self.norm is not None else np.geomspace(*_NORM_RANGE, 31)
        if self.magnetization is not None:
            return norms, np.array([0.0])
        return norms, np.sin(0.5 * np.pi * np.linspace(0.0, 1.0, count + 1)[:-1])

    def _scan(self, form: str) -> list[tuple[float, float]] | None:
        """Local minima of the replica-symmetric cost on a grid of overlaps and norms."""
        norms, fractions = self._grids()
        costs = np.full((len(norms), len(fractions)), np.inf)
        overlaps = np.empty_like(costs)
        for i, norm in enumerate(norms):
            overlaps[i] = self.magnetization if self.magnetization is not None else fractions * math.sqrt(norm)
            for j, overlap in enumerate(overlaps[i]):
                if overlap**2 >= norm:
                    continue
                found = self.inner(form, 0, float(overlap), float(norm))
                if found is not None:
                    costs[i, j] = found.cost
                elif form == "ground":
                    costs[i, j] = 0.5 * self.weight_decay * norm
        padded = np.pad(costs, 1, constant_values=np.inf)
        neighbours = np.min(
            [padded[1 + a : 1 + a + len(norms), 1 + b : 1 + b + len(fractions)]
             for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)], axis=0,
        )  # fmt: skip
        minima = np.argwhere((costs <= neighbours) & np.isfinite(costs))
        if len(minima) == 0:
            return None
        order = sorted(((costs[i, j], i, j) for i, j in minima), key=lambda entry: entry[0])
        if form == "ground" and order[0][0] <= _ZERO_ENERGY:
            order = order[:1]
        edge = [i for _, i, _ in order[:1] if self.norm is None and i in (0, len(norms) - 1)]
        if edge:
            raise NotConverged(
                f"The norm runs to the edge {norms[edge[0]]:g} of the searched interval: with weight decay "
                f"{self.weight_decay:g} the norm is not bounded, or vanishes. Raise `weight_decay`, or fix the norm.",
                float(norms[edge[0]]),
            )
        return [(float(overlaps[i, j]), float(norms[i])) for _, i, j in order[:4]]

    def _polish(self, form: str, levels: int, overlap: float, norm: float) -> _Candidate | None:
        """Local minimum near a point of the grid."""
        if self.norm is not None:
            return self._polish_overlap(form, levels, overlap)
        return self._polish_both(form, levels, overlap, norm)

    def _polish_overlap(self, form: str, levels: int, overlap: float) -> _Candidate | None:
        """Root of d(cost)/dm around `overlap` by bisection, the slope being exact (envelope theorem)."""
        from scipy.optimize import brentq

        assert self.norm is not None
        norm = self.norm
        limit = math.sqrt(norm) * (1 - 1e-12)
        first = self.inner(form, levels, overlap, norm)
        if first is None:
            return None
        nearest = first

        def slope(m: float) -> float:
            nonlocal nearest
            found = self.inner(form, levels, m, norm, nearest)
            if found is None:
                raise _Vanished
            nearest = found
            return found.by_overlap

        try:
            middle = first.by_overlap
            if overlap == 0.0 and self.model.covariance.even:
                overlap = 1e-3 * math.sqrt(norm)
                middle = slope(overlap)
                if middle >= 0.0:
                    return first
            step, other = 0.02 * math.sqrt(norm), overlap
            direction = -math.copysign(1.0, middle)
            towards = middle
            while towards * direction < 0.0 and abs(other) < limit:
                other = float(np.clip(other + direction * step, -limit, limit))
                towards = slope(other)
                step *= 1.5
            if towards * direction >= 0.0:
                other = float(brentq(slope, *sorted((overlap, other)), xtol=1e-12, rtol=1e-12))  # pyright: ignore
        except _Vanished:
            return None
        return self.inner(form, levels, other, norm)

    def _polish_both(self, form: str, levels: int, overlap: float, norm: float) -> _Candidate | None:
        """Local minimum over norm and overlap, or over the norm alone, by BFGS in (log C, m / sqrt C)."""
        from scipy.optimize import minimize

        fixed = self.magnetization is not None

        def point(v: np.ndarray) -> tuple[float, float]:
            c = math.exp(v[0])
            return (overlap, c) if fixed else (math.tanh(v[1]) * math.sqrt(c), c)

        def objective(v: np.ndarray):
            m, c = point(v)
            found = self.inner(form, levels, m, c) if m * m < c else None
            if found is None:
                raise _Vanished
            by_log_norm = found.by_norm * c
            if fixed:
                return found.cost, np.array([by_log_norm])
            by_log_norm += found.by_overlap * 0.5 * m
            return found.cost, np.array([by_log_norm, found.by_overlap * math.sqrt(c) / math.cosh(v[1]) ** 2])

        fraction = overlap / math.sqrt(norm)
        start = np.array([math.log(norm)] if fixed else [math.log(norm), math.atanh(fraction)])
        try:
            result = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-10})
        except _Vanished:
            return None
        m, c = point(result.x)
        return self.inner(form, levels, m, c)

    def state(self, candidate: _Candidate | None) -> Equilibrium:
        if candidate is None:
            raise NotConverged(f"No saddle point was found for {self.model!r} at temperature {self.temperature:g}.")
        saddle, slopes, temperature = candidate.saddle, candidate.saddle.slopes, self.temperature
        alpha, norm = self.model.alpha, saddle.problem.norm
        gains = tuple(float(g) for g in np.diff(candidate.history))
        k = saddle.levels
        if k == 0:
            uncertainty = 1e-13 * max(1.0, abs(candidate.cost))
        elif candidate.exhausted:
            uncertainty = 1e-10 * max(1.0, abs(candidate.cost))
        else:
            uncertainty = abs(gains[-1]) * k / 4 if gains else math.nan
        outer = [0.0]
        if self.magnetization is None and saddle.problem.overlap != 0.0:
            outer.append(abs(candidate.by_overlap))
        outer.append(abs(candidate.by_norm) * norm)
        # log of the volume of the sphere per weight: one (uniform measure) or Lebesgue's
        log_norm = -0.5 * math.log(norm) if self.norm is not None else 0.5 * math.log(2 * math.pi * math.e)
        if saddle.form == "ground":
            phase, energy, entropy, volume, free = "unsatisfiable", slopes.value, None, None, candidate.cost
            chi = saddle.chi
        elif temperature == 0.0:
            phase, energy, entropy, free = "satisfiable", 0.0, None, 0.0
            volume, chi = slopes.value + log_norm - 0.5 * alpha * math.log(2 * math.pi), math.inf
        else:
            phase, volume = "thermal", None
            # U = -T^2 d(F/T)/dT at fixed order parameters
            energy = 0.5 * alpha * temperature + temperature**2 * slopes.temperature
            free = candidate.cost - 0.5 * alpha * temperature * math.log(temperature) - temperature * log_norm
            entropy = (energy + 0.5 * self.weight_decay * norm - free) / temperature
            chi = (norm - saddle.q[-1]) / temperature
        return Equilibrium(
            model=self.model, temperature=temperature, weight_decay=self.weight_decay, phase=phase,
            free_energy=float(free), energy=float(energy), entropy=entropy, log_volume=volume,
            magnetization=saddle.problem.overlap, norm=norm, overlaps=tuple(map(float, saddle.q)),
            breakpoints=tuple(map(float, saddle.x)), susceptibility=float(chi), replicon=slopes.replicon,
            stable=slopes.replicon > 0.0 and (k == 0 or candidate.exhausted),
            residual=max(saddle.residual, *outer), uncertainty=uncertainty, gains=gains,
        )  # fmt: skip


class _Vanished(Exception):
    """The ground-state energy vanished on the way: zero loss can be reached."""


def _ground(problem: Problem, levels: int) -> Saddle | None:
    """A saddle of the energy with E > 0, None where E = 0 within `levels` steps of breaking."""
    saddle = symmetric_ground(problem)
    if saddle is not None:
        return saddle if saddle.value > _ZERO_ENERGY else None
    if levels == 0 or problem.model.alpha <= satisfiable_up_to(problem, 1):
        if levels <= 1:
            return None
        if problem.model.alpha <= satisfiable_up_to(problem, levels):
            return None
    base = break_symmetry(symmetric_threshold(problem), levels)
    best = None
    for chi in np.geomspace(0.1, 1e3, 9):
        start = make("ground", problem, base.q, base.x / chi, chi)
        found = reoptimize(start, problem)
        if found.value > _ZERO_ENERGY and (best is None or found.value > best.value):
            best = found
    return best


def satisfiable_up_to(problem: Problem, levels: int) -> float:
    """alpha up to which zero loss is reached at this norm and overlap, within `levels` steps of breaking.

    Infinitely large breakpoints give S_q/S_f -> 1 for any f: no more equations than unknowns can be solved.
    """
    value = break_symmetry(symmetric_threshold(problem), levels).value
    return min(value, 1.0) if levels else value
