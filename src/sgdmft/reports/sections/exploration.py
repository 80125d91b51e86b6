"""How SGD explores the landscape: two runs on the same data, fluctuation and dissipation, and the Hessian on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

import sgdmft as sg
from sgdmft import plotting
from sgdmft.analysis import aging, landscape
from sgdmft.reports.section import Figure, Jobs, Section, Table, html
from sgdmft.sweeps import side_by_side


def build(
    quick: bool,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    alpha: float = 2.0,
    learning_rate: float = 0.1,
    steps: int | None = None,
    size: int | None = None,
    samples: int | None = None,
    fractions: Sequence[float] = (1.0, 0.2, 0.1),
    recovery_alpha: float = 3.0,
) -> Section:
    """The section; `steps` defaults to 10000, with `quick` to 600."""
    steps = steps or (600 if quick else 10_000)
    size, samples = size or (60 if quick else 120), samples or (6 if quick else 12)
    # A constant target of variance f(1) is the talk's problem without overlap with the signal, m = 0 at all times.
    glass = sg.GaussianLeastSquares(alpha=alpha, labels=sg.ConstantTarget(np.sqrt(0.5)))
    short = 40 if quick else 200
    seen = sorted({0, *np.unique(np.geomspace(1, short, 12).astype(int)).tolist()})
    model, start, looks = sg.GaussianLeastSquares(alpha=recovery_alpha), sg.Start(magnetization=0.0), [0, 2, 10]
    descent = sg.GradientDescent(learning_rate)
    noisy, probe = descent.at_fraction(0.2), sg.simulation.Probe(extremes=None)
    finite = {"size": size, "samples": samples, "workers": 1}
    algorithms = {b: descent.at_fraction(b) for b in fractions}
    precise, save = sg.Compressed(tolerance=1e-8), sg.Save(two_time=aging.times(steps, lags_per_decade=6))
    jobs = Jobs()
    for b, algorithm in algorithms.items():
        jobs.add(f"aging, b = {b:g}", 1.0, sg.solve, glass, algorithm, steps=steps, method=precise, save=save)
    for b in fractions[1:]:
        pair = {"steps": short, "save": sg.Save(replicas=2)}
        jobs.add(f"two runs, b = {b:g}", 0.3, sg.solve, glass, algorithms[b], **pair)
        pair["save"] = sg.Save(two_time=seen, replicas=2)
        jobs.add(f"two runs of finite size, b = {b:g}", 0.5, sg.simulate, glass, algorithms[b], **pair, **finite)
    common = {"steps": looks[-1], "start": start}
    jobs.add("Hessian", 0.1, sg.solve, model, noisy, save=sg.Save(two_time=looks), **common)
    save = sg.Save(two_time=looks, observe=probe)
    jobs.add("Hessian at finite size", 0.3, sg.simulate, model, noisy, save=save, **common, **finite)
    found = side_by_side(jobs, progress)
    runs = {_label(fraction): found[f"aging, b = {fraction:g}"] for fraction in fractions}
    answers = {name: aging.analyse(run) for name, run in runs.items()}

    walk, panels = plotting.figure(3, 1, width=3.7, height=3.2)
    pairs = {
        _label(b): (found[f"two runs, b = {b:g}"], found[f"two runs of finite size, b = {b:g}"]) for b in fractions[1:]
    }
    plotting.replica_overlap(pairs, axes=panels[0, 0], title="two runs on the same data")
    plots = {name: aging.fluctuation_dissipation(run) for name, run in runs.items()}
    plotting.fluctuation_dissipation(plots, axes=panels[0, 1], title=f"response and correlation at $t={steps}$")
    last = _label(fractions[1])
    plotting.decays(answers[last].decays, axes=panels[0, 2], exponent=1.0, title=f"{last}: waiting times light to dark")

    hessian, panels = plotting.figure(len(looks) + 1, 1, width=3.2, height=3.0)
    for panel, look in zip(panels[0], looks, strict=False):
        title = rf"$\alpha={recovery_alpha:g}$, $b=0.2$, $t={look}$"
        expected = landscape.spectrum(found["Hessian"], look)
        plotting.spectrum(expected, measured=probe.at(look)[0], axes=panel, title=title)
    edges = {}
    for name, run in runs.items():
        times = run.two_time[run.two_time > 0]
        times = times[np.unique(np.searchsorted(times, np.geomspace(1, times[-1], 60)))]
        seen = np.searchsorted(run.time, times)
        laws = [landscape.bulk(glass, norm=run.norm[i], loss=run.loss[i]) for i in seen]
        edges[name] = times, [law.lower_edge for law in laws]
    plotting.lowest_eigenvalues(edges, axes=panels[0, -1], title=rf"$\alpha={alpha:g}$, no signal")

    return Section(
        name="exploration",
        title="How SGD explores the landscape",
        text=html(
            f"α = {alpha:g}, η = {learning_rate:g}, without overlap with the signal (m = 0 at all times), so that nothing "
            "but the rough landscape acts. Two runs with the same data and start but minibatches of their own separate: "
            "C<sub>12</sub>, left. Gradient descent stays with itself.",
            "At fixed t, the response χ(t, t<sub>w</sub>) to a field switched on at t<sub>w</sub> against the correlation "
            "(middle) has slope −C(t,t)/T<sub>eff</sub>. In equilibrium it is one straight line. Here fast motion has the "
            "temperature of the minibatch noise (0 at b = 1), and the slow motion another, higher one.",
            "The Hessian's law of eigenvalues is a free sum of a Marchenko-Pastur and a semicircle part; the arrows are "
            "outliers, the one below the bulk pointing towards the signal. On its plateau gradient descent becomes "
            "marginal: the lowest eigenvalue tends to 0 as a power of t. SGD keeps moving over ground of negative curvature.",
        ),
        figures=[
            Figure(
                "exploration",
                walk,
                f"Lines: theory. Points: {samples} samples of N = {size}, bars of one standard error.",
            ),
            Figure(
                "exploration_hessian",
                hessian,
                f"Eigenvalues of {samples} samples of N = {size}, started at m = 0, and the theory; the outlier of "
                "the start at t = 0 on the right points along x(0). Last: minus the lower edge of the bulk, theory.",
            ),
        ],
        tables=[_table(answers, steps, float(edges[_label(fractions[0])][0][-1]), edges)],
        data={
            **{f"exploration_aging_b{b:g}": found[f"aging, b = {b:g}"] for b in fractions},
            **{f"exploration_replicas_b{b:g}": found[f"two runs, b = {b:g}"] for b in fractions[1:]},
        },
        parameters={
            "steps": steps,
            "batch_fractions": fractions,
            "replica_steps": short,
            "model": glass,
            "hessian_model": model,
            "algorithm": {"learning_rate": learning_rate},
            "simulation": {"size": size, "samples": samples},
        },
    )


def _label(fraction: float) -> str:
    return f"b = {fraction:g}"


def _table(answers: dict[str, aging.Aging], steps: int, end: float, edges: dict) -> Table:
    rows = []
    for name, answer in answers.items():
        t, scale = answer.temperature, answer.rescaling
        mu = f"{scale.exponent:.2f} ± {scale.error:.2f}" if scale else ""
        short, long = f"{t.short:.3g} ± {t.short_error:.1g}", f"{t.long:.3g} ± {t.long_error:.1g}"
        ends = f"{answer.loss:.4f}", f"{edges[name][1][-1]:.4f}"
        rows.append([name, answer.interruption.verdict, mu, short, long, *ends])
    caption = Markup(
        f"Theory at t = {steps}. τ ~ t<sub>w</sub><sup>μ</sup> is the lag at which the correlation falls to a given "
        "level; T<sub>eff</sub> is that of one step and of the slower half of the decay, with the change since t/2."
    )
    last = f"λ<sub>min</sub>({end:.0f})"
    head = html("", "correlations", "μ", "T<sub>eff</sub>, one step", "T<sub>eff</sub>, slow", "loss", last)
    return Table(caption, head, rows)
