"""Writes the git revision of the sources into a built package, where no repository surrounds it."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RevisionHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        place = "sgdmft/revision.txt" if self.target_name == "wheel" else "src/sgdmft/revision.txt"
        kept = Path(self.root, "src/sgdmft/revision.txt")  # in an unpacked sdist
        if version == "editable" or kept.exists() or not Path(self.root, ".git").exists():
            return
        command = ["git", "-C", self.root, "describe", "--always", "--dirty", "--abbrev=12"]
        with contextlib.suppress(OSError):  # no git on this machine
            revision = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
            if revision:
                self._folder = tempfile.TemporaryDirectory()
                file = Path(self._folder.name, "revision.txt")
                file.write_text(revision, encoding="utf-8")
                build_data["force_include"][str(file)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()
