r"""Files that are written whole or not at all, and read only if they are as they were written.

What the package reads back is *sealed*: behind the content stands a line with its SHA-256 digest, which HDF5, netCDF and
zip readers pass over. It is compared before any other library sees a byte. A netCDF file without the line, of another
program or an earlier version, is read with an `Unchecked` warning.

>>> import tempfile
>>> path = Path(tempfile.mkdtemp()) / "notes"
>>> write(path, "alpha", sealed=True)
>>> read(path)
b'alpha'
>>> _ = path.write_bytes(path.read_bytes().replace(b"alpha", b"aleph"))
>>> read(path)
Traceback (most recent call last):
sgdmft.errors.DamagedFile: The file ... is damaged: ... Compute it again, or restore it from a copy.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import platform
import re
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from sgdmft import _memory
from sgdmft.errors import DamagedFile, InvalidArgument, TooLarge, Unchecked

if TYPE_CHECKING:
    import xarray

_SEAL = re.compile(rb"\nsgdmft sha256 ([0-9a-f]{64})\n")
_SEAL_SIZE = 80
_NAME = 120  # bytes of a name that its temporary files repeat; 255 is what most file systems take
_DAY = 86400.0
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EROFS, errno.EBADF}

#: Version of a superblock of HDF5 -> where the file's length stands in it.
_LENGTH = {0: 40, 1: 44, 2: 28, 3: 28}


# -- writing -----------------------------------------------------------------------------------------------------------


@contextmanager
def replacing(path: str | os.PathLike[str], *, sealed: bool = False, remedy: str = "") -> Iterator[BinaryIO]:
    """An open file that takes the place of `path` at the end; after an error what was there before is untouched.

    Links are followed, the permissions of a file that is replaced are kept, and what a killed process left of an earlier
    try is removed. A device or a pipe is written to as it is.

    Raises
    ------
    InvalidArgument
        When the disk is full, or the file or its folder may not be written; with the `remedy`.
    """
    target = Path(path)
    try:
        before = target.stat() if target.exists() else None
        if before and not (stat.S_ISREG(before.st_mode) or stat.S_ISDIR(before.st_mode)):
            stream = io.BytesIO()
            yield stream
            with target.open("wb", buffering=0) as file:
                file.write(stream.getvalue())
            return
        if before and stat.S_ISDIR(before.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if before and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        target = Path(os.path.realpath(target))
        part = _part(target)
        _remove_leftovers(part)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
            with open(os.open(part, flags, 0o600 if before else 0o666), "w+b") as file:
                yield file
                if sealed:
                    _seal(file)
                file.flush()
                _sync(file.fileno())
            if before:
                _keep_permissions(part, before)
            part.replace(target)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, DamagedFile):
            raise
        if not remedy:
            full = error.errno in _NO_ROOM
            remedy = (
                "Make room, or choose a path on another disk."
                if full
                else ("Choose a path in an existing folder that you may write to.")
            )
        raise InvalidArgument(f"The file `{path}` cannot be written ({error.strerror or error}). {remedy}") from error


def write(path: str | os.PathLike[str], content: str | bytes, *, sealed: bool = False, remedy: str = "") -> None:
    """A file of text (UTF-8) or bytes; see `replacing`."""
    with replacing(path, sealed=sealed, remedy=remedy) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_dataset(path: str | os.PathLike[str], dataset: xarray.Dataset) -> None:
    """A netCDF file, sealed. It is made in memory: a disk that fills under HDF5 ends the process."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    stream = io.BytesIO()
    with h5netcdf.File(stream, "w") as file:
        dataset.dump_to_store(H5NetCDFStore(file))
    with replacing(path, sealed=True) as file:
        file.write(stream.getbuffer())


def remove(path: str | os.PathLike[str]) -> None:
    """Delete a file, if it is there, and what killed processes left of it."""
    target = Path(os.path.realpath(path))
    target.unlink(missing_ok=True)
    _remove_leftovers(_part(target))


def _part(target: Path) -> Path:
    """The temporary file of this thread beside `target`."""
    stem = os.fsencode(target.name)
    if len(stem) > _NAME:
        stem = stem[: _NAME - 32] + hashlib.sha256(stem).hexdigest()[:32].encode()
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    return target.with_name(f".{os.fsdecode(stem)}.{host}-{os.getpid()}-{threading.get_ident()}.part")


def _remove_leftovers(part: Path) -> None:
    """Delete the temporary files of the same target whose process is gone, or that nobody touched for a day."""
    stem, mine = part.name.rsplit(".", 2)[0], part.name.rsplit(".", 2)[1].split("-")
    with suppress(OSError):
        for entry in os.scandir(part.parent):
            if not (entry.name.startswith(stem + ".") and entry.name.endswith(".part")) or entry.name == part.name:
                continue
            owner = entry.name[len(stem) + 1 : -len(".part")].split("-")
            if len(owner) != 3 or not owner[1].isdecimal():
                continue
            with suppress(OSError):
                gone = owner[0] == mine[0] and not _alive(int(owner[1]))
                if gone or time.time() - entry.stat().st_mtime > _DAY:
                    os.unlink(entry.path)


def _alive(process: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it belongs to someone else
        pass
    return True


def _keep_permissions(part: Path, before: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with suppress(OSError):  # only root may give a file away
            os.chown(part, before.st_uid, before.st_gid)
    with suppress(OSError):
        part.chmod(stat.S_IMODE(before.st_mode))


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _seal(file: BinaryIO) -> None:
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0, os.SEEK_END)
    file.write(f"\nsgdmft sha256 {digest}\n".encode())


# -- reading -----------------------------------------------------------------------------------------------------------


@contextmanager
def checked(path: str | os.PathLike[str], *, remedy: str = "") -> Iterator[tuple[BinaryIO, bool]]:
    """The open file, and whether it is sealed; what a library cannot read of it is a `DamagedFile` as well.

    Raises
    ------
    DamagedFile
        When there is no such file, or it is not as it was written.
    """
    remedy = remedy or "Compute it again, or restore it from a copy."
    target = Path(path)
    if not target.is_file():
        raise DamagedFile(f"There is no file `{target}`.")
    try:
        with target.open("rb") as file:
            seal, size = _read_seal(file)
            if seal is not None and seal != _digest(file, size):
                raise DamagedFile("its content does not agree with its digest")
            file.seek(0)
            yield file, seal is not None
    except (InvalidArgument, TooLarge):
        raise
    except Exception as error:  # h5py, numpy, zipfile and json raise many kinds on damaged files
        raise DamagedFile(f"The file `{target}` is damaged: {error}. {remedy}") from error


def read(path: str | os.PathLike[str], *, remedy: str = "") -> bytes:
    """The content of a sealed file."""
    with checked(path, remedy=remedy) as (file, sealed):
        if not sealed:
            raise DamagedFile("its digest is missing")
        return file.read()[:-_SEAL_SIZE]


def read_dataset(path: str | os.PathLike[str], *, memory_limit: float = 1e9) -> xarray.Dataset:
    """A netCDF file, read into memory.

    Raises
    ------
    DamagedFile
    TooLarge
        When it unfolds to more than `memory_limit` bytes and twice its size.
    """
    import h5py
    import xarray as xr

    with checked(path) as (file, sealed):
        size = os.fstat(file.fileno()).st_size
        if not sealed and _hdf5_length(file) not in (None, size):
            raise DamagedFile("it is longer or shorter than it says")
        declared = [0]
        with h5py.File(file, "r") as content:
            content.visititems(lambda name, item: declared.append(getattr(item, "nbytes", 0)))
        what = f"The content of the file `{path}` ({size} bytes)"
        _memory.ask(sum(declared), what, "Raise `memory_limit`, if you trust it", limit=max(memory_limit, 2 * size))
        file.seek(0)
        with xr.open_dataset(file, engine="h5netcdf") as lazy:
            dataset = lazy.load()
    if not sealed:
        warnings.warn(
            f"The file `{path}` has no digest of this package, so that damage to it would not be noticed. Files of earlier "
            "versions and of other programs have none; what is saved again has one.",
            Unchecked,
            stacklevel=3,
        )
    return dataset


def _read_seal(file: BinaryIO) -> tuple[bytes | None, int]:
    """The digest that a file states, or None, and the size of its content."""
    size = file.seek(0, os.SEEK_END) - _SEAL_SIZE
    file.seek(max(size, 0))
    found = _SEAL.fullmatch(file.read())
    return (found[1], size) if found else (None, size + _SEAL_SIZE)


def _digest(file: BinaryIO, size: int) -> bytes:
    file.seek(0)
    digest = hashlib.sha256()
    while size > 0:
        block: Any = file.read(min(size, 1 << 20))
        digest.update(block)
        size -= len(block) or size
    return digest.hexdigest().encode()


def _hdf5_length(file: BinaryIO) -> int | None:
    """The length that an HDF5 file says it has: more behind it was a digest once."""
    file.seek(0)
    head = file.read(64)
    at = _LENGTH.get(head[8]) if head.startswith(b"\x89HDF\r\n\x1a\n") and len(head) == 64 else None
    return None if at is None else int.from_bytes(head[at : at + 8], "little")
