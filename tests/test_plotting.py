"""Pictures: what is drawn is what is in the trajectory, labelled, and nothing global changes."""

import subprocess
import sys

import numpy as np
import pytest

import sgdmft as sg
from sgdmft import plotting
from sgdmft.errors import InvalidArgument
from sgdmft.problem.selfenergy import spherical_pspin

STEPS = 40


def run(kind="theory", fraction=1.0, **values):
    """A made-up trajectory in which C(t,t') depends on t - t' and every quantity has a known value."""
    time = np.arange(STEPS + 1)
    quantities = {
        "magnetization": 0.1 + 0.02 * time,
        "loss": np.exp(-time / 5.0),
        "norm": np.full(STEPS + 1, 2.0),
    } | values
    correlation = 2.0 * np.exp(-abs(np.subtract.outer(time, time)) / 10.0)
    two_time = {"correlation": correlation, "response": np.tri(STEPS + 1, k=-1)}
    attributes = {}
    if kind == "simulation":
        quantities |= {f"{name}_error": np.full(STEPS + 1, 0.03) for name in (*quantities, "distance")}
        two_time |= {"correlation_error": np.full_like(correlation, 0.02)}
        attributes = {"size": 100, "samples": 4, "seed": 0}
    algorithm = sg.GradientDescent(0.1) if fraction == 1 else sg.SGD(0.1, fraction)
    return sg.Trajectory.build(
        kind=kind,
        model=sg.GaussianLeastSquares(alpha=2.5),
        algorithm=algorithm,
        start=sg.Start(magnetization=0.1),
        time=time,
        quantities=quantities,
        two_time=time,
        two_time_quantities=two_time,
        attributes=attributes,
    )


def legend(panel):
    return [text.get_text() for text in panel.get_legend().get_texts()]


def test_learning_curves_draw_theory_as_lines_and_simulation_as_points():
    figure, axes = plotting.figure(3, 1)
    runs = [run(), run(fraction=0.2), run("simulation"), run("simulation", fraction=0.2)]
    panels = plotting.learning_curves(*runs, axes=axes[0])
    loss, magnetization, distance = panels
    assert legend(loss) == ["gradient descent, $b=1$", "SGD, $b=0.2$", r"theory, $N\to\infty$", "simulation"]
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("steps $t$", "$H/N$")
    lines = [line for line in magnetization.lines if line.get_linestyle() == "-"]
    np.testing.assert_array_equal(lines[0].get_ydata(), runs[0].magnetization[1:])
    assert lines[0].get_color() != lines[1].get_color()
    (first, *_) = magnetization.containers
    assert first.lines[0].get_color() == lines[0].get_color(), "one colour for one algorithm"
    assert len(first.lines[0].get_xdata()) <= 22
    half = np.ptp(first.lines[2][0].get_segments()[0][:, 1]) / 2
    assert half == pytest.approx(0.03), "bars of one standard error"
    title = loss.get_title(loc="left")
    assert all(part in title for part in (r"\alpha=2.5", r"\eta=0.1", "m_0=0.1", "N=100"))
    assert distance.get_yscale() == "log"
    figure.canvas.draw()


def test_curves_leave_out_what_a_logarithm_cannot_show():
    loss = np.exp(-np.arange(STEPS + 1) / 5.0)
    loss[30:] = -1e-17  # rounding
    loss[10] = np.nan
    _, axes = plotting.figure()
    (panel,) = plotting.learning_curves(run(loss=loss), axes=axes[0], quantities=["loss"])
    assert len(panel.lines[0].get_xdata()) == 28


def test_two_time_draws_the_columns_of_the_waiting_times():
    _, axes = plotting.figure()
    panel = plotting.two_time(run(), run("simulation"), waiting=[5, 20], axes=axes[0, 0], normalized=True)
    first, second = (line for line in panel.lines if line.get_linestyle() == "-")
    np.testing.assert_array_equal(second.get_xdata(), np.arange(1, STEPS - 20 + 1))
    np.testing.assert_allclose(first.get_ydata(), np.exp(-first.get_xdata() / 10.0))
    assert legend(panel) == ["$t_w = 5$", "$t_w = 20$"]
    with pytest.raises(InvalidArgument, match="waiting time 50 is not among the saved times; the nearest is 40"):
        plotting.two_time(run(), waiting=[50], axes=axes[0, 0])


def test_relaxation_draws_points_fit_and_threshold():
    alphas = np.linspace(2.1, 3.5, 9)
    noise = 1 + 0.01 * np.array([1, -1, -1, 1, 1, 0, -1, 1, 0])
    times = 20 * (alphas - 2.0) ** -1.5 * noise
    fit = sg.fit_power_law(alphas, times)
    with_infinite = {"$b=1$": (np.append(2.0, alphas), np.append(np.inf, times))}
    figure, axes = plotting.figure(2, 1)
    panel = plotting.relaxation(with_infinite, {"$b=1$": fit}, axes=axes[0, 0], title="setting")
    points, law, mark = panel.lines
    assert len(points.get_xdata()) == 9
    np.testing.assert_allclose(law.get_ydata(), fit(law.get_xdata()))
    assert mark.get_xdata()[0] == fit.threshold
    collapsed = plotting.power_law_collapse(with_infinite, {"$b=1$": fit}, axes=axes[0, 1])
    np.testing.assert_allclose(collapsed.lines[0].get_xdata(), alphas - fit.threshold)
    figure.canvas.draw()


def test_wrong_axes_and_labels_are_refused():
    _, axes = plotting.figure(2, 1)
    with pytest.raises(InvalidArgument, match="3 axes are needed"):
        plotting.learning_curves(run(), axes=axes[0])
    with pytest.raises(InvalidArgument, match="1 trajectories, but 2 labels"):
        plotting.learning_curves(run(), axes=axes[0], quantities=["loss", "norm"], labels=["a", "b"])


def test_importing_and_drawing_for_files_sets_nothing_global():
    program = (
        "import sys; from sgdmft import plotting; assert 'matplotlib' not in sys.modules;"
        "figure, axes = plotting.figure(); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def _cosine(t):
    return 0.05 * (1.0 + np.cos(0.1 * t))


BASE = {"learning_rate": 0.1, "batches": sg.Bernoulli(0.2)}
TALK = sg.GaussianLeastSquares(alpha=2.5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.2}, [r"$\eta=0.1$", r"$\eta=0.2$"]),
        ({"learning_rate": _cosine}, [r"$\eta=0.1$", r"$\eta=0.1\ldots0.0137$"]),
        ({"learning_rate": np.linspace(0.1, 0.01, STEPS)}, [r"$\eta=0.1$", r"$\eta=0.1\ldots0.01$"]),
        ({"momentum": 0.9}, [r"$\beta=0$", r"$\beta=0.9$"]),
        ({"weight_decay": 0.05}, [r"$\lambda=0$", r"$\lambda=0.05$"]),
        ({"temperature": 0.3}, ["$T=0$", "$T=0.3$"]),
        ({"spherical": True}, ["SGD, $b=0.2$", "on the sphere"]),
        ({"batches": sg.Shuffled(5)}, ["SGD, $b=0.2$", "shuffled epochs, $b=0.2$"]),
        ({"batches": sg.Bernoulli(np.linspace(0.1, 0.8, STEPS))}, ["SGD, $b=0.2$", r"SGD, $b=0.1\ldots0.8$"]),
        ({"batches": sg.Persistent(0.2, memory=0.5)}, ["SGD, $b=0.2$", r"persistent batches, $b=0.2$, $\gamma=0.5$"]),
        ({"model": sg.GaussianLeastSquares(alpha=3.0)}, [r"$\alpha=2.5$", r"$\alpha=3$"]),
        (
            {"model": sg.GaussianLeastSquares(alpha=2.5, labels=sg.Teacher(noise=0.2))},
            ["no noise", "label noise $0.2$"],
        ),
        (
            {"model": sg.GaussianLeastSquares(alpha=2.5, covariance=sg.Covariance({1: 0.3, 3: 0.4}))},
            [r"$f=0.5\,q^{2}$", r"$f=0.3\,q+0.4\,q^{3}$"],
        ),
        ({"start": sg.Start(magnetization=0.3)}, ["$m_0=0.1$", "$m_0=0.3$"]),
        ({}, ["SGD, $b=0.2$ (1)", "SGD, $b=0.2$ (2)"]),
    ],
)
def test_runs_are_labelled_by_what_differs(changes, words):
    def made(*, model=TALK, start=sg.Start(magnetization=0.1), **options):  # noqa: B008
        objects = {"model": model, "algorithm": sg.Descent(**BASE | options), "start": start}
        time = np.arange(STEPS + 1)
        return sg.Trajectory.build(kind="theory", time=time, quantities={"loss": np.exp(-time / 5.0)}, **objects)

    runs = [made(), made(**changes)]
    _, axes = plotting.figure()
    (panel,) = plotting.learning_curves(*runs, axes=axes[0], quantities=["loss"])
    shown = legend(panel)
    assert len(set(shown)) == 2
    assert panel.lines[0].get_color() != panel.lines[1].get_color()
    assert shown == words


def test_theories_of_ones_own_and_runs_of_unknown_origin_are_drawn():
    descent, start = sg.GradientDescent(0.1, spherical=True), sg.Start(magnetization=0.0)
    run_of_own = sg.solve(spherical_pspin(sg.Covariance({3: 0.5})), descent, steps=5, start=start)
    run_of_own.plot(plotting.figure(3, 1)[1][0])
    plotting.two_time(run_of_own, waiting=[1], axes=plotting.figure()[1][0, 0])
    time = np.arange(3)
    measured = {"kind": "simulation", "time": time, "quantities": {"loss": np.exp(-time)}}
    network = sg.Trajectory.build(model="net", algorithm="adam", **measured)
    assert plotting.labels([network, sg.Trajectory.build(**measured)]) == ["net, adam", "simulation"]
