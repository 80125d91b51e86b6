"""One self-contained HTML page out of sections: pictures inline, no external request, light and dark, prints well.

The page is the template `page.html`. Texts are escaped in it; a text that is HTML is a `markupsafe.Markup`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from sgdmft import plotting
from sgdmft.reports.section import Section
from sgdmft.run import files, parameters
from sgdmft.run.trajectory import Trajectory, provenance

_PIXELS_PER_INCH = 92  # on the page: text in the pictures about as large as the captions


def save_files(folder: Path, section: Section) -> None:
    """Write a section's figures (PNG), data (netCDF) and parameters (TOML) into the folder."""
    for figure in section.figures:
        files.write(folder / f"{figure.name}.png", plotting.png(figure.figure))
    for name, data in section.data.items():
        target = folder / f"{name}.nc"
        if isinstance(data, Trajectory):
            data.save(target, overwrite=True)
        else:
            files.write_dataset(target, data)
    if section.parameters:
        files.write(folder / f"{section.name}.toml", parameters.toml(section.parameters, heading=section.title))


def save_page(
    folder: Path, sections: Sequence[Section], *, failed: Mapping[str, str], interrupted: bool, quick: bool
) -> Path:
    """Write `report.html`."""
    target = folder / "report.html"
    files.write(target, render(sections, failed=failed, interrupted=interrupted, quick=quick))
    return target


def render(
    sections: Sequence[Section],
    *,
    failed: Mapping[str, str] | None = None,
    interrupted: bool = False,
    quick: bool = False,
) -> str:
    """The page as one string of HTML."""
    loader = jinja2.PackageLoader("sgdmft.reports", "")
    pages = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    pages.filters["base64"] = lambda figure: base64.b64encode(plotting.png(figure.figure)).decode()
    pages.filters["width"] = lambda figure: round(_PIXELS_PER_INCH * figure.figure.get_size_inches()[0])
    pages.filters["toml"] = parameters.toml
    return pages.get_template("page.html").render(
        sections=sections, failed=failed or {}, interrupted=interrupted, quick=quick, origin=provenance()
    )
