"""What can be known of the signal, and what descent finds: all thresholds on one alpha axis; and the target's phases."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import sgdmft as sg
from sgdmft import plotting
from sgdmft.reports.section import Figure, Jobs, Section, Table, html
from sgdmft.reports.sections.recovery import threshold
from sgdmft.run.provenance import provenance
from sgdmft.statics import bayes_overlap, equilibrium, inference_thresholds, satisfiability, spectral_overlap
from sgdmft.sweeps import side_by_side

_SPECTRAL = "spectral estimate"
_SAMPLES = 10
_ALPHAS = (0.25, 0.6, 1.0, 1.5, 2.0, 2.75)  # of the spectral estimates
_LINES = (
    "satisfiability, replica symmetric",
    "satisfiability, broken symmetry",
    r"replica symmetry breaks, $1/(4y^2)$",
)
_REGIONS = (
    (1.25, 0.9, "positive loss"),
    (0.55, 0.3, "zero loss,\nreplica symmetric"),
    (1.0, 0.45, "zero loss,\nbroken symmetry"),
)


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    learning_rate: float = 0.1,
    magnetization: float = 0.01,
    level: float = 0.01,
    steps: int | None = None,
    batch_fraction: float = 0.2,
    size: int | None = None,
) -> Section:
    """The section; thresholds of descent from relaxation times of up to `steps`, by default 5000, with `quick` 1000."""
    steps = steps or (1000 if quick else 5000)
    size = size or (80 if quick else 200)
    descent, start = sg.GradientDescent(learning_rate), sg.Start(magnetization=magnetization)
    targets = np.linspace(0.35, 1.5, 8 if quick else 24)
    window, jobs = (steps / 30, steps), Jobs()
    for b in (1.0, batch_fraction):
        at = descent.at_fraction(b), start
        jobs.add(f"relaxation times, b = {b:g}", 1.0, threshold, *at, level=level, steps=steps, window=window)
    for alpha in _ALPHAS:
        jobs.add(f"spectral estimates, alpha = {alpha:g}", 0.5 / len(_ALPHAS), _spectral_overlaps, alpha, size)
    for target in targets:
        jobs.add(f"satisfiability, y = {target:g}", 1 / len(targets), _phases, target, 2 if quick else 3)
    found = list(side_by_side(jobs, progress).values())
    descents, squares, phases = found[:2], np.array(found[2 : -len(targets)]), np.transpose(found[-len(targets) :])
    points = np.array(_ALPHAS), squares.mean(axis=1), squares.std(axis=1, ddof=1) / math.sqrt(_SAMPLES)
    limits = inference_thresholds()
    weak, exact = limits.weak_information, limits.exact_information
    thresholds = {
        rf"weak recovery: optimal, spectral $\alpha={weak:g}$": (weak, weak, weak),
        rf"the data determine the signal $\alpha={exact:g}$": (exact, exact, exact),
    }
    rows = [
        ["weak recovery, Bayes-optimal and spectral", f"{weak:g}", "replica theory"],
        ["signal determined (Bayes-optimal)", f"{exact:g}", "replica theory"],
    ]
    for name, answer in zip(("gradient descent", f"SGD, b = {batch_fraction:g}"), descents, strict=True):
        fit = answer.fit
        if fit is None:
            rows.append([name, "refused", answer.problem.split(". ")[0]])
            continue
        low, high = fit.interval
        thresholds[rf"{name} $\alpha^*={fit.threshold:.2f}$"] = (fit.threshold, low, high)
        rows.append([name, f"{fit.threshold:.3f}", f"[{low:.3f}, {high:.3f}]"])
    picture, panels = plotting.figure(2, 1, width=5.2, height=3.9)
    title = rf"$f(q)=q^2/2$, no noise; descent: $\eta={learning_rate:g}$, $m_0={magnetization:g}$"
    plotting.recovery_diagram(_overlaps(), thresholds, {_SPECTRAL: points}, axes=panels[0, 0], title=title)
    plotting.satisfiability_diagram(
        targets, dict(zip(_LINES, phases, strict=True)), regions=_REGIONS, axes=panels[0, 1]
    )
    panels[0, 1].set_ylim(0.0, 1.4)
    return Section(
        name="phase_diagram",
        title="Phase diagram",
        text=html(
            "How much of the signal any method can know from α data per weight, how much the leading eigenvector of "
            "Σ<sub>μ</sub> y<sub>μ</sub> ∇²h<sub>μ</sub>(0) knows, how much a random point of zero loss knows, and where "
            "gradient descent and SGD find the signal. The first three are statics (replica method and random-matrix "
            f"theory); points: {_SAMPLES} samples at N = {size} with standard errors.",
            "The thresholds of descent are fits over a window, as in the section on relaxation times, at η = "
            f"{learning_rate:g}, m<sub>0</sub> = {magnetization:g}, level Δ = {level:g}; they are no limits of principle.",
            "Right: the same loss with a constant target y. Zero loss can be reached up to α<sub>J</sub>, which replica "
            "symmetry overestimates; with broken symmetry it never exceeds one equation per unknown.",
        ),
        figures=[
            Figure(
                "phase_diagram",
                picture,
                "Left: squared overlap with the signal; above it, the thresholds (bars: 68 % of the fits). "
                "Right: phases of the constant-target model on the sphere at T = 0.",
            )
        ],
        tables=[Table("Thresholds in α, label noise 0.", ["threshold", "α", "68 % interval"], rows)],
        data={"phase_diagram": _dataset(targets, phases, points, size)},
        parameters={
            "steps": steps,
            "level": level,
            "size": size,
            "algorithm": {"learning_rate": learning_rate, "batch_fractions": [1.0, batch_fraction]},
            "start": {"magnetization": magnetization},
        },
    )


def _overlaps() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Squared overlaps of estimators against alpha, in theory."""
    alphas = np.linspace(0.02, 3.0, 299)
    inside = alphas[alphas < 0.995]
    models = [sg.GaussianLeastSquares(alpha=float(alpha)) for alpha in alphas]
    random = [equilibrium(model).magnetization ** 2 for model in models[: len(inside) : 4]]
    return {
        "Bayes-optimal": (alphas, np.array([bayes_overlap(model).overlap for model in models])),
        _SPECTRAL: (alphas, np.array([spectral_overlap(model).overlap_squared for model in models])),
        "random point of zero loss": (inside[::4], np.array(random)),
    }


def _spectral_overlaps(alpha: float, size: int, **_: Any) -> list[float]:
    """Squared overlaps of spectral estimates in simulation."""
    from sgdmft.simulation import Instance, spectral_estimate

    instances = (Instance(sg.GaussianLeastSquares(alpha=alpha), size, seed=11, sample=k) for k in range(_SAMPLES))
    return [float(spectral_estimate(instance) @ instance.signal / size) ** 2 for instance in instances]


def _phases(target: float, levels: int, **_: Any) -> tuple[float, float, float]:
    """Satisfiability thresholds (symmetric, broken) and the instability of replica symmetry."""
    model = sg.GaussianLeastSquares(alpha=1.0, labels=sg.ConstantTarget(float(target)))
    broken, breaking = satisfiability(model, levels=levels).alpha, 1.0 / (4.0 * target**2)
    return satisfiability(model).alpha, broken, breaking if breaking < broken else math.nan


def _dataset(targets: np.ndarray, phases: np.ndarray, points: tuple, size: int):
    """The numbers of the figure."""
    import xarray as xr

    return xr.Dataset(
        {
            "satisfiability_symmetric": ("target", phases[0]),
            "satisfiability_broken": ("target", phases[1]),
            "symmetry_breaking": ("target", phases[2]),
            "spectral_overlap_squared": ("alpha", points[1]),
            "spectral_overlap_squared_error": ("alpha", points[2]),
        },
        {"target": targets, "alpha": points[0]},
        {"size": size, "samples": _SAMPLES} | provenance(),
    )
