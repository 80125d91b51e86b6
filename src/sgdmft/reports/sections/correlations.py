"""Two-time correlation C(t_w + tau, t_w) below the recovery threshold: aging, and what minibatches make of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

import sgdmft as sg
from sgdmft import plotting
from sgdmft.reports.section import Figure, Jobs, Section, html
from sgdmft.sweeps import side_by_side


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    alpha: float = 1.3,
    learning_rate: float = 0.1,
    magnetization: float = 0.01,
    steps: int | None = None,
    waiting: Sequence[int] | None = None,
    fractions: Sequence[float] = (1.0, 0.2, 0.1),
) -> Section:
    """The section; `steps` defaults to 10000, with `quick` to 2000."""
    steps = steps or (2000 if quick else 10_000)
    waiting = waiting or [t for t in (10, 30, 100, 300, 1000, 3000) if 3 * t <= steps]
    lags = np.unique(np.geomspace(1, steps, 60).astype(int))
    times = np.unique(np.concatenate([[0], waiting, *(lags + t for t in waiting)]))
    model, start = sg.GaussianLeastSquares(alpha=alpha), sg.Start(magnetization=magnetization)
    descent = sg.GradientDescent(learning_rate)
    common = {"steps": steps, "start": start, "save": sg.Save(two_time=times[times <= steps].tolist())}
    jobs = Jobs()
    for b in fractions:
        jobs.add(f"correlations, b = {b:g}", 1.0, sg.solve, model, descent.at_fraction(b), **common)
    runs = dict(zip(fractions, side_by_side(jobs, progress).values(), strict=True))
    picture, panels = plotting.figure(len(runs), 1, width=3.5, height=3.0)
    for panel, run in zip(panels[0], runs.values(), strict=True):
        plotting.two_time(run, waiting=waiting, axes=panel, normalized=True)
        panel.set_title(plotting.algorithm_label(run), loc="left", fontsize=9)
        panel.set_ylim(0, 1.02)
        if panel is not panels[0, 0]:
            panel.set_ylabel("")
            panel.get_legend().remove()
    picture.suptitle(plotting.setting(list(runs.values())), fontsize=9)
    caption = Markup("Colours from light to dark: waiting times t<sub>w</sub> from short to long.")
    ends = "; ".join(f"m({steps}) = {run.magnetization[-1]:.2g} at b = {fraction:g}" for fraction, run in runs.items())
    return Section(
        name="correlations",
        title="Two-time correlation below the threshold",
        text=html(
            f"Ĉ = C(t<sub>w</sub> + τ, t<sub>w</sub>) / [C(t<sub>w</sub> + τ, t<sub>w</sub> + τ) C(t<sub>w</sub>, "
            f"t<sub>w</sub>)]<sup>1/2</sup>, the cosine of the angle between the weights at two times, against τ at "
            f"α = {alpha:g}. There this start does not find the signal within {steps} steps: {ends}. Theory, N → ∞.",
            "If the dynamics were stationary, the curves of all waiting times would coincide. That they move to larger τ "
            "as t<sub>w</sub> grows is aging; where they cease to move with t<sub>w</sub>, aging is interrupted.",
        ),
        figures=[Figure("correlations", picture, caption)],
        data={f"correlations_b{fraction:g}": run for fraction, run in runs.items()},
        parameters={
            "steps": steps,
            "waiting_times": waiting,
            "batch_fractions": fractions,
            "model": model,
            "algorithm": {"learning_rate": learning_rate},
            "start": start,
        },
    )
