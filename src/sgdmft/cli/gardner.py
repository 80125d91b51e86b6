"""`sgdmft gardner`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sgdmft.cli import arguments
from sgdmft.errors import NotConverged

if TYPE_CHECKING:
    from sgdmft.statics import PerceptronTransitions


def gardner(
    *,
    margin: Annotated[float, Parameter(help="Margin kappa of the stored patterns.")] = 0.0,
    alpha: Annotated[
        list[float] | None, arguments.several("Patterns per weight: version space or errors, and generalization.")
    ] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Save the results as TOML.")] = None,
    overwrite: arguments.Overwrite = False,
) -> int:
    """Gardner's capacities of the perceptron, spherical and Ising; with --alpha, what happens at that many patterns.

    At negative margins also where the replica-symmetric solution ends: dynamical, condensation and de Almeida-Thouless
    lines, and which of them decides.

    sgdmft gardner --margin 0.5
    sgdmft gardner --alpha 1 3
    sgdmft gardner --margin -2.5 --alpha 284 300
    """
    from sgdmft import statics

    if output is not None:
        arguments.check_output(output, overwrite)
    results: dict[str, Any] = {
        "spherical_capacity": statics.spherical_capacity(margin),
        "ising_capacity": statics.ising_capacity(margin),
    }
    for i, value in enumerate(alpha or []):
        inside = value < results["spherical_capacity"].alpha
        storage = statics.version_space if inside else statics.minimal_errors
        results[f"storage_{i}"] = storage(value, margin)
        results[f"gibbs_{i}"] = statics.gibbs_learning(value)
        results[f"bayes_{i}"] = statics.bayes_learning(value)
        results[f"maximum_margin_{i}"] = statics.maximum_margin_learning(value)
    print(_told(margin, results))
    if margin < 0:
        try:
            results["transitions"] = statics.perceptron_transitions(margin)
            print("\n" + _lines(results["transitions"]))
        except NotConverged as error:
            print(f"\n{error}")
    arguments.save_tables(results, output, "sgdmft gardner")
    return 0


def _told(margin: float, results: dict[str, Any]) -> str:
    """Tables of the capacities, of what is stored, and of what is learned."""
    from sgdmft import statics
    from sgdmft.cli.tables import number, table

    verdicts = {True: "stable", False: "unstable: an upper bound", None: "marginal"}
    capacities, storage, learning = [], [], []
    for result in results.values():
        if isinstance(result, statics.Capacity):
            row = [result.weights, number(result.alpha, 8), number(result.overlap), number(result.replicon, 3)]
            capacities.append([*row, verdicts[result.stable]])
        elif isinstance(result, statics.VersionSpace):
            row = [number(result.alpha), number(result.overlap, 8), number(result.entropy, 8), "0", result.phase]
            storage.append([*row, result.reason])
        elif isinstance(result, statics.MinimalErrors):
            verdict = "unsatisfiable", "replica symmetry is broken beyond capacity: a lower bound"
            storage.append([number(result.alpha), "1", "", number(result.fraction, 8), *verdict])
        else:
            row = [number(result.alpha), result.rule, number(result.error, 8), number(result.overlap, 8)]
            learning.append([*row, number(result.entropy), number(result.margin)])
    parts = [
        f"Capacity at margin {margin:g}: patterns per weight that can be stored\n"
        + table(["weights", "alpha", "overlap", "replicon", "replica symmetry"], capacities)
    ]
    if storage:
        header = ["alpha", "overlap", "entropy", "share of errors", "phase", "because"]
        parts.append("Storage of random patterns by spherical weights\n" + table(header, storage))
        header = ["alpha", "rule", "generalization error", "overlap", "entropy", "margin"]
        parts.append("Learning from a teacher, without a margin\n" + table(header, learning))
    return "\n\n".join(parts)


def _lines(lines: PerceptronTransitions) -> str:
    """Where replica symmetry ends, and which line decides it."""
    from sgdmft.cli.tables import measured
    from sgdmft.statics import tricritical_margin

    def at(alpha: float) -> str:
        return f"alpha = {measured(alpha, lines.uncertainty)}"

    if lines.dynamical is None or lines.condensation is None:
        return (
            f"The replica-symmetric solution is right up to {at(lines.instability)}, the de Almeida-Thouless line:\n"
            f"at margins above {tricritical_margin():.4f} symmetry breaks continuously. The spherical capacity above is an "
            "upper bound."
        )
    return (
        f"The replica-symmetric solution is right up to {at(lines.condensation)}, the condensation transition.\n"
        f"  dynamical transition        {at(lines.dynamical)}  the solutions fall apart into exponentially many clusters\n"
        f"  condensation (Kauzmann)     {at(lines.condensation)}  few clusters hold them: overlap and entropy are wrong "
        "from here on\n"
        f"  de Almeida-Thouless line    {at(lines.instability)}  comes too late to count at margins below "
        f"{tricritical_margin():.4f}\nThe spherical capacity above is an upper bound."
    )
