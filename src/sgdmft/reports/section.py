"""What a section of the report is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from sgdmft.run import parameters

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Figure:
    """A picture: a matplotlib figure made without pyplot, the name of its file, and a caption."""

    name: str
    figure: matplotlib.figure.Figure
    caption: str


@dataclass(frozen=True)
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
    parameters : tables of what `sgdmft.run.parameters.plain` takes; saved as TOML
    """

    name: str
    title: str
    text: Sequence[str]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", parameters.plain(self.parameters))


def html(*fragments: str) -> list[str]:
    """Texts that the page takes as HTML."""
    return [Markup(fragment) for fragment in fragments]


class Jobs(dict[str, tuple[float, Callable[..., Any]]]):
    """Label -> (expected work, function with the keyword arguments `progress` and `cancel`), for `side_by_side`."""

    def add(self, label: str, work: float, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self[label] = work, partial(function, *arguments, **options)
