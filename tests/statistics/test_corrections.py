"""Corrections for many tests, against scipy and against their own definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from engine.statistics.corrections import (
    adjust_p_values,
    benjamini_hochberg,
    benjamini_yekutieli,
    family_levels,
    simes,
)

P = st.floats(0, 1)
ANY = st.lists(P, min_size=1, max_size=50)
# Few different values, so that ties are common.
TIED = st.lists(st.sampled_from([0.0, 0.01, 0.02, 0.5, 1.0]), min_size=1, max_size=20)


@given(ANY | TIED)
def test_adjusted_p_values_are_the_least_level_that_rejects(p: list[float]) -> None:
    """For each the least of p * tests / rank over itself and all that are larger."""
    ranked, tests = sorted(p), len(p)
    for method in ("bh", "by"):
        factor = 1.0 if method == "bh" else sum(1 / rank for rank in range(1, tests + 1))
        expected = [
            min(
                1.0, *(q * tests * factor / (rank + 1) for rank, q in enumerate(ranked) if q >= own)
            )
            for own in p
        ]
        np.testing.assert_allclose(adjust_p_values(p, method), expected, rtol=1e-12, atol=1e-300)


@given(ANY | TIED)
def test_adjusted_p_values_are_those_of_scipy(p: list[float]) -> None:
    for method in ("bh", "by"):
        expected = false_discovery_control(p, method=method)
        np.testing.assert_allclose(adjust_p_values(p, method), expected, rtol=1e-12, atol=1e-300)


def test_methods_are_named() -> None:
    p = [0.001, 0.2, 0.03]
    np.testing.assert_array_equal(adjust_p_values(p, "bh"), benjamini_hochberg(p))
    np.testing.assert_array_equal(adjust_p_values(p, "by"), benjamini_yekutieli(p))
    np.testing.assert_array_equal(adjust_p_values(p, "none"), p)
    with pytest.raises(ValueError, match="unknown correction 'holm'"):
        adjust_p_values(p, "holm")


@pytest.mark.parametrize("method", ["bh", "by", "none"])
def test_a_new_array_of_floats_comes_back(method: str) -> None:
    p = np.array([0.5, 0.1])
    result = adjust_p_values(p, method)
    result[:] = 7
    np.testing.assert_array_equal(p, [0.5, 0.1])
    assert adjust_p_values([], method).shape == (0,)
    assert adjust_p_values([1, 0], method).dtype == np.float64


@given(ANY | TIED, st.integers(0, 99))
def test_order_does_not_matter(p: list[float], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(p))
    for method in ("bh", "by", "none"):
        np.testing.assert_array_equal(
            adjust_p_values(np.array(p)[order], method), adjust_p_values(p, method)[order]
        )


@given(ANY | TIED, st.sampled_from([0.01, 0.05, 0.2]))
def test_what_is_at_most_the_level_is_what_stepping_up_rejects(
    p: list[float], level: float
) -> None:
    ordered, m = sorted(p), len(p)
    ranks = [k for k in range(1, m + 1) if ordered[k - 1] * (m / k) <= level]
    cut = ordered[max(ranks) - 1] if ranks else -1.0
    np.testing.assert_array_equal(benjamini_hochberg(p) <= level, np.array(p) <= cut)


@given(ANY | TIED)
def test_simes_is_the_least_of_p_by_rank(p: list[float]) -> None:
    m = len(p)
    expected = min(value * m / rank for rank, value in enumerate(sorted(p), start=1))
    assert simes(p) == pytest.approx(expected, rel=1e-12, abs=1e-300)


def test_of_no_tests_nothing_is_wrong() -> None:
    assert simes([]) == 1.0


def test_simes_of_uniform_p_values_is_uniform() -> None:
    rng = np.random.default_rng(11)
    drawn = np.array([simes(p) for p in rng.random((4000, 30))])
    for level in (0.01, 0.05, 0.2):
        share = (drawn <= level).mean()
        assert abs(share - level) < 3.5 * np.sqrt(level * (1 - level) / 4000)


@pytest.mark.parametrize("bad", [-1e-9, 1.0000001, np.nan, np.inf, -np.inf])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    for method in ("bh", "by", "none"):
        with pytest.raises(ValueError, match=r"expected p-values in \[0, 1\], got"):
            adjust_p_values([0.1, bad], method)
    with pytest.raises(ValueError, match=r"expected p-values in \[0, 1\]"):
        simes([bad])
    with pytest.raises(ValueError, match=r"expected p-values in \[0, 1\]"):
        family_levels([bad], 0.05)


def test_p_values_have_one_dimension() -> None:
    with pytest.raises(ValueError, match=r"one dimension, got the shape \(1, 2\)"):
        adjust_p_values([[0.1, 0.2]], "bh")


def test_family_level_is_the_share_of_selected_families() -> None:
    # Sorted by rank times 0.05 / 4: 0.001, 0.02 <= 0.025, 0.04 > 0.0375, 0.9 > 0.05.
    assert family_levels([0.02, 0.9, 0.001, 0.04], 0.05) == pytest.approx(0.05 * 2 / 4)
    assert family_levels([0.001] * 4, 0.05) == 0.05
    assert family_levels([0.5, 0.9], 0.05) == 0.0
    assert family_levels([], 0.05) == 0.0


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, np.nan])
def test_family_level_is_strictly_between_0_and_1(level: float) -> None:
    with pytest.raises(ValueError, match=r"level in \(0, 1\)"):
        family_levels([0.01], level)


@given(st.lists(st.lists(P, min_size=1, max_size=8), min_size=1, max_size=8))
def test_only_selected_families_reject_and_each_of_them_does(families: list[list[float]]) -> None:
    whole = [simes(p) for p in families]
    inner = family_levels(whole, 0.1)
    selected = benjamini_hochberg(whole) <= 0.1
    rejecting = [bool((adjust_p_values(p, "bh") <= inner).any()) for p in families]
    # A p-value on the very edge may fall to either side by rounding.
    edge = np.abs(np.array(whole) - inner) < 1e-12
    assert all(r == s or e for r, s, e in zip(rejecting, selected, edge, strict=True) if inner > 0)
    assert inner > 0 or not selected.any()


def test_error_rate_over_selected_families_is_held() -> None:
    """Forty families of 25 tests, ten of them with five true effects."""
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(300):
        p = rng.random((40, 25))
        p[:10, :5] = rng.random((10, 5)) * 1e-3
        inner = family_levels([simes(row) for row in p], 0.05)
        rejected = np.array([adjust_p_values(row, "bh") <= inner for row in p]) & (inner > 0)
        wrong = rejected.copy()
        wrong[:10, :5] = False
        of_families = wrong.sum(1) / np.maximum(rejected.sum(1), 1)
        shares.append(of_families.sum() / max(rejected.any(1).sum(), 1))
    assert np.mean(shares) <= 0.05
    # It is not held by rejecting nothing.
    assert rejected[:10, :5].mean() > 0.5
