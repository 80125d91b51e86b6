"""Tables of numbers in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their names, without those that are empty in every row."""
    shown = [i for i in range(len(header)) if any(row[i] for row in rows)]
    lines = [[line[i] for i in shown] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def number(value: float | None, digits: int = 6) -> str:
    """A number to so many digits, nothing for None."""
    return "" if value is None else f"{value:.{digits}g}"


def measured(value: float, uncertainty: float) -> str:
    """A number to the digits that its uncertainty leaves, at most 10."""
    digits = 10
    if value and 0.0 < uncertainty < math.inf:
        digits = min(10, max(1, 1 + math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty))))
    return f"{value:.{digits}g} ± {uncertainty:.1g}"
