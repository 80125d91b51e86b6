"""What all pictures share: figures for files, colours, points with error bars, the dress of axes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft.errors import InvalidArgument

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, darkest first; yellow is left out, being too light on white.
COLORS = ("#222222", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

#: Batch fraction -> index of its colour, the same in all pictures.
_FRACTION_COLORS: dict[float | None, int] = {1.0: 0, 0.5: 1, 0.2: 2, 0.1: 3, 0.05: 4, 0.3: 5}
_POINTS = 22  # simulation points along a curve

#: Style of open marks.
OPEN = {"ms": 4.5, "mfc": "white", "mew": 1.3}


def figure(columns: int = 1, rows: int = 1, *, width: float = 4.2, height: float = 3.3) -> tuple[Figure, np.ndarray]:
    """A figure made without pyplot, for files, and its axes of shape (rows, columns)."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return made, made.subplots(rows, columns, squeeze=False)


def png(picture: Figure) -> bytes:
    """The content of its file."""
    stream = io.BytesIO()
    picture.savefig(stream, format="png", dpi=160)
    return stream.getvalue()


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


def shades(count: int) -> list[Any]:
    """Ordered colours for ordered things, from light to dark."""
    import matplotlib

    return list(matplotlib.colormaps["viridis"](np.linspace(0.85, 0.0, count)))


def panel_of(axes: Axes | None) -> Axes:
    return panels_of(None if axes is None else [axes], 1)[0]


def panels_of(axes: Sequence[Axes] | np.ndarray | None, count: int) -> np.ndarray:
    if axes is None:
        from matplotlib import pyplot

        return pyplot.subplots(1, count, figsize=(4.2 * count, 3.3), layout="constrained", squeeze=False)[1][0]
    panels = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(panels) != count:
        raise InvalidArgument(f"{count} axes are needed, one for each quantity, but {len(panels)} were given.")
    return panels


def draw_points(panel: Axes, x: np.ndarray, y: np.ndarray, error: np.ndarray, color: Any) -> None:
    panel.errorbar(x, y, error, fmt="o", ms=4, color=color, mfc="white", mew=1.1, elinewidth=1.1, capsize=0, zorder=3)


def thinned(times: np.ndarray) -> np.ndarray:
    """Indices of about evenly spaced times on a logarithmic axis."""
    if len(times) <= _POINTS:
        return np.arange(len(times))
    wanted = np.geomspace(times[0], times[-1], _POINTS)
    return np.unique(np.searchsorted(times, wanted).clip(0, len(times) - 1))


def dress(
    panel: Axes, x: str, y: str, *, log: str = "", legend: Mapping[str, Any] | None = None, title: str = ""
) -> Axes:
    """Labels, title, legend (where there are options of one, `{}` for the usual); `log` names the logarithmic axes."""
    panel.set_xlabel(x)
    panel.set_ylabel(y)
    for axis in log:
        panel.set(**{f"{axis}scale": "log"})
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(which="both", direction="out")
    panel.margins(x=0.02)
    panel.set_title(title, loc="left", fontsize=9)
    if legend is not None:
        panel.legend(frameon=False, **{"fontsize": 9, "handlelength": 1.4, **legend})
    return panel
