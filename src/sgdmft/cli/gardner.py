"""`sgdmft gardner`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sgdmft.cli import arguments


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

    sgdmft gardner --margin 0.5
    sgdmft gardner --alpha 1 3
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
    for result in results.values():
        print(result)
    if margin < 0:
        line = statics.stability_line(margin)
        print(f"Replica symmetry breaks at alpha = {line:.8g} for margin {margin:g}.")
    arguments.save_tables(results, output, "sgdmft gardner")
    return 0
