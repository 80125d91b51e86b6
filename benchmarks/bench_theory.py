"""The dense history against reading its bytes, the compressed history against the dense one, and its growth with T.

    pytest benchmarks/bench_theory.py --benchmark-only -n 0 -s

Everything compared is measured side by side in one run: machines are shared. `python benchmarks/bench_theory.py` draws
how the time per step and the number of coordinates grow up to 10^6 steps, into docs/compressed.png (`... 1e7`: up to
10^7 for the coarsest tolerance); `python benchmarks/bench_theory.py memory` measures the memory of 10^7 steps.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
import pytest

import sgdmft as sg
from sgdmft.dmft.closures import Pointwise
from sgdmft.problem.selfenergy import spherical_pspin

TALK = sg.GaussianLeastSquares(alpha=1.5)
ALGORITHMS = {"b = 1": sg.GradientDescent(0.1), "b = 0.3": sg.SGD(0.1, 0.3)}


@numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def stream(data, n):
    """Sum of the first n entries of a flat array as four streams: what one thread can read."""
    quarter = n // 4
    a, b, c, d = data[:quarter], data[quarter : 2 * quarter], data[2 * quarter : 3 * quarter], data[3 * quarter : n]
    total = 0.0
    for i in range(quarter):
        total += a[i] + b[i] + c[i] + d[i]
    return total


def integrator(model, algorithm, steps, method):
    """The steps of a run alone, without two-time output."""
    request = sg.Request(model=model, algorithm=algorithm, steps=steps, save=sg.Save(two_time=0))
    return method.begin(request).integrator


def announce(capsys, text):
    with capsys.disabled():
        print(f"\n{text}")


@pytest.mark.benchmark(group="dense history")
def bench_dense_against_reading_its_triangles(benchmark, capsys, steps=4000, parts=40):
    """16/3 T^3 bytes in all: each step reads four triangles once. Read after every part, as far as they are filled."""
    sg.solve(TALK, ALGORITHMS["b = 0.3"], steps=600, method=sg.Dense())  # compile
    stream(np.zeros(8), 8)
    run = integrator(TALK, ALGORITHMS["b = 0.3"], steps, sg.Dense())
    stepping = reading = 0.0

    def work():
        nonlocal stepping, reading
        out = np.zeros((steps, 4))
        for part in range(1, parts + 1):
            began = time.perf_counter()
            taken = run.advance(part * steps // parts, out)
            stepping += time.perf_counter() - began
            filled = int(run.history.row[run.t - 1]) + run.t
            began = time.perf_counter()
            for triangle in run.history.operators:
                stream(triangle, filled)
            middle = (1 - 0.5 * taken / run.t) ** 2  # triangles in the middle of the part
            reading += middle * taken * (time.perf_counter() - began)

    benchmark.pedantic(work, rounds=1, iterations=1)
    size = 16 / 3 * steps**3
    benchmark.extra_info |= {"stepping": stepping, "reading": reading, "ratio": stepping / reading}
    announce(
        capsys,
        f"dense, T = {steps}: {stepping:.1f} s, reading its {size / 1e9:.0f} GB {reading:.1f} s "
        f"({size / reading / 1e9:.0f} GB/s), ratio {stepping / reading:.2f} (target 2)",
    )
    assert stepping < 2 * reading


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.benchmark(group="compressed against dense")
def bench_compressed_against_dense(benchmark, capsys, name, steps=4000):
    algorithm = ALGORITHMS[name]
    methods = {"dense": sg.Dense(), "compressed": sg.Compressed()}
    for method in methods.values():
        sg.solve(TALK, algorithm, steps=600, method=method)  # compile
    seconds, results = {}, {}

    def work():
        for label, method in methods.items():
            began = time.perf_counter()
            results[label] = sg.solve(TALK, algorithm, steps=steps, method=method)
            seconds[label] = time.perf_counter() - began

    benchmark.pedantic(work, rounds=1, iterations=1)
    exact, fast = results["dense"], results["compressed"]
    quantities = ("magnetization", "norm", "loss", "correlation", "response")
    errors = {key: float(np.abs(exact[key] - fast[key]).max()) for key in quantities}
    ratio = seconds["dense"] / seconds["compressed"]
    benchmark.extra_info |= {"ratio": ratio, **seconds, **errors}
    announce(
        capsys,
        f"T = {steps}, {name}: dense {seconds['dense']:.1f} s, compressed {seconds['compressed']:.2f} s, "
        f"ratio {ratio:.0f} (target 50); errors {', '.join(f'{k} {v:.0e}' for k, v in errors.items())}",
    )
    assert max(errors[key] for key in quantities[:3]) < 1e-10


@pytest.mark.benchmark(group="compressed step")
def bench_step_against_reading_its_operators(benchmark, capsys, begin=20000, count=4000):
    """A step reads 4 n (n + p) / 2 numbers that live in the cache; the bound is reading them once."""
    run = integrator(TALK, ALGORITHMS["b = 0.3"], begin + count, sg.Compressed())
    out = np.zeros((begin, 4))
    run.advance(begin, out)
    steps, readings, sizes = [], [], []

    def work():
        while run.t + 12 <= begin + count:
            began = time.perf_counter()
            run.advance(run.t + 12, out)
            steps.append((time.perf_counter() - began) / 12)
            past = run.history
            entries = int(past.end[: past.n].sum())
            rows = np.ascontiguousarray(past.operators[:, :entries])
            began = time.perf_counter()
            for operator in rows:
                stream(operator, entries)
            readings.append(time.perf_counter() - began)
            sizes.append(past.n)

    benchmark.pedantic(work, rounds=1, iterations=1)
    step, reading, n = (float(np.median(values)) for values in (steps, readings, sizes))
    size = 8 * 4 * n * (n + 12) / 2
    benchmark.extra_info |= {"step": step, "reading": reading, "ratio": step / reading}
    announce(
        capsys,
        f"compressed step at n = {n:.0f}: {1e6 * step:.0f} us, reading its {size / 1e6:.1f} MB {1e6 * reading:.0f} us "
        f"({size / reading / 1e9:.0f} GB/s), ratio {step / reading:.1f}",
    )


@pytest.mark.benchmark(group="closures")
def bench_self_energy_against_least_squares(benchmark, capsys, steps=4000):
    """A polynomial self-energy, compiled, against its rows evaluated in Python, and against least squares."""
    algorithm = sg.GradientDescent(0.05, spherical=True, temperature=0.2)
    request = {"algorithm": algorithm, "steps": steps, "save": sg.Save(two_time=0)}
    glass = spherical_pspin(sg.Covariance({3: 0.5}))
    models = {"p-spin, compiled": glass, "p-spin, in Python": glass, "least squares": TALK}
    seconds, sizes = {}, {}

    def work():
        for name, model in models.items():
            run = sg.Compressed(tolerance=1e-8).begin(sg.Request(model=model, **request))
            if name == "p-spin, in Python":
                run.integrator.closure = Pointwise(glass)
            run.advance(200)  # compile
            began = time.process_time()
            run.advance()
            seconds[name], sizes[name] = (time.process_time() - began) / (steps - 200), run.integrator.history.n

    benchmark.pedantic(work, rounds=1, iterations=1)
    ratio = seconds["p-spin, in Python"] / seconds["p-spin, compiled"]
    benchmark.extra_info |= {"ratio": ratio, **seconds}
    per_step = ", ".join(f"{name} {1e6 * seconds[name]:.0f} us (n = {sizes[name]})" for name in models)
    announce(capsys, f"per step: {per_step}; compiled {ratio:.1f} times faster (target 5)")


@pytest.mark.benchmark(group="long runs")
def bench_late_recovery_at_three_tolerances(benchmark, capsys):
    """Full batch, alpha = 1.5, m(0) = 0.1: the signal is found after some 2.8e5 steps."""
    found, seconds = [], []

    def work():
        for tolerance in (1e-6, 1e-7, 1e-8):
            began = time.perf_counter()
            theory = sg.solve(
                TALK,
                sg.GradientDescent(0.1),
                steps=400_000,
                method=sg.Compressed(tolerance=tolerance),
                stop=sg.Recovered(distance=1e-2),
            )
            seconds.append(time.perf_counter() - began)
            found.append(int(theory.time[-1]))

    benchmark.pedantic(work, rounds=1, iterations=1)
    announce(
        capsys,
        f"recovery at steps {found} (tolerances 1e-6, 1e-7, 1e-8) in {', '.join(f'{s:.1f}' for s in seconds)} s (target 20 s)",
    )
    assert len(set(found)) == 1


@pytest.mark.benchmark(group="start")
def bench_start(benchmark, capsys):
    """A fresh process that solves 100 steps, with an empty cache of compiled code and with a filled one."""
    run = "sg.solve(sg.GaussianLeastSquares(alpha=2.0), sg.SGD(0.1, 0.3), steps=100, method=sg.Compressed())"
    program = f"import sgdmft as sg; {run}"
    seconds = []

    def work():
        with tempfile.TemporaryDirectory() as cache:
            for _ in range(3):
                began = time.perf_counter()
                subprocess.run(
                    [sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_CACHE_DIR": cache}
                )
                seconds.append(time.perf_counter() - began)

    benchmark.pedantic(work, rounds=1, iterations=1)
    announce(capsys, f"start: first {seconds[0]:.1f} s (target 10), then {min(seconds[1:]):.1f} s (target 1.5)")


def growth(longest: int = 10**6, tolerances: tuple[float, ...] = (1e-6, 1e-8, 1e-10)) -> None:
    """Time per step and coordinates against t for alpha = 1, b = 1, where nothing is recovered; a figure and a table.

    Up to 10^6 steps for each tolerance, and up to `longest` for the first.
    """
    from matplotlib.figure import Figure

    model, algorithm = sg.GaussianLeastSquares(alpha=1.0), ALGORITHMS["b = 1"]
    sg.solve(model, algorithm, steps=100, method=sg.Compressed())  # compile
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for tolerance in tolerances:
        steps = max(longest, 10**6) if tolerance == tolerances[0] else 10**6
        run = integrator(model, algorithm, steps, sg.Compressed(tolerance=tolerance))
        rows, total = [], 0.0
        for mark in np.unique(np.append(np.geomspace(100, 10**6, 33), np.geomspace(10**6, steps, 9)).astype(int)):
            out = np.zeros((mark - run.t, 4))
            first, began = run.t, time.perf_counter()
            run.advance(int(mark), out)
            elapsed = time.perf_counter() - began
            total += elapsed
            rows.append((mark, run.history.n, 1e6 * elapsed / (mark - first)))
            if mark >= 10**6:
                print(
                    f"tolerance {tolerance:g}, {mark} steps: n = {run.history.n}, {rows[-1][2]:.0f} us/step, "
                    f"in all {total:.1f} s; "
                    f"m = {out[-1, 0]:.12f}, C = {out[-1, 1]:.12f}; history {run.history.operators.nbytes / 1e6:.0f} MB, "
                    f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f} MB",
                    flush=True,
                )
        t, n, microseconds = np.array(rows).T
        left.semilogx(t, n, "o-", ms=3, label=rf"tolerance $10^{{{round(np.log10(tolerance))}}}$")
        right.semilogx(t, microseconds, "o-", ms=3)
    left.set(xlabel="step $t$", ylabel="coordinates $n$", ylim=(0, None))
    left.legend(frameon=False)
    right.set(xlabel="step $t$", ylabel=r"time of a step [$\mu$s]", ylim=(0, None))
    left.set_title("full batch, $\\alpha=1$, $\\eta=0.1$, one thread", fontsize=9, loc="left")
    figure.savefig(Path(__file__).resolve().parent.parent / "docs" / "compressed.png", dpi=150)


def memory_of_a_long_run(steps: int = 10**7) -> None:
    """Peak memory of `solve` over that many steps, every one of them recorded."""
    began = time.perf_counter()
    theory = sg.solve(
        sg.GaussianLeastSquares(alpha=1.0), ALGORITHMS["b = 1"], steps=steps, method=sg.Compressed(tolerance=1e-6)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    n = theory.dataset.attrs["coordinates"]
    print(f"{len(theory.time) - 1} steps in {time.perf_counter() - began:.0f} s, n = {n}, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        memory_of_a_long_run(int(float(sys.argv[2])) if len(sys.argv) > 2 else 10**7)
    else:
        growth(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10**6)
