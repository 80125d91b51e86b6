"""Pictures of runs: learning curves, two-time functions, z-scores, aging, the Hessian along a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft.errors import InvalidArgument
from sgdmft.plotting.labels import labels as labels_of, setting
from sgdmft.plotting.style import COLORS, draw_points, dress, palette, panel_of, panels_of, shades, thinned
from sgdmft.run.rounding import FLOOR
from sgdmft.run.trajectory import QUANTITIES, Trajectory, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sgdmft.analysis.aging import Decay, FluctuationDissipation
    from sgdmft.analysis.landscape import Spectrum

_LOGARITHMIC = ("loss", "distance", "generalization_error")


def learning_curves(
    *trajectories: Trajectory,
    axes: Sequence[Axes] | np.ndarray | None = None,
    quantities: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> np.ndarray:
    """One-time quantities against time.

    Parameters
    ----------
    trajectories : Trajectory
        Theories become lines; simulations become points with bars of one standard error.
    axes : one for each of the quantities
    quantities : names from `sgdmft.run.trajectory.QUANTITIES`
        By default loss, magnetization and distance, as far as every trajectory holds them.
    labels : one for each trajectory; default what differs between them, said once for theory and simulation

    Returns
    -------
    ndarray of Axes
    """
    if quantities is None:
        known = ("loss", "magnetization", "distance")
        quantities = [name for name in known if all(name in run for run in trajectories)]
    unit, panels = time_unit(*trajectories), panels_of(axes, len(quantities))
    names = list(labels) if labels is not None else labels_of(trajectories)
    if len(names) != len(trajectories):
        raise InvalidArgument(f"There are {len(trajectories)} trajectories, but {len(names)} labels.")
    colors = palette(names)
    for quantity, panel in zip(quantities, panels, strict=True):
        for run, name in zip(trajectories, names, strict=True):
            _curve(panel, run, quantity, colors[name])
        log, first = "xy" if quantity in _LOGARITHMIC else "x", panel is panels[0]
        legend = {"handles": _handles(trajectories, colors)} if first else None
        title = setting(trajectories) if first else ""
        dress(panel, f"{unit} $t$", QUANTITIES[quantity][1], log=log, legend=legend, title=title)
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
    panel = panel_of(axes)
    tints = shades(len(waiting))
    for run in trajectories:
        values, errors = run[quantity], run.error(quantity)
        for start, color in zip(waiting, tints, strict=True):
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
                keep = thinned(lag)
                draw_points(panel, lag[keep], curve[keep], bars[keep], color)
            else:
                panel.plot(lag, curve, color=color, lw=1.8, label=f"$t_w = {start}$")
    symbol = {"correlation": "C", "response": "R"}[quantity]
    hat = rf"\hat {symbol}" if normalized else symbol
    x, y = rf"$\tau$ ({time_unit(*trajectories)})", rf"${hat}(t_w+\tau,\,t_w)$"
    return dress(panel, x, y, log="x", legend={}, title=setting(trajectories))


def z_scores(comparisons: Mapping[str, Any], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Standardized differences between simulation and theory against time, over the band that a right theory stays in.

    Parameters
    ----------
    comparisons : label -> `sgdmft.Comparison`
        All with the same threshold (same number of entries, samples and false-alarm rate); the band is the widest.
    """
    panel = panel_of(axes)
    colors = palette(list(comparisons))
    bound = max(found.threshold for found in comparisons.values())
    panel.axhspan(-bound, bound, color="#000000", alpha=0.07, lw=0)
    panel.axhline(0.0, color="#000000", lw=0.8, alpha=0.5)
    for k, (name, found) in enumerate(comparisons.items()):
        shift = 1.025 ** (k - (len(comparisons) - 1) / 2)  # side by side, not on top of each other
        steps = np.array([score.time for score in found.scores]) * shift
        panel.plot(steps, [score.z for score in found.scores], "o", ms=3.6, alpha=0.8, color=colors[name], label=name)
    reach = 1.35 * max(bound, *(abs(found.worst.z) for found in comparisons.values()))
    panel.set_ylim(-reach, reach)
    legend = {"ncols": 4, "handlelength": 0.8, "loc": "upper left"}
    unit = next(iter(comparisons.values())).time_unit
    return dress(panel, f"{unit} $t$", "$z$-score", log="x", legend=legend, title=title)


def replica_overlap(
    pairs: Mapping[str, tuple[Trajectory, Trajectory]], *, axes: Axes | None = None, title: str = ""
) -> Axes:
    """C12(t,t)/C(t,t) of two runs on the same data: label -> (theory, simulation at its saved two-times)."""
    panel = panel_of(axes)
    colors = palette(list(pairs))
    for name, (theory, data) in pairs.items():
        expected = theory["replica_overlap"] / theory.norm
        panel.plot(theory.time[1:], expected[1:], color=colors[name], lw=1.8, label=name)
        norm, overlap = np.diag(data.correlation), np.diag(data["replica_correlation"])
        error = np.diag(data.error("replica_correlation")) / norm
        shown = data.two_time > 0
        draw_points(panel, data.two_time[shown], (overlap / norm)[shown], error[shown], colors[name])
    unit = time_unit(*(run for pair in pairs.values() for run in pair))
    return dress(panel, f"{unit} $t$", r"$C_{12}(t,t)/C(t,t)$", log="x", legend={}, title=title)


def decays(curves: Sequence[Decay], *, axes: Axes | None = None, exponent: float = 0.0, title: str = "") -> Axes:
    """q(t_w + tau, t_w) of `sgdmft.analysis.aging` against tau / t_w^exponent, from light to dark with growing t_w."""
    panel = panel_of(axes)
    for curve, color in zip(curves, shades(len(curves)), strict=True):
        label = rf"$t_w={curve.waiting_time}$"
        panel.plot(curve.lag / curve.waiting_time**exponent, curve.correlation, color=color, lw=1.6, label=label)
    scale = {0.0: r"$\tau$ (steps)", 1.0: r"$\tau/t_w$"}.get(exponent, rf"$\tau/t_w^{{{exponent:.2f}}}$")
    return dress(panel, scale, r"$\hat C(t_w+\tau,t_w)$", log="x", title=title)


def fluctuation_dissipation(
    plots: Mapping[str, FluctuationDissipation], *, axes: Axes | None = None, title: str = ""
) -> Axes:
    """chi(t,t_w) against C(t,t_w)/C(t,t) at fixed t; the slope times C(t,t) is -1/T_eff."""
    panel = panel_of(axes)
    colors = palette(list(plots))
    for name, plot in plots.items():
        normalized = plot.correlation / plot.correlation[-1]
        panel.plot(normalized, plot.integrated_response, ".-", ms=3, lw=1.4, color=colors[name], label=name)
    return dress(panel, r"$C(t,t_w)/C(t,t)$", r"$\chi(t,t_w)$", legend={}, title=title)


def spectrum(
    expected: Spectrum, *, measured: np.ndarray | None = None, axes: Axes | None = None, bins: int = 40, title: str = ""
) -> Axes:
    """The Hessian's law of eigenvalues as a line, its outliers as ticks, and measured eigenvalues as a histogram."""
    panel = panel_of(axes)
    edges = expected.bulk.edges
    if measured is not None:
        panel.hist(np.ravel(measured), bins=bins, density=True, color=COLORS[6], alpha=0.6, label="simulation")
    for low, high in zip(edges[::2], edges[1::2], strict=True):
        z = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.linspace(0.0, np.pi, 300))
        panel.plot(z, expected.bulk.density(z), color=COLORS[0], lw=1.6)
    top = panel.get_ylim()[1]
    for outlier in expected.outliers or ():
        panel.annotate(
            "", (outlier.eigenvalue, 0.0), (outlier.eigenvalue, 0.22 * top),
            arrowprops={"arrowstyle": "->", "color": COLORS[2], "lw": 1.6},
        )  # fmt: skip
    panel.axvline(0.0, color="#000000", lw=0.8, alpha=0.4)
    panel.set_ylim(0.0, top)
    return dress(panel, r"eigenvalue $\lambda$", r"density $\rho(\lambda)$", title=title)


def lowest_eigenvalues(edges: Mapping[str, tuple[Any, Any]], *, axes: Axes | None = None, title: str = "") -> Axes:
    """Minus the lower edge of the Hessian's bulk against steps: label -> (steps, lower edge)."""
    panel = panel_of(axes)
    colors = palette(list(edges))
    for name, (steps, edge) in edges.items():
        panel.plot(steps, -np.asarray(edge), color=colors[name], lw=1.8, label=name)
    return dress(panel, "steps $t$", r"$-\lambda_{\min}$ of the bulk", log="xy", legend={}, title=title)


def _curve(panel: Axes, run: Trajectory, quantity: str, color: str) -> None:
    time, values, errors = run.time, run[quantity], run.error(quantity)
    shown = (time > 0) & np.isfinite(values)
    if quantity in _LOGARITHMIC:
        shown &= values > FLOOR
    time, values, errors = time[shown], values[shown], errors[shown]
    if run.kind == "simulation":
        keep = thinned(time)
        draw_points(panel, time[keep], values[keep], errors[keep], color)
    else:
        panel.plot(time, values, color=color, lw=1.8)


def _handles(runs: Sequence[Trajectory], colors: Mapping[str, str]) -> list[Any]:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, lw=1.8, label=name) for name, color in colors.items()]
    if {run.kind for run in runs} == {"theory", "simulation"}:
        handles.append(Line2D([], [], color="#777777", lw=1.8, label=r"theory, $N\to\infty$"))
        style = {"marker": "o", "ms": 4, "mfc": "white", "mew": 1.1, "lw": 0, "color": "#777777"}
        handles.append(Line2D([], [], label="simulation", **style))
    return handles
