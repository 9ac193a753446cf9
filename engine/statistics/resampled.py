"""How sure a mean over the folds of a cross-validation is, and a difference of two such means.

Folds share most of their training rows, so their values are not independent: a plain t test over
them rejects equal models far too often. The variance of the mean is enlarged for it:

    variance(values) * (1 / J + n_test / n_train),   with J - 1 degrees of freedom

Source: Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 52 (2003);
Bouckaert and Frank (2004) for repeated folds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.statistics.spread import quantile, tail


@dataclass(frozen=True, slots=True)
class FoldEstimate:
    """A mean over folds with its interval, and the two-sided p-value that the truth is 0.

    Without an interval, of one fold or of values that are no numbers, the ends and p are None.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def corrected_mean(
    values: Sequence[float], test_share: float, *, confidence: float = 0.95
) -> FoldEstimate:
    """The mean of values over folds by the corrected resampled t.

    Args:
        values: one for each of the J folds; of two models on the same folds their differences.
        test_share: n_test / n_train, rows of a fold's test part over those of its training part.
        confidence: of the interval.

    >>> estimate = corrected_mean([0.1, 0.2, 0.3], 0.5)
    >>> round(estimate.value, 4), round(estimate.p_value, 4)
    (0.2, 0.1633)
    """
    array = np.asarray(values, dtype=np.float64)
    mean = float(np.average(array))
    if len(array) < 2 or not np.isfinite(array).all():
        return FoldEstimate(mean)
    df = len(array) - 1
    error = math.sqrt(float(np.var(array, ddof=1)) * (1 / len(array) + test_share))
    half = float(quantile(confidence, df)) * error
    if error == 0:
        return FoldEstimate(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    p_value = 2 * float(tail(-abs(mean) / error, df))
    return FoldEstimate(mean, mean - half, mean + half, p_value)
