"""Checkpoints of long runs on disk: a run that was killed continues from the last one, bit for bit."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.errors import DamagedFile, InvalidArgument
from sgdmft.run.files import replacing, reporting

_FORMAT = "sgdmft checkpoint 2"


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
        """Write whole or not at all, through a temporary file beside it."""
        target = Path(self.path)
        with reporting(f"The checkpoint `{target}`"), replacing(target) as part, part.open("wb") as file:
            np.savez(file, format=np.array(_FORMAT), key=np.array(key), **arrays)

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """The state of the run that `key` describes, or None if there is no file.

        Raises
        ------
        DamagedFile
            When the file is no checkpoint.
        InvalidArgument
            When it belongs to another run.
        """
        target = Path(self.path)
        if not target.exists():
            return None
        try:
            with np.load(target, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except Exception as error:  # numpy and zipfile raise many kinds on damaged files
            raise DamagedFile(f"The checkpoint `{target}` is damaged ({error}). Delete it to start anew.") from error
        if str(arrays.pop("format", "")) != _FORMAT:
            raise DamagedFile(f"The file `{target}` is no `{_FORMAT}` file. Choose another path for the checkpoint.")
        if str(arrays.pop("key")) != key:
            raise InvalidArgument(
                f"The checkpoint `{target}` belongs to another run. Choose another path, or delete it to start anew."
            )
        return arrays

    def exists(self) -> bool:
        """Whether there is a state to continue from."""
        return Path(self.path).exists()

    def remove(self) -> None:
        """Delete the file of a finished run."""
        Path(self.path).unlink(missing_ok=True)


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
