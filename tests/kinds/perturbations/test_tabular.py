"""Perturbations of table columns: how many rows they change, to what, and what they leave."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.core.vocabulary import Columns, TaskKind
from engine.kinds import Setting
from engine.kinds.perturbations import PERTURBATIONS, WHOLE, changed_rows, perturb
from engine.metrics import Problem

ROWS = 20_000
FACTS: dict[str, dict[str, Any]] = {
    "outliers": {"x": 2.0, "whole": 2.0},
    "swap": {"word": [["a", 0.7], ["b", 0.2], ["c", 0.1]], "whole": [[1, 0.5], [2, 0.5]]},
    "shuffle": {"word": [["a", 0.75], ["b", 0.25]], "x": [[v / 20, 1.0] for v in range(20)]},
}
COLUMNS = {
    "missing": ["x", "word"],
    "scale": ["x", "whole"],
    "outliers": ["x", "whole"],
    "swap": ["word", "whole"],
    "shuffle": ["word", "x"],
}
SHARES = {
    "missing": (0.01, 0.05, 0.1, 0.2, 0.4),
    "scale": (0.01, 0.05, 0.1, 0.2, 0.4),
    "outliers": (0.01, 0.02, 0.05, 0.1, 0.2),
    "swap": (0.01, 0.05, 0.1, 0.2, 0.4),
}


def hashes(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, rows)


def batch_of(rows: int = ROWS) -> pa.RecordBatch:
    rng = np.random.default_rng(5)
    return pa.record_batch(
        {
            "x": pa.array(rng.normal(50, 2, rows)),
            "whole": pa.array(rng.integers(1, 3, rows), pa.int16()),
            "word": pa.array(rng.choice(["a", "b", "c"], rows)),
            "other": pa.array(np.arange(rows)),
        }
    )


def change(key: str, severity: int, batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
    perturbation = PERTURBATIONS.get(key)
    return perturb(batch, rows, perturbation.variant(COLUMNS[key], severity, FACTS.get(key, {})))


def differs(before: pa.RecordBatch, after: pa.RecordBatch, name: str) -> np.ndarray:
    old, new = before.column(name).to_pylist(), after.column(name).to_pylist()
    return np.array([one != other for one, other in zip(old, new, strict=True)])


@pytest.mark.parametrize("key", COLUMNS)
def test_a_row_is_changed_alike_in_any_batch(key: str) -> None:
    batch, rows = batch_of(900), hashes(900)
    whole = change(key, 4, batch, rows)
    parts = [
        change(key, 4, batch.slice(start, size), rows[start : start + size])
        for start, size in ((0, 1), (1, 500), (501, 399))
    ]
    assert pa.Table.from_batches(parts).combine_chunks().to_batches()[0].equals(whole)
    order = np.random.default_rng(1).permutation(900)
    assert change(key, 4, batch.take(pa.array(order)), rows[order]).equals(
        whole.take(pa.array(order))
    )
    assert change(key, 4, batch.slice(0, 0), rows[:0]).num_rows == 0


@pytest.mark.parametrize("key", COLUMNS)
def test_columns_keep_their_types_and_others_stay(key: str) -> None:
    batch = batch_of(500)
    changed = change(key, 5, batch, hashes(500))
    assert changed.schema.types == batch.schema.types
    for name in set(batch.schema.names) - set(COLUMNS[key]):
        assert changed.column(name).equals(batch.column(name))
    assert change(key, 5, batch.select(["other"]), hashes(500)).equals(batch.select(["other"]))


@pytest.mark.parametrize("key", SHARES)
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_a_severity_changes_its_share_of_the_rows(key: str, severity: int) -> None:
    batch, rows = batch_of(), hashes()
    changed = change(key, severity, batch, rows)
    share = SHARES[key][severity - 1]
    weaker = None if severity == 1 else change(key, severity - 1, batch, rows)
    for name in COLUMNS[key]:
        mask = differs(batch, changed, name)
        if (key, name) != ("scale", "whole"):  # 1 / 1000 is 0, and 2 / 10 as well
            spread = math.sqrt(share * (1 - share) / ROWS)
            assert abs(mask.mean() - share) < 5 * spread
        if weaker is not None:
            assert not (differs(batch, weaker, name) & ~mask).any()
    first, second = (differs(batch, changed, name) for name in COLUMNS[key])
    assert 0 < (first & second).sum() < first.sum(), "columns are drawn by themselves"


@pytest.mark.parametrize("key", [key for key in COLUMNS if key != "missing"])
def test_null_stays(key: str) -> None:
    columns = {name: pa.nulls(300, batch_of(1).schema.field(name).type) for name in COLUMNS[key]}
    changed = change(key, 5, pa.record_batch(columns), hashes(300))
    assert all(column.null_count == 300 for column in changed.columns)


@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "float32", "float64"])
def test_slips_of_the_unit_stay_within_the_type(kind: str) -> None:
    dtype = np.dtype(kind)
    limits = np.iinfo(dtype) if dtype.kind == "i" else np.finfo(dtype)
    values = np.array([0, 1, 100, limits.min, limits.max, limits.max // 7 * 5] * 200, dtype)
    batch, rows = pa.record_batch({"x": values}), hashes(1200)
    variant = PERTURBATIONS.get("scale").variant(["x"], 5, {})
    changed = perturb(batch, rows, variant).column(0).to_numpy()
    assert changed.dtype == dtype and np.isfinite(changed).all()
    moved = changed != values
    ratio = changed[moved].astype(float) / values[moved].astype(float)
    powers = np.array([0.0, 1e-3, 1e-2, 1e-1, 1e1, 1e2, 1e3])
    tolerance = 0.35 if dtype.kind == "i" else 1e-6  # whole numbers are rounded
    gaps = np.abs(ratio[:, None] - powers) / np.maximum(powers, 1e-3)
    assert (gaps.min(axis=1) < max(tolerance, 1e-6)).mean() > 0.9
    assert moved.any()


def test_what_is_no_number_is_not_scaled_and_no_outlier() -> None:
    column = pa.array([math.nan, math.inf, -math.inf, None] * 50)
    batch = pa.record_batch({"x": column})
    for key in ("scale", "outliers"):
        variant = PERTURBATIONS.get(key).variant(["x"], 5, {"x": 1.0})
        changed = perturb(batch, hashes(200), variant).column(0).to_pylist()
        assert list(map(str, changed)) == list(map(str, column.to_pylist()))


def test_outliers_lie_five_to_ten_spreads_off_on_both_sides() -> None:
    batch = batch_of()
    changed = change("outliers", 5, batch, hashes())
    moved = changed.column("x").to_numpy() - batch.column("x").to_numpy()
    far = moved[moved != 0]
    assert np.abs(far).min() >= 10.0 and np.abs(far).max() <= 20.0
    assert abs((far > 0).mean() - 0.5) < 0.05


def test_a_swap_is_to_each_other_value_alike_and_of_two_to_the_other() -> None:
    batch = batch_of()
    changed = change("swap", WHOLE, batch, hashes())
    assert differs(batch, changed, "word").all()
    assert np.array_equal(changed.column("whole").to_numpy(), 3 - batch.column("whole").to_numpy())
    words, new = (b.column("word").to_numpy(zero_copy_only=False) for b in (batch, changed))
    for word in "abc":
        into = new[words == word]
        for other in set("abc") - {word}:
            assert (into == other).mean() == pytest.approx(0.5, abs=0.03)


def test_a_value_that_is_not_among_those_known_is_swapped_for_any() -> None:
    batch = pa.record_batch({"word": pa.array(["rare"] * 3000), "whole": pa.array([7] * 3000)})
    changed = change("swap", WHOLE, batch, hashes(3000)).column("word").to_pylist()
    assert {word: round(changed.count(word) / 3000, 1) for word in set(changed)} == {
        "a": 0.3, "b": 0.3, "c": 0.3,
    }  # fmt: skip


def test_values_that_the_suite_names_are_used() -> None:
    swap = PERTURBATIONS.get("swap")
    asked = {"sex": ["f", "m"]}
    assert list(swap.columns(asked)) == ["sex"] and list(swap.pinned_columns(asked)) == []
    batch = pa.record_batch({"sex": ["f", "m", "x", None]})
    changed = perturb(batch, hashes(4), swap.variant(asked, WHOLE, {}))
    assert changed.column(0).to_pylist()[:2] == ["m", "f"]
    assert changed.column(0).to_pylist()[2] in ("f", "m") and not changed.column(0)[3].is_valid
    assert swap.variant(asked, WHOLE, {}).name == "swap(sex)"


def test_a_shuffle_has_the_shares_of_the_column_whatever_the_row_had() -> None:
    batch = batch_of()
    changed = change("shuffle", 5, batch, hashes())
    words = changed.column("word").to_numpy(zero_copy_only=False)
    old = batch.column("word").to_numpy(zero_copy_only=False)
    for word in "abc":
        assert (words[old == word] == "a").mean() == pytest.approx(0.75, abs=0.03)
    numbers = changed.column("x").to_numpy()
    assert np.unique(numbers).size == 20
    assert abs(np.corrcoef(numbers, batch.column("x").to_numpy())[0, 1]) < 0.05


SETTING = Setting(
    Problem(TaskKind.BINARY), (), None, Columns("label"),
    {"x": "double", "word": "string", "flag": "boolean", "when": "date", "whole": "int"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("key", "asked", "message"),
    [
        ("scale", ["word"], "scale wants numeric columns, found 'word' of the type string"),
        ("outliers", ["flag"], "outliers wants numeric columns, found 'flag' of the type boolean"),
        ("swap", ["x"], "swap wants categories: text, whole numbers or truth values, found 'x'"),
        ("swap", {"word": ["a", 1]}, "swap has 1 for 'word', which is string; expected its values"),
        ("swap", {"flag": ["a", "b"]}, "swap has 'a' for 'flag', which is boolean"),
        ("shuffle", ["when"], "shuffle wants numbers, text or truth values, found 'when'"),
    ],
)
def test_columns_of_a_wrong_type_are_refused(key: str, asked: Any, message: str) -> None:
    (found,) = PERTURBATIONS.get(key).misfits(asked, SETTING)
    assert message in found


def test_columns_of_a_right_type_are_taken() -> None:
    for key, asked in [
        ("missing", ["x", "word", "when"]),
        ("scale", ["x", "whole"]),
        ("swap", ["word", "flag", "whole"]),
        ("swap", {"word": ["a", "b"], "flag": [True, False], "whole": [1, 2]}),
        ("shuffle", ["x", "word", "flag", "whole"]),
    ]:
        assert list(PERTURBATIONS.get(key).misfits(asked, SETTING)) == []


def test_rows_that_a_perturbation_left_are_told_from_those_it_changed() -> None:
    before = pa.record_batch(
        {
            "x": [1.0, math.nan, None, 1.0, 4.0],
            "word": ["a", None, "b", "c", "d"],
            "image": [[1, 2], None, [3], [], [5]],
        }
    )
    for name, values, changed in [
        ("x", [1.0, math.nan, None, 2.0, None], [0, 0, 0, 1, 1]),
        ("x", [None, 1.0, math.nan, 1.0, 4.0], [1, 1, 1, 0, 0]),
        ("word", ["a", "x", None, "c", "e"], [0, 1, 1, 0, 1]),
        ("image", [[1, 3], None, [3], [], [5, 5]], [1, 0, 0, 0, 1]),
    ]:
        place = before.schema.get_field_index(name)
        field = before.schema.field(place)
        after = before.set_column(place, field, pa.array(values, field.type))
        assert changed_rows(before, after).tolist() == [bool(n) for n in changed]
    assert not changed_rows(before, before).any()
