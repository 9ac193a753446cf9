"""The sums that all states are made of, against loops."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.states import BUCKETS, sum_by_key, with_left_out

rows = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=60)


@pytest.mark.parametrize("spread", [1, 10**6, 10**15], ids=["dense", "sparse", "huge"])
@given(rows)
def test_sum_by_key(spread: int, drawn: list[tuple[int, float]]) -> None:
    """Counting and sorting give the same, keys without weight left out."""
    keys = np.array([key * spread for key, _ in drawn], np.int64)
    weights = np.array([weight for _, weight in drawn], np.float64)
    for given_weights in (weights, None):
        expected: dict[int, float] = defaultdict(float)
        for key, weight in zip(keys.tolist(), weights.tolist(), strict=True):
            expected[key] += 1.0 if given_weights is None else weight
        found, sums = sum_by_key(keys, given_weights)
        assert sums.dtype == np.float64
        assert list(zip(found.tolist(), sums.tolist(), strict=True)) == sorted(
            (key, total) for key, total in expected.items() if total
        )


def test_left_out_is_a_sum_and_no_difference() -> None:
    """A bucket that has nearly all would take the others' digits with it."""
    values = np.full((BUCKETS, 2), 0.1)
    values[3, 0] = 1e18
    values[:, 1] = np.where(np.arange(BUCKETS) == 5, 0.3, 0.0)
    for axis in (0, 1):
        left_out = np.moveaxis(with_left_out(np.moveaxis(values, 0, axis), axis), axis, 0)
        assert left_out.shape == (1 + BUCKETS, 2)
        assert left_out[1 + 3, 0] == pytest.approx(0.1 * (BUCKETS - 1), rel=1e-12)
        np.testing.assert_array_equal(left_out[0], values.sum(axis=0))
        assert left_out[1 + 5, 1] == 0.0
        assert (np.delete(left_out[:, 1], 1 + 5) == 0.3).all()
