"""The report of `sgdmft reproduce`: one module per section, one page, one folder.

To add a section: a module with `build(quick, progress) -> Section`, and one line in `SECTIONS`. A section's `progress`
is a callable of `sgdmft.progress`; runs of one section go side by side with `sgdmft.sweeps.side_by_side`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from sgdmft import progress as progress_
from sgdmft.errors import InvalidArgument, SgdmftError
from sgdmft.reports.section import Figure, Section, Table

__all__ = ["SECTIONS", "Figure", "Outcome", "Section", "Table", "write"]

#: Name -> expected seconds on two cores (full, quick), which weigh the progress bar; the module has the same name.
SECTIONS: dict[str, tuple[float, float]] = {
    "learning_curves": (40.0, 8.0),
    "recovery": (35.0, 6.0),
    "correlations": (8.0, 3.0),
    "exploration": (30.0, 5.0),
    "phase_diagram": (45.0, 12.0),
    "schemes": (12.0, 3.0),
}

#: The sections on the talk itself; a quick report has these unless others are named.
TALK = ("learning_curves", "recovery", "correlations")


@dataclass
class Outcome:
    """What became of a report; prints itself."""

    folder: Path
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False

    def __str__(self) -> str:
        lines = [f"Report of {len(self.done)} sections: {self.folder / 'report.html'}"]
        lines += [f"Section `{name}` failed: {message}" for name, message in self.failed.items()]
        if self.interrupted:
            lines.append("Interrupted; the sections finished before are in the report.")
        return "\n".join(lines)


def write(
    folder: Path, *, quick: bool = False, only: Sequence[str] | None = None, progress: progress_.Progress = False
) -> Outcome:
    """Build the sections one after the other into an existing folder; the page is rewritten after each of them."""
    from sgdmft.reports import page

    names = list(only or (TALK if quick else SECTIONS))
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise InvalidArgument(f"There is no section `{unknown[0]}`; the sections are {', '.join(SECTIONS)}.")
    outcome = Outcome(folder)
    sections: list[Section] = []
    with progress_.reporter(progress, "report") as report:
        parts = progress_.Parts(report.update, {name: SECTIONS[name][quick] for name in names})
        for name in names:
            try:
                section = _module(name).build(quick=quick, progress=parts[name])
                page.save_files(folder, section)
                sections.append(section)
                outcome.done.append(name)
            except SgdmftError as error:
                outcome.failed[name] = str(error)
            except KeyboardInterrupt:
                outcome.interrupted = True
            page.save_page(folder, sections, failed=outcome.failed, interrupted=outcome.interrupted, quick=quick)
            if outcome.interrupted:
                break
            parts.finish(name)
    return outcome


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"sgdmft.reports.sections.{name}")
