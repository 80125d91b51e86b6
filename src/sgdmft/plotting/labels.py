"""What tells runs apart in a legend, and what they share in a title: model, algorithm and start in short words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdmft.algorithm.batches import Bernoulli, Cyclic, FullBatch, OnePass, Persistent, Shuffled
from sgdmft.problem.models import ConstantTarget, Covariance, GaussianLeastSquares, Linearized, Start, Teacher
from sgdmft.run.trajectory import Trajectory

#: Names of schemes in words.
_SCHEMES = {
    FullBatch: "gradient descent",
    Bernoulli: "SGD",
    Shuffled: "shuffled epochs",
    Cyclic: "fixed order",
    Persistent: "persistent batches",
    OnePass: "one pass",
}
_RATES = {"learning_rate": r"\eta", "momentum": r"\beta", "weight_decay": r"\lambda", "temperature": "T"}
_USUAL = Covariance({2: 0.5})


def name_of(algorithm: Any) -> str:
    """Short label: b for the talk's minibatches, the scheme in words and b for the rest."""
    batches = algorithm.batches
    fraction = batches.fraction if isinstance(batches, (Bernoulli, Persistent)) else algorithm.batch_fraction
    size = f"$b={_schedule(fraction, 0)}$"
    if isinstance(batches, (FullBatch, Bernoulli)):
        return size
    memory = rf", $\gamma={batches.memory:g}$" if isinstance(batches, Persistent) else ""
    return f"{_SCHEMES.get(type(batches), type(batches).__name__)}, {size}{memory}"


def algorithm_label(run: Trajectory) -> str:
    """What tells the algorithm from others in a legend: the scheme and b."""
    if not hasattr(run.algorithm, "batches"):
        return run.kind
    name = name_of(run.algorithm)
    return f"{_SCHEMES.get(type(run.algorithm.batches), 'SGD')}, {name}" if name.startswith("$") else name


def labels(runs: Sequence[Trajectory]) -> list[str]:
    """A label for each run, made of what differs between them; equal for a theory and a simulation of the same.

    The algorithm where nothing differs. Runs of one kind that nothing known tells apart are numbered.

    >>> import sgdmft as sg
    >>> model = sg.GaussianLeastSquares(alpha=2.0)
    >>> labels([sg.solve(model, sg.SGD(0.1, 0.2, momentum=beta), steps=1) for beta in (0.0, 0.9)])
    ['$\\\\beta=0$', '$\\\\beta=0.9$']
    """
    tables = [_facts(run) for run in runs]
    sizes = [f"$N={run.dataset.attrs['size']}$" if "size" in run.dataset.attrs else "" for run in runs]
    if len({*sizes} - {""}) > 1:
        tables = [table | {"size": size} for table, size in zip(tables, sizes, strict=True)]
    differ = [key for key in _keys(tables) if len({table.get(key) for table in tables}) > 1]
    words = []
    for run, table in zip(runs, tables, strict=True):
        stated = {key: table[key] for key in differ if table.get(key)}
        telling = [text for key, text in stated.items() if not _neutral(key, text)]
        words.append(", ".join(telling or stated.values()) or algorithm_label(run))
    for kind in {run.kind for run in runs}:
        for word in set(words):
            same = [k for k, run in enumerate(runs) if run.kind == kind and words[k] == word]
            if len(same) > 1:
                for number, k in enumerate(same, 1):
                    words[k] = f"{word} ({number})"
    return words


def setting(runs: Sequence[Trajectory]) -> str:
    """What the runs share, in a line; for simulations also N and the number of samples."""
    tables = [_facts(run) for run in runs if run.model is not None or run.algorithm is not None]
    if not tables:
        return ""
    alike = [key for key in _keys(tables) if len({table.get(key) for table in tables}) == 1]
    if len(alike) == len(_keys(tables)):  # then the legend says the algorithm
        alike = [key for key in alike if key != "scheme"]
    shown = {key: tables[0][key] for key in alike if tables[0][key] and not _neutral(key, tables[0][key])}
    sizes = sorted(
        {(run.dataset.attrs["size"], run.dataset.attrs["samples"]) for run in runs if "size" in run.dataset.attrs}
    )
    return ",  ".join([*shown.values(), *(f"$N={size}$ ({samples} samples)" for size, samples in sizes)])


def _facts(run: Trajectory) -> dict[str, str]:
    """Aspect -> how it is written."""
    facts: dict[str, str] = {}
    model = run.model.model if isinstance(run.model, Linearized) else run.model
    if isinstance(model, GaussianLeastSquares):
        facts["covariance"] = f"${_polynomial(model.covariance)}$"
        facts["alpha"] = rf"$\alpha={model.alpha:g}$"
        facts["labels"] = _labels(model.labels)
    elif model is not None:
        facts["model"] = model if isinstance(model, str) else type(model).__name__
    facts["linearized"] = r"$m\to0$" if isinstance(run.model, Linearized) else ""
    algorithm = run.algorithm
    if hasattr(algorithm, "batches"):
        facts["scheme"] = algorithm_label(run)
        for name, symbol in _RATES.items():
            facts[name] = f"${symbol}={_schedule(getattr(algorithm, name), int(run.time[-1]))}$"
        facts["spherical"] = "on the sphere" if algorithm.spherical else ""
    elif algorithm is not None:
        facts["scheme"] = str(algorithm)
    if isinstance(run.start, Start):
        facts["magnetization"] = rf"$m_0={run.start.magnetization:g}$"
        facts["norm"] = rf"$C_0={run.start.norm:g}$"
    elif run.start is not None:
        facts["start"] = f"start: {getattr(run.start, '__name__', type(run.start).__name__)}"
    return facts


def _neutral(key: str, text: str) -> bool:
    """Whether a fact goes without saying when nothing differs from it."""
    zero = key in ("momentum", "weight_decay", "temperature") and text.endswith("=0$")
    return zero or (key, text) in {
        ("norm", "$C_0=1$"),
        ("covariance", f"${_polynomial(_USUAL)}$"),
        ("labels", "no noise"),
    }


def _labels(labels: Any) -> str:
    if isinstance(labels, Teacher):
        return f"label noise ${labels.noise:g}$" if labels.noise else "no noise"
    return f"target ${labels.value:g}$" if isinstance(labels, ConstantTarget) else repr(labels)


def _polynomial(covariance: Covariance) -> str:
    powers = {0: "", 1: r"\,q"}
    return "f=" + "+".join(f"{a:g}" + powers.get(p, rf"\,q^{{{p}}}") for p, a in covariance.powers.items())


def _schedule(value: Any, steps: int) -> str:
    """A number, the ends of a schedule, or the name of a function."""
    if callable(value):
        try:
            value = np.array([value(step) for step in (0, max(steps - 1, 0))], dtype=float)
        except Exception:
            return getattr(value, "__name__", "f").replace("_", r"\_")
    if isinstance(value, (tuple, np.ndarray)):
        used = value[:steps] if steps else value
        return rf"{used[0]:.3g}\ldots{used[-1]:.3g}"
    return f"{value:g}"


def _keys(tables: Sequence[dict[str, str]]) -> list[str]:
    return list(dict.fromkeys(key for table in tables for key in table))
