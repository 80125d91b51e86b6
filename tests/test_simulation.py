"""The simulation against a plain numpy reference, finite differences, and what its arguments promise."""

from __future__ import annotations

import numpy as np
import pytest

import sgdmft as sg
from sgdmft.simulation import Instance

MIXED = sg.Covariance({0: 0.1, 1: 0.4, 2: 0.45, 3: 0.2, 4: 0.05})
MODEL = sg.GaussianLeastSquares(alpha=1.5)


def reference(model, algorithm, *, steps, start, size, sample, seed=0, replica=0):
    """Equation (2.2) for one sample, written with the dense couplings and no shared code; points x(0) .. x(steps)."""
    from sgdmft.simulation.instance import stream

    instance = Instance(model, size, seed, sample)
    rates = algorithm.rates(steps)
    selection = algorithm.batches.sampler(instance.data_size, steps, stream(seed, sample, "selection", replica))
    noise = stream(seed, sample, "noise", replica)
    other = stream(seed, sample, "start").standard_normal(size)
    signal = instance.signal
    other -= signal * (signal @ other) / size
    x = start.magnetization * signal + other * np.sqrt((start.norm - start.magnetization**2) * size / (other @ other))
    points, previous = [x], x
    for t in range(steps):
        selected = next(selection)
        eta = rates.learning_rate[t]
        values, gradients = dense_forms(instance, x)
        force = (values - instance.labels)[selected] @ gradients[selected] / rates.batch_fraction[t]
        new = x - eta * force - eta * rates.weight_decay[t] * x
        if t:
            new = new + rates.momentum[t] * (x - previous)
        if rates.temperature[t]:
            new = new + np.sqrt(2 * eta * rates.temperature[t]) * noise.standard_normal(size)
        if algorithm.spherical:
            new = new * np.sqrt(start.norm * size) / np.linalg.norm(new)
        previous, x = x, new
        points.append(x)
    return np.array(points), instance


def dense_forms(instance, x):
    """h_mu(x) and its gradient from equation (3.1) term by term, by einsum."""
    size, couplings, a = instance.size, instance._couplings, instance.model.covariance.coefficients
    values, gradients = instance._constant.copy(), np.zeros((instance.data_size, size))
    for p, packed in couplings.items():
        if p == 1:
            values += np.sqrt(a[1] / size) * packed @ x
            gradients += np.sqrt(a[1] / size) * packed
        elif p == 2:
            matrix = np.zeros((instance.data_size, size, size))
            matrix[:, *np.tril_indices(size, -1)] = packed * np.sqrt(2 * a[2]) / size
            values += np.einsum("mij,i,j->m", matrix, x, x)
            gradients += np.einsum("mij,j->mi", matrix + matrix.transpose(0, 2, 1), x)
        else:
            tensor = packed.reshape((-1,) + (size,) * p) * np.sqrt(a[p] / size**p)
            for _ in range(p - 1):
                tensor = tensor @ x
            values += tensor @ x
            gradients += p * tensor
    return values, gradients


ALGORITHMS = [
    sg.GradientDescent(0.1),
    sg.Descent(learning_rate=lambda t: 0.1 / (1 + t), batches=sg.Bernoulli(lambda t: 0.3 + 0.01 * t), momentum=0.5),
    sg.Descent(learning_rate=0.05, batches=sg.Shuffled(3), weight_decay=0.3, temperature=0.2),
    sg.Descent(learning_rate=0.05, batches=sg.Persistent(0.4, memory=0.5), spherical=True, temperature=0.1),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=repr)
@pytest.mark.parametrize(
    "model",
    [MODEL, sg.GaussianLeastSquares(alpha=1.3, covariance=MIXED, labels=sg.Teacher(noise=0.2))],
    ids=["talk", "mixed"],
)
def test_run_equals_the_plain_reference(model, algorithm):
    size, steps, start = 13, 12, sg.Start(magnetization=0.3, norm=1.2)
    data = sg.simulate(
        model, algorithm, steps=steps, start=start, size=size, samples=2, save=sg.Save(two_time=range(steps + 1))
    )
    runs = [reference(model, algorithm, steps=steps, start=start, size=size, sample=k) for k in range(2)]
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(data.correlation, np.mean([x @ x.T / size for x, _ in runs], axis=0), **close)
    overlaps = np.array([x @ i.signal / size for x, i in runs])
    losses = [[((dense_forms(i, p)[0] - i.labels) ** 2).sum() / (2 * size) for p in x] for x, i in runs]
    np.testing.assert_allclose(data.magnetization, overlaps.mean(axis=0), **close)
    np.testing.assert_allclose(data.error("magnetization"), overlaps.std(axis=0, ddof=1) / np.sqrt(2), **close)
    np.testing.assert_allclose(data.loss, np.mean(losses, axis=0), **close)
