"""Where a result comes from: version of the package, git revision, machine, date."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from sgdmft._version import __version__


def provenance() -> dict[str, Any]:
    """Package version, git revision, machine and date, for the attributes of a result."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {**_fixed(), "date": now}


@functools.cache
def _fixed() -> dict[str, Any]:
    revision = "unknown"
    sources = Path(__file__).resolve().parents[1]
    if (sources.parents[1] / ".git").exists():
        command = ["git", "-C", str(sources), "describe", "--always", "--dirty", "--abbrev=12"]
        with contextlib.suppress(OSError):  # no git on this machine
            revision = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or revision
    elif (built := sources / "revision.txt").exists():  # written by `hatch_build.py`
        revision = built.read_text(encoding="utf-8").strip()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"version": __version__, "revision": revision, "machine": machine}
