"""Minimization of the replica free energy over norm and overlap: a scan of its replica-symmetric value, then descent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter
from scipy.optimize import minimize

from sgdmft.errors import NotConverged
from sgdmft.problem.models import GaussianLeastSquares
from sgdmft.statics._functional import Problem
from sgdmft.statics._roots import root
from sgdmft.statics._saddle import (
    GROUND,
    THERMAL,
    ZERO_ENERGY,
    Form,
    Saddle,
    break_symmetry,
    ground_saddle,
    reoptimize,
    symmetric_thermal,
)

_NORM_RANGE = (1e-3, 1e3)


class NoSaddle(Exception):
    """There is no saddle at this norm and overlap: no energy, for zero loss can be reached, or no manifold of zero loss."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Inner saddle with its cost (free energy at this norm and overlap) and the history of costs over levels."""

    saddle: Saddle
    cost: float
    by_overlap: float
    by_norm: float
    history: tuple[float, ...]
    exhausted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Minimization over norm and overlap, unless these are held fixed, of the free energy of the saddles of one form.

    `minimum`, `at` and what they call raise `NoSaddle`.
    """

    form: Form
    levels: int
    model: GaussianLeastSquares
    temperature: float
    norm: float | None
    weight_decay: float
    magnetization: float | None

    def best(self) -> Candidate | None:
        """The candidate of least cost; None without one, and for the ground state where zero loss can be reached."""
        best: Candidate | None = None
        for overlap, norm in self._starts():
            try:
                found = self._minimum(overlap, norm)
            except NoSaddle:
                if self.form is GROUND:
                    return None
                continue
            if best is None or found.cost < best.cost - 1e-14:
                best = found
        return best

    def _at(self, overlap: float, norm: float, levels: int, near: Candidate | None = None) -> Candidate:
        """The saddle at this overlap and norm; with `near`, followed from there instead of being built step by step."""
        problem = Problem(self.model, norm, overlap, self.temperature)
        if near is not None and near.exhausted and near.saddle.levels == 0:
            levels = 0
        elif near is not None and near.saddle.levels > 0:
            saddle = reoptimize(near.saddle, problem)
            if self.form is THERMAL or saddle.value > ZERO_ENERGY:
                return self._candidate(saddle, (saddle.value,), exhausted=False)
        saddle = symmetric_thermal(problem) if self.form is THERMAL else ground_saddle(problem, levels)
        if saddle is None:
            raise NoSaddle
        history, exhausted = [saddle.value], False
        if saddle.levels > 0:  # energy only appears with broken symmetry
            coarser = ground_saddle(problem, saddle.levels - 1)
            history.insert(0, coarser.value if coarser is not None else 0.0)
        while saddle.levels < levels and not exhausted:
            finer = break_symmetry(saddle, saddle.levels + 1)
            exhausted = finer is saddle
            if not exhausted:
                saddle = finer
                history.append(saddle.value)
        return self._candidate(saddle, tuple(history), exhausted)

    def _candidate(self, saddle: Saddle, history: tuple[float, ...], exhausted: bool) -> Candidate:
        """Free energy (at T = 0 without energy: minus the log volume), with weight decay, and its slopes."""
        slopes, norm = saddle.slopes, saddle.problem.norm
        scale = 1.0 if self.form is GROUND else -(self.temperature or 1.0)
        on_sphere = self.norm is not None
        decay = self.weight_decay if self.form is GROUND or self.temperature > 0 else 0.0
        return Candidate(
            saddle=saddle,
            cost=scale * slopes.value + 0.5 * decay * norm,
            by_overlap=scale * slopes.overlap,
            by_norm=0.0 if on_sphere else scale * slopes.norm + 0.5 * decay,
            history=tuple(scale * value for value in history),
            exhausted=exhausted,
        )

    def _starts(self) -> list[tuple[float, float]]:
        """Overlaps and norms to descend from: local minima of the replica-symmetric cost on a grid, the lowest first."""
        if self.norm is not None and self.magnetization is not None:
            return [(self.magnetization, self.norm)]
        norms, fractions = self._grids()
        costs = np.full((len(norms), len(fractions)), np.inf)
        overlaps = np.empty_like(costs)
        for i, norm in enumerate(norms):
            overlaps[i] = self.magnetization if self.magnetization is not None else fractions * math.sqrt(norm)
            for j, overlap in enumerate(overlaps[i]):
                if overlap**2 >= norm:
                    continue
                try:
                    costs[i, j] = self._at(float(overlap), float(norm), 0).cost
                except NoSaddle:
                    if self.form is GROUND:
                        costs[i, j] = 0.5 * self.weight_decay * norm
        lowest = minimum_filter(costs, size=3, mode="constant", cval=np.inf)
        order = sorted(map(tuple, np.argwhere((costs <= lowest) & np.isfinite(costs))), key=costs.__getitem__)[:4]
        if order and self.form is GROUND and costs[order[0]] <= ZERO_ENERGY:
            order = order[:1]
        if order and self.norm is None and order[0][0] in (0, len(norms) - 1):
            edge = float(norms[order[0][0]])
            raise NotConverged(
                f"The norm runs to the edge {edge:g} of the searched interval: with weight decay "
                f"{self.weight_decay:g} the norm is not bounded, or vanishes. Raise `weight_decay`, or fix the norm.",
                edge,
            )
        return [(float(overlaps[i, j]), float(norms[i])) for i, j in order]

    def _grids(self) -> tuple[np.ndarray, np.ndarray]:
        """Norms, and overlaps in units of sqrt(norm): f(-m) <= f(m), so that the minimum has m >= 0."""
        count = 61 if self.norm is not None else 16
        norms = np.array([self.norm]) if self.norm is not None else np.geomspace(*_NORM_RANGE, 31)
        if self.magnetization is not None:
            return norms, np.array([0.0])
        return norms, np.sin(0.5 * np.pi * np.linspace(0.0, 1.0, count + 1)[:-1])

    def _minimum(self, overlap: float, norm: float) -> Candidate:
        """Local minimum near a point, over what is not held fixed."""
        if self.norm is None:
            return self._minimum_over_norm(overlap, norm)
        if self.magnetization is None:
            return self._minimum_over_overlap(overlap, norm)
        return self._at(overlap, norm, self.levels)

    def _minimum_over_overlap(self, overlap: float, norm: float) -> Candidate:
        """Root of d(cost)/dm around `overlap` by bisection, the slope being exact (envelope theorem)."""
        limit = math.sqrt(norm) * (1 - 1e-12)
        path = [self._at(overlap, norm, self.levels)]

        def slope(m: float) -> float:
            path.append(self._at(m, norm, self.levels, near=path[-1]))
            return path[-1].by_overlap

        middle = path[0].by_overlap
        if overlap == 0.0 and self.model.covariance.even:
            overlap = 1e-3 * math.sqrt(norm)
            middle = slope(overlap)
            if middle >= 0.0:
                return path[0]
        step, other = 0.02 * math.sqrt(norm), overlap
        direction = -math.copysign(1.0, middle)
        towards = middle
        while towards * direction < 0.0 and abs(other) < limit:
            other = float(np.clip(other + direction * step, -limit, limit))
            towards = slope(other)
            step *= 1.5
        if towards * direction >= 0.0:
            other = root(slope, *sorted((overlap, other)), tolerance=1e-12)
        return self._at(other, norm, self.levels)

    def _minimum_over_norm(self, overlap: float, norm: float) -> Candidate:
        """Local minimum over norm and overlap, or over the norm alone, by BFGS in (log C, m / sqrt C)."""
        fixed = self.magnetization is not None

        def point(v: np.ndarray) -> tuple[float, float]:
            c = math.exp(v[0])
            return (overlap, c) if fixed else (math.tanh(v[1]) * math.sqrt(c), c)

        def objective(v: np.ndarray):
            m, c = point(v)
            if m * m >= c:
                raise NoSaddle
            found = self._at(m, c, self.levels)
            by_log_norm = found.by_norm * c
            if fixed:
                return found.cost, np.array([by_log_norm])
            by_log_norm += found.by_overlap * 0.5 * m
            return found.cost, np.array([by_log_norm, found.by_overlap * math.sqrt(c) / math.cosh(v[1]) ** 2])

        start = [math.log(norm)] if fixed else [math.log(norm), math.atanh(overlap / math.sqrt(norm))]
        result = minimize(objective, np.array(start), jac=True, method="BFGS", options={"gtol": 1e-10})
        return self._at(*point(result.x), self.levels)
