"""Draws docs/architecture.png: how a call of `solve` flows through the rooms of the package.

`tests/test_architecture.py` holds the arrows against the imports, and docs/architecture.md against the layers.
"""

from __future__ import annotations

from pathlib import Path

#: Module -> (column, row from below, what it is there for).
ROOMS = {
    "dmft.solver": (1, 4, "solve: a loop over a run,\nprogress, checkpoints, Ctrl-C"),
    "dmft.methods": (1, 3, "Dense, Compressed:\nestimate, then begin a run"),
    "dmft.causal": (1, 2, "CausalRun: advance, trajectory,\nstate, restore"),
    "dmft.integrator": (1, 1, "steps up to a time: schedules,\nP(t,s), the end of leaves"),
    "dmft.closures": (1, 0, "what one sample feels:\nrow t of the memory kernels"),
    "dmft.history": (2, 2, "the past: operators and rows\non coordinates; panels"),
    "sweeps.executor": (2, 4, "threads side by side,\nCtrl-C as a flag"),
    "run.trajectory": (0, 2, "the answer: arrays, xarray,\nnetCDF, provenance"),
    "run.request": (0, 4, "the checked question,\nits canonical text"),
    "run.checkpoint": (2, 3, "a state on disk, found\nby the identity of the run"),
    "algorithm.batches": (0, 1, "schemes: b(t), P(t,s)\nand the sampler"),
    "problem.models": (0, 3, "covariance, labels, model:\nwhat is learned"),
    "_kernels.step": (2, 0, "compiled: (4.1) to (4.10)\nover n coordinates"),
    "_kernels.merge": (2, 1, "compiled: panels merge\nwithin the tolerance"),
}

#: The way of a call, in order: (from, to, what passes). Each is an import of the first by the second's room.
FLOW = [
    ("dmft.solver", "run.request", "the arguments become a Request, or a sentence"),
    ("run.request", "problem.models", "is this a model, and do the choices fit together?"),
    ("dmft.solver", "dmft.methods", "the cheapest method that fits"),
    ("dmft.methods", "dmft.closures", "the model's closure, with the layout it needs"),
    ("dmft.methods", "dmft.history", "an empty history of that layout"),
    ("dmft.methods", "dmft.causal", "begin: a CausalRun at t = 0"),
    ("dmft.solver", "sweeps.executor", "is it cancelled?"),
    ("dmft.causal", "dmft.integrator", "advance to the next saved time"),
    ("dmft.integrator", "algorithm.batches", "rates and P(t,s) of these steps"),
    ("dmft.integrator", "dmft.closures", "advance: as many steps as there is room for"),
    ("dmft.closures", "_kernels.step", "the step, compiled"),
    ("dmft.integrator", "dmft.history", "a full leaf becomes a panel"),
    ("dmft.history", "_kernels.merge", "and old panels merge"),
    ("dmft.solver", "run.checkpoint", "the state of the run, now and then"),
    ("dmft.causal", "run.trajectory", "what was kept, as a Trajectory"),
]

WIDTH, HEIGHT, ACROSS, UP = 3.0, 1.0, 4.1, 1.75  # of a box; from box to box
COLORS = {"dmft": "#cfe3f5", "run": "#fbe3c5", "sweeps": "#e4dcf3", "_kernels": "#d5ecd4"}


def centre(module: str) -> tuple[float, float]:
    column, row, _ = ROOMS[module]
    return ACROSS * column, UP * row


def draw(path: Path) -> None:
    """The picture, as a PNG file."""
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    figure = Figure(figsize=(10.5, 7.9), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-1.7, 9.9), ylim=(-0.8, 7.8), aspect="equal")
    axes.axis("off")
    for module, (_, _, text) in ROOMS.items():
        x, y = centre(module)
        color = COLORS.get(module.partition(".")[0], "#f2f2f2")
        axes.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0.05", fc=color, ec="0.3", zorder=2
            )
        )
        axes.text(x, y + 0.28, module, ha="center", va="center", family="monospace", weight="bold", size=10, zorder=3)
        axes.text(x, y - 0.17, text, ha="center", va="center", size=8.5, zorder=3)
    for number, (source, target, _) in enumerate(FLOW, 1):
        start, end = ends(source, target)
        bend = 0.12 if start[0] == end[0] != centre(source)[0] else 0.0  # beside the boxes in between
        style = {"arrowstyle": "-|>", "color": "0.25", "lw": 1.2, "connectionstyle": f"arc3,rad={bend}"}
        axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=1)
        x = 0.5 * (start[0] + end[0]) + 0.5 * bend * (end[1] - start[1])
        y = 0.5 * (start[1] + end[1])
        circle = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "0.25", "lw": 0.8}
        axes.text(x, y, str(number), ha="center", va="center", size=8, bbox=circle, zorder=4)
    figure.savefig(path, dpi=120)


def ends(source: str, target: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves one box and meets the other: on the line between them, or on their left sides."""
    (x, y), (u, v) = centre(source), centre(target)
    if x == u and abs(y - v) > 1.5 * UP:
        return (x - WIDTH / 2 - 0.08, y), (x - WIDTH / 2 - 0.08, v)
    part = 1.0 / max(abs(u - x) / (WIDTH / 2 + 0.08), abs(v - y) / (HEIGHT / 2 + 0.08))
    return (x + part * (u - x), y + part * (v - y)), (u - part * (u - x), v - part * (v - y))


if __name__ == "__main__":
    draw(Path(__file__).with_suffix(".png"))
