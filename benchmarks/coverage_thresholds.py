"""How often the intervals of `fit_power_law` hold the truth, on synthetic relaxation times of many kinds.

    python benchmarks/coverage_thresholds.py [development|held-out|last] [draws] [seed]

Each draw has its own number of points (8 to 20), window (1 to 2 decades of tau), threshold (1 to 3), exponent (0.7 to 3)
and deviation from the law. `development` and `held-out` were written before any result was seen. The method was chosen on
the first. The second, used once, judged a version with another prior of the wandering; data drawn from the model itself
(the tests do it) then showed that prior to be inconsistent. `last` has families that were written after this was mended
and used once; `held-out` was then repeated with fresh seeds.

The width is the median of (upper - lower end) / (2 k delta), delta the least true distance alpha - alpha*, with k such that
the interval alpha* (fit) +- k delta covers as often as stated: 1 is what somebody achieves who knows the family.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np

import sgdmft as sg
from sgdmft.errors import FitRefused

Deviation = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]
CONFIDENCES = (0.68, 0.95)


def scatter(size: float) -> Deviation:
    """Independent normal errors of log tau."""
    return lambda rng, d, nu: size * rng.standard_normal(len(d))


def both(*parts: Deviation) -> Deviation:
    return lambda rng, d, nu: sum((part(rng, d, nu) for part in parts), start=np.zeros(len(d)))


def correction(rng, d, nu):
    """tau = tau0 d^-nu (1 + c d^w), d in units of the far end of the window."""
    return np.log1p(rng.uniform(-0.6, 1.0) * d ** rng.uniform(0.5, 1.5))


def autoregressive(rng, d, nu):
    """Errors of 3 per cent, each correlated with the one before."""
    return 0.03 * _correlated(rng, rng.uniform(0.5, 0.95) ** np.abs(np.subtract.outer(range(len(d)), range(len(d)))))


def offset(rng, d, nu):
    """tau = tau0 d^-nu + constant."""
    return np.log1p(rng.uniform(-0.5, 2.0) * d**nu)


def logarithm(rng, d, nu):
    """tau = tau0 d^-nu log(D/d)^p, D 2 to 20 times the far end."""
    return rng.uniform(-1.0, 1.0) * np.log(rng.uniform(math.log(2), math.log(20)) - np.log(d))


def crossover(rng, d, nu):
    """Exponent nu near the threshold, another one far from it, between them a crossover within the window."""
    other, sharpness = nu * rng.uniform(-0.5, 0.5), rng.uniform(0.5, 2.0)
    return other / sharpness * np.log1p((d / np.exp(rng.uniform(np.log(d[0]), 0.0))) ** sharpness)


def two_corrections(rng, d, nu):
    return np.log1p(
        rng.uniform(-0.4, 0.6) * d ** rng.uniform(0.3, 1.0) + rng.uniform(-0.4, 0.6) * d ** rng.uniform(1, 2)
    )


def smooth(rng, d, nu):
    """A smooth random function of log d, 3 per cent, correlated over 0.15 to 0.6 of the window."""
    u = np.log(d) / np.log(d[0])
    distance = np.subtract.outer(u, u) / rng.uniform(0.15, 0.6)
    return 0.03 * _correlated(rng, np.exp(-0.5 * distance**2))


def heavy_tails(rng, d, nu):
    return 0.05 * rng.standard_t(3, len(d))


def growing_scatter(rng, d, nu):
    """2 per cent at the far end, 20 per cent at the near one."""
    return 0.02 * 10 ** (np.log(d) / np.log(d[0])) * rng.standard_normal(len(d))


def vogel_fulcher(rng, d, nu):
    """A factor exp(c d^-q) that diverges more strongly than any power."""
    return rng.uniform(0.1, 0.5) * (d / d[0]) ** -rng.uniform(0.3, 1.0)


def other_variable(rng, d, nu):
    """The power of 1/alpha* - 1/alpha, the far end at 1.3 to 2.5 times alpha*."""
    return nu * np.log1p(rng.uniform(0.3, 1.5) * d)


def log_periodic(rng, d, nu):
    """A ripple of 2 per cent in log d, 0.5 to 2 periods over the window."""
    return 0.02 * np.sin(2 * math.pi * (rng.uniform(0.5, 2.0) * np.log(d) / np.log(d[0]) + rng.uniform()))


def whole_steps(rng, d, nu):
    """Times from 20 steps on that are rounded up to whole steps."""
    times = 20 * d**-nu
    return np.log(np.ceil(times) / times)


def _correlated(rng: np.random.Generator, covariance: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(covariance + 1e-10 * np.eye(len(covariance))) @ rng.standard_normal(len(covariance))


FAMILIES: dict[str, tuple[int, dict[str, Deviation]]] = {
    "development": (
        1,
        {
            "scatter 0.5 %": scatter(0.005),
            "scatter 5 %": scatter(0.05),
            "scatter 20 %": scatter(0.2),
            "a correction to scaling": correction,
            "the same and scatter 1 %": both(correction, scatter(0.01)),
            "AR(1) errors 3 %": autoregressive,
        },
    ),
    "last": (
        40_001,
        {
            "a law of Vogel and Fulcher": vogel_fulcher,
            "power of 1/α* − 1/α": other_variable,
            "the same and scatter 2 %": both(other_variable, scatter(0.02)),
            "log-periodic ripple 2 %": log_periodic,
            "whole steps": whole_steps,
        },
    ),
    "held-out": (
        60_001,
        {
            "offset of tau": offset,
            "offset and scatter 2 %": both(offset, scatter(0.02)),
            "power of a logarithm": logarithm,
            "crossover of exponents": crossover,
            "crossover and scatter 2 %": both(crossover, scatter(0.02)),
            "two corrections": two_corrections,
            "smooth errors 3 %": smooth,
            "smooth errors and scatter 3 %": both(smooth, scatter(0.03)),
            "scatter 5 %, heavy tails": heavy_tails,
            "scatter 2 to 20 %": growing_scatter,
        },
    ),
}


def draw(rng: np.random.Generator, deviation: Deviation) -> tuple[np.ndarray, np.ndarray, float]:
    """Alphas, relaxation times and the true threshold."""
    n, decades, nu = rng.integers(8, 21), rng.uniform(1.0, 2.0), rng.uniform(0.7, 3.0)
    truth, far = rng.uniform(1.0, 3.0), rng.uniform(0.3, 1.5)
    place = (np.arange(n) + np.r_[0.0, rng.uniform(-0.3, 0.3, n - 2), 0.0]) / (n - 1)  # even in log tau but for jitter
    d = 10 ** (decades / nu * (place - 1))  # in units of the far end
    return truth + far * d, 20.0 * far**-nu * np.exp(-nu * np.log(d) + deviation(rng, d, nu)), truth


def measure(deviation: Deviation, draws: int, seed: int) -> dict[float, tuple[float, float, float, float]]:
    """Per confidence: coverage, its standard error, relative width; and the share of refused draws."""
    rng = np.random.default_rng(seed)
    data = [draw(rng, deviation) for _ in range(draws)]
    result = {}
    for confidence in CONFIDENCES:
        held, widths, errors = [], [], []
        for alphas, times, truth in data:
            try:
                fit = sg.fit_power_law(alphas, times, confidence=confidence)
            except FitRefused:
                continue
            low, high = fit.interval
            least = alphas[0] - truth
            held.append(low <= truth <= high)
            widths.append(0.5 * (high - low) / least)
            errors.append(abs(fit.threshold - truth) / least)
        p = float(np.mean(held))
        width = float(np.median(widths) / max(float(np.quantile(errors, confidence)), 1e-12))
        result[confidence] = p, math.sqrt(p * (1 - p) / len(held)), width, 1 - len(held) / draws
    return result


def main(kind: str = "development", draws: str = "500", seed: str | None = None) -> None:
    first, families = FAMILIES[kind]
    first = first if seed is None else int(seed)
    print("| family | refused | 68 %: covered | width | 95 %: covered | width |\n|---|---|---|---|---|---|")
    for k, (name, deviation) in enumerate(families.items()):
        measured = measure(deviation, int(draws), first + 1000 * k)
        cells = [f"{100 * p:.1f} ± {100 * error:.1f} | {width:.2f}" for p, error, width, _ in measured.values()]
        print(f"| {name} | {100 * measured[0.68][3]:.0f} % | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
