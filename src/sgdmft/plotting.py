"""Pictures of trajectories on matplotlib axes: theory as lines, simulations as points with error bars.

Every function takes the axes to draw on (new ones where none are given) and returns them. Nothing global is set, not
the backend and not the style; matplotlib is imported when a picture is drawn. Colours are those of Okabe and Ito, which
readers with any colour vision tell apart; equal algorithms have equal colours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft.batches import Bernoulli, FullBatch
from sgdmft.errors import InvalidArgument
from sgdmft.models import Teacher
from sgdmft.trajectory import QUANTITIES, Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sgdmft.aging import Decay, FluctuationDissipation
    from sgdmft.landscape import Spectrum

#: Okabe and Ito's colours, darkest first; yellow is left out, being too light on white.
COLORS = ("#222222", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

#: Batch fraction -> index of its colour, the same in all pictures.
_FRACTION_COLORS: dict[float | None, int] = {1.0: 0, 0.5: 1, 0.2: 2, 0.1: 3, 0.05: 4, 0.3: 5}
_POINTS = 22  # simulation points along a curve
_LOGARITHMIC = ("loss", "distance", "generalization_error")
_FLOOR = 1e-12  # below it a loss or a distance is rounding noise


def figure(columns: int = 1, rows: int = 1, *, width: float = 4.2, height: float = 3.3) -> tuple[Figure, np.ndarray]:
    """A figure made without pyplot, for files, and its axes of shape (rows, columns)."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return made, made.subplots(rows, columns, squeeze=False)


def learning_curves(
    *trajectories: Trajectory,
    axes: Sequence[Axes] | np.ndarray | None = None,
    quantities: Sequence[str] = ("loss", "magnetization", "distance"),
    labels: Sequence[str] | None = None,
) -> np.ndarray:
    """One-time quantities against steps.

    Parameters
    ----------
    trajectories : Trajectory
        Theories become lines; simulations become points with bars of one standard error.
    axes : one for each of the quantities
    quantities : names from `sgdmft.trajectory.QUANTITIES`
    labels : one for each trajectory; default the algorithm, said once for theory and simulation

    Returns
    -------
    ndarray of Axes
    """
    panels = _panels(axes, len(quantities))
    names = list(labels) if labels is not None else [algorithm_label(run) for run in trajectories]
    if len(names) != len(trajectories):
        raise InvalidArgument(f"There are {len(trajectories)} trajectories, but {len(names)} labels.")
    colors = palette(names)
    for quantity, panel in zip(quantities, panels, strict=True):
        for run, name in zip(trajectories, names, strict=True):
            _curve(panel, run, quantity, colors[name])
        _dress(panel, "steps $t$", QUANTITIES[quantity][1])
        panel.set_xscale("log")
        if quantity in _LOGARITHMIC:
            panel.set_yscale("log")
    _legend(panels[0], names, trajectories, colors)
    panels[0].set_title(setting(trajectories), loc="left", fontsize=9)
    return panels


def two_time(
    *trajectories: Trajectory,
    waiting: Sequence[int],
    axes: Axes | None = None,
    quantity: str = "correlation",
    normalized: bool = False,
) -> Axes:
    """C(t_w + tau, t_w) against tau, a colour for each waiting time; theories are lines, simulations points.

    Parameters
    ----------
    waiting : waiting times t_w
        Each must be among the saved times of every trajectory: pass them in `Save(two_time=...)`.
    quantity : 'correlation' or 'response'
    normalized : bool
        Divide by sqrt(C(t_w + tau, t_w + tau) C(t_w, t_w)): of C that is the cosine of the angle between the weight
        vectors at the two times, and is written with a hat.

    Raises
    ------
    InvalidArgument
        When a waiting time was not saved.
    """
    (panel,) = _panels(None if axes is None else [axes], 1)
    shades = _shades(len(waiting))
    for run in trajectories:
        values, errors = run[quantity], run.error(quantity)
        for start, color in zip(waiting, shades, strict=True):
            column = np.flatnonzero(run.two_time == start)
            if len(column) == 0:
                saved = run.two_time
                near = f"the nearest is {saved[np.argmin(np.abs(saved - start))]}" if len(saved) else "none were saved"
                raise InvalidArgument(f"The waiting time {start} is not among the saved times; {near}.")
            j = int(column[0])
            lag = run.two_time[j + 1 :] - start
            norms = np.diagonal(run["correlation"])
            scale = np.sqrt(norms[j + 1 :] * norms[j]) if normalized else 1.0
            curve, bars = values[j + 1 :, j] / scale, errors[j + 1 :, j] / scale
            if run.kind == "simulation":
                keep = _thinned(lag)
                _points(panel, lag[keep], curve[keep], bars[keep], color)
            else:
                panel.plot(lag, curve, color=color, lw=1.8, label=f"$t_w = {start}$")
    panel.set_xscale("log")
    symbol = {"correlation": "C", "response": "R"}[quantity]
    hat = rf"\hat {symbol}" if normalized else symbol
    _dress(panel, r"$\tau$ (steps)", rf"${hat}(t_w+\tau,\,t_w)$")
    panel.legend(frameon=False, fontsize=9, handlelength=1.4)
    panel.set_title(setting(trajectories), loc="left", fontsize=9)
    return panel


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
    fits : label -> fit, see `sgdmft.thresholds`
        Drawn over the window of its points; a mark and a band at the top of the axes are alpha* and its interval.
    """
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(times))
    for k, (name, (alphas, taus)) in enumerate(times.items()):
        x, y = np.asarray(alphas, dtype=float), np.asarray(taus, dtype=float)
        seen = np.isfinite(y)
        panel.plot(x[seen], y[seen], "o", ms=4.5, color=colors[name], mfc="white", mew=1.3, label=name, zorder=3)
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
    _dress(panel, r"$\alpha$", r"relaxation time $\tau$ (steps)")
    if times:
        panel.legend(frameon=False, fontsize=9, handlelength=1.0)
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def power_law_collapse(
    times: Mapping[str, tuple[Any, Any]], fits: Mapping[str, Any], *, axes: Axes | None = None
) -> Axes:
    """The same relaxation times against alpha - alpha*, on logarithmic axes, with the fitted laws."""
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(times))
    for name, fit in fits.items():
        x, y = (np.asarray(values, dtype=float) for values in times[name])
        distance = x - fit.threshold
        seen = np.isfinite(y) & (distance > 0)  # points outside the window are shown too
        panel.plot(distance[seen], y[seen], "o", ms=4.5, color=colors[name], mfc="white", mew=1.3, zorder=3)
        inside = np.linspace(float(np.min(fit.alphas)), float(np.max(fit.alphas)), 200)
        panel.plot(
            inside - fit.threshold, fit(inside), color=colors[name], lw=1.6, label=rf"{name}: $\nu={fit.exponent:.2f}$"
        )
    panel.set_xscale("log")
    panel.set_yscale("log")
    _dress(panel, r"$\alpha - \alpha^*$", r"relaxation time $\tau$ (steps)")
    if fits:
        panel.legend(frameon=False, fontsize=9, handlelength=1.4)
    return panel


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
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(overlaps))
    for name, (x, y) in overlaps.items():
        panel.plot(x, y, color=colors[name], lw=1.8, label=name)
    for name, (x, y, error) in (points or {}).items():
        _points(panel, x, y, error, colors[name])
    for row, (name, (value, low, high)) in enumerate(thresholds.items()):
        height = 1.12 + 0.11 * row
        panel.plot([low, high], [height, height], color="#777777", lw=4, alpha=0.5, solid_capstyle="butt")
        panel.plot([value], [height], "|", color="#222222", ms=9, mew=1.6)
        panel.annotate(name, (high, height), (6, 0), textcoords="offset points", va="center", fontsize=8)
    panel.axhline(1.05, color="#cccccc", lw=0.8)
    _dress(panel, r"$\alpha$", "squared overlap with the signal")
    panel.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    panel.set_ylim(-0.02, 1.12 + 0.11 * len(thresholds))
    panel.legend(frameon=False, fontsize=8, handlelength=1.4, loc="lower right")
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def satisfiability_diagram(
    targets: Any,
    lines: Mapping[str, Any],
    *,
    regions: Sequence[tuple[float, float, str]] = (),
    axes: Axes | None = None,
) -> Axes:
    """Phase boundaries in alpha against the target of a constant-target model, with names written into the phases."""
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(lines))
    for k, (name, alphas) in enumerate(lines.items()):
        panel.plot(targets, alphas, "--" if k == 0 else "-", color=colors[name], lw=1.8, label=name)
    for x, y, text in regions:
        panel.text(x, y, text, ha="center", va="center", fontsize=8)
    _dress(panel, "target $y$", r"$\alpha$")
    panel.legend(frameon=False, fontsize=8, handlelength=1.6)
    return panel


def threshold_against_fraction(answers: Sequence[Any], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Fitted thresholds alpha* against the batch fraction, a line with error bars for each start.

    Parameters
    ----------
    answers : sequence of `sgdmft.RecoveryThreshold`
        Of FullBatch and Bernoulli batches; refused ones are left out.
    """
    (panel,) = _panels(None if axes is None else [axes], 1)
    fitted = [answer for answer in answers if answer.fit is not None]
    starts = list(dict.fromkeys(answer.data.setting.start.magnetization for answer in fitted))
    for m, color in zip(starts, _shades(len(starts)), strict=True):
        mine = [answer for answer in fitted if answer.data.setting.start.magnetization == m]
        mine.sort(key=lambda answer: _fraction(answer))
        x = np.array([_fraction(answer) for answer in mine])
        y = np.array([answer.fit.threshold for answer in mine])
        bars = np.abs(np.array([answer.fit.interval for answer in mine]).T - y)
        panel.errorbar(
            x,
            y,
            bars,
            fmt="o-",
            ms=4.5,
            mfc="white",
            mew=1.3,
            lw=1.6,
            elinewidth=1.1,
            color=color,
            label=f"$m_0={m:g}$",
        )
    panel.set_xscale("log")
    _dress(panel, "batch fraction $b$", r"fitted threshold $\alpha^*$")
    panel.margins(x=0.05)
    panel.legend(frameon=False, fontsize=9, handlelength=1.4)
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def growth_exponents(growths: Mapping[str, Any], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Local exponent d log mu / d log t of an infinitesimal overlap against steps.

    Parameters
    ----------
    growths : label -> `sgdmft.Growth`
        Ordered, from light to dark.
    """
    (panel,) = _panels(None if axes is None else [axes], 1)
    for (name, growth), color in zip(growths.items(), _shades(len(growths)), strict=True):
        panel.plot(growth.time[1:], growth.exponent, "o-", ms=3, lw=1.6, color=color, label=name)
    panel.set_xscale("log")
    panel.set_yscale("symlog", linthresh=0.01, linscale=0.5)
    if min(growth.exponent.min() for growth in growths.values()) >= 0:
        panel.set_ylim(bottom=0.0)
    else:
        panel.axhline(0.0, color="#000000", lw=0.8, alpha=0.5)
    _dress(panel, "steps $t$", r"exponent $\mathrm{d}\log\mu/\mathrm{d}\log t$")
    panel.legend(frameon=False, fontsize=9, handlelength=1.4)
    panel.set_title(title, loc="left", fontsize=9)
    return panel


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
    stable : (alphas, fractions, whether the signal is stable, of shape (fractions, alphas))
        Where it is not, the plane is grey.
    """
    (panel,) = _panels(None if axes is None else [axes], 1)
    if stable is not None:
        alphas, fractions, inside = stable
        panel.contourf(alphas, fractions, ~inside, levels=[0.5, 1.5], colors=["#000000"], alpha=0.12)
    lengths = sorted({steps for row in limits.values() for steps in row})
    fractions = sorted(limits)
    for steps, color in zip(lengths, _shades(len(lengths)), strict=True):
        edge = [limits[b][steps].grows_above for b in fractions]
        panel.plot(edge, fractions, "s-", ms=4, lw=1.6, color=color, label=rf"$m_0\to 0$ seen to grow in {steps} steps")
    fitted = [answer for answer in answers if answer.fit is not None]
    y, x = np.array([_fraction(a) for a in fitted]), np.array([a.fit.threshold for a in fitted])
    bars = np.abs(np.array([a.fit.interval for a in fitted]).T.reshape(2, -1) - x)
    label = f"fitted, $m_0={fitted[0].data.setting.start.magnetization:g}$" if fitted else None
    panel.errorbar(x, y, xerr=bars, fmt="o", ms=4.5, mfc="white", mew=1.3, elinewidth=1.1, color=COLORS[2], label=label)
    panel.set_yscale("log")
    _dress(panel, r"$\alpha$", "batch fraction $b$")
    panel.legend(frameon=False, fontsize=8, handlelength=1.4)
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def _fraction(answer: Any) -> float:
    return float(answer.data.setting.algorithm.batches.fractions(1)[0])


def z_scores(comparisons: Mapping[str, Any], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Standardized differences between simulation and theory against steps, over the band that a right theory stays in.

    Parameters
    ----------
    comparisons : label -> `sgdmft.Comparison`
        All with the same threshold (same number of entries, samples and false-alarm rate); the band is the widest.
    """
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(comparisons))
    bound = max(found.threshold for found in comparisons.values())
    panel.axhspan(-bound, bound, color="#000000", alpha=0.07, lw=0)
    panel.axhline(0.0, color="#000000", lw=0.8, alpha=0.5)
    for k, (name, found) in enumerate(comparisons.items()):
        shift = 1.025 ** (k - (len(comparisons) - 1) / 2)  # side by side, not on top of each other
        steps = np.array([score.time for score in found.scores]) * shift
        panel.plot(steps, [score.z for score in found.scores], "o", ms=3.6, alpha=0.8, color=colors[name], label=name)
    panel.set_xscale("log")
    reach = 1.35 * max(bound, *(abs(found.worst.z) for found in comparisons.values()))
    panel.set_ylim(-reach, reach)
    _dress(panel, "steps $t$", "$z$-score")
    panel.legend(frameon=False, fontsize=9, ncols=4, handlelength=0.8, loc="upper left")
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def replica_overlap(
    pairs: Mapping[str, tuple[Trajectory, Trajectory]], *, axes: Axes | None = None, title: str = ""
) -> Axes:
    """C12(t,t)/C(t,t) of two runs on the same data: label -> (theory, simulation at its saved two-times)."""
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(pairs))
    for name, (theory, data) in pairs.items():
        panel.plot(
            theory.time[1:], (theory["replica_overlap"] / theory.norm)[1:], color=colors[name], lw=1.8, label=name
        )
        norm, overlap = np.diag(data.correlation), np.diag(data["replica_correlation"])
        error = np.diag(data.error("replica_correlation")) / norm
        shown = data.two_time > 0
        _points(panel, data.two_time[shown], (overlap / norm)[shown], error[shown], colors[name])
    panel.set_xscale("log")
    _dress(panel, "steps $t$", r"$C_{12}(t,t)/C(t,t)$")
    panel.legend(frameon=False, fontsize=9, handlelength=1.4)
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def decays(curves: Sequence[Decay], *, axes: Axes | None = None, exponent: float = 0.0, title: str = "") -> Axes:
    """q(t_w + tau, t_w) of `sgdmft.aging` against tau / t_w^exponent, from light to dark with growing t_w."""
    (panel,) = _panels(None if axes is None else [axes], 1)
    for curve, color in zip(curves, _shades(len(curves)), strict=True):
        label = rf"$t_w={curve.waiting_time}$"
        panel.plot(curve.lag / curve.waiting_time**exponent, curve.correlation, color=color, lw=1.6, label=label)
    panel.set_xscale("log")
    scale = {0.0: r"$\tau$ (steps)", 1.0: r"$\tau/t_w$"}.get(exponent, rf"$\tau/t_w^{{{exponent:.2f}}}$")
    _dress(panel, scale, r"$\hat C(t_w+\tau,t_w)$")
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def fluctuation_dissipation(
    plots: Mapping[str, FluctuationDissipation], *, axes: Axes | None = None, title: str = ""
) -> Axes:
    """chi(t,t_w) against C(t,t_w)/C(t,t) at fixed t; the slope times C(t,t) is -1/T_eff."""
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(plots))
    for name, plot in plots.items():
        normalized = plot.correlation / plot.correlation[-1]
        panel.plot(normalized, plot.integrated_response, ".-", ms=3, lw=1.4, color=colors[name], label=name)
    _dress(panel, r"$C(t,t_w)/C(t,t)$", r"$\chi(t,t_w)$")
    panel.legend(frameon=False, fontsize=9, handlelength=1.4)
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def spectrum(
    expected: Spectrum, *, measured: np.ndarray | None = None, axes: Axes | None = None, bins: int = 40, title: str = ""
) -> Axes:
    """The Hessian's law of eigenvalues as a line, its outliers as ticks, and measured eigenvalues as a histogram."""
    (panel,) = _panels(None if axes is None else [axes], 1)
    edges = expected.bulk.edges
    if measured is not None:
        panel.hist(np.ravel(measured), bins=bins, density=True, color=COLORS[6], alpha=0.6, label="simulation")
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        z = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.linspace(0.0, np.pi, 300))
        panel.plot(z, expected.bulk.density(z), color=COLORS[0], lw=1.6)
    top = panel.get_ylim()[1]
    for outlier in expected.outliers:
        panel.annotate(
            "", (outlier.eigenvalue, 0.0), (outlier.eigenvalue, 0.22 * top),
            arrowprops={"arrowstyle": "->", "color": COLORS[2], "lw": 1.6},
        )  # fmt: skip
    panel.axvline(0.0, color="#000000", lw=0.8, alpha=0.4)
    panel.set_ylim(0.0, top)
    _dress(panel, r"eigenvalue $\lambda$", r"density $\rho(\lambda)$")
    panel.set_title(title, loc="left", fontsize=9)
    return panel


def lowest_eigenvalues(edges: Mapping[str, tuple[Any, Any]], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Minus the lower edge of the Hessian's bulk against steps: label -> (steps, lower edge)."""
    (panel,) = _panels(None if axes is None else [axes], 1)
    colors = palette(list(edges))
    for name, (steps, edge) in edges.items():
        panel.plot(steps, -np.asarray(edge), color=colors[name], lw=1.8, label=name)
    panel.set_xscale("log")
    panel.set_yscale("log")
    _dress(panel, "steps $t$", r"$-\lambda_{\min}$ of the bulk")
    panel.legend(frameon=False, fontsize=9, handlelength=1.4)
    panel.set_title(title, loc="left", fontsize=9)
    return panel


# -- names and colours -------------------------------------------------------------------------------------------------


def algorithm_label(run: Trajectory) -> str:
    """What tells the algorithm from others in a legend: b for the talk's SGD, the scheme for the rest."""
    algorithm = run.algorithm
    if algorithm is None:
        return run.kind
    if isinstance(algorithm.batches, FullBatch):
        return "gradient descent, $b=1$"
    if isinstance(algorithm.batches, Bernoulli) and isinstance(algorithm.batches.fraction, float):
        return f"SGD, $b={algorithm.batches.fraction:g}$"
    return repr(algorithm.batches)


def setting(trajectories: Sequence[Trajectory]) -> str:
    """What the trajectories share: alpha, eta, m_0, label noise and, for simulations, N and the number of samples."""
    runs = [run for run in trajectories if run.model is not None and run.algorithm is not None]
    if not runs:
        return ""
    entries = [_setting(run) for run in runs]
    shared = [text for text in entries[0] if all(text in other for other in entries)]
    sizes = sorted(
        {(run.dataset.attrs["size"], run.dataset.attrs["samples"]) for run in runs if "size" in run.dataset.attrs}
    )
    shared += [f"$N={size}$ ({samples} samples)" for size, samples in sizes]
    return ",  ".join(shared)


def _setting(run: Trajectory) -> list[str]:
    parts = [rf"$\alpha={run.model.alpha:g}$"]
    if isinstance(run.algorithm.learning_rate, float):
        parts.append(rf"$\eta={run.algorithm.learning_rate:g}$")
    if run.start is not None:
        parts.append(rf"$m_0={run.start.magnetization:g}$")
    if isinstance(run.model.labels, Teacher):
        parts += [rf"label noise ${run.model.labels.noise:g}$"] if run.model.labels.noise else []
    else:
        parts.append(rf"target ${run.model.labels.value:g}$")
    return parts


def palette(names: Sequence[str]) -> dict[str, str]:
    """A colour for each different name: its own for each usual batch fraction, else in the order of first appearance.

    >>> palette(["SGD, b = 0.2"])["SGD, b = 0.2"] == palette(["$b=0.2$"])["$b=0.2$"]
    True
    """
    different = list(dict.fromkeys(names))
    fractions = [re.search(r"\bb\s*=\s*([0-9.]+)", name) for name in different]
    usual = [float(found[1]) if found else None for found in fractions]
    if len(set(usual)) == len(different) and set(usual) <= set(_FRACTION_COLORS):
        return {name: COLORS[_FRACTION_COLORS[b]] for name, b in zip(different, usual, strict=True)}
    return {name: COLORS[k % len(COLORS)] for k, name in enumerate(different)}


def _shades(count: int) -> list[Any]:
    """Ordered colours for ordered things, from light to dark."""
    import matplotlib

    return list(matplotlib.colormaps["viridis"](np.linspace(0.85, 0.0, count)))


# -- drawing -----------------------------------------------------------------------------------------------------------


def _panels(axes: Sequence[Axes] | np.ndarray | None, count: int) -> np.ndarray:
    if axes is None:
        from matplotlib import pyplot

        return pyplot.subplots(1, count, figsize=(4.2 * count, 3.3), layout="constrained", squeeze=False)[1][0]
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(panels) != count:
        raise InvalidArgument(f"{count} axes are needed, one for each quantity, but {len(panels)} were given.")
    return panels


def _curve(panel: Axes, run: Trajectory, quantity: str, color: str) -> None:
    time, values, errors = run.time, run[quantity], run.error(quantity)
    shown = (time > 0) & np.isfinite(values)
    if quantity in _LOGARITHMIC:
        shown &= values > _FLOOR
    time, values, errors = time[shown], values[shown], errors[shown]
    if run.kind == "simulation":
        keep = _thinned(time)
        _points(panel, time[keep], values[keep], errors[keep], color)
    else:
        panel.plot(time, values, color=color, lw=1.8)


def _points(panel: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray, color: Any) -> None:
    panel.errorbar(x, y, error, fmt="o", ms=4, color=color, mfc="white", mew=1.1, elinewidth=1.1, capsize=0, zorder=3)


def _thinned(times: np.ndarray) -> np.ndarray:
    """Indices of about evenly spaced times on a logarithmic axis."""
    if len(times) <= _POINTS:
        return np.arange(len(times))
    wanted = np.geomspace(times[0], times[-1], _POINTS)
    return np.unique(np.searchsorted(times, wanted).clip(0, len(times) - 1))


def _legend(panel: Axes, names: Sequence[str], runs: Sequence[Trajectory], colors: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, lw=1.8, label=name) for name, color in colors.items()]
    if {run.kind for run in runs} == {"theory", "simulation"}:
        handles.append(Line2D([], [], color="#777777", lw=1.8, label=r"theory, $N\to\infty$"))
        style = {"marker": "o", "ms": 4, "mfc": "white", "mew": 1.1, "lw": 0}
        handles.append(Line2D([], [], color="#777777", label="simulation", **style))
    panel.legend(handles=handles, frameon=False, fontsize=9, handlelength=1.4)


def _dress(panel: Axes, x: str, y: str) -> None:
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(which="both", direction="out")
    panel.margins(x=0.02)
