"""The command line `sgdmft`: one module per command, imported when the command is used.

To add a command: a module with one function (its docstring is the help), and one line in `_COMMANDS`.

The exit codes are those of `EXIT_CODES`, which the help prints.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from sgdmft import __version__, signals
from sgdmft.cli import streams
from sgdmft.errors import Diverged, SgdmftError

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

INVALID, DIVERGED, INTERRUPTED, UNREAD = 2, 3, 130, 141
EXIT_CODES = {
    0: "done",
    INVALID: "refused or failed, with the reason in a sentence",
    DIVERGED: "the run diverged",
    129: "asked to end by SIGHUP",
    INTERRUPTED: "interrupted by Ctrl-C",
    UNREAD: "the reader of the output went away",
    143: "asked to end by SIGTERM",
}
_CODES = "Exit codes: " + "; ".join(f"{code} {text}" for code, text in EXIT_CODES.items())
_CODES += ". Where a run diverged or was ended, `solve`, `simulate`, `compare` and `aging` save what was computed."


def build(used: str | None = None) -> App:
    """The application with all its commands, none imported yet; the one `used` shows its own docstring as help."""
    app = App(
        name="sgdmft",
        help="Dynamical mean field theory of stochastic gradient descent on high-dimensional glassy landscapes.",
        help_epilogue=_CODES,
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
    if arguments is None:
        streams.mend()
    with signals.raising():
        try:
            code = _run(tokens)
            sys.stdout.flush()
        except (BrokenPipeError, SystemExit):  # as in `sgdmft ... | head`; the second is raised by rich
            streams.abandon()
            return UNREAD
        heard = signals.last()
        return 128 + heard if code == INTERRUPTED and heard else code


def _run(tokens: list[str]) -> int:
    try:
        os.getcwd()
    except OSError:
        print("sgdmft: the current folder has been deleted. Change to another one.", file=sys.stderr)
        return INVALID
    try:
        result = build(tokens[0] if tokens else None)(tokens)
    except CycloptsError:  # printed by cyclopts, with the nearest match
        return INVALID
    except Diverged as error:
        print(f"sgdmft: {error}", file=sys.stderr)
        return DIVERGED
    except SgdmftError as error:
        print(f"sgdmft: {error}", file=sys.stderr)
        return INVALID
    except KeyboardInterrupt:
        print(f"sgdmft: interrupted{f' by {heard.name}' if (heard := signals.last()) else ''}.", file=sys.stderr)
        return INTERRUPTED
    return result if isinstance(result, int) else 0
