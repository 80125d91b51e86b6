"""Results of finished runs on disk, found again by their exact parameters and by the revision of what computes them.

One small JSON file per result, named by a digest of the parameters; written whole or not at all, so that several
processes may share a folder, and a killed sweep continues where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import platformdirs

from sgdmft import __version__
from sgdmft.errors import DamagedFile, InvalidArgument
from sgdmft.run import files, parameters

#: Raise it with every change of the solver that moves kept results by more than their accuracy, 1e-6 of a time or of log
#: mu: results of an earlier revision are then computed anew. A test holds results to those of the present revision.
REVISION = 1

#: Gives the parameters of a result, when they are asked for: only what is kept needs a text form.
Key: TypeAlias = Callable[[], dict[str, Any]]


def default_folder() -> Path | None:
    """The folder named by the environment variable SGDMFT_CACHE, else `sgdmft` in the user's cache folder, if there is a home."""
    if chosen := os.environ.get("SGDMFT_CACHE"):
        return Path(chosen)
    folder = platformdirs.user_cache_path("sgdmft", appauthor=False, opinion=False)
    return folder if folder.is_absolute() else None


class Store:
    """A folder of results.

    Parameters
    ----------
    folder : path, None or False
        None is `default_folder()`; False keeps nothing.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(tempfile.mkdtemp())
    >>> store.put(lambda: {"alpha": 2.0}, {"time": 31.5})
    >>> store.get(lambda: {"alpha": 2.0}), store.get(lambda: {"alpha": 2.1})
    ({'time': 31.5}, None)
    """

    def __init__(self, folder: str | os.PathLike[str] | bool | None = None) -> None:
        if folder is True:
            raise InvalidArgument("Argument `cache` must be a folder, None for the user's cache, or False for none.")
        self.folder = None if folder is False else default_folder() if folder is None else Path(folder)

    def get(self, key: Key) -> dict[str, Any] | None:
        """The result of these parameters; None if there is none, or if its file is damaged."""
        if self.folder is None:
            return None
        path, described = self._place(key)
        try:
            entry = json.loads(files.read(path))
        except (DamagedFile, ValueError, RecursionError):
            return None
        good = isinstance(entry, dict) and entry.get("parameters") == described
        return entry.get("result") if good else None

    def put(self, key: Key, result: dict[str, Any]) -> None:
        """Keep a result.

        Raises
        ------
        InvalidArgument
            When the folder cannot be written.
        """
        if self.folder is None:
            return
        path, described = self._place(key)
        remedy = "Set the environment variable SGDMFT_CACHE to a folder that you may write to, or pass `cache=False`."
        with suppress(OSError):  # said by the write
            path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, json.dumps({"parameters": described, "result": result}), sealed=True, remedy=remedy)

    def _place(self, key: Key) -> tuple[Path, Any]:
        """The file of a result, and its parameters in full; `InvalidArgument` where one of them has no text form."""
        assert self.folder is not None
        stamped = {"version": __version__, "revision": REVISION, **key()}
        digest = parameters.content_key(**stamped)
        return self.folder / digest[:2] / f"{digest}.json", json.loads(parameters.canonical(**stamped))
