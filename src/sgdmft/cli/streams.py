"""What a command inherits: standard streams that nobody reads or whose encoding lacks a letter, settings for windows."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys

#: Letters that the package prints -> what they are where an encoding lacks them.
_ASCII = {
    "±": "+-",
    "α": "alpha",
    "η": "eta",
    "Δ": "Delta",
    "ν": "nu",
    "τ": "tau",
    "→": "->",
    "–": "-",
    "²": "^2",
    "×": "x",
}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_ASCII.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("sgdmft", _in_ascii)


def mend() -> None:
    """Open what is closed to nowhere, and let letters be replaced that an encoding lacks.

    Settings of what no command uses are dropped, as matplotlib and numba refuse wrong ones; and the debugging of one's own
    compiled code.
    """
    for name in ("MPLBACKEND", "NUMBA_NUM_THREADS", "NUMBA_DISABLE_JIT"):
        os.environ.pop(name, None)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            with contextlib.suppress(OSError):
                os.fstat(number)
                number = -1  # taken: by a file that must not become the stream
            nowhere = os.open(os.devnull, os.O_RDWR)
            if number not in (-1, nowhere):
                os.dup2(nowhere, number)
                os.close(nowhere)
                nowhere = number
            setattr(sys, name, os.fdopen(nowhere, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))
        elif name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="sgdmft" if name == "stdout" else "backslashreplace")


def abandon() -> None:
    """Send to nowhere what is left to be printed, as its reader went away."""
    with contextlib.suppress(OSError, ValueError, AttributeError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
