"""The delete-a-group jackknife: against the textbook, and against what really spreads."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.statistics.jackknife import jackknife

FINITE = st.floats(-1e3, 1e3)


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
    assert found.df == g - 1


@given(
    st.lists(st.tuples(FINITE, st.floats(0.1, 100)), min_size=2, max_size=20), st.floats(-1e3, 1e3)
)
def test_unequal_groups_give_the_formula_of_pseudo_values(
    groups: list[tuple[float, float]], estimate: float
) -> None:
    """Busing, Meijer and van der Leeden (1999), equation (3), as it stands there."""
    left_out, sizes = (np.array(column) for column in zip(*groups, strict=True))
    g, h = len(groups), sizes.sum() / sizes
    centre = g * estimate - ((1 - 1 / h) * left_out).sum()
    pseudo = h * estimate - (h - 1) * left_out
    variance = ((pseudo - centre) ** 2 / (h - 1)).sum() / g
    found = jackknife(np.array([estimate, *left_out]), sizes)
    assert found is not None
    scale = 1 + np.abs(h * estimate).max() + np.abs(h * left_out).max() * g
    assert found.se == pytest.approx(math.sqrt(variance), rel=1e-6, abs=1e-9 * scale * g)


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
    assert full is not None and full.df == 2


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
