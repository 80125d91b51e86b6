"""Checkpoints of long runs on disk: a run that was killed continues from the last one, bit for bit."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import DamagedFile, InvalidArgument, Unsaved
from sgdmft.run import files

_FORMAT = "sgdmft checkpoint 3"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where and how often a run of `solve` saves its state; a run finds its own state there and continues.

    Parameters
    ----------
    path : path of the file; it is removed when the run ends.
    seconds : float, default 30
        Time between two checkpoints: at most this is lost when a run is killed.
    """

    path: str | os.PathLike[str]
    seconds: float = 30.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", check.number("seconds", self.seconds, at_least=0.0))

    def write(self, key: str, arrays: dict[str, Any]) -> None:
        """Write whole or not at all."""
        with files.replacing(self.path, sealed=True) as file:
            np.savez(file, format=np.array(_FORMAT), key=np.array(key), **arrays)

    def keep(self, key: str, arrays: dict[str, Any]) -> None:
        """`write`, or warn that it cannot be done."""
        try:
            self.write(key, arrays)
        except InvalidArgument as error:
            warnings.warn(f"{error} The run goes on without it.", Unsaved, stacklevel=3)

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """The state of the run that `key` describes, or None if there is no file.

        Raises
        ------
        DamagedFile
            When the file is no checkpoint.
        InvalidArgument
            When it belongs to another run.
        """
        if not self.exists():
            return None
        with files.checked(self.path, remedy="Delete it to start anew.") as (file, sealed):
            if not sealed:
                raise DamagedFile(f"it is no `{_FORMAT}` file with a digest")
            with np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
            stated = {name: str(arrays.pop(name, "")) for name in ("format", "key")}
        if stated["format"] != _FORMAT:
            raise DamagedFile(f"The file `{self.path}` is no `{_FORMAT}` file. Choose another path for the checkpoint.")
        if stated["key"] != key:
            raise InvalidArgument(
                f"The checkpoint `{self.path}` belongs to another run. Choose another path, or delete it to start anew."
            )
        return arrays

    def exists(self) -> bool:
        """Whether there is a state to continue from."""
        return Path(self.path).exists()

    def remove(self) -> None:
        """Delete the file of a finished run, or warn that it cannot be done."""
        try:
            files.remove(self.path)
        except OSError as error:
            warnings.warn(
                f"The checkpoint `{self.path}` of the finished run cannot be deleted ({error.strerror or error}). Delete it.",
                Unsaved,
                stacklevel=3,
            )


class Clock:
    """Says when the next checkpoint is due."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def due(self) -> bool:
        """Whether the time has come; if so, the clock starts again."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._seconds
        return True
