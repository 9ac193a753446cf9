"""The delete-a-group jackknife: against the textbook, and against what really spreads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.statistics import Jackknifed, jackknives

FINITE = st.floats(-1e3, 1e3)


def jackknife(replicates: np.ndarray, sizes: np.ndarray) -> Jackknifed | None:
    """That of one estimate; None where nothing is known."""
    errors = jackknives(replicates[None], sizes[None])
    if math.isnan(errors.se[0]):
        return None
    return Jackknifed(float(errors.se[0]), float(errors.df[0]))


def replicates_of_mean(rows: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    left_out = [rows[group != g].mean() for g in range(groups)]
    return np.array([rows.mean(), *left_out])


@given(st.lists(FINITE, min_size=2, max_size=20), st.sampled_from([1.0, 30.0, 0.25]))
def test_groups_of_one_size_give_the_textbook_formula(left_out: list[float], size: float) -> None:
    g = len(left_out)
    # The textbook's variance is about the mean of the replicates, whatever the estimate.
    of = np.array(left_out)
    expected = math.sqrt((g - 1) / g * ((of - of.mean()) ** 2).sum())
    found = jackknife(np.array([of[0], *left_out]), np.full(g, size))
    assert found is not None
    assert found.se == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found.df == pytest.approx(g - 1)


@given(
    st.lists(st.tuples(FINITE, st.floats(0.5, 20)), min_size=2, max_size=20), st.floats(-1e3, 1e3)
)
def test_unequal_groups_give_the_formula_of_what_each_adds(
    groups: list[tuple[float, float]], estimate: float
) -> None:
    left_out, sizes = (np.array(column) for column in zip(*groups, strict=True))
    total = sizes.sum()
    # Of a mean, estimate - replicate is the group's sum of residuals by the weight of the others.
    sums = [(total - m) * (estimate - rest) for rest, m in zip(left_out, sizes, strict=True)]
    centred = [x - m / total * sum(sums) for x, m in zip(sums, sizes, strict=True)]
    unequal = sum((m / total) ** 2 for m in sizes)
    variance = sum(x * x for x in centred) / total**2 / (1 - unequal)
    found = jackknife(np.array([estimate, *left_out]), sizes)
    if 1 / unequal - 1 < 0.5:
        assert found is None
        return
    assert found is not None
    scale = 1 + abs(estimate) + np.abs(left_out).max()
    assert found.se == pytest.approx(math.sqrt(variance), rel=1e-6, abs=1e-9 * scale)
    assert found.df == pytest.approx(1 / unequal - 1)


def test_of_single_rows_it_is_the_standard_error_of_the_mean() -> None:
    rows = np.random.default_rng(1).exponential(size=40)
    found = jackknife(replicates_of_mean(rows, np.arange(40), 40), np.ones(40))
    assert found is not None
    assert found.se == pytest.approx(rows.std(ddof=1) / math.sqrt(40), rel=1e-12)


def test_variance_of_a_mean_is_right_with_groups_of_unequal_size() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(12), [5, 60, 20, 33, 8, 41, 12, 90, 25, 10, 55, 41])
    sizes = np.bincount(group).astype(float)
    variances = []
    for _ in range(2000):
        found = jackknife(replicates_of_mean(rng.exponential(size=400), group, 12), sizes)
        assert found is not None
        variances.append(found.se**2)
    # Rows have variance 1. The mean of the variances has a relative error of about 1 %.
    assert np.mean(variances) == pytest.approx(1 / 400, rel=0.05)


def test_variance_of_a_weighted_mean_is_right_where_few_rows_are_heavy() -> None:
    """Weights by bucket and the spread of a bucket's sum rise together, but not alike."""
    rng = np.random.default_rng(5)
    estimates, variances = [], []
    for _ in range(2000):
        rows, group = rng.exponential(size=200), rng.integers(0, 20, 200)
        weight = np.exp(0.8 * rng.standard_normal(200))
        kept = np.vstack([np.ones(200, bool), group != np.arange(20)[:, None]]) * weight
        found = jackknife(kept @ rows / kept.sum(1), np.bincount(group, weight, 20))
        assert found is not None
        estimates.append(kept[0] @ rows / kept[0].sum())
        variances.append(found.se**2)
    # By Busing, Meijer and van der Leeden (1999) it is 0.75.
    assert 0.9 < np.mean(variances) / np.var(estimates) < 1.1


def test_a_constant_added_to_the_estimate_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    replicates, sizes = rng.normal(0, 1e-6, 21), rng.integers(1, 50, 20).astype(float)
    near, far = jackknife(replicates, sizes), jackknife(replicates + 1000, sizes)
    assert near is not None and far is not None
    assert far.se == pytest.approx(near.se, rel=1e-6)


def test_empty_groups_are_passed_over() -> None:
    full = jackknife(np.array([1.0, 0.9, 1.2, 1.1]), np.array([10.0, 20.0, 30.0]))
    # What a replicate is without a group that holds nothing does not matter, not even a NaN.
    with_empty = jackknife(
        np.array([1.0, 0.9, np.nan, 1.2, 1.1]), np.array([10.0, 0.0, 20.0, 30.0])
    )
    assert full == with_empty
    assert full is not None and full.df == pytest.approx(60**2 / (10**2 + 20**2 + 30**2) - 1)


def test_a_group_that_has_nearly_all_leaves_nothing_to_compare_it_with() -> None:
    replicates = np.array([1.0, 0.9, 1.2, 1.1])
    assert jackknife(replicates, np.array([10.0, 1.0, 1.0])) is None
    found = jackknife(replicates, np.array([2.0, 1.0, 1.0]))
    assert found is not None and found.df == pytest.approx(16 / 6 - 1)


def test_no_spread_is_a_standard_error_of_zero() -> None:
    found = jackknife(np.full(4, 0.7), np.array([1.0, 2.0, 3.0]))
    assert found is not None and found.se == 0


@pytest.mark.parametrize(
    ("replicates", "sizes"),
    [
        ([1.0, 1.0], [5.0]),
        ([1.0], []),
        ([1.0, 0.9, 1.1], [5.0, 0.0]),
        ([1.0, 0.9, 1.1], [0.0, 0.0]),
        ([np.nan, 0.9, 1.1], [5.0, 5.0]),
        ([1.0, np.nan, 1.1], [5.0, 5.0]),
        ([1.0, 0.9, np.inf], [5.0, 5.0]),
    ],
)
def test_too_few_groups_or_an_undefined_replicate_is_none(
    replicates: list[float], sizes: list[float]
) -> None:
    assert jackknife(np.array(replicates), np.array(sizes)) is None
