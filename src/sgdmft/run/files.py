"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sgdmft.errors import InvalidArgument

if TYPE_CHECKING:
    import xarray


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to; it takes the place of `target` at the end, and is removed after an error."""
    part = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        yield part
        part.replace(target)
    finally:
        if part.parent.is_dir():
            part.unlink(missing_ok=True)


@contextmanager
def reporting(what: str, remedy: str = "Choose a path in an existing folder that you may write to.") -> Iterator[None]:
    """An error of the disk becomes an `InvalidArgument` that says `what` cannot be written."""
    try:
        yield
    except OSError as error:
        raise InvalidArgument(f"{what} cannot be written ({error.strerror or error}). {remedy}") from error


def write(target: Path, content: str | bytes) -> None:
    """A file of text (UTF-8) or bytes."""
    with replacing(target) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def write_dataset(target: Path, dataset: xarray.Dataset) -> None:
    """A netCDF file."""
    with replacing(target) as part:
        dataset.to_netcdf(part, engine="h5netcdf")
