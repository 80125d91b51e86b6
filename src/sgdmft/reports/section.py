"""What a section of the report is made of, and how its runs go side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from sgdmft.algorithms import SGD, Descent, GradientDescent
from sgdmft.progress import Parts
from sgdmft.trajectory import Status, Trajectory

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
    parameters : plain tables, see `sgdmft.parameters.plain`; saved as TOML
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


def descent(learning_rate: float, fraction: float) -> Descent:
    """Gradient descent for b = 1, the talk's SGD for b < 1."""
    if fraction == 1.0:
        return GradientDescent(learning_rate=learning_rate)
    return SGD(learning_rate=learning_rate, batch_fraction=fraction)


def side_by_side(
    jobs: Mapping[str, tuple[float, Callable[..., Any]]],
    progress: Callable[[float, float, str], None] | None = None,
    *,
    workers: int | None = None,
) -> dict[str, Any]:
    """Run independent jobs on threads (their compiled loops release the interpreter lock) and return their results.

    Parameters
    ----------
    jobs : label -> (expected work in any one unit, function with the keyword argument `progress`)
        Started from the largest to the smallest.
    progress : callable of `sgdmft.progress`
    workers : int, default the number of cores

    When a job fails or is interrupted, or on Ctrl-C, the others are stopped and the error is raised. Run what takes time
    here and not in the main thread, where `solve` and `simulate` answer Ctrl-C with what they have.
    """
    parts = Parts(progress, {label: work for label, (work, _) in jobs.items()})
    order = sorted(jobs, key=lambda label: -jobs[label][0])
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        futures = {label: pool.submit(_job, jobs[label][1], parts, label) for label in order}
        try:
            wait(futures.values(), return_when=FIRST_EXCEPTION)
            failed = [future for future in futures.values() if future.done() and future.exception()]
            if failed:
                failed[0].result()
        except BaseException:
            parts.stop()
            pool.shutdown(cancel_futures=True)
            raise
        return {label: futures[label].result() for label in jobs}


def _job(work: Callable[..., Any], parts: Parts, label: str) -> Any:
    result = work(progress=parts[label])
    if isinstance(result, Trajectory) and result.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    parts.finish(label)
    return result
