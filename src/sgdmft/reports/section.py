"""What a section of the report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture: a matplotlib figure made without pyplot, the name of its file, and a caption."""

    name: str
    figure: matplotlib.figure.Figure
    caption: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of cells, the first row being its head."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(
                    f"The row {list(row)} has {len(row)} cells, but the head {list(self.head)} {len(self.head)}."
                )


@dataclass(frozen=True, kw_only=True)
class Section:
    """A finished section. Texts, captions and cells are escaped on the page, but for those that are `Markup` (HTML).

    Attributes
    ----------
    name : name of the module; files of the section start with it
    title : heading
    text : paragraphs; `html` makes them of HTML fragments without block tags
    figures, tables : in the order in which they are shown, figures first
    data : name -> Trajectory or xarray.Dataset; saved as netCDF
    parameters : plain tables, see `sgdmft.run.parameters.plain`; saved as TOML
    """

    name: str
    title: str
    text: Sequence[str]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)


def html(*fragments: str) -> list[str]:
    """Texts that the page takes as HTML."""
    return [Markup(fragment) for fragment in fragments]
