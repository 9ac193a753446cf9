"""How columns go together: a Gaussian copula whose correlations show in the columns as they are.

A column is a monotone function of a standard normal variable. Of a column with few values the
correlation that is measured is weaker than that of the variables behind it; by Mehler's formula
the one is a power series of the other, `sum_k a_k b_k rho^k` with the Hermite coefficients of both
columns, and it is solved for `rho` ([Cario and Nelson 1997]
(https://doi.org/10.1287/ijoc.2015.0658) call it NORTA, and solve it by simulation).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Terms of the series. At a correlation of .9 the last are worth a thousandth.
TERMS = 64
# What correlations are kept within, so that no column follows wholly from another.
GREATEST = 0.995
# Halvings of an interval of length 2: to a billionth.
_HALVINGS = 31
_LEAST_EIGENVALUE = 1e-6


def level_scores(shares: Floats) -> Floats:
    """Normal scores of ordered levels by their midranks.

    Args:
        shares: [level], of all rows; they add up to 1.

    Returns:
        [level]: `ndtri` of the middle of each level's part of (0, 1).
    """
    ends = np.cumsum(shares)
    scores: Floats = ndtri(np.clip(ends - shares / 2, 1e-12, 1 - 1e-12))
    return scores


def hermite(shares: Floats, scores: Floats) -> Floats:
    """The Hermite coefficients of a column of ordered levels, of its scores at variance 1.

    Args:
        shares: [level], each above 0.
        scores: [level], rising.

    Returns:
        [TERMS]: of orders 1, 2, ...; their squares add up to 1, nearly. Of a continuous column
        they would be 1, 0, 0, ...
    """
    mean = float(shares @ scores)
    variance = float(shares @ (scores - mean) ** 2)
    cuts = ndtri(np.cumsum(shares)[:-1])
    steps = np.diff(scores) * np.exp(-cuts * cuts / 2) / np.sqrt(2 * np.pi)
    before, now = np.zeros_like(cuts), np.ones_like(cuts)
    coefficients = np.empty(TERMS)
    for order in range(1, TERMS + 1):
        coefficients[order - 1] = float(steps @ now) / np.sqrt(order)
        before, now = now, (cuts * now - np.sqrt(order - 1) * before) / np.sqrt(order)
    scaled: Floats = coefficients / np.sqrt(variance)
    return scaled


def continuous() -> Floats:
    """The Hermite coefficients of a column without ties."""
    alone: Floats = np.eye(1, TERMS)[0]
    return alone


def latent_correlations(measured: Floats, coefficients: Floats) -> Floats:
    """The correlations of the normal variables behind columns, from those of their scores.

    Args:
        measured: [column, column], correlations of scores.
        coefficients: [column, term], from `hermite`.

    Returns:
        [column, column], within +-GREATEST, 1 on the diagonal. What no correlation would show is
        the nearest that is allowed.
    """
    rows, columns = np.triu_indices(len(measured), 1)
    products = coefficients[rows] * coefficients[columns]
    wanted = measured[rows, columns]
    low, high = np.full(len(rows), -GREATEST), np.full(len(rows), GREATEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = _series(products, middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    latent = np.eye(len(measured))
    latent[rows, columns] = latent[columns, rows] = (low + high) / 2
    return latent


def _series(products: Floats, rho: Floats) -> Floats:
    """`sum_k products[k] rho^k` from order 1 on, by Horner's rule: [pair]."""
    total = np.zeros_like(rho)
    for term in range(products.shape[1] - 1, -1, -1):
        total = (total + products[:, term]) * rho
    return total


def pairwise_correlations(scores: Floats) -> Floats:
    """Correlations of columns, each of the rows in which both have a value.

    Args:
        scores: [row, column], NaN where there is none.

    Returns:
        [column, column]; 0 where either does not vary, or fewer than three rows have both.
    """
    there = np.isfinite(scores)
    counted = there.astype(np.float64)
    filled = np.where(there, scores, 0.0)
    filled -= np.where(there, filled.sum(axis=0) / np.maximum(counted.sum(axis=0), 1), 0.0)
    rows = counted.T @ counted
    sums = filled.T @ counted
    with np.errstate(divide="ignore", invalid="ignore"):
        products = filled.T @ filled - sums * sums.T / rows
        squares = (filled * filled).T @ counted - sums * sums / rows
        correlations = products / np.sqrt(squares * squares.T)
    usable = np.isfinite(correlations) & (rows >= 3) & (np.minimum(squares, squares.T) > 1e-12)
    correlations = np.clip(np.where(usable, correlations, 0.0), -1.0, 1.0)
    np.fill_diagonal(correlations, 1.0)
    return correlations


def root_of(correlations: Floats) -> Floats:
    """A lower triangle whose square are the nearest correlations that go together.

    Those that were measured of pairs need not be of any rows: eigenvalues below 0 are lifted, and
    the diagonal brought to 1 again.
    """
    if not len(correlations):
        return correlations
    values, vectors = np.linalg.eigh(correlations)
    nearest: NDArray[Any] = correlations
    if values[0] < _LEAST_EIGENVALUE:
        nearest = (vectors * np.maximum(values, _LEAST_EIGENVALUE)) @ vectors.T
        scale = 1 / np.sqrt(np.diag(nearest))
        nearest = nearest * scale[:, None] * scale[None, :]
    root: Floats = np.linalg.cholesky(nearest).astype(np.float64)
    return root
