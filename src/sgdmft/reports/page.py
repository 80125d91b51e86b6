"""One self-contained HTML page out of sections: pictures inline, no external request, light and dark, prints well."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from sgdmft import parameters
from sgdmft.reports.section import Figure, Section, Table
from sgdmft.trajectory import Trajectory, provenance

_DPI = 160
_PIXELS_PER_INCH = 92  # on the page: text in the pictures about as large as the captions

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b626b; --paper: #fff; --line: #d9dde2; --card: #f6f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7e9ec; --soft: #a2a9b2; --paper: #16181b; --line: #363b42; --card: #1f2226; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem }
h2 { font-size: 1.35rem; margin: 3rem 0 .6rem; padding-top: 1.2rem; border-top: 1px solid var(--line) }
sub, sup { line-height: 0 }
p { margin: .6rem 0; max-width: 46rem } .soft, figcaption, caption { color: var(--soft); font-size: .9rem }
nav a { margin-right: 1.2rem } a { color: inherit }
figure { margin: 1.4rem 0 }
figure img { width: 100%; height: auto; background: #fff; border-radius: 6px; padding: .4rem }
figcaption { max-width: 46rem; margin-top: .4rem }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: 1.2rem 0; font-variant-numeric: tabular-nums }
caption { text-align: left; caption-side: bottom; padding-top: .4rem; max-width: 46rem }
th, td { text-align: right; padding: .28rem .9rem .28rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left } th { font-weight: 600 }
details { margin: 1rem 0; background: var(--card); border-radius: 6px; padding: .5rem .9rem }
summary { cursor: pointer; color: var(--soft) } pre { overflow-x: auto; font-size: .82rem; line-height: 1.4 }
.note { background: var(--card); border-left: 4px solid #d55e00; padding: .5rem 1rem; border-radius: 4px }
@media print { body { max-width: none; font-size: 11pt; padding: 0 } h2, figure, table { break-inside: avoid }
  nav, details { display: none } }
"""


def save_files(folder: Path, section: Section) -> None:
    """Write a section's figures (PNG), data (netCDF) and parameters (TOML) into the folder."""
    for figure in section.figures:
        (folder / f"{figure.name}.png").write_bytes(_png(figure))
    for name, data in section.data.items():
        target = folder / f"{name}.nc"
        if isinstance(data, Trajectory):
            data.save(target, overwrite=True)
        else:
            data.to_netcdf(target, engine="h5netcdf")
    if section.parameters:
        text = parameters.toml(section.parameters, heading=section.title)
        (folder / f"{section.name}.toml").write_text(text, encoding="utf-8")


def save_page(
    folder: Path, sections: Sequence[Section], *, failed: Mapping[str, str], interrupted: bool, quick: bool
) -> Path:
    """Write `report.html`, whole or not at all."""
    target = folder / "report.html"
    part = folder / ".report.html.part"
    part.write_text(render(sections, failed=failed, interrupted=interrupted, quick=quick), encoding="utf-8")
    part.replace(target)
    return target


def render(
    sections: Sequence[Section],
    *,
    failed: Mapping[str, str] | None = None,
    interrupted: bool = False,
    quick: bool = False,
) -> str:
    """The page as one string of HTML."""
    origin = provenance()
    notes = [
        f'<p class="note">The section “{html.escape(name)}” could not be built: {html.escape(message)}</p>'
        for name, message in (failed or {}).items()
    ]
    if interrupted:
        notes.append('<p class="note">The run was interrupted; only the sections finished before are shown.</p>')
    if quick:
        notes.append('<p class="note">Quick version: shorter runs and smaller samples than the full report.</p>')
    links = " ".join(f'<a href="#{section.name}">{section.title}</a>' for section in sections)
    made = f"sgdmft {origin['version']}, revision {origin['revision']}, {origin['date']}, {origin['machine']}"
    body = "\n".join([*notes, *(_section(section) for section in sections)])
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Statistical physics of stochastic gradient descent: results</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Statistical physics of stochastic gradient descent</h1>
<p>Recovery of a hidden signal from random quadratic measurements by gradient descent (b = 1) and stochastic gradient
descent (batch fraction b &lt; 1): dynamical mean field theory, exact for infinitely many weights, against runs of
finite size.</p>
<p class="soft">{html.escape(made)}</p>
<nav>{links}</nav>
{body}
</body>
</html>
"""


def _section(section: Section) -> str:
    parts = [f'<h2 id="{section.name}">{section.title}</h2>']
    parts += [f"<p>{paragraph}</p>" for paragraph in section.text]
    parts += [_figure(figure) for figure in section.figures]
    parts += [_table(table) for table in section.tables]
    if section.parameters:
        text = html.escape(parameters.toml(section.parameters))
        parts.append(f"<details><summary>Exact parameters ({section.name}.toml)</summary><pre>{text}</pre></details>")
    return "\n".join(parts)


def _figure(figure: Figure) -> str:
    data = base64.b64encode(_png(figure)).decode()
    alt = html.escape(figure.name.replace("_", " "))
    width = round(_PIXELS_PER_INCH * figure.figure.get_size_inches()[0])
    return (
        f'<figure><img alt="{alt}" style="max-width: {width}px" src="data:image/png;base64,{data}">'
        f"<figcaption>{figure.caption}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{cell}</th>" for cell in table.head)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in table.rows)
    caption = f"<caption>{table.caption}</caption>"
    return f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()
