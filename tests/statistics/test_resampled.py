"""Nadeau and Bengio's correction against scikit-learn's example, and how often it errs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from engine.statistics.resampled import corrected_mean


def corrected_std(differences, n_train, n_test):
    """As `plot_grid_search_stats.py` of scikit-learn writes it."""
    kr = len(differences)
    return np.sqrt(np.var(differences, ddof=1) * (1 / kr + n_test / n_train))


def compute_corrected_ttest(differences, df, n_train, n_test):
    mean = np.mean(differences)
    std = corrected_std(differences, n_train, n_test)
    t_stat = mean / std
    return t_stat, student.sf(np.abs(t_stat), df)


@pytest.mark.parametrize(("folds", "seed"), [(5, 0), (10, 1), (100, 2)])
def test_it_is_the_formula_of_scikit_learns_example(folds, seed):
    differences = np.random.default_rng(seed).normal(0.01, 0.02, folds)
    n_train, n_test = 400, 100
    _, tail = compute_corrected_ttest(differences, folds - 1, n_train, n_test)
    estimate = corrected_mean(differences, n_test / n_train)
    assert estimate.value == pytest.approx(np.mean(differences), rel=1e-12)
    assert estimate.p_value == pytest.approx(2 * tail, rel=1e-9)
    half = student.ppf(0.975, folds - 1) * corrected_std(differences, n_train, n_test)
    assert estimate.high - estimate.value == pytest.approx(half, rel=1e-9)
    assert estimate.value - estimate.low == pytest.approx(half, rel=1e-9)


def test_what_has_no_spread_and_what_has_no_value():
    same = corrected_mean([0.5, 0.5, 0.5], 0.25)
    assert (same.low, same.high, same.p_value) == (0.5, 0.5, 0.0)
    assert corrected_mean([0.0, 0.0], 0.25).p_value == 1.0
    assert corrected_mean([0.3], 0.25).p_value is None
    lost = corrected_mean([0.3, math.nan], 0.25)
    assert math.isnan(lost.value) and lost.low is None and lost.p_value is None


def test_equal_models_are_rarely_told_apart_where_a_plain_t_test_often_does():
    """Two learners that are the same but for chance, over 4 x 5 folds, many times."""
    from scipy.stats import ttest_1samp
    from sklearn.model_selection import RepeatedKFold

    generator = np.random.default_rng(7)
    plain = corrected = 0
    times = 200
    for _ in range(times):
        rows = generator.normal(size=(100, 2))
        truth = rows.sum(axis=1) + generator.normal(size=100)
        differences = []
        for train, test in RepeatedKFold(
            n_splits=5, n_repeats=4, random_state=int(generator.integers(2**31))
        ).split(rows):
            errors = []
            for column in (0, 1):
                slope, offset = np.polyfit(rows[train, column], truth[train], 1)
                errors.append(np.mean((truth[test] - slope * rows[test, column] - offset) ** 2))
            differences.append(errors[0] - errors[1])
        plain += ttest_1samp(differences, 0).pvalue < 0.05
        corrected += corrected_mean(differences, 20 / 80).p_value < 0.05
    assert plain / times > 0.2
    assert corrected / times < 0.1
