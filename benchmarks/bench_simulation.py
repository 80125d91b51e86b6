"""A full-batch step of the simulation against reading its data once, side by side in the same threads.

    pytest benchmarks --benchmark-only -n 0 -s

After every step each thread reads the couplings of its sample once more with a plain sum, so that both times see the same
load of the machine. Target for float64: a step takes at most twice as long as the reading.
"""

from __future__ import annotations

import time

import numba
import numpy as np
import pytest

import sgdmft as sg

SIZE, ALPHA, STEPS = 500, 2.5, 6


@numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})
def stream(data):
    """Sum of a flat array, as four streams at once: what one thread can read."""
    n = data.shape[0] // 4
    a, b, c, d = data[:n], data[n : 2 * n], data[2 * n : 3 * n], data[3 * n : 4 * n]
    total = data.dtype.type(0)
    for i in range(n):
        total += a[i] + b[i] + c[i] + d[i]
    return total


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.benchmark(group="simulation")
def bench_step_against_reading_its_data(benchmark, capsys, threads, dtype):
    steps, readings, last = [], [], {}
    stream(np.zeros(8, dtype))

    def clock(instance, t, x):
        arrived = time.perf_counter()
        if t:
            steps.append(arrived - last[instance.sample])
        stream(instance.couplings[2].ravel())
        last[instance.sample] = time.perf_counter()
        readings.append(last[instance.sample] - arrived)

    model, algorithm = sg.GaussianLeastSquares(alpha=ALPHA), sg.GradientDescent(0.1)
    sg.simulate(model, algorithm, steps=1, size=8, samples=1, dtype=dtype)  # compile
    options = {
        "samples": threads,
        "workers": threads,
        "dtype": dtype,
        "save": sg.Save(two_time=range(STEPS + 1), observe=clock),
    }
    run = lambda: sg.simulate(model, algorithm, steps=STEPS, size=SIZE, **options)  # noqa: E731
    benchmark.pedantic(run, rounds=1, iterations=1)

    size = np.dtype(dtype).itemsize * round(ALPHA * SIZE) * SIZE * (SIZE - 1) // 2
    step, reading = float(np.median(steps)), float(np.median(readings))
    benchmark.extra_info |= {"step": step, "reading": reading, "ratio": step / reading}
    with capsys.disabled():
        print(
            f"\nN = {SIZE}, alpha = {ALPHA}, {dtype}, {threads} thread(s): step {1e3 * step:.0f} ms, reading its "
            f"{size / 1e9:.2f} GB {1e3 * reading:.0f} ms ({size / reading / 1e9:.1f} GB/s each), ratio {step / reading:.2f}"
        )
    assert dtype == "float32" or step < 2 * reading
