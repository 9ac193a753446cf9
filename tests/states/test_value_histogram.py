"""Histograms of values: the grid is monotone and relative, and a value lies in its bin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.states.score_histogram as ranking
from engine.states import BUCKETS, Scored, Values, ValuesView, decode
from engine.states.value_histogram import bins_of, relative_grid

numbers = st.floats(allow_nan=False)
bits = st.integers(1, 12)


@given(st.lists(numbers, min_size=1), bits)
def test_the_grid_is_monotone_and_idempotent(values: list[float], bits: int) -> None:
    ordered = np.sort(np.array(values))
    rounded = relative_grid(ordered, bits)
    assert (rounded[1:] >= rounded[:-1]).all()
    np.testing.assert_array_equal(relative_grid(rounded, bits), rounded)
    assert not np.signbit(rounded[rounded == 0]).any()


@given(st.lists(st.floats(allow_nan=False, allow_subnormal=False), min_size=1), bits)
def test_a_value_lies_in_its_bin(values: list[float], bits: int) -> None:
    array = np.array(values)
    low, high = bins_of(relative_grid(array, bits), bits)
    assert ((low <= array) & (array <= high)).all()
    finite = np.isfinite(array)
    width = high[finite] - low[finite]
    assert (width <= np.abs(array[finite]) * 2.0**-bits).all()


@pytest.mark.parametrize("cap", [1000, 10], ids=["exact", "on the grid"])
def test_left_out_equals_the_state_without_those_rows(cap: int) -> None:
    rng = np.random.default_rng(3)
    n = 400
    family = Values("truth", lambda batch: batch.truth)
    whole = Scored(
        rng.choice(rng.normal(size=200), n), rng.random(n), rng.integers(0, BUCKETS - 1, n)
    )

    def view_of(batch: Scored) -> ValuesView:
        states = family.of(batch, np.zeros(len(batch), np.int64), 1)
        return ValuesView.of(decode(states.take(0).encode()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "EXACT_SCORES", cap)
        replicates = view_of(whole).with_replicates()
        assert replicates.exact == (cap == 1000)
        assert replicates.weight.shape == (1 + BUCKETS, len(replicates.low))
        np.testing.assert_allclose(replicates.squares.sum(), (whole.weight**2).sum(), rtol=1e-12)
        for b in range(-1, BUCKETS):
            rest = view_of(whole.at(np.flatnonzero(whole.bucket != b))).with_replicates()
            ours = replicates.weight[1 + b]
            has = np.isin(replicates.low, rest.low)
            np.testing.assert_allclose(ours[has], rest.weight[0], rtol=1e-12)
            assert (ours[~has] == 0).all()
