"""Relaxation times and recovery thresholds: fits, their dependence on start and b, and the threshold without a start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

import sgdmft as sg
from sgdmft import plotting
from sgdmft.analysis.thresholds import threshold_table
from sgdmft.reports.section import Figure, Jobs, Section, Table, html
from sgdmft.sweeps import side_by_side

FRACTIONS = (1.0, 0.5, 0.2, 0.1)
STARTS = (0.1, 0.01, 0.001)
GROWTH_ALPHAS = (1.5, 1.8, 2.1, 2.4, 2.8)


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    learning_rate: float = 0.1,
    level: float = 0.01,
    steps: int | None = None,
    shortest: float | None = None,
    lengths: Sequence[int] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    starts: Sequence[float] = STARTS,
    cache: str | bool | None = None,
) -> Section:
    """The section.

    Relaxation times from `shortest` (default steps/30) to `steps` (default 5000, quick 1000), and growth of an
    infinitesimal overlap over `lengths` (default 1024 and 4096, quick 1024) steps; what was computed once is taken from
    the cache.
    """
    steps = steps or (1000 if quick else 5000)
    shortest = shortest or steps / 30
    lengths = lengths or ((1024,) if quick else (1024, 4096))
    longest = max(lengths) if quick else 4 * max(lengths)
    model, descent = sg.GaussianLeastSquares(alpha=1.0), sg.GradientDescent(learning_rate)
    fit = {"level": level, "steps": steps, "window": (shortest, steps), "cache": cache}
    linear = {"workers": 1, "tolerance": 0.04, "cache": cache}
    jobs = Jobs()
    for b in fractions:
        algorithm = descent.at_fraction(b)
        for m in starts:
            start = sg.Start(magnetization=m)
            jobs.add(f"thresholds, b = {b:g}, start {m:g}", steps, threshold, algorithm, start, **fit)
        for n in lengths:
            label = f"growth, b = {b:g}, {n} steps"
            jobs.add(label, 2 * n, sg.linear_threshold, model, algorithm, steps=n, **linear)
    for alpha in GROWTH_ALPHAS:
        at = sg.GaussianLeastSquares(alpha=alpha), descent
        jobs.add(f"growth, alpha = {alpha:g}", longest, sg.growth, *at, steps=longest, cache=cache)
    found = iter(side_by_side(jobs, progress).values())
    answers, limits = [], {}
    for b in fractions:
        answers += [next(found) for _ in starts]
        limits[b] = {n: next(found) for n in lengths}
    growths = {rf"$\alpha={alpha:g}$": next(found) for alpha in GROWTH_ALPHAS}
    middle = starts[len(starts) // 2]
    shown = [answer for answer in answers if answer.data.setting.start.magnetization == middle]
    return Section(
        name="recovery",
        title="Relaxation time and recovery threshold",
        text=html(
            f"Steps τ until the squared distance to the signal falls below Δ = {level:g}, from the theory (N → ∞) at "
            f"η = {learning_rate:g}. Lines: fits of τ = τ<sub>0</sub> (α − α*)<sup>−ν</sup>, as in the talk, to the window "
            f"of τ from {shortest:.0f} to {steps} steps.",
            "A fitted α* is a statement about the start m<sub>0</sub>, the level and the window of τ, and holds for these "
            "only: a smaller m<sub>0</sub> moves it up, longer runs move it down. The talk quotes α*(1) ≈ 2.27 without "
            "saying which were used. The uncertainty (68 %) allows for a local exponent that wanders over the window; it "
            "does not know what happens nearer to α* than the nearest point.",
            _ordering(answers),
            "Without any start, level or window: as m<sub>0</sub> → 0 the overlap is m<sub>0</sub> μ(t), and the local "
            "exponent d log μ / d log t says whether it grows without bound. It falls at first, as the dynamics ages, and "
            "rises again at times that become longer the smaller α is; so longer runs find growth at smaller α, and "
            "no run of finite length shows where growth ends.",
        ),
        figures=_figures(shown, answers, limits, growths, learning_rate, level, middle, starts),
        tables=[
            Table(
                f"Power-law fits at η = {learning_rate:g}, level Δ = {level:g}, window {shortest:.0f} to {steps} "
                "steps. The column “nearer half” fits only the half of the points nearer to α*: how far it differs shows "
                "how far the law is from a pure power.",
                html("b", "m<sub>0</sub>", "α*", "68 % interval", "α*, nearer half", "ν", "τ fitted (steps)", "points"),
                [_row(answer) for answer in answers],
            ),
            Table(
                f"Smallest α from which an infinitesimal overlap is seen to grow, η = {learning_rate:g} (to 0.04).",
                ["batch fraction b", *(f"{length} steps" for length in lengths)],
                [[f"{b:g}", *(f"{row[n].grows_above:.2f}" for n in lengths)] for b, row in limits.items()],
            ),
        ],
        data={"recovery_thresholds": threshold_table(answers)},
        parameters={
            "steps": steps,
            "shortest": shortest,
            "level": level,
            "batch_fractions": fractions,
            "magnetizations": starts,
            "growth_steps": lengths,
            "algorithm": {"learning_rate": learning_rate},
            "model": model,
        },
    )


def threshold(algorithm: sg.Descent, start: sg.Start, **options: Any) -> sg.RecoveryThreshold:
    """The recovery threshold of one algorithm and start, on one thread; a refusal is an answer too."""
    model = sg.GaussianLeastSquares(alpha=1.0)
    (answer,) = sg.recovery_thresholds(model, [algorithm], [start], workers=1, **options)
    return answer


def _figures(shown, answers, limits, growths, learning_rate, level, middle, starts) -> list[Figure]:
    curves, laws = plotting.relaxation_curves(shown)
    setting = rf"$\eta={learning_rate:g}$"
    times, panels = plotting.figure(2, 1, width=5.0, height=3.6)
    title = rf"{setting},  $m_0={middle:g}$,  $\tau$: first $\Delta<{level:g}$"
    plotting.relaxation(curves, laws, axes=panels[0, 0], title=title)
    plotting.power_law_collapse(curves, laws, axes=panels[0, 1])
    lines, panels = plotting.figure(2, 1, width=5.0, height=3.6)
    plotting.threshold_against_fraction(answers, axes=panels[0, 0], title=setting)
    plotting.growth_exponents(growths, axes=panels[0, 1], title=rf"{setting},  $b=1$,  $m_0\to 0$")
    plane, panels = plotting.figure(1, 1, width=6.4, height=4.0)
    alphas, b = np.linspace(0.5, 4.0, 71), np.geomspace(min(limits) / 2.5, 1.0, 60)
    stable = alphas, b, _margin(alphas, b, learning_rate)
    plotting.descent_diagram(shown, limits, stable, axes=panels[0, 0], title=setting)
    return [
        Figure(
            "relaxation_times",
            times,
            "Left: τ against α, lines over the fitted window; marks and bands at the top are α*(b) with its "
            "uncertainty. Right: the same against the distance to α*(b).",
        ),
        Figure(
            "thresholds",
            lines,
            Markup(
                f"Left: fitted α* against b for starts m<sub>0</sub> = {', '.join(f'{m:g}' for m in starts)}. Right: "
                "exponent of the growth of an infinitesimal overlap under gradient descent."
            ),
        ),
        Figure(
            "descent_diagram",
            plane,
            "Points: fitted α*. Lines: from where on an infinitesimal overlap is seen to grow in runs of that "
            "length. Grey: the signal is unstable at this learning rate.",
        ),
    ]


def _margin(alphas: np.ndarray, fractions: np.ndarray, learning_rate: float) -> np.ndarray:
    limits = [
        [sg.stability_limit(sg.GaussianLeastSquares(alpha=a), sg.SGD(learning_rate, b)).learning_rate for a in alphas]
        for b in fractions
    ]
    return np.array(limits, dtype=float) / learning_rate - 1.0


def _ordering(answers: Sequence[sg.RecoveryThreshold]) -> str:
    """What the fits say on whether SGD recovers at smaller alpha, and no more than that."""
    by_start: dict[float, dict[float, sg.PowerLaw]] = {}
    for answer in answers:
        if answer.fit is not None:
            setting = answer.data.setting
            by_start.setdefault(setting.start.magnetization, {})[setting.algorithm.batch_fraction] = answer.fit
    parts = []
    for m, fits in by_start.items():
        if 1.0 in fits:
            below = [b for b, fit in fits.items() if fit.interval[1] < fits[1.0].interval[0]]
            if below:
                parts.append(f"for m<sub>0</sub> = {m:g} at b = {', '.join(f'{b:g}' for b in below)}")
    if not parts:
        return "At these uncertainties no batch fraction has a threshold below that of gradient descent."
    return (
        "At this level and window the fitted threshold lies below that of gradient descent, beyond both uncertainties, "
        f"{'; '.join(parts)}: there SGD recovers the signal from fewer data, as the talk says."
    )


def _row(answer: sg.RecoveryThreshold) -> list[str]:
    head = [f"{answer.data.setting.algorithm.batch_fraction:g}", f"{answer.data.setting.start.magnetization:g}"]
    fit = answer.fit
    if fit is None:
        return [*head, "refused", answer.problem.split(". ")[0], "", "", "", ""]
    low, high = fit.interval
    span = f"{fit.times.min():.0f} to {fit.times.max():.0f}"
    where = [f"{fit.threshold:.3f}", f"[{low:.3f}, {high:.3f}]", f"{fit.nearer:.3f}"]
    return [*head, *where, f"{fit.exponent:.2f}", span, f"{len(fit.alphas)}"]
