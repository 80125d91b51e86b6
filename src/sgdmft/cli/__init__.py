"""The command line `sgdmft`: one module per command, imported when the command is used.

To add a command: a module with one function (its docstring is the help), and one line in `_COMMANDS`.

Exit codes: 0 done; 2 an error in what was asked; 3 the run diverged, 130 it was interrupted (the part of a trajectory
that was computed is saved).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from sgdmft import __version__
from sgdmft.errors import SgdmftError

#: Name -> one line for the list of commands; the module and its function have the same name, with underscores.
_COMMANDS = {
    "reproduce": "The talk's results page: figures, data and report in one folder.",
    "solve": "Theory: integrate the mean-field equations and save the trajectory.",
    "simulate": "Experiment: run the algorithm at finite size, with error bars.",
    "compare": "Theory against experiment: z-scores and a picture.",
    "aging": "Aging, its interruption, and effective temperatures along a run of the theory.",
    "hessian": "The Hessian's spectrum along a run, by theory and at finite size.",
    "threshold": "Recovery thresholds alpha*(b; start), with their uncertainty.",
    "statics": "Thermodynamics by replicas: ground states, free energies, transitions.",
    "gardner": "Capacities and generalization of perceptrons.",
    "compare-schemes": "All minibatch schemes at equal batch fraction and learning rate: figure, table, data.",
}

INVALID, DIVERGED, INTERRUPTED = 2, 3, 130


def build(used: str | None = None) -> App:
    """The application with all its commands, none imported yet; the one `used` shows its own docstring as help."""
    app = App(
        name="sgdmft",
        help="Dynamical mean field theory of stochastic gradient descent on high-dimensional glassy landscapes.",
        version=__version__,
        help_format="markdown",
        result_action="return_value",
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
    )
    for name, text in _COMMANDS.items():
        module = name.replace("-", "_")
        app.command(f"sgdmft.cli.{module}:{module}", name=name, **({} if name == used else {"help": text}))
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    try:
        result = build(tokens[0] if tokens else None)(tokens)
    except CycloptsError:  # printed by cyclopts, with the nearest match
        return INVALID
    except SgdmftError as error:
        print(f"sgdmft: {error}", file=sys.stderr)
        return INVALID
    except KeyboardInterrupt:
        print("sgdmft: interrupted.", file=sys.stderr)
        return INTERRUPTED
    return result if isinstance(result, int) else 0
