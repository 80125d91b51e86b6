"""All computed tables of docs/thresholds.md, as markdown.

    python benchmarks/tables_thresholds.py [fitted] [levels] [windows] [exponents] [linear]

Without arguments all of them: about half an hour on one core, most of it for the runs of a million steps; seconds once the
results are in the user's cache. The table of coverage is printed by `coverage_thresholds.py`.
"""

from __future__ import annotations

import sys

import numpy as np

import sgdmft as sg

MODEL = sg.GaussianLeastSquares(alpha=1.0)
LONG = sg.Compressed(tolerance=1e-6)  # its exponents agree with those at 1e-8 in all digits shown


def descent(rate: float, fraction: float) -> sg.Descent:
    return sg.GradientDescent(rate) if fraction == 1.0 else sg.SGD(rate, fraction)


def table(head: list[str], rows: list[list[str]]) -> None:
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ") if number >= 10_000 else f"{number}"


def cell(answer: sg.RecoveryThreshold) -> str:
    if answer.fit is None:
        return "unstable at the signal" if "stability limit" in answer.problem else "refused"
    low, high = answer.fit.interval
    return f"{answer.fit.threshold:.2f} [{low:.2f}, {high:.2f}]"


def summary(answers: list[sg.RecoveryThreshold]) -> None:
    fits = [answer.fit for answer in answers if answer.fit is not None]
    exponents = sorted(fit.exponent for fit in fits)
    doubtful = sum(fit.doubtful for fit in fits)
    print(f"ν from {exponents[0]:.2f} to {exponents[-1]:.2f}; law doubtful in {doubtful} of {len(fits)} fits.\n")


def fitted() -> None:
    fractions, starts = (1.0, 0.5, 0.3, 0.2, 0.1, 0.05), (0.1, 0.01, 0.001)
    for rate in (0.05, 0.1):
        answers = sg.recovery_thresholds(
            MODEL, [descent(rate, b) for b in fractions], [sg.Start(magnetization=m) for m in starts], steps=5000
        )
        print(f"η = {rate:g}:\n")
        rows = [[f"{b:g}", *map(cell, answers[3 * i : 3 * i + 3])] for i, b in enumerate(fractions)]
        table(["b", *(f"m₀ = {m:g}" for m in starts)], rows)
        for k, m in enumerate(starts):
            full = answers[k].fit
            least = full.interval[0] if full else -np.inf
            fits = zip(fractions, (answer.fit for answer in answers[k::3]), strict=True)
            below = [f"{b:g}" for b, fit in fits if fit and fit.interval[1] < least]
            print(f"Below gradient descent beyond both uncertainties at m₀ = {m:g}: b = {', '.join(below) or 'none'}.")
        summary(answers)


def levels() -> None:
    values, rows = (0.3, 0.1, 0.01, 1e-4), []
    for fraction in (1.0, 0.2):
        starts = [sg.Start(magnetization=m) for m in (0.1, 0.01)]
        answers = [
            sg.recovery_thresholds(MODEL, [descent(0.1, fraction)], starts, level=level, steps=5000) for level in values
        ]
        for k, start in enumerate(starts):
            rows.append([f"{fraction:g}", f"{start.magnetization:g}", *(cell(row[k]) for row in answers)])
    table(["b", "m₀", *(f"level {level:g}" for level in values)], rows)


def windows() -> None:
    starts, lengths = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001), (1000, 3000, 10_000, 20_000)
    columns = [
        sg.recovery_thresholds(MODEL, [descent(0.1, 1.0)], [sg.Start(magnetization=m) for m in starts], steps=steps)
        for steps in lengths
    ]
    rows = [[f"{m:g}", *map(cell, row)] for m, row in zip(starts, zip(*columns, strict=True), strict=True)]
    table(["m₀", *(f"T = {grouped(steps)}" for steps in lengths)], rows)
    summary([answer for column in columns for answer in column])


def exponents() -> None:
    times, rows = (128, 1024, 8192, 65_536, 131_072), []
    for alpha in (1.5, 1.8, 2.0, 2.2, 2.4):
        # the longest run alone: shorter ones would end where they decide
        run = sg.solve(
            sg.Linearized(sg.GaussianLeastSquares(alpha=alpha)), descent(0.1, 1.0), steps=times[-1], method=LONG,
            start=sg.Start(magnetization=1e-200), save=sg.Save(two_time=0),
        )  # fmt: skip
        m = run.magnetization
        rows.append([f"{alpha:g}", *(f"{np.log2(m[t] / m[t // 2]):#.3g}" for t in times)])
    table(["α", *(f"t = {grouped(t)}" for t in times)], rows)


def linear() -> None:
    fractions, lengths = (1.0, 0.5, 0.3, 0.2, 0.1), (4096, 16_384, 65_536, 262_144, 1_048_576)
    rows = []
    for fraction in fractions:
        row = [f"{fraction:g}"]
        for steps in lengths:
            if steps > 16_384 and fraction not in (1.0, 0.2):
                row.append("")
                continue
            between = (0.5, 4.0) if steps <= 16_384 else (0.9, 1.85 if fraction == 1.0 else 1.65)
            found = sg.linear_threshold(
                MODEL, descent(0.1, fraction), alphas=between, tolerance=0.02, steps=steps, method=LONG
            )
            row.append(f"({found.decays_below:.2f}, {found.grows_above:.2f})")
        rows.append(row)
    table(["b", *(f"T = {grouped(steps)}" for steps in lengths)], rows)


TABLES = {"fitted": fitted, "levels": levels, "windows": windows, "exponents": exponents, "linear": linear}

if __name__ == "__main__":
    for name in sys.argv[1:] or TABLES:
        print(f"## {name}\n")
        TABLES[name]()
        sys.stdout.flush()
