r"""The recovery threshold without a start: growth of an infinitesimal overlap with the signal.

Where f'(0) = 0, m = 0 is a solution, and close to it C, R, L and G follow that solution while m(t) = m(0) mu(t), with mu
from the equations linearized in m. The local exponent over an octave,

    z(t) = log2[mu(t) / mu(t/2)] = mean of d log mu / d log t over [t/2, t],                                (7.4)

tells what becomes of the overlap with no m(0), no level and no fit: if z rises for ever, any start recovers; if the sum of
z over all octaves converges, mu does, and a small overlap stays small. Aging makes z fall first and, in a wide range of
alpha, rise again much later; so a verdict is given only on what a run shows:

    grows      z > 0.001 and risen by more than 1 per cent in each of the last two octaves;
    decays     |z| < 0.001 in the last four octaves and at least halved in each of them (what is left of log mu is then
               below 0.001 if that goes on), or z < -0.05 and falling in the last two;
    undecided  else.

What is below 0.001 is no growth yet: where descent reaches zero loss, z vanishes through values of either sign. Octaves
before t = 16/learning rate are not looked at. These rules are heuristic, as is every statement on t -> infinity
from a finite run.
"""

from __future__ import annotations

import enum
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdmft import _validation as check
from sgdmft.algorithm.descent import Descent
from sgdmft.analysis.thresholds.relaxation import METHOD
from sgdmft.dmft import solve
from sgdmft.errors import InvalidArgument
from sgdmft.problem.models import GaussianLeastSquares, Linearized, Start
from sgdmft.progress import Parts, Progress, reporter
from sgdmft.run.parameters import plain
from sgdmft.run.request import Save
from sgdmft.run.trajectory import provenance
from sgdmft.sweeps import Store, side_by_side, uninterrupted

if TYPE_CHECKING:
    import xarray

_SMALL = 1e-200  # m(0) of the linear equations; any value gives the same mu, this one leaves room for 500 decades
_LEAST = 1e-3  # of z that counts
_FIRST = 1024  # steps of the first run; each further one is four times as long


class Verdict(enum.Enum):
    """What becomes of an infinitesimal overlap; the value says it in a sentence."""

    GROWS = "The overlap grows faster and faster: the signal is recovered from any start."
    DECAYS = "The overlap stops growing: a start of small overlap is not recovered."
    UNDECIDED = "The run does not tell yet whether the overlap grows without bound."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Growth:
    """Growth of an infinitesimal overlap; what `growth` returns.

    Attributes
    ----------
    time : ndarray of int, shape (n,)
        1, 2, 4, ..., up to the longest run.
    log_growth : ndarray, shape (n,)
        log |mu| at those times.
    verdict : Verdict
    """

    time: np.ndarray
    log_growth: np.ndarray
    verdict: Verdict

    @property
    def exponent(self) -> np.ndarray:
        """z(t) of (7.4) at `time[1:]`, shape (n - 1,)."""
        return np.diff(self.log_growth) / math.log(2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearThreshold:
    """What is decided on the threshold of infinitesimal starts; what `linear_threshold` returns.

    Attributes
    ----------
    decays_below, grows_above : float
        Up to the one the overlap decays, from the other on it grows, at the alphas that were tried; the threshold of runs
        without end lies between them if growth is monotone in alpha. NaN where no alpha tried gave that verdict.
    steps : int
        Longest run. `grows_above` falls as it is raised.
    growths : dict from alpha to Growth
        Everything that was computed.
    """

    decays_below: float
    grows_above: float
    steps: int
    growths: dict[float, Growth]

    def __str__(self) -> str:
        decays = f"decays up to alpha = {self.decays_below:.4g}" if self.decays_below > 0 else "is not seen to decay"
        grows = f"grows from alpha = {self.grows_above:.4g} on" if self.grows_above > 0 else "is not seen to grow"
        return f"an infinitesimal overlap {decays} and {grows}, as far as runs of {self.steps} steps tell"


def growth(
    model: GaussianLeastSquares,
    algorithm: Descent,
    *,
    steps: int = 16_384,
    method: Any = None,
    cache: str | os.PathLike[str] | bool | None = None,
    progress: Progress = False,
    cancel: threading.Event | None = None,
) -> Growth:
    """Growth of an infinitesimal overlap with the signal, and what it tells; equation (7.4).

    Parameters
    ----------
    model : GaussianLeastSquares
        With a teacher and f'(0) = 0.
    algorithm : Descent
    steps : int, default 16 384
        Longest run; shorter ones are tried first, and end the matter if they decide it.

    Other parameters
    ----------------
    method, cache, progress, cancel : as in `relaxation_times`

    Raises
    ------
    InvalidArgument
        When f'(0) > 0 or there is no teacher.

    Examples
    --------
    >>> import sgdmft as sg
    >>> result = sg.growth(sg.GaussianLeastSquares(alpha=3.0), sg.GradientDescent(0.1), cache=False)
    >>> result.verdict.name, int(result.time[-1])
    ('GROWS', 1024)
    >>> [round(float(z), 2) for z in result.exponent[-3:]]
    [1.75, 2.0, 2.33]
    """
    steps = check.integer("steps", steps, at_least=16)
    lengths = [length for length in (_FIRST * 4**k for k in range(25)) if length < steps] + [steps]
    store = Store(cache)
    with reporter(progress, "growth") as report:
        parts = Parts(lambda done, total, length: report.update(done, total), {length: length for length in lengths})
        for length in lengths:
            logs = _log_growth(model, algorithm, length, method or METHOD, store, progress=parts[length], cancel=cancel)
            time = 2 ** np.arange(len(logs))
            verdict = classify(time, logs, float(algorithm.rates(1).learning_rate[0]))
            if verdict is not Verdict.UNDECIDED:
                break
        report.update(1.0, 1.0)
    return Growth(time=time, log_growth=logs, verdict=verdict)


def linear_threshold(
    model: GaussianLeastSquares,
    algorithm: Descent,
    *,
    alphas: tuple[float, float] = (0.5, 4.0),
    tolerance: float = 0.02,
    steps: int = 16_384,
    method: Any = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | bool | None = None,
    progress: Progress = False,
    cancel: threading.Event | None = None,
) -> LinearThreshold:
    """Interval of alpha outside of which runs decide whether an infinitesimal overlap grows or decays, by bisection.

    Parameters
    ----------
    model : GaussianLeastSquares
        With a teacher and f'(0) = 0; its `alpha` plays no part.
    algorithm : Descent

    Other parameters
    ----------------
    alphas : (float, float), default (0.5, 4)
        Where to look.
    tolerance : float, default 0.02
        Of either end of the interval.
    steps : int, default 16 384
        Longest run.
    method, workers, cache, progress, cancel : as in `relaxation_times`

    Examples
    --------
    >>> import sgdmft as sg
    >>> model, algorithm = sg.GaussianLeastSquares(alpha=1.0), sg.GradientDescent(0.1)
    >>> print(sg.linear_threshold(model, algorithm, steps=1024, tolerance=0.2, cache=False))
    an infinitesimal overlap is not seen to decay and grows from alpha = 2.797 on, as far as runs of 1024 steps tell
    """
    low, high = (check.number("alphas", alpha, above=0.0) for alpha in alphas)
    tolerance = check.number("tolerance", tolerance, above=0.0)
    steps = check.integer("steps", steps, at_least=16)
    if low >= high:
        raise InvalidArgument(f"Argument `alphas` must be an ascending pair, but is {alphas!r}.")
    known: dict[float, Growth] = {}

    def bisect(wanted: Verdict, progress: Callable[..., None], cancel: threading.Event) -> float:
        def has(alpha: float) -> bool:
            if alpha not in known:
                options = {"steps": steps, "method": method, "cache": cache, "cancel": cancel}
                known[alpha] = growth(replace(model, alpha=alpha), algorithm, **options)
            return known[alpha].verdict is wanted

        good, bad = (high, low) if wanted is Verdict.GROWS else (low, high)
        if not has(good):
            return math.nan
        while (width := abs(good - bad)) > tolerance:
            progress(math.log((high - low) / width), math.log((high - low) / tolerance), "")
            middle = 0.5 * (good + bad)
            good, bad = (middle, bad) if has(middle) else (good, middle)
        return good

    ends = {"decays_below": Verdict.DECAYS, "grows_above": Verdict.GROWS}
    jobs = {name: (1.0, partial(bisect, wanted)) for name, wanted in ends.items()}
    with reporter(progress, "linear threshold") as report:
        found = side_by_side(jobs, report.update, workers=workers, cancel=cancel)
    return LinearThreshold(steps=steps, growths={alpha: known[alpha] for alpha in sorted(known)}, **found)


def linear_table(algorithms: Sequence[Descent], answers: Sequence[LinearThreshold]) -> xarray.Dataset:
    """Linear thresholds of algorithms as a dataset over `row`, with verdicts and log |mu| at all alphas tried.

    Those are over (`row`, `point`) and (`row`, `point`, `time`), the times being 1, 2, 4, ...; padded with "" and NaN.
    """
    import xarray as xr

    points = max((len(answer.growths) for answer in answers), default=0)
    longest = max((len(run.time) for answer in answers for run in answer.growths.values()), default=0)
    alphas = np.full((len(answers), points), np.nan)
    verdicts = np.full(alphas.shape, "", dtype=object)
    logs = np.full((*alphas.shape, longest), np.nan)
    for i, answer in enumerate(answers):
        for j, (alpha, run) in enumerate(answer.growths.items()):
            alphas[i, j], verdicts[i, j] = alpha, run.verdict.name.lower()
            logs[i, j, : len(run.log_growth)] = run.log_growth
    return xr.Dataset(
        {
            "algorithm": ("row", [repr(algorithm) for algorithm in algorithms]),
            "batch_fraction": ("row", [algorithm.batch_fraction for algorithm in algorithms]),
            "decays_below": ("row", [answer.decays_below for answer in answers]),
            "grows_above": ("row", [answer.grows_above for answer in answers]),
            "steps": ("row", [answer.steps for answer in answers]),
            "alpha": (("row", "point"), alphas),
            "verdict": (("row", "point"), verdicts.astype(str)),
            "log_growth": (("row", "point", "time"), logs),
        },
        coords={"time": ("time", 2 ** np.arange(longest), {"units": "steps"})},
        attrs=provenance(),
    )


def _log_growth(
    model: GaussianLeastSquares, algorithm: Descent, steps: int, method: Any, store: Store, **options: Any
) -> np.ndarray:
    """log |mu| at 1, 2, 4, ..., as far as it is finite: from the store, else computed and stored."""

    def key() -> dict[str, Any]:
        how = plain(algorithm, steps=steps, identity=True)
        return {"what": "growth", "model": model, "algorithm": how, "method": method, "steps": steps}

    if kept := store.get(key):
        return np.array(kept["log_growth"])
    start, save = Start(magnetization=_SMALL), Save(two_time=0)
    run = solve(
        Linearized(model), algorithm, steps=steps, start=start, method=method, save=save, strict=False, **options
    )
    uninterrupted(run)
    time = 2 ** np.arange(int(math.log2(max(int(run.time[-1]), 1))) + 1)
    with np.errstate(divide="ignore"):
        logs = np.log(np.abs(run.magnetization[time])) - math.log(_SMALL)
    bad = np.flatnonzero(~np.isfinite(logs))
    logs = logs[: bad[0]] if len(bad) else logs
    store.put(key, {"log_growth": logs.tolist()})
    return logs


def classify(time: np.ndarray, log_growth: np.ndarray, learning_rate: float) -> Verdict:
    """The verdict on log |mu| at times 1, 2, 4, ..., by the rules at the head of this module.

    >>> time = 2 ** np.arange(16)
    >>> classify(time, 0.01 * time, 0.1).name, classify(time, 1 - 1 / time, 0.1).name
    ('GROWS', 'DECAYS')
    >>> classify(time, 0.3 * np.log(time), 0.1).name  # a power law for ever
    'UNDECIDED'
    """
    z = (np.diff(log_growth) / math.log(2))[time[1:] >= 16 / learning_rate]
    if len(z) < 3:
        return Verdict.UNDECIDED
    if z[-1] > _LEAST and z[-2] > 1.01 * max(z[-3], 0.0) and z[-1] > 1.01 * max(z[-2], 0.0):
        return Verdict.GROWS
    if z[-1] < -0.05 and z[-1] < z[-2] < z[-3]:
        return Verdict.DECAYS
    size = np.abs(z[-4:])  # four octaves, since z may just be passing through zero
    if len(size) == 4 and size[0] < _LEAST and (size[1:] <= np.maximum(0.5 * size[:-1], 1e-6)).all():
        return Verdict.DECAYS
    return Verdict.UNDECIDED
