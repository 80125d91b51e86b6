"""Loss, magnetization and distance against steps for several batch fractions: theory lines through simulation points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sgdmft as sg
from sgdmft import plotting
from sgdmft.reports.section import Figure, Jobs, Section, Table, html
from sgdmft.sweeps import side_by_side

FRACTIONS = (1.0, 0.5, 0.2, 0.1)
_NEAR_STOP = 1e-4


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    alpha: float = 2.0,
    learning_rate: float = 0.15,
    magnetization: float = 0.3,
    steps: int = 150,
    size: int | None = None,
    samples: int | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> Section:
    """The section; `size` and `samples` default to 200 and 16, with `quick` to 120 and 8; each b has its own samples."""
    size, samples = size or (120 if quick else 200), samples or (8 if quick else 16)
    model, start = sg.GaussianLeastSquares(alpha=alpha), sg.Start(magnetization=magnetization)

    options = {"size": size, "samples": samples, "dtype": "float32", "workers": 1}
    common = {"steps": steps, "start": start, "save": sg.Save(two_time=0)}
    jobs = Jobs()
    for seed, b in enumerate(fractions):
        algorithm = sg.GradientDescent(learning_rate).at_fraction(b)
        jobs.add(f"theory, b = {b:g}", 0.02, sg.solve, model, algorithm, **common)
        jobs.add(f"near, b = {b:g}", 0.02, near_threshold, algorithm)
        cost = b + 0.2  # the pass over the selected data, and drawing them
        jobs.add(f"simulation, b = {b:g}", cost, sg.simulate, model, algorithm, seed=seed, **common, **options)
    found = side_by_side(jobs, progress)
    theories, near, data = (
        {b: found[f"{kind}, b = {b:g}"] for b in fractions} for kind in ("theory", "near", "simulation")
    )
    comparisons = {fraction: sg.compare(theories[fraction], data[fraction], times=8) for fraction in fractions}

    curves, panels = plotting.figure(3, 1, width=3.5, height=3.0)
    plotting.learning_curves(*theories.values(), *data.values(), axes=panels[0])
    slow, panels = plotting.figure(3, 1, width=3.5, height=3.0)
    plotting.learning_curves(*near.values(), axes=panels[0])
    scores, panels = plotting.figure(1, 1, width=6.4, height=2.7)
    plotting.z_scores({f"$b={fraction:g}$": found for fraction, found in comparisons.items()}, axes=panels[0, 0])
    entries = [score for found in comparisons.values() for score in found.scores]
    rows = [_row(fraction, theories[fraction], near[fraction], comparisons[fraction]) for fraction in fractions]
    far = next(iter(near.values()))
    return Section(
        name="learning_curves",
        title="SGD against gradient descent: theory and simulation",
        text=html(
            "Loss per weight H/N, overlap m with the signal and squared distance Δ to it, for gradient descent (b = 1) and "
            f"SGD. Lines: the theory for N → ∞. Points: means over {samples} runs with N = {size} weights, with bars of "
            "one standard error.",
            f"First setting: α = {alpha:g}, learning rate η = {learning_rate:g}, m<sub>0</sub> = {magnetization:g}. The "
            "talk states none of the three. A run of finite size follows the theory while its own random overlap with the "
            f"signal, of order N<sup>−1/2</sup> = {size**-0.5:.2g}, is small beside m<sub>0</sub>; this m<sub>0</sub> is "
            "chosen so that a few hundred weights are enough. So far above the threshold small batches only cost time.",
            f"Agreement: {len(entries)} z-scores of loss, m and C(t,t), of which "
            f"{sum(abs(score.z) > 2 for score in entries)} exceed 2 in absolute value; the largest is "
            f"{max(abs(score.z) for score in entries):.1f}. {_verdict(comparisons.values())} Scores at neighbouring times "
            "are correlated.",
            f"Second setting: α = {far.model.alpha:g}, m<sub>0</sub> = {far.start.magnetization:g}, the same η; theory "
            "alone, since runs of a few hundred weights do not resolve so small an overlap. Close to where gradient "
            "descent fails SGD is faster, the more so the smaller the batches: the talk’s result.",
        ),
        figures=[
            Figure("learning_curves", curves, "Theory (lines) and simulation (points)."),
            Figure(
                "learning_curves_near_threshold",
                slow,
                "Closer to the threshold, theory: small batches leave the plateau first.",
            ),
            Figure(
                "learning_curves_z",
                scores,
                "z = (simulation − theory)/standard error, for loss, m and C(t,t) at eight times. The band holds "
                "all scores of one fraction with probability 99.9 % if the theory is right at this N.",
            ),
        ],
        tables=[
            Table(
                "Step τ at which Δ first falls below 0.1 in the theory, in both settings, and the z-scores of the "
                "comparison in the first.",
                ["batch fraction b", "τ, first", "τ, second", "rms z", "max |z|", "bound on max |z|"],
                rows,
            )
        ],
        data={
            f"learning_curves_{kind}_b{fraction:g}": run
            for kind, runs in (("theory", theories), ("simulation", data), ("near_threshold", near))
            for fraction, run in runs.items()
        },
        parameters={
            "steps": steps,
            "batch_fractions": fractions,
            "model": model,
            "algorithm": {"learning_rate": learning_rate},
            "start": start,
            "simulation": {**options, "seeds": list(range(len(fractions)))},
            "near_threshold": {"model": far.model, "start": far.start, "stop_distance": _NEAR_STOP},
        },
    )


def near_threshold(algorithm: sg.Descent, **options: Any) -> sg.Trajectory:
    """Theory at smaller alpha and m_0, where the batch size decides."""
    model, start = sg.GaussianLeastSquares(alpha=1.6), sg.Start(magnetization=0.1)
    save, stop = sg.Save(two_time=0), sg.Recovered(distance=_NEAR_STOP)
    return sg.solve(model, algorithm, steps=3000, start=start, save=save, stop=stop, **options)


def _row(fraction: float, theory: sg.Trajectory, near: sg.Trajectory, found: sg.Comparison) -> list[str]:
    taus = [sg.relaxation_time(run, 0.1) for run in (theory, near)]
    z = [score.z for score in found.scores]
    rms = (sum(value**2 for value in z) / len(z)) ** 0.5
    scores = (rms, max(map(abs, z)), found.threshold)
    return [f"{fraction:g}", *(f"{tau:.1f}" for tau in taus), *(f"{score:.2f}" for score in scores)]


def _verdict(comparisons) -> str:
    bad = [found for found in comparisons if not found.consistent]
    if not bad:
        return "All are consistent with chance at a false-alarm rate of 0.1 % per fraction."
    worst = max(bad, key=lambda found: abs(found.worst.z)).worst
    return (
        f"<b>Not all are consistent with chance</b> (false-alarm rate 0.1 % per fraction): {worst.quantity} at step "
        f"{worst.time} is {worst.simulation:.4g} ± {worst.error:.2g} against {worst.theory:.4g}. Differences of order 1/N "
        "are real at this size."
    )
