"""`sgdmft statics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sgdmft.cli import arguments
from sgdmft.run import parameters

if TYPE_CHECKING:
    from sgdmft.statics import Equilibrium, InferenceThresholds, Transition


def statics(
    *,
    alpha: Annotated[list[float], arguments.several("Samples per weight; several for a scan.")],
    noise: Annotated[float | None, Parameter(help="Variance of the label noise of a teacher (default 0).")] = None,
    target: Annotated[float | None, Parameter(help="The same label for every sample, instead of a teacher's.")] = None,
    covariance: Annotated[arguments.Powers, Parameter(help=arguments.POWERS)] = None,
    temperature: Annotated[float, Parameter(help="0 is the ground state.")] = 0.0,
    levels: Annotated[int, Parameter(help="Steps of replica symmetry breaking that may be used.")] = 0,
    norm: Annotated[float, Parameter(help="Radius |x|²/N of the sphere.")] = 1.0,
    free_norm: Annotated[bool, arguments.flag("No sphere.")] = False,
    weight_decay: Annotated[float, Parameter(help="Ridge coefficient, with --free-norm.")] = 0.0,
    transitions: Annotated[
        bool, arguments.flag("Also the satisfiability and symmetry-breaking, or recovery, thresholds.")
    ] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Save the states as TOML.")] = None,
    overwrite: arguments.Overwrite = False,
) -> int:
    """Thermodynamics: free energy, ground state, order parameters and their stability, by the replica method.

    Prints one state per alpha.

        sgdmft statics --alpha 1.5 --target 1 --levels 3
        sgdmft statics --alpha 2.5 --noise 0.5 --transitions
    """
    table: dict[str, object] = {"alpha": 1.0}
    if covariance is not None:
        table["covariance"] = covariance
    if labels := arguments.labels_of(noise, target):
        table["labels"] = labels
    if output is not None:
        arguments.check_output(output, overwrite)
    models = [parameters.rebuild("model", table | {"alpha": value}) for value in alpha]
    from sgdmft.statics import equilibrium

    kind = {"temperature": temperature, "norm": None if free_norm else norm, "weight_decay": weight_decay}
    results = {}
    for i, model in enumerate(models):
        state = equilibrium(model, levels=levels, **kind)
        results[f"state_{i}"] = state
    print(_told(list(results.values())))
    if transitions:
        print()
        found = _transitions(models[0], levels, norm)
        for result in found.values():
            print(_transition(result))
        results |= found
    arguments.save_tables(results, output, "sgdmft statics")
    return 0


def _told(states: list[Equilibrium]) -> str:
    """A table, one state a row."""
    from sgdmft.cli.tables import measured, number, table
    from sgdmft.problem.models import Teacher

    rows = []
    for state in states:
        if state.log_volume is not None:
            value = f"log volume {measured(state.log_volume, state.uncertainty)}"
        else:
            name = "free energy" if state.temperature > 0 else "energy"
            value = f"{name} {measured(state.free_energy, state.uncertainty)}"
        signal = number(state.magnetization) if isinstance(state.model.labels, Teacher) else ""
        levels = " ".join(map(number, state.overlaps))
        row = [number(state.model.alpha), state.phase, value, number(state.energy), signal, number(state.norm), levels]
        rows.append([*row, number(state.replicon, 3), state.symmetry])
    header = ["alpha", "phase", "per weight", "loss", "m", "C", "overlaps q", "replicon", "replica symmetry"]
    return f"T = {states[0].temperature:g}\n" + table(header, rows)


def _transition(result: Transition | InferenceThresholds) -> str:
    from sgdmft.cli.tables import measured, number
    from sgdmft.statics import Transition

    if isinstance(result, Transition):
        steps = f"{result.levels}-step broken symmetry" if result.levels else "replica symmetric"
        return f"{result.name} at alpha = {measured(result.alpha, result.uncertainty)} ({steps}; {result.reason})"
    return (
        f"weak recovery at alpha = {number(result.weak_information)} (information), {number(result.weak_algorithmic)} "
        f"(state evolution), {number(result.spectral)} (spectral)\nexact recovery at alpha = "
        f"{number(result.exact_information)} (information), {number(result.exact_algorithmic)} (state evolution)"
    )


def _transitions(model, levels: int, norm: float) -> dict[str, Any]:
    """What has a threshold in alpha, with its place; a missing one is printed with the reason."""
    from sgdmft.errors import NotConverged
    from sgdmft.problem.models import Teacher
    from sgdmft.statics import inference_thresholds, satisfiability, symmetry_breaking

    found: dict[str, Any]
    if isinstance(model.labels, Teacher):
        found = {"recovery": inference_thresholds(model.covariance, noise=model.labels.noise)}
        if model.labels.noise > 0:
            found["satisfiability"] = satisfiability(model, levels=levels, norm=norm)
        return found
    found = {"satisfiability": satisfiability(model, levels=levels, norm=norm)}
    try:
        found["symmetry_breaking"] = symmetry_breaking(model, norm=norm)
    except NotConverged as error:
        print(error)
    return found
