r"""Discrete Chebyshev (Gram) polynomials and the matrices that merge neighbouring panels.

The Gram polynomials P_k, k < p, are orthonormal for the uniform measure on the n points 0, 1, ..., n - 1. Centred at
(n - 1)/2 they obey  x P_k = b_{k+1} P_{k+1} + b_k P_{k-1},  b_k^2 = k^2 (n^2 - k^2) / (4 (4 k^2 - 1)).           (5.1)
Their Gauss rule has nodes x_i and weights w_i; the nodal basis psi_i = sqrt(w_i) sum_k P_k(x_i) P_k is orthonormal, and
the coordinates of a function g of degree < p in it are sqrt(w_i) g(x_i).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np


class Gram(NamedTuple):
    """Nodal basis of p Gram polynomials on `points` points: nodes and weights of shape (p,)."""

    points: int
    nodes: np.ndarray
    weights: np.ndarray

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        """Nodal basis functions at the points x, shape (len(x), p)."""
        order = len(self.nodes)
        if self.points == order:  # one function for each point: the identity on the integers
            return (np.asarray(x)[:, None] == self.nodes[None, :]).astype(float)
        at_nodes = _polynomials(self.points, order, self.nodes)
        return _polynomials(self.points, order, x) @ (np.sqrt(self.weights)[:, None] * at_nodes).T


def _recurrence(points: int, order: int) -> np.ndarray:
    k = np.arange(1.0, order)
    return np.sqrt(k**2 * (float(points) ** 2 - k**2) / (4.0 * (4.0 * k**2 - 1.0)))


def _polynomials(points: int, order: int, x: np.ndarray) -> np.ndarray:
    """P_k(x) for k < order, shape (len(x), order)."""
    b = _recurrence(points, order)
    centred = np.asarray(x, dtype=float) - (points - 1) / 2.0
    table = np.zeros((len(centred), order))
    table[:, 0] = 1.0 / np.sqrt(points)
    for k in range(order - 1):
        previous = b[k - 1] * table[:, k - 1] if k else 0.0
        table[:, k + 1] = (centred * table[:, k] - previous) / b[k]
    return table


@functools.cache
def gram(points: int, order: int) -> Gram:
    """Gauss rule and nodal basis of the first `order` Gram polynomials on `points` >= order points."""
    if points == order:
        return Gram(points, np.arange(float(points)), np.ones(points))
    b = _recurrence(points, order)
    centred, vectors = np.linalg.eigh(np.diag(b, 1) + np.diag(b, -1))
    return Gram(points, centred + (points - 1) / 2.0, points * vectors[0] ** 2)


@functools.cache
def analysis(points: int, orders: tuple[int, ...], limit: int) -> np.ndarray:
    """Coefficients and rest, of polynomials on the whole, for the nodal functions of its parts; shape (m, limit + M).

    The parts of a panel of `points` points are itself or its two halves, of the given `orders`; m nodal functions in all.
    Columns k < limit: inner products with the Gram polynomials P_k of the whole. The others: values, at a finer Gauss
    rule of each part (times the roots of its weights), of what these polynomials leave. `limit` is at most `points`.
    """
    from scipy.linalg import block_diag

    size = points // len(orders)
    whole, nodal = [], []
    for i, order in enumerate(orders):
        fine = gram(size, min(max(order, limit), size))
        root = np.sqrt(fine.weights)[:, None]
        whole.append(root * _polynomials(points, limit, fine.nodes + i * size))
        nodal.append(root * gram(size, order).evaluate(fine.nodes))
    whole, nodal = np.vstack(whole), block_diag(*nodal)
    inner = nodal.T @ whole
    return np.hstack([inner, nodal.T - inner @ whole.T])


class Transfer(NamedTuple):
    """From the coordinates of one or two parts of a panel to those of the whole: `matrix`, of shape (order, m).

    It projects; its transpose embeds. Where no part has a lower order, polynomials are kept and the rows are orthonormal.
    `roots` of the weights of the panel, shape (order,), and `bounds` of the parts: 0, m or 0, m', m.
    """

    matrix: np.ndarray
    roots: np.ndarray
    bounds: np.ndarray


@functools.cache
def transfer(points: int, orders: tuple[int, ...], order: int) -> Transfer:
    """For a panel of `points` points and `order` nodes, and its parts with the given `orders`."""
    rule = gram(points, order)
    roots = np.sqrt(rule.weights)
    nodal = roots[:, None] * _polynomials(points, order, rule.nodes)
    matrix = nodal @ analysis(points, orders, order)[:, :order].T
    return Transfer(matrix, roots, np.cumsum((0, *orders)))


def tails(points: int, order: int, first: np.ndarray) -> np.ndarray:
    """Sums of each nodal basis function over the points first, first + 1, ..., points - 1, shape (len(first), p)."""
    table = _tails(points, order)
    return table[first] if isinstance(table, np.ndarray) else table(first / points)


@functools.cache
def _tails(points: int, order: int):
    """A table for small panels. For large ones the sums are polynomials of degree p in `first`: their interpolant."""
    rule = gram(points, order)
    if points <= 4096:
        sums = np.zeros((points + 1, order))
        sums[:-1] = np.cumsum(rule.evaluate(np.arange(points))[::-1], axis=0)[::-1]
        return sums
    from scipy.interpolate import BarycentricInterpolator

    some = np.round(points * 0.5 * (1 - np.cos(np.pi * np.arange(order + 1) / order))).astype(int)
    sums = np.zeros((order + 1, order))
    for k, first in enumerate(some[:-1]):  # by the Gauss rule of the points that count
        part = gram.__wrapped__(int(points - first), min(order, int(points - first)))
        sums[k] = part.weights @ rule.evaluate(first + part.nodes)
    return BarycentricInterpolator(some / points, sums)
