"""Results of finished runs on disk, found again by their exact parameters and by the revision of what computes them.

One small JSON file per result, named by a digest of the parameters; written whole or not at all, so that several
processes may share a folder, and a killed sweep continues where it was.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from sgdmft import __version__, parameters
from sgdmft._files import replacing
from sgdmft.errors import InvalidArgument

#: Raise it with every change of the solver that moves kept results by more than their accuracy, 1e-6 of a time or of log
#: mu: results of an earlier revision are then computed anew. A test holds results to those of the present revision.
REVISION = 1


def default_folder() -> Path:
    """The folder named by the environment variable SGDMFT_CACHE, else `sgdmft` in the user's cache folder."""
    if chosen := os.environ.get("SGDMFT_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "sgdmft"


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
    >>> store.put({"alpha": 2.0}, {"time": 31.5})
    >>> store.get({"alpha": 2.0}), store.get({"alpha": 2.1})
    ({'time': 31.5}, None)
    """

    def __init__(self, folder: str | os.PathLike[str] | bool | None = None) -> None:
        if folder is True:
            raise InvalidArgument("Argument `cache` must be a folder, None for the user's cache, or False for none.")
        self.folder = None if folder is False else default_folder() if folder is None else Path(folder)

    def get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The result of these parameters; None if there is none, or if its file is damaged."""
        if self.folder is None:
            return None
        try:
            entry = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        good = isinstance(entry, dict) and entry.get("parameters") == _described(key)
        return entry.get("result") if good else None

    def put(self, key: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep a result.

        Raises
        ------
        InvalidArgument
            When the folder cannot be written.
        """
        if self.folder is None:
            return
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                part.write_text(json.dumps({"parameters": _described(key), "result": result}), encoding="utf-8")
        except OSError as error:
            raise InvalidArgument(
                f"The cache `{self.folder}` cannot be written ({error.strerror or error}). Set the environment variable "
                "SGDMFT_CACHE to a folder that you may write to, or pass `cache=False`."
            ) from error

    def _path(self, key: dict[str, Any]) -> Path:
        assert self.folder is not None
        digest = parameters.content_key(**_stamped(key))
        return self.folder / digest[:2] / f"{digest}.json"


def _stamped(key: dict[str, Any]) -> dict[str, Any]:
    return {"version": __version__, "revision": REVISION, **key}


def _described(key: dict[str, Any]) -> Any:
    return json.loads(parameters.canonical(**_stamped(key)))
