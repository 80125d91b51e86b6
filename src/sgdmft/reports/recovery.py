"""Relaxation time against alpha for several batch fractions, with power-law fits and the thresholds alpha*(b)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

import sgdmft as sg
from sgdmft import parameters, plotting
from sgdmft.errors import FitRefused
from sgdmft.progress import Reporter
from sgdmft.reports.section import Figure, Section, Table, descent, side_by_side

FRACTIONS = (1.0, 0.5, 0.2, 0.1)
_RATIO = 1.3  # between the relaxation times of neighbouring points


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    learning_rate: float = 0.1,
    magnetization: float = 0.01,
    level: float = 0.01,
    steps: int | None = None,
    shortest: float | None = None,
    fractions: Sequence[float] = FRACTIONS,
) -> Section:
    """The section; runs are given up after `steps`, by default 10000, and times from `shortest`, 300, on are fitted.

    With `quick` the window is 100 to 3000.
    """
    steps, shortest = steps or (3000 if quick else 10_000), shortest or (100.0 if quick else 300.0)
    start = sg.Start(magnetization=magnetization)
    jobs = {
        f"relaxation times, b = {fraction:g}": (
            1.0,
            partial(approach, descent(learning_rate, fraction), start, level=level, steps=steps),
        )
        for fraction in fractions
    }
    names = {fraction: f"$b={fraction:g}$" for fraction in fractions}
    found = dict(zip(fractions, side_by_side(jobs, progress).values(), strict=True))
    fits, refusals = {}, {}
    for fraction, (alphas, times) in found.items():
        try:
            fits[fraction] = sg.fit_power_law(alphas[times >= shortest], times[times >= shortest])
        except FitRefused as error:
            refusals[fraction] = str(error)
    curves = {names[fraction]: points for fraction, points in found.items()}
    laws = {names[fraction]: fit for fraction, fit in fits.items()}
    setting = rf"$\eta={learning_rate:g}$,  $m_0={magnetization:g}$,  $\tau$: first $\Delta<{level:g}$"
    picture, panels = plotting.figure(2, 1, width=5.0, height=3.6)
    plotting.relaxation(curves, laws, axes=panels[0, 0], title=setting)
    plotting.power_law_collapse(curves, laws, axes=panels[0, 1])
    return Section(
        name="recovery",
        title="Relaxation time and recovery threshold",
        text=[
            f"Steps τ until the squared distance to the signal falls below Δ = {level:g}, from the theory (N → ∞) at "
            f"η = {learning_rate:g} and m<sub>0</sub> = {magnetization:g}, for α lowered until τ exceeds {steps} steps. "
            "Lines: fits of τ = τ<sub>0</sub> (α − α*)<sup>−ν</sup>, as in the talk, to the window of τ from "
            f"{shortest:g} to {steps} steps.",
            "A fitted α* is a statement about the start m<sub>0</sub>, the level and the window of τ, and holds for these "
            "only: a smaller m<sub>0</sub> moves it up, longer runs move it down. The talk quotes α*(1) ≈ 2.27 without "
            "saying which were used. The uncertainty is that of the fit and of the choice of its window (68 %); it does "
            "not know of errors of the power law that all windows share.",
            _ordering(fits),
        ],
        figures=[
            Figure(
                name="relaxation_times",
                figure=picture,
                caption="Left: τ against α, lines over the fitted window; marks and bands at the top are α*(b) with its "
                "uncertainty. Right: the same against the distance to α*(b).",
            )
        ],
        tables=[
            Table(
                caption=f"Power-law fits at η = {learning_rate:g}, m<sub>0</sub> = {magnetization:g}, level "
                f"Δ = {level:g}. The column “nearer half” fits only the half of the points nearer to α*: how far it "
                "differs shows how far the law is from a pure power.",
                head=[
                    "b",
                    "α*",
                    "68 % interval",
                    "α*, nearer half",
                    "ν",
                    "window of τ (steps)",
                    "window of α",
                    "points",
                ],
                rows=[_row(fraction, fits.get(fraction), refusals.get(fraction, "")) for fraction in fractions],
            )
        ],
        data={"relaxation_times": _dataset(found, fits, learning_rate, magnetization, level, steps)},
        parameters={
            "steps": steps,
            "level": level,
            "shortest_time": shortest,
            "batch_fractions": list(fractions),
            "algorithm": {"learning_rate": learning_rate},
            "start": parameters.plain(start),
        },
    )


def approach(
    algorithm: sg.Descent,
    start: sg.Start,
    *,
    level: float,
    steps: int,
    shortest: float = 0.0,
    progress: Callable[[float, float, str], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Relaxation times from far above the threshold down to it, about evenly spaced in log tau; alphas ascending.

    alpha is lowered by what should lengthen tau by a fixed ratio, judging from the last two points, until a run of
    `steps` does not recover; shorter times than `shortest` are left out.
    """
    reporter = Reporter(progress or (lambda *_: None), "", lambda: None)
    save, stop = sg.Save(two_time=0), sg.Recovered(distance=level)
    alphas: list[float] = []
    times: list[float] = []
    alpha, change = 4.0, 0.2
    while alpha > 0.2:
        model = sg.GaussianLeastSquares(alpha=alpha)
        run = sg.solve(model, algorithm, steps=steps, start=start, save=save, stop=stop)
        tau = sg.relaxation_time(run, level)
        if not math.isfinite(tau):
            break
        if alphas:
            slope = math.log(tau / times[-1]) / (alphas[-1] - alpha)
            change = min(0.2, math.log(_RATIO) / max(slope, 1e-3))
        alphas.append(alpha)
        times.append(tau)
        reporter.update(math.log(tau), math.log(steps))
        alpha -= change
    order = np.argsort(alphas)
    x, y = np.array(alphas)[order], np.array(times)[order]
    return x[y >= shortest], y[y >= shortest]


def _ordering(fits) -> str:
    """What the fits say on whether SGD recovers at smaller alpha, and no more than that."""
    if 1.0 not in fits or len(fits) < 2:
        return "Without a fit for gradient descent nothing is said about the order of the thresholds."
    full = fits[1.0]
    below = [fraction for fraction, fit in fits.items() if fraction < 1 and fit.interval[1] < full.interval[0]]
    if not below:
        return "At these uncertainties no batch fraction has a threshold below that of gradient descent."
    listed = ", ".join(f"{fraction:g}" for fraction in below)
    return (
        f"At this start, level and window the fitted threshold lies below that of gradient descent, beyond both "
        f"uncertainties, for b = {listed}: SGD recovers the signal from fewer data, as the talk says."
    )


def _row(fraction: float, fit: sg.PowerLaw | None, refusal: str) -> list[str]:
    if fit is None:
        return [f"{fraction:g}", "refused", refusal.split(". `")[0], "", "", "", "", ""]
    low, high = fit.interval
    return [
        f"{fraction:g}",
        f"{fit.threshold:.3f}",
        f"[{low:.3f}, {high:.3f}]",
        f"{fit.nearer:.3f}",
        f"{fit.exponent:.2f}",
        f"{fit.times.min():.0f} to {fit.times.max():.0f}",
        f"{fit.alphas.min():.3f} to {fit.alphas.max():.3f}",
        f"{len(fit.alphas)}",
    ]


def _dataset(found, fits, learning_rate: float, magnetization: float, level: float, steps: int):
    """Times over (batch fraction, point), padded with NaN, and the fits."""
    import xarray as xr

    length = max(len(alphas) for alphas, _ in found.values())
    table = np.full((2, len(found), length), np.nan)
    for k, points in enumerate(found.values()):
        table[:, k, : len(points[0])] = points
    laws = [fits.get(fraction) for fraction in found]
    numbers = {
        "threshold": [law.threshold if law else math.nan for law in laws],
        "threshold_low": [law.interval[0] if law else math.nan for law in laws],
        "threshold_high": [law.interval[1] if law else math.nan for law in laws],
        "exponent": [law.exponent if law else math.nan for law in laws],
        "amplitude": [law.amplitude if law else math.nan for law in laws],
    }
    return xr.Dataset(
        {
            "alpha": (("batch_fraction", "point"), table[0]),
            "relaxation_time": (("batch_fraction", "point"), table[1], {"units": "steps"}),
            **{name: ("batch_fraction", values) for name, values in numbers.items()},
        },
        {"batch_fraction": list(found)},
        {"learning_rate": learning_rate, "magnetization": magnetization, "level": level, "longest_run": steps}
        | sg.trajectory.provenance(),
    )
