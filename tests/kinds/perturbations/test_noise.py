"""Gaussian noise: its distribution, its seeds, and what it does to each type of column."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from engine.core.vocabulary import ModelTest, Variant
from engine.kinds import KINDS, parameters_text
from engine.kinds.perturbations import PERTURBATIONS, normal_numbers, perturb, uniform_numbers

NOISE = PERTURBATIONS.get("noise")
ROWS = 20_000


def hashes(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, rows)


def variant_of(severity: int, **spreads: float) -> Variant:
    return NOISE.variant(list(spreads), severity, spreads)


def noisy(column: pa.Array, sd: float, rows: np.ndarray | None = None) -> pa.Array:
    batch = pa.record_batch({"x": column})
    keys = hashes(len(column)) if rows is None else rows
    return NOISE.apply(batch, keys, {"sd": {"x": sd}}).column(0)


def test_numbers_are_standard_normal_and_of_their_row() -> None:
    rows = hashes()
    for salt in ("f0", "f1", "é"):
        numbers = normal_numbers(rows, "noise", salt)
        assert np.isfinite(numbers).all()
        assert stats.kstest(numbers, "norm").pvalue > 1e-3
        assert np.array_equal(numbers[::-7], normal_numbers(rows[::-7], "noise", salt))
    first, second = (normal_numbers(rows, "noise", salt) for salt in ("f0", "f1"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(ROWS)


def test_near_keys_have_numbers_that_are_far_apart() -> None:
    numbers = uniform_numbers(np.arange(ROWS), "noise")
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 4 / math.sqrt(ROWS)


@pytest.mark.parametrize(("severity", "share"), [(1, 0.05), (2, 0.1), (3, 0.2), (4, 0.4), (5, 0.8)])
def test_severities_are_shares_of_the_spread(severity: int, share: float) -> None:
    values = np.random.default_rng(3).normal(50, 12, ROWS)
    batch = pa.record_batch({"x": values, "y": np.arange(ROWS)})
    changed = perturb(batch, hashes(), variant_of(severity, x=12.0))
    added = changed.column(0).to_numpy() - values
    assert np.std(added) == pytest.approx(12 * share, rel=0.03)
    assert abs(added.mean()) < 5 * 12 * share / math.sqrt(ROWS)
    assert changed.column(1).equals(batch.column(1))
    assert changed.schema.equals(batch.schema)


def test_a_stronger_noise_is_the_same_noise_times_more() -> None:
    values = np.zeros(100)
    batch = pa.record_batch({"x": values})
    weak, strong = (
        perturb(batch, hashes(100), variant_of(n, x=1.0)).column(0).to_numpy() for n in (2, 4)
    )
    assert strong == pytest.approx(4 * weak)


def test_what_is_no_number_stays() -> None:
    column = pa.array([1.0, None, math.nan, math.inf, -math.inf, 2.0])
    changed = noisy(column, 5.0).to_pylist()
    assert changed[1] is None and math.isnan(changed[2])
    assert changed[3:5] == [math.inf, -math.inf]
    assert changed[0] != 1.0 and changed[5] != 2.0


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "float32", "float64"])
def test_a_column_keeps_its_type(kind: str) -> None:
    column = pa.array([1, None, 3, 100], pa.type_for_alias(kind))
    assert noisy(column, 2.0).type == column.type
    assert noisy(column, 0.0).equals(column)


@pytest.mark.parametrize("kind", ["int8", "int32", "int64"])
def test_whole_numbers_stay_within_their_type(kind: str) -> None:
    limits = np.iinfo(kind)
    values = np.array([limits.min, limits.min + 1, limits.max - 1, limits.max, 0] * 200, kind)
    changed = noisy(pa.array(values), 3.0).to_numpy().astype(object)
    assert (np.abs(changed - values.astype(object)) < 30).all()
    assert (changed[4::5] != 0).any()


def test_whole_numbers_move_by_whole_numbers_without_bias() -> None:
    values = np.full(ROWS, 2**53 + 1, np.int64)
    moved = noisy(pa.array(values), 4.0).to_numpy() - values
    assert np.std(moved) == pytest.approx(4.0, rel=0.05)
    assert abs(moved.mean()) < 5 * 4 / math.sqrt(ROWS)


def test_columns_that_the_batch_lacks_are_passed_over() -> None:
    batch = pa.record_batch({"x": [1.0, 2.0]})
    changed = perturb(batch, hashes(2), variant_of(5, y=3.0))
    assert changed.equals(batch)


@pytest.mark.parametrize(
    ("ends", "pinned"),
    [
        ((0.0, 1.0), [0.0, 1.0]),
        ((18.0, 80.0), [16.0, 128.0]),
        ((-3.0, -0.3), [-4.0, -0.25]),
        ((-2.0, 4.0), [-2.0, 4.0]),
        ((1e-320, 1.7e308), [2.0**-1064, 2.0**1023]),
    ],
)
def test_ranges_are_rounded_outwards(ends: tuple[float, float], pinned: list[float]) -> None:
    test = ModelTest(
        "noisy", "accuracy", kind="robustness",
        parameters=parameters_text({"noise": ["x"], "severities": [5]}),
    )  # fmt: skip
    kind = KINDS.get("robustness")
    test = kind.pin_ranges(kind.pin(test, {"x": 1.0}), {"x": ends})
    assert kind.ranges(test) == ["x"]
    assert json.loads(test.parameters)["range"] == {"x": pinned}
    # Judging again pins what it finds in the plan.
    assert kind.pin_ranges(test, kind.known_ranges(test)) == test
    (variant,) = kind.variants(test)
    assert json.loads(variant.parameters)["within"] == {"x": pinned}


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.int64(), pa.int8()])
def test_noise_stays_in_the_range(kind: pa.DataType) -> None:
    rows = np.arange(400, dtype=np.int64)
    values = pa.array([None, 0, 1, 2] * 100, kind)
    batch = pa.record_batch([values], ["x"])
    variant = NOISE.variant(["x"], 5, {"x": 4.0}, {"x": [0.0, 2.5]})
    changed = perturb(batch, rows, variant).column(0)
    assert changed.type == kind and changed.null_count == 100
    known = np.array(changed.drop_null(), np.float64)
    assert known.min() == 0.0 and known.max() == (2.0 if pa.types.is_integer(kind) else 2.5)
    free = perturb(batch, rows, NOISE.variant(["x"], 5, {"x": 4.0})).column(0)
    free = np.array(free.drop_null(), np.float64)
    inside = (free >= 0) & (free <= known.max())
    np.testing.assert_array_equal(known[inside], free[inside])


def test_infinity_stays_where_it_is() -> None:
    batch = pa.record_batch([pa.array([np.inf, -np.inf, np.nan, 1.0])], ["x"])
    variant = NOISE.variant(["x"], 5, {"x": 4.0}, {"x": [0.0, 2.0]})
    changed = np.array(perturb(batch, np.arange(4), variant).column(0))
    assert changed[0] == np.inf and changed[1] == -np.inf and np.isnan(changed[2])
