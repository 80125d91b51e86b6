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
from dataclasses import dataclass, replace

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import InvalidArgument, NotConverged
from sgdmft.problem.models import GaussianLeastSquares, Teacher
from sgdmft.statics._saddle import GROUND, NO_GAIN, THERMAL, Saddle, break_symmetry, symmetric_ground, symmetric_thermal
from sgdmft.statics._search import Candidate, Search


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
    replicon_error : float
        Its resolution. Replica symmetric: the effect of rounding. Broken: gains below 1e-10 are not seen, and gains
        fall as the third power of the replicon, so that it is resolved to 5e-4.
    stable : bool or None
        Whether no finer breaking of replica symmetry is needed: the replicon is positive beyond its error, and a further
        step gains nothing. None where this is undecided: the replicon is zero within its error (a marginal state, or
        many steps of a continuous breaking), or a further step of a broken state was not tried.
    residual : float
        Largest derivative of the functional with respect to its coordinates.
    uncertainty : float
        Of the free energy (of the log volume in the satisfiable phase): rounding where the state is stable, k/4 times the
        last gain where a broken state is not known to be (k-step errors fall as k^-4). An unstable replica-symmetric
        state is off by more.
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
    replicon_error: float
    stable: bool | None
    residual: float
    uncertainty: float
    gains: tuple[float, ...] = ()

    @property
    def levels(self) -> int:
        """Steps of replica symmetry breaking that were needed (0: replica symmetric)."""
        return len(self.breakpoints)

    @property
    def symmetry(self) -> str:
        """How far replica symmetry is broken, and whether that is enough."""
        order = "replica symmetric" if not self.levels else f"{self.levels}-step broken replica symmetry"
        if self.stable:
            return f"{order}, stable"
        if abs(self.replicon) <= self.replicon_error:
            return f"{order}, undecided: marginal within the error"
        if self.stable is None:
            return f"{order}, truncated: whether finer steps change it was not tried"
        if self.levels:
            return f"{order}, truncated: finer steps change it by about the uncertainty"
        return f"{order}, UNSTABLE" if self.replicon < 0.0 else f"{order}, UNSTABLE: symmetry breaks by a jump"

    def __repr__(self) -> str:
        if self.log_volume is not None:
            main = f"zero loss, log volume {self.log_volume:.10g} ± {self.uncertainty:.1g}"
        else:
            name = "free energy" if self.temperature > 0 else "ground-state energy"
            main = f"{name} {self.free_energy:.10g} ± {self.uncertainty:.1g}, loss {self.energy:.6g}"
        signal = f", m = {self.magnetization:.6g}" if isinstance(self.model.labels, Teacher) else ""
        return (
            f"Equilibrium({self.phase} phase at T = {self.temperature:g}: {main}{signal}, C = {self.norm:.6g}, "
            f"q = [{', '.join(f'{q:.6g}' for q in self.overlaps)}], {self.symmetry} "
            f"(replicon {self.replicon:.3g} ± {self.replicon_error:.1g}), "
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
    ground, thermal = (
        Search(
            form=form, levels=levels, model=model, temperature=temperature, norm=norm, weight_decay=weight_decay,
            magnetization=magnetization,
        )
        for form in (GROUND, THERMAL)
    )  # fmt: skip
    if temperature > 0.0:
        found = thermal.best()
        if found is None:
            raise NotConverged(f"No saddle point was found for {model!r} at temperature {temperature:g}.")
        return _state(thermal, found)
    signal = _signal(ground)
    if signal is not None and model.alpha >= 1.0:
        return signal
    found = ground.best()
    if found is not None and signal is None:
        return _state(ground, found)
    found = thermal.best()
    if found is not None:
        return _state(thermal, found)
    if signal is not None:
        return signal
    raise NotConverged(
        f"Neither a positive ground-state energy nor a manifold of zero loss was found for {model!r}: "
        "the model is at its satisfiability threshold to rounding. Move `alpha` slightly."
    )


def _signal(search: Search) -> Equilibrium | None:
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
        replicon=1.0 - 1.0 / alpha, replicon_error=1e-15, stable=alpha > 1.0 or None, residual=0.0, uncertainty=0.0,
    )  # fmt: skip


def _state(search: Search, candidate: Candidate) -> Equilibrium:
    """The state that a candidate describes, in the units of `Equilibrium`; refused where its saddle is not stationary."""
    saddle, slopes, temperature = candidate.saddle, candidate.saddle.slopes, search.temperature
    alpha, norm = search.model.alpha, saddle.problem.norm
    gains = tuple(float(g) for g in np.diff(candidate.history))
    k = saddle.levels
    error = max(_replicon_error(search, saddle), NO_GAIN ** (1 / 3) if k else 0.0)
    stable = None if abs(slopes.replicon) <= error else slopes.replicon > 0.0
    if stable and not candidate.exhausted:
        # a state of broken symmetry was not tried further, a symmetric one may lose to a discontinuous step
        stable = None if k else break_symmetry(saddle, 1) is saddle
    if k == 0 or (candidate.exhausted and stable):
        uncertainty = (1e-10 if k else 1e-13) * max(1.0, abs(candidate.cost))
    else:
        uncertainty = abs(gains[-1]) * k / 4 if gains else math.nan
    moved = search.magnetization is None and saddle.problem.overlap != 0.0
    outer = abs(candidate.by_overlap) if moved else 0.0, abs(candidate.by_norm) * norm
    # log of the volume of the sphere per weight: one (uniform measure) or Lebesgue's
    log_norm = -0.5 * math.log(norm) if search.norm is not None else 0.5 * math.log(2 * math.pi * math.e)
    if saddle.form is GROUND:
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
        entropy = (energy + 0.5 * search.weight_decay * norm - free) / temperature
        chi = (norm - saddle.q[-1]) / temperature
    state = Equilibrium(
        model=search.model, temperature=temperature, weight_decay=search.weight_decay, phase=phase,
        free_energy=float(free), energy=float(energy), entropy=entropy, log_volume=volume,
        magnetization=saddle.problem.overlap, norm=norm, overlaps=tuple(map(float, saddle.q)),
        breakpoints=tuple(map(float, saddle.x)), susceptibility=float(chi), replicon=slopes.replicon,
        replicon_error=error, stable=stable,
        residual=max(saddle.residual, *outer), uncertainty=uncertainty, gains=gains,
    )  # fmt: skip
    if not state.residual < 1e-6:
        raise NotConverged(
            f"The saddle point is stationary only to {state.residual:.1g}. The state is in `error.value`.", state
        )
    return state


def _replicon_error(search: Search, saddle: Saddle) -> float:
    """What rounding does to the replicon of a symmetric saddle: its change with m, C and alpha, times their errors."""
    if saddle.levels:
        return 0.0
    problem, step, rounding = saddle.problem, 1e-6, 1e-11
    on_sphere = search.norm is not None
    shifted = [
        (replace(problem, overlap=problem.overlap * (1.0 - step)), rounding),
        (replace(problem, norm=problem.norm * (1.0 + step)), rounding if on_sphere else 1e-8),
        (replace(problem, model=replace(problem.model, alpha=problem.model.alpha * (1.0 - step))), rounding),
    ]
    symmetric = symmetric_ground if saddle.form is GROUND else symmetric_thermal
    error = rounding
    for moved, size in shifted:
        near = symmetric(moved)
        if near is None:  # at the edge of where the saddle exists
            return math.inf
        error += abs(near.slopes.replicon - saddle.slopes.replicon) * size / step
    return error
