"""Compiled functions that are kept on disk, where there is a place for them, and only used when they are whole and fresh.

numba looks for a place: the folder NUMBA_CACHE_DIR, `__pycache__` beside the source, the user's cache folder. What it keeps
there is parsed and run as it is found, and counts as fresh as long as the file of the function itself is the same. Here each
file begins with a digest of what follows, of all sources of this folder and of the compiler's version.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pickle
from pathlib import Path
from typing import Any, ClassVar

import llvmlite
import numba
from numba.core import caching, config
from numba.core.serialize import dumps

from sgdmft.errors import InvalidArgument

_SIZE = hashlib.sha256().digest_size


@functools.cache
def _sources() -> bytes:
    """Digest of everything that compiled code depends on."""
    texts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    versions = f"{numba.__version__} {llvmlite.__version__}".encode()
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in (versions, *texts))).digest()


class _Files(caching.IndexDataCacheFile):
    """The index of a function's compiled forms, and a file for each of them."""

    def _load_index(self) -> dict[Any, str]:
        return self._read(self._index_path) or {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, overloads)

    def _load_data(self, name: str) -> Any:
        return self._read(self._data_path(name))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)

    def _read(self, path: str) -> Any:
        """What was written to that file; None where it is missing, damaged or stale."""
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        data = content[_SIZE:]
        return pickle.loads(data) if _digest(data) == content[:_SIZE] else None

    def _write(self, path: str, content: Any) -> None:
        data = dumps(content)
        with self._open_for_write(path) as file:
            file.write(_digest(data) + data)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(_sources() + data).digest()


class _Place(caching.CompileResultCacheImpl):
    """Where a function is kept; not in a folder named `~` where the user has no home."""

    _locator_classes: ClassVar[list[type]] = [
        locator
        for locator in caching.CompileResultCacheImpl._locator_classes
        if "UserWide" not in locator.__name__
        or os.path.isabs(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~"))
    ]


class _Kept(caching.FunctionCache):
    """Compiled forms of a function; what cannot be read is compiled anew, what cannot be written is not kept."""

    _impl_class = _Place

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        files = self._cache_file
        self._cache_file = _Files(files._cache_path, self._impl.filename_base, files._source_stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # of another compiler that calls itself the same: any kind
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


@functools.cache
def _complain() -> None:
    logging.getLogger("sgdmft").warning(
        "sgdmft: there is no folder for compiled code, so that every process compiles anew, for some seconds; set the "
        "environment variable NUMBA_CACHE_DIR to a folder that you may write to."
    )


def compiled(**options: Any) -> Any:
    """`numba.njit(**options)` whose code is kept on disk."""
    if config.DISABLE_JIT:
        raise InvalidArgument(
            "The environment variable NUMBA_DISABLE_JIT switches off the compiler, without which nothing here runs. Unset it."
        )

    def decorate(function: Any) -> Any:
        dispatcher = numba.njit(**options)(function)
        try:
            dispatcher._cache = _Kept(function)
        except (RuntimeError, OSError):  # no locator
            _complain()
        return dispatcher

    return decorate
