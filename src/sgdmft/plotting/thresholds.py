"""Pictures of thresholds: relaxation times, fits, growth of an infinitesimal overlap, finite size, phase diagrams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft.plotting.labels import name_of
from sgdmft.plotting.style import COLORS, OPEN, draw_points, dress, figure, palette, panel_of, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 7  # curves in one panel


def relaxation(
    times: Mapping[str, tuple[Any, Any]],
    fits: Mapping[str, Any] | None = None,
    *,
    axes: Axes | None = None,
    title: str = "",
) -> Axes:
    """Relaxation time tau against alpha, with fitted power laws and their thresholds.

    Parameters
    ----------
    times : label -> (alphas, taus); infinite ones are not shown
    fits : label -> fit, see `sgdmft.analysis.thresholds`
        Drawn over the window of its points; a mark and a band at the top of the axes are alpha* and its interval.
    """
    panel = panel_of(axes)
    colors = palette(list(times))
    for k, (name, (alphas, taus)) in enumerate(times.items()):
        x, y = np.asarray(alphas, dtype=float), np.asarray(taus, dtype=float)
        seen = np.isfinite(y)
        label = name if seen.any() else f"{name}: not recovered"
        panel.plot(x[seen], y[seen], "o", color=colors[name], label=label, zorder=3, **OPEN)
        fit = (fits or {}).get(name)
        if fit is not None:
            low, high = float(np.min(fit.alphas)), float(np.max(fit.alphas))
            inside = np.linspace(low, high, 200)
            panel.plot(inside, fit(inside), color=colors[name], lw=1.6)
            top = 1.0 - 0.028 * k
            panel.axvspan(*fit.interval, ymin=top - 0.022, ymax=top, color=colors[name], alpha=0.4, lw=0)
            panel.axvline(fit.threshold, ymin=top - 0.022, ymax=top, color=colors[name], lw=2)
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    panel.set_ylim(low, high * (high / low) ** 0.1)  # room for the marks
    legend = {"handlelength": 1.0} if times else None
    return dress(panel, r"$\alpha$", r"relaxation time $\tau$ (steps)", legend=legend, title=title)


def power_law_collapse(
    times: Mapping[str, tuple[Any, Any]], fits: Mapping[str, Any], *, axes: Axes | None = None
) -> Axes:
    """The same relaxation times against alpha - alpha*, on logarithmic axes, with the fitted laws."""
    panel = panel_of(axes)
    colors = palette(list(times))
    for name, fit in fits.items():
        x, y = (np.asarray(values, dtype=float) for values in times[name])
        distance = x - fit.threshold
        seen = np.isfinite(y) & (distance > 0)  # points outside the window are shown too
        panel.plot(distance[seen], y[seen], "o", color=colors[name], zorder=3, **OPEN)
        inside = np.linspace(float(np.min(fit.alphas)), float(np.max(fit.alphas)), 200)
        label = rf"{name}: $\nu={fit.exponent:.2f}$"
        panel.plot(inside - fit.threshold, fit(inside), color=colors[name], lw=1.6, label=label)
    legend = {} if fits else None
    return dress(panel, r"$\alpha - \alpha^*$", r"relaxation time $\tau$ (steps)", log="xy", legend=legend)


def threshold_against_fraction(answers: Sequence[Any], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Fitted thresholds alpha* against the batch fraction, a line with error bars for each start.

    Parameters
    ----------
    answers : sequence of `sgdmft.RecoveryThreshold`
        Of FullBatch and Bernoulli batches; refused ones are left out.
    """
    panel = panel_of(axes)
    groups = _by_start(answer for answer in answers if answer.fit is not None)
    for (m, mine), color in zip(groups.items(), shades(len(groups)), strict=True):
        x, y, bars = _fitted(sorted(mine, key=_fraction))
        panel.errorbar(x, y, bars, fmt="o-", lw=1.6, elinewidth=1.1, color=color, label=f"$m_0={m:g}$", **OPEN)
    dress(panel, "batch fraction $b$", r"fitted threshold $\alpha^*$", log="x", legend={}, title=title)
    panel.margins(x=0.05)
    return panel


def growth_exponents(growths: Mapping[str, Any], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Local exponent d log mu / d log t of an infinitesimal overlap against steps.

    Parameters
    ----------
    growths : label -> `sgdmft.Growth`
        Ordered, from light to dark.
    """
    panel = panel_of(axes)
    for (name, growth), color in zip(growths.items(), shades(len(growths)), strict=True):
        panel.plot(growth.time[1:], growth.exponent, "o-", ms=3, lw=1.6, color=color, label=name)
    panel.set_xscale("log")  # before the limits in y are read off
    panel.set_yscale("symlog", linthresh=0.01, linscale=0.5)
    least = min(growth.exponent.min() for growth in growths.values())
    panel.set_ylim(bottom=1.5 * min(least, 0.0))
    if least < 0:
        panel.axhline(0.0, color="#000000", lw=0.8, alpha=0.5)
    y = r"exponent $\mathrm{d}\log\mu/\mathrm{d}\log t$"
    return dress(panel, "steps $t$", y, legend={}, title=title)


def linear_intervals(answers: Mapping[str, Any], *, axes: Axes | None = None, title: str = "") -> Axes:
    """What becomes of an infinitesimal overlap: a row of all alphas tried for each algorithm, with their verdicts.

    Parameters
    ----------
    answers : label -> `sgdmft.LinearThreshold`
    """
    panel = panel_of(axes)
    styles = {"DECAYS": ("v", COLORS[1]), "UNDECIDED": ("o", "#999999"), "GROWS": ("^", COLORS[2])}
    for row, answer in enumerate(answers.values()):
        alphas = np.array(list(answer.growths))
        names = np.array([growth.verdict.name for growth in answer.growths.values()])
        ends = [alphas[0] if np.isnan(answer.decays_below) else answer.decays_below,
                alphas[-1] if np.isnan(answer.grows_above) else answer.grows_above]  # fmt: skip
        panel.plot([alphas[0], ends[0]], [row, row], color=COLORS[1], lw=6, alpha=0.35, solid_capstyle="butt")
        panel.plot([ends[1], alphas[-1]], [row, row], color=COLORS[2], lw=6, alpha=0.35, solid_capstyle="butt")
        for name, (marker, color) in styles.items():
            panel.plot(alphas[names == name], np.full((names == name).sum(), row), marker, ms=5, color=color, mfc="white",
                       label=name.lower() if row == 0 else None)  # fmt: skip
    panel.set_yticks(range(len(answers)), list(answers))
    panel.set_ylim(-0.6, len(answers) - 0.1)
    legend = {"ncols": 3, "handlelength": 1.0, "loc": "upper center", "columnspacing": 1.2}
    return dress(panel, r"$\alpha$", "", legend=legend, title=title)


def recovery_fraction(found: Any, theory: Any = None, *, axes: Axes | None = None) -> Axes:
    """Fraction of runs of finite size that recover, with intervals of 68 %, over the step of the theory.

    Parameters
    ----------
    found : `sgdmft.RecoverySteps`
    theory : `sgdmft.RelaxationTimes`, optional
        With times on both sides of the number of steps of the runs.
    """
    panel = panel_of(axes)
    if theory is not None:
        at, (low, high) = theory.alpha_at(found.setting.steps), (found.alphas[0], found.alphas[-1])
        panel.plot([low, at, at, high], [0, 0, 1, 1], color=COLORS[0], lw=1.8, label=r"theory, $N\to\infty$")
    for size, color, shift in _sizes(found):
        middle, ends = found.fraction(size), found.interval(size)
        bars = np.maximum([middle - ends[0], ends[1] - middle], 0.0)
        label = f"$N={size}$ ({found.runs[size].shape[1]} runs)"
        x = found.alphas + shift
        panel.errorbar(x, middle, bars, fmt="o-", lw=0.9, elinewidth=1.2, color=color, label=label, **OPEN)
    setting = found.setting
    title = rf"{name_of(setting.algorithm)},  {_rate(setting.algorithm)}$m_0={setting.start.magnetization:g}$"
    return dress(panel, r"$\alpha$", f"fraction recovered within {setting.steps} steps", legend={}, title=title)


def recovery_quartiles(found: Any, theory: Any = None, *, axes: Axes | None = None) -> Axes:
    """Steps by which a half of the runs of finite size has recovered (points), and a quarter and three (bars).

    Runs that do not recover count as later than all others: a bar that leaves the picture at the top has no upper end.
    `found` and `theory` are as in `recovery_fraction`; the theory is a line.
    """
    panel = panel_of(axes)
    steps = found.setting.steps
    if theory is not None:
        seen = np.isfinite(theory.times)
        panel.plot(theory.alphas[seen], theory.times[seen], color=COLORS[0], lw=1.8, label=r"theory, $N\to\infty$")
    for size, color, shift in _sizes(found):
        first, median, last = (found.quantile(size, p) for p in (0.25, 0.5, 0.75))
        panel.vlines(found.alphas + shift, first, np.minimum(last, 2 * steps), color=color, lw=1.2)
        panel.plot(found.alphas + shift, median, "o", color=color, label=f"$N={size}$", **OPEN)
    panel.axhline(steps, color="#777777", lw=0.8, ls=":")
    panel.set_xlim(found.alphas[0] - 0.03, found.alphas[-1] + 0.03)
    panel.set_ylim(0.0, 1.5 * steps)
    return dress(panel, r"$\alpha$", "step of recovery", legend={"loc": "lower left"})


def _sizes(found: Any) -> list[tuple[int, Any, float]]:
    """Each size with its colour, and a shift in alpha that keeps its points off the others'."""
    apart = 0.004 * float(np.ptp(found.alphas))
    sizes = sorted(found.runs)
    return [(n, COLORS[k + 1], apart * (2 * k - len(sizes) + 1)) for k, n in enumerate(sizes)]


def threshold_figure(answers: Sequence[Any]) -> Figure:
    """Relaxation times with their fits, a panel for each start, and alpha* against b where there are several b.

    Parameters
    ----------
    answers : sequence of `sgdmft.RecoveryThreshold`
    """
    groups = _by_start(answers)
    several = len({_fraction(answer) for answer in answers if answer.fit is not None}) > 1
    made, panels = figure(len(groups) + several, 1, width=4.6, height=3.6)
    for (m, mine), panel in zip(groups.items(), panels[0], strict=False):
        setting = mine[0].data.setting
        title = rf"{_rate(setting.algorithm)}$m_0={m:g}$,  $\tau$: first $\Delta<{setting.level:g}$"
        relaxation(*relaxation_curves(mine), axes=panel, title=title)
    if several:
        threshold_against_fraction(answers, axes=panels[0, -1])
    return made


def linear_threshold_figure(algorithms: Sequence[Any], answers: Sequence[Any]) -> Figure:
    """What is decided on an infinitesimal overlap, and the exponents that decide it, a panel for each algorithm.

    Parameters
    ----------
    algorithms, answers : sequences of equal length
        The `sgdmft.LinearThreshold` of each.
    """
    names = [name_of(algorithm) for algorithm in algorithms]
    made, panels = figure(1 + len(answers), 1, width=4.2, height=3.6)
    title = rf"{_rate(algorithms[0])}$m_0\to 0$,  up to {answers[0].steps} steps"
    linear_intervals(dict(zip(names, answers, strict=True)), axes=panels[0, 0], title=title)
    for name, answer, panel in zip(names, answers, panels[0, 1:], strict=True):
        alphas = np.array(list(answer.growths))
        even = np.linspace(alphas[0], alphas[-1], _SHOWN)
        shown = alphas[np.unique(np.abs(alphas - even[:, None]).argmin(axis=1))]
        growth_exponents({rf"$\alpha={a:.4g}$": answer.growths[a] for a in shown}, axes=panel, title=name)
    return made


def relaxation_curves(answers: Sequence[Any]) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
    """What `relaxation` draws of `sgdmft.RecoveryThreshold`s: times near the fitted window, and the fits, by label."""
    curves = {}
    for answer in answers:
        near = answer.data.times > answer.window[0] / 3  # far above the threshold nothing happens
        curves[name_of(answer.data.setting.algorithm)] = answer.data.alphas[near], answer.data.times[near]
    laws = {name_of(answer.data.setting.algorithm): answer.fit for answer in answers if answer.fit is not None}
    return curves, laws


def descent_diagram(
    answers: Sequence[Any],
    limits: Mapping[float, Mapping[int, Any]],
    stable: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    *,
    axes: Axes | None = None,
    title: str = "",
) -> Axes:
    """The (alpha, b) plane: fitted thresholds, growth of an infinitesimal overlap, stability of the signal.

    Parameters
    ----------
    answers : sequence of `sgdmft.RecoveryThreshold`
        One start.
    limits : batch fraction -> steps -> `sgdmft.LinearThreshold`
        For each number of steps a line from which on the overlap is seen to grow.
    stable : (alphas, fractions, margin of stability of the signal, of shape (fractions, alphas))
        Where it is negative, the plane is grey.
    """
    panel = panel_of(axes)
    if stable is not None:
        alphas, fractions, margin = stable
        panel.contourf(alphas, fractions, margin, levels=[-np.inf, 0.0], colors=["#000000"], alpha=0.12)
    lengths = sorted({steps for row in limits.values() for steps in row})
    fractions = sorted(limits)
    for steps, color in zip(lengths, shades(len(lengths)), strict=True):
        edge = [limits[b][steps].grows_above for b in fractions]
        panel.plot(edge, fractions, "s-", ms=4, lw=1.6, color=color, label=rf"$m_0\to 0$ seen to grow in {steps} steps")
    fitted = [answer for answer in answers if answer.fit is not None]
    y, x, bars = _fitted(fitted)
    label = f"fitted, $m_0={fitted[0].data.setting.start.magnetization:g}$" if fitted else None
    panel.errorbar(x, y, xerr=bars, fmt="o", elinewidth=1.1, color=COLORS[2], label=label, **OPEN)
    panel.set_yscale("log")
    panel.set_ylim(None, 1.3 * max(fractions, default=1.0))
    return dress(panel, r"$\alpha$", "batch fraction $b$", legend={"fontsize": 8, "loc": "center right"}, title=title)


def recovery_diagram(
    overlaps: Mapping[str, tuple[Any, Any]],
    thresholds: Mapping[str, tuple[float, float, float]],
    points: Mapping[str, tuple[Any, Any, Any]] | None = None,
    *,
    axes: Axes | None = None,
    title: str = "",
) -> Axes:
    """Squared overlap of estimators with the signal against alpha, over a strip of thresholds.

    Parameters
    ----------
    overlaps : label -> (alphas, squared overlaps), lines
    thresholds : label -> (alpha, low, high), one row each above the lines
    points : label of a line -> (alphas, squared overlaps, standard errors), from simulation
    """
    panel = panel_of(axes)
    colors = palette(list(overlaps))
    for name, (x, y) in overlaps.items():
        panel.plot(x, y, color=colors[name], lw=1.8, label=name)
    for name, (x, y, error) in (points or {}).items():
        draw_points(panel, x, y, error, colors[name])
    for row, (name, (value, low, high)) in enumerate(thresholds.items()):
        height = 1.12 + 0.11 * row
        panel.plot([low, high], [height, height], color="#777777", lw=4, alpha=0.5, solid_capstyle="butt")
        panel.plot([value], [height], "|", color="#222222", ms=9, mew=1.6)
        panel.annotate(name, (high, height), (6, 0), textcoords="offset points", va="center", fontsize=8)
    panel.axhline(1.05, color="#cccccc", lw=0.8)
    panel.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    panel.set_ylim(-0.02, 1.12 + 0.11 * len(thresholds))
    legend = {"fontsize": 8, "loc": "lower right"}
    return dress(panel, r"$\alpha$", "squared overlap with the signal", legend=legend, title=title)


def satisfiability_diagram(
    targets: Any,
    lines: Mapping[str, Any],
    *,
    regions: Sequence[tuple[float, float, str]] = (),
    axes: Axes | None = None,
) -> Axes:
    """Phase boundaries in alpha against the target of a constant-target model, with names written into the phases."""
    panel = panel_of(axes)
    colors = palette(list(lines))
    for k, (name, alphas) in enumerate(lines.items()):
        panel.plot(targets, alphas, "--" if k == 0 else "-", color=colors[name], lw=1.8, label=name)
    for x, y, text in regions:
        panel.text(x, y, text, ha="center", va="center", fontsize=8)
    return dress(panel, "target $y$", r"$\alpha$", legend={"fontsize": 8, "handlelength": 1.6})


def _rate(algorithm: Any) -> str:
    return rf"$\eta={algorithm.learning_rate:g}$,  " if isinstance(algorithm.learning_rate, float) else ""


def _fraction(answer: Any) -> float:
    return answer.data.setting.algorithm.batch_fraction


def _by_start(answers: Iterable[Any]) -> dict[float, list[Any]]:
    groups: dict[float, list[Any]] = {}
    for answer in answers:
        groups.setdefault(answer.data.setting.start.magnetization, []).append(answer)
    return groups


def _fitted(answers: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """b, alpha*, and the lower and upper ends of its error bars."""
    b, threshold = (
        np.array(values) for values in ([_fraction(a) for a in answers], [a.fit.threshold for a in answers])
    )
    return b, threshold, np.abs(np.array([a.fit.interval for a in answers]).T.reshape(2, -1) - threshold)
