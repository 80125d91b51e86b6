"""Compressed theory of every minibatch scheme: time, coordinates, and error against the dense history.

    python benchmarks/bench_schemes.py [steps] [dense steps]

Defaults 20000 and 2000. Errors are the largest over all steps (m, C(t,t), loss) and over 64 x 64 saved times (C, R eta).
"""

from __future__ import annotations

import sys
import time

import numpy as np

import sgdmft as sg

MODEL = sg.GaussianLeastSquares(alpha=1.5)
START = sg.Start(magnetization=0.01)
#: scheme -> learning rate, and how much of the default number of steps it gets
SCHEMES = {
    sg.Bernoulli(0.2): (0.1, 1.0),
    sg.Persistent(0.2, memory=0.8): (0.1, 1.0),
    sg.Persistent(0.2, memory=0.99): (0.1, 1.0),
    sg.Shuffled(2): (0.1, 1.0),
    sg.Shuffled(5): (0.1, 1.0),
    sg.Cyclic(5): (0.1, 1.0),
    sg.Shuffled(10): (0.05, 0.5),
    sg.Shuffled(20): (0.025, 0.25),
}


def solve(batches, learning_rate, steps, method):
    algorithm = sg.Descent(learning_rate=learning_rate, batches=batches)
    began = time.process_time()
    run = sg.solve(MODEL, algorithm, steps=steps, start=START, method=method)
    return run, time.process_time() - began


def main(steps: int = 20_000, dense_steps: int = 2000) -> None:
    for method in (sg.Dense(), sg.Compressed(order=2, tolerance=1e-2)):
        solve(sg.Shuffled(2), 0.1, 60, method)  # compile
    print(f"tolerance {sg.Compressed().tolerance:g}, order {sg.Compressed().order}; seconds of one thread")
    print(f"{'scheme':<36} {'steps':>6} {'s':>7} {'coord.':>6} | at {dense_steps} steps: {'s':>6} {'dense':>6}  "
          f"{'m':>7} {'C(t,t)':>7} {'loss':>7} {'C':>7} {'R eta':>7}")  # fmt: skip
    for batches, (rate, part) in SCHEMES.items():
        dense, slow = solve(batches, rate, dense_steps, sg.Dense())
        short, fast = solve(batches, rate, dense_steps, sg.Compressed())
        names = ("magnetization", "norm", "loss", "correlation")
        errors = [np.abs(dense[name] - short[name]).max() for name in names]
        errors.append(rate * np.abs(dense.response - short.response).max())
        count = int(part * steps)
        long, seconds = solve(batches, rate, count, sg.Compressed())
        coordinates = long.dataset.attrs["coordinates"]
        print(f"{batches!r:<36} {count:>6} {seconds:>7.2f} {coordinates:>6} | {'':>15}{fast:>7.2f} {slow:>6.2f}  "
              + " ".join(f"{error:7.1e}" for error in errors), flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
