"""Loss, magnetization and distance against steps for several batch fractions: theory lines through simulation points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import sgdmft as sg
from sgdmft import parameters, plotting
from sgdmft.reports.section import Figure, Section, Table, side_by_side

FRACTIONS = (1.0, 0.5, 0.2, 0.1)


def algorithm(learning_rate: float, fraction: float) -> sg.Descent:
    """Gradient descent for b = 1, the talk's SGD for b < 1."""
    if fraction == 1.0:
        return sg.GradientDescent(learning_rate=learning_rate)
    return sg.SGD(learning_rate=learning_rate, batch_fraction=fraction)


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    alpha: float = 1.5,
    learning_rate: float = 0.15,
    magnetization: float = 0.2,
    steps: int = 300,
    size: int | None = None,
    samples: int | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> Section:
    """The section; `size` and `samples` default to 200 and 16, with `quick` to 120 and 8."""
    size, samples = size or (120 if quick else 200), samples or (8 if quick else 16)
    model, start = sg.GaussianLeastSquares(alpha=alpha), sg.Start(magnetization=magnetization)
    algorithms = {fraction: algorithm(learning_rate, fraction) for fraction in fractions}
    options = {"size": size, "samples": samples, "seed": 1, "dtype": "float32", "workers": 1}
    save = sg.Save(two_time=0)
    theories = {
        fraction: sg.solve(model, descent, steps=steps, start=start, save=save)
        for fraction, descent in algorithms.items()
    }
    jobs = {
        f"simulation, b = {fraction:g}": (
            fraction + 0.2,  # the pass over the selected data, and drawing them
            partial(sg.simulate, model, descent, steps=steps, start=start, save=save, **options),
        )
        for fraction, descent in algorithms.items()
    }
    data = dict(zip(fractions, side_by_side(jobs, progress).values(), strict=True))
    comparisons = {fraction: sg.compare(theories[fraction], data[fraction], times=8) for fraction in fractions}

    curves, panels = plotting.figure(3, 1)
    plotting.learning_curves(*theories.values(), *data.values(), axes=panels[0])
    scores, (panel,) = plotting.figure(1, 1, width=6.4, height=2.7)
    plotting.z_scores({f"$b={fraction:g}$": found for fraction, found in comparisons.items()}, axes=panel[0])
    entries = [score for found in comparisons.values() for score in found.scores]
    rows = [_row(fraction, theories[fraction], comparisons[fraction]) for fraction in fractions]
    return Section(
        name="learning_curves",
        title="SGD against gradient descent: theory and simulation",
        text=[
            f"Loss per weight H/N, overlap m with the signal and squared distance Δ to it. Lines: the theory for N → ∞. "
            f"Points: means over {samples} runs with N = {size} weights, with bars of one standard error; the four batch "
            "fractions see the same data and starts.",
            f"Setting: α = {alpha:g}, learning rate η = {learning_rate:g}, m<sub>0</sub> = {magnetization:g}. The talk "
            "states none of the three. This α is close enough to where gradient descent from this warm start fails for "
            "the batch size to matter, and this m<sub>0</sub> is large enough for runs of a few hundred weights to be "
            f"close to N → ∞ (the drift of a finite run is small when m<sub>0</sub>²N ≫ 1; here it is "
            f"{magnetization**2 * size:.2g}). Smaller batches leave the plateau earlier, until their noise gets large.",
            f"Agreement: {len(entries)} z-scores of loss, m and C(t,t), of which "
            f"{sum(abs(score.z) > 2 for score in entries)} exceed 2 in absolute value; the largest is "
            f"{max(abs(score.z) for score in entries):.1f}. {_verdict(comparisons.values())} "
            "Neighbouring times and the four fractions share their data, so the scores are correlated.",
        ],
        figures=[
            Figure(name="learning_curves", figure=curves, caption="Theory (lines) and simulation (points)."),
            Figure(
                name="learning_curves_z",
                figure=scores,
                caption="z = (simulation − theory)/standard error, for loss, m and C(t,t) at eight times. The band holds "
                "all scores of one fraction with probability 99.9 % if the theory is right at this N.",
            ),
        ],
        tables=[
            Table(
                caption="Step at which Δ first falls below 0.1 in the theory, and the z-scores of each comparison.",
                head=["batch fraction b", "τ(Δ < 0.1)", "rms z", "max |z|", "bound on max |z|"],
                rows=rows,
            )
        ],
        data={
            f"learning_curves_{kind}_b{fraction:g}": run
            for kind, runs in (("theory", theories), ("simulation", data))
            for fraction, run in runs.items()
        },
        parameters={
            "steps": steps,
            "batch_fractions": list(fractions),
            "model": parameters.plain(model),
            "algorithm": {"learning_rate": learning_rate},
            "start": parameters.plain(start),
            "simulation": options,
        },
    )


def _row(fraction: float, theory: sg.Trajectory, found: sg.Comparison) -> list[str]:
    tau = sg.relaxation_time(theory, 0.1)
    z = [score.z for score in found.scores]
    rms = (sum(value**2 for value in z) / len(z)) ** 0.5
    return [f"{fraction:g}", f"{tau:.1f}", f"{rms:.2f}", f"{max(map(abs, z)):.2f}", f"{found.threshold:.2f}"]


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
