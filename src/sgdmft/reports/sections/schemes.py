"""Minibatch schemes against each other at equal batch fraction and learning rate: beyond the talk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

import sgdmft as sg
from sgdmft import plotting
from sgdmft.plotting.style import dress
from sgdmft.reports.section import Figure, Jobs, Section, Table, html
from sgdmft.run.provenance import provenance
from sgdmft.sweeps import side_by_side

ALPHAS = (2.0, 2.1, 2.2, 2.35, 2.5, 3.0)
FRACTIONS = (0.5, 0.2, 0.1)
_FULL = "FullBatch"
_QUANTITIES = ("loss", "distance")


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    alphas: Sequence[float] | None = None,
    fractions: Sequence[float] | None = None,
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    magnetization: float = 0.01,
    level: float = 0.01,
    steps: int | None = None,
    curve_magnetization: float = 0.3,
    curve_steps: int = 100,
    size: int | None = None,
    samples: int = 12,
) -> Section:
    """The section. Runs are given up after `steps`, by default 3000, with `quick` 1000.

    The learning curves and the simulation, of N = `size` (150, with `quick` 80) weights, have a start of their own, and
    the middle ones of the `alphas` and `fractions`; the relaxation times are those of the theory.
    """
    alphas = sorted(set(alphas or ((2.2, 2.5, 3.0) if quick else ALPHAS)))
    fractions = sorted(set(fractions or ((0.5, 0.2) if quick else FRACTIONS)), reverse=True)
    steps, size = steps or (1000 if quick else 3000), size or (80 if quick else 150)
    alpha, fraction = alphas[len(alphas) // 2], fractions[len(fractions) // 2]
    options: dict[str, Any] = {"learning_rate": learning_rate, "momentum": momentum}
    start, curve_start = sg.Start(magnetization=magnetization), sg.Start(magnetization=curve_magnetization)

    jobs, grid = Jobs(), _grid(alphas, fractions)
    for (a, b, name), batches in grid.items():
        at, work = (a, sg.Descent(batches=batches, **options), start), 0.3 / b  # small batches have as many phases
        jobs.add(f"{name}, alpha = {a:g}, b = {b:g}", work, relaxation, *at, level=level, steps=steps)
    model = sg.GaussianLeastSquares(alpha=alpha)
    curves = {name: sg.Descent(batches=batches, **options) for name, batches in _schemes(fraction).items()}
    points = np.unique(np.round(np.geomspace(1, curve_steps, 16)).astype(int))
    common = {"steps": curve_steps, "start": curve_start, "save": sg.Save(two_time=0, loss_times=points)}
    finite = {"size": size, "samples": samples, "workers": 1, "dtype": "float32"}
    for seed, (name, algorithm) in enumerate(curves.items()):
        jobs.add(f"simulation, {name}", 4.0, sg.simulate, model, algorithm, seed=seed, **finite, **common)
        jobs.add(f"theory, {name}", 0.1, sg.solve, model, algorithm, **common)
    results = side_by_side(jobs, progress)
    theories = {name: results[f"theory, {name}"] for name in curves}
    data = {name: results[f"simulation, {name}"] for name in curves}
    times = dict(zip(grid, results.values(), strict=False))  # the first jobs, in order
    comparisons = {name: sg.compare(theories[name], data[name]) for name in curves}

    names = list(dict.fromkeys([_FULL, *curves, *(name for _, _, name in times)]))
    setting = rf"$\eta={learning_rate:g}$" + (rf",  $\beta={momentum:g}$" if momentum else "")
    picture, panels = plotting.figure(2, 2, width=4.6, height=3.2)
    runs = [*theories.values(), *data.values()]
    plotting.learning_curves(*runs, axes=panels[0], quantities=_QUANTITIES, labels=[*curves, *curves])
    panels[0, 1].set_title(f"$b={fraction:g}$", loc="left", fontsize=9)
    colors = plotting.palette([*curves, *names])
    start_at = rf"{setting},  $m_0={magnetization:g}$"
    along = {name: _along(times, name, fraction=fraction) for name in names}
    _times(panels[1, 0], along, colors, r"$\alpha$", rf"$b={fraction:g}$,  {start_at}")
    along = {name: _along(times, name, alpha=alpha) for name in names}
    _times(panels[1, 1], along, colors, "batch fraction $b$", rf"$\alpha={alpha:g}$,  {start_at}")
    panels[1, 1].set_xscale("log")
    panels[1, 1].set_xticks([*fractions, 1.0], [f"{b:g}" for b in [*fractions, 1.0]])
    panels[1, 1].set_xticks([], minor=True)
    return Section(
        name="schemes",
        title="Beyond the talk: does sampling without replacement help?",
        text=html(
            "The talk’s batches are drawn anew at every step (Bernoulli). In practice the data are shuffled and every "
            "sample is used once in an epoch of 1/b steps (Shuffled), or in the same order in every epoch (Cyclic); a "
            "sample may also stay in the batch for a while (Persistent, here with a correlation time of one epoch). One "
            "function, P(t, s) = Pr[selected at t | selected at s]/b, closes the theory for all of them.",
            f"Relaxation times τ: steps until Δ falls below {level:g}, theory, m<sub>0</sub> = {magnetization:g}, "
            f"η = {learning_rate:g}{f', momentum {momentum:g}' if momentum else ''}. {_finding(times)}",
            f"Learning curves at α = {alpha:g}, b = {fraction:g}, m<sub>0</sub> = {curve_magnetization:g}: theory for "
            f"N → ∞ (lines), means of {samples} runs with N = {size} (points). {_verdict(comparisons)}",
        ),
        figures=[
            Figure(
                "schemes",
                picture,
                "Top: learning curves of all schemes. Bottom: relaxation times against α and against b; times "
                f"beyond {steps} steps are not shown.",
            )
        ],
        tables=[
            Table(
                Markup(
                    f"Relaxation time τ in steps (Δ &lt; {level:g}) at η = {learning_rate:g}, "
                    f"m<sub>0</sub> = {magnetization:g}; first: the scheme that recovers first, and its time over Bernoulli’s."
                ),
                ["α", "b", *names, "first"],
                [_row(times, a, b, names, steps) for a in alphas for b in fractions],
            )
        ],
        data={"schemes_times": _dataset(times, alphas, fractions, names)}
        | {f"schemes_theory_{name}": run for name, run in theories.items()}
        | {f"schemes_simulation_{name}": run for name, run in data.items()},
        parameters={
            "alphas": alphas,
            "batch_fractions": fractions,
            "level": level,
            "steps": steps,
            "algorithm": options,
            "start": start,
            "learning_curves": {
                "model": model,
                "start": curve_start,
                "steps": curve_steps,
                "size": size,
                "samples": samples,
                "seeds": list(range(len(curves))),
            },
        },
    )


def relaxation(
    alpha: float, algorithm: sg.Descent, start: sg.Start, *, level: float, steps: int, **options: Any
) -> float:
    """Relaxation time of the talk's model: inf if the run does not get there, NaN if it diverges."""
    model, save, stop = sg.GaussianLeastSquares(alpha=alpha), sg.Save(two_time=0), sg.Recovered(distance=level)
    common = {"steps": steps, "start": start, "save": save, "stop": stop}
    run = sg.solve(model, algorithm, strict=False, **common, **options)
    return math.nan if run.status is sg.Status.DIVERGED else sg.relaxation_time(run, level)


_Times = Mapping[tuple[float, float, str], float]


def _schemes(fraction: float) -> dict[str, sg.Batches]:
    """Every scheme of the registry that has this batch fraction."""
    found = {name: cls.at_fraction(fraction) for name, cls in sg.Batches.registry.items()}
    return {name: scheme for name, scheme in found.items() if scheme is not None}


def _grid(alphas: Sequence[float], fractions: Sequence[float]) -> dict[tuple[float, float, str], sg.Batches]:
    """(alpha, b, name) -> scheme, with full batch at b = 1."""
    grid: dict[tuple[float, float, str], sg.Batches] = {}
    for alpha in alphas:
        grid[alpha, 1.0, _FULL] = sg.FullBatch()
        grid |= {(alpha, b, name): scheme for b in fractions if b < 1 for name, scheme in _schemes(b).items()}
    return grid


def _along(times: _Times, name: str, *, alpha: float | None = None, fraction: float | None = None) -> np.ndarray:
    """Rows (alpha or b, tau) of one scheme; full batch, at b = 1, stands beside every fraction."""
    rows = [
        (b if alpha is not None else a, tau)
        for (a, b, other), tau in times.items()
        if other == name and alpha in (None, a) and (fraction in (None, b) or name == _FULL)
    ]
    return np.array(sorted(rows)).reshape(-1, 2)


def _times(panel, curves: Mapping[str, np.ndarray], colors: Mapping[str, str], label: str, title: str) -> None:
    for name, points in curves.items():
        seen = points[np.isfinite(points[:, 1])]
        panel.plot(seen[:, 0], seen[:, 1], "o-", ms=4.5, lw=1.4, mfc="white", color=colors[name], label=name)
    dress(panel, label, r"relaxation time $\tau$ (steps)", log="y", legend={}, title=title)
    panel.margins(x=0.05)


def _settings(times: _Times) -> dict[tuple[float, float], dict[str, float]]:
    """(alpha, b) -> times of the schemes that recover there, for each b < 1."""
    settings: dict[tuple[float, float], dict[str, float]] = {}
    for (alpha, b, name), tau in times.items():
        if b < 1 and math.isfinite(tau):
            settings.setdefault((alpha, b), {})[name] = tau
    return settings


def _finding(times: _Times) -> str:
    """What the times say on which scheme is first, and no more than that."""
    settings = {key: found for key, found in _settings(times).items() if "Bernoulli" in found and len(found) > 1}
    if not settings:
        return "In none of these settings do two schemes recover, so nothing is said about their order."
    wins: dict[str, list[float]] = {}
    for found in settings.values():
        first = min(found, key=found.__getitem__)
        wins.setdefault(first, []).append(found[first] / found["Bernoulli"])
    parts = [
        f"{name} in {len(ratios)} ({_range(ratios)} of the time of Bernoulli)"
        for name, ratios in sorted(wins.items(), key=lambda item: -len(item[1]))
    ]
    return f"Of {len(settings)} settings (α, b), the first to recover is {'; '.join(parts)}."


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _verdict(comparisons: Mapping[str, sg.Comparison]) -> str:
    bad = [name for name, found in comparisons.items() if not found.consistent]
    worst = max(abs(found.worst.z) for found in comparisons.values())
    bound = max(found.threshold for found in comparisons.values())
    if not bad:
        return (
            f"All consistent with chance at a false-alarm rate of 0.1 % per scheme (largest |z| {worst:.1f}, bound "
            f"{bound:.1f})."
        )
    return (
        f"<b>Not consistent with chance</b> at a false-alarm rate of 0.1 % per scheme: {', '.join(bad)} (largest |z| "
        f"{worst:.1f}, bound {bound:.1f}); differences of order 1/N are real at this size."
    )


def _row(times: _Times, alpha: float, b: float, names: Sequence[str], steps: int) -> list[str]:
    cells = [times.get((alpha, 1.0 if name == _FULL else b, name)) for name in names]
    found = _settings(times).get((alpha, b), {})
    first = min(found, key=found.__getitem__) if found else ""
    ratio = f" ({found[first] / found['Bernoulli']:.2f})" if first and "Bernoulli" in found else ""
    return [f"{alpha:g}", f"{b:g}", *(_cell(tau, steps) for tau in cells), first + ratio]


def _cell(tau: float | None, steps: int) -> str:
    if tau is None:
        return "–"
    if math.isnan(tau):
        return "diverges"
    return f"{tau:.1f}" if math.isfinite(tau) else f"> {steps}"


def _dataset(times: _Times, alphas: Sequence[float], fractions: Sequence[float], names: Sequence[str]):
    import xarray as xr

    b = sorted({1.0, *fractions})
    table = np.array([[[times.get((a, f, name), math.nan) for name in names] for f in b] for a in alphas])
    return xr.Dataset(
        {"relaxation_time": (("alpha", "batch_fraction", "scheme"), table, {"units": "steps"})},
        {"alpha": list(alphas), "batch_fraction": b, "scheme": list(names)},
        provenance(),
    )


def summary(section: Section) -> str:
    """The table of the section as text for a terminal."""
    (table,) = section.tables
    rows = [table.head, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(["Relaxation times in steps", *lines])
