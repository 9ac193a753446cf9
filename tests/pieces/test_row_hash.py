"""Hashes and JSON texts of rows against their published definitions, without Spark."""

from __future__ import annotations

import pyarrow as pa
import pytest

from engine.pieces.json_text import json_rows
from engine.pieces.row_hash import hash_rows, is_hashable

TEXT, NUMBER = pa.array(["Spark"]), pa.array([123], pa.int32())
# `SELECT xxhash64(...)` of Spark 4.2.
KNOWN = [
    ([TEXT], -4294468057691064905),
    ([NUMBER], 5513549449271372758),
    ([TEXT, NUMBER], -7770970918500510695),
]


@pytest.mark.parametrize(("columns", "wanted"), KNOWN)
def test_a_hash_is_the_one_of_spark(columns: list[pa.Array], wanted: int) -> None:
    assert hash_rows(columns, 1).tolist() == [wanted]


def test_a_null_leaves_the_hash_as_it_is() -> None:
    numbers, nulls = pa.array([1, 2]), pa.nulls(2, pa.string())
    assert hash_rows([numbers, nulls], 2).tolist() == hash_rows([numbers], 2).tolist()
    assert hash_rows([nulls], 2).tolist() == [42, 42]


def test_zeros_and_nan_have_one_hash_each() -> None:
    odd = float("-nan")
    hashes = hash_rows([pa.array([0.0, -0.0, float("nan"), odd])], 4).tolist()
    assert hashes[0] == hashes[1] and hashes[2] == hashes[3]


def test_a_slice_of_a_column_has_the_hashes_of_its_rows() -> None:
    for column in (
        pa.array(["a", None, "b" * 40, "", "c" * 33]),
        pa.array([1, None, 3, 4, 5], pa.int16()),
        pa.array([1, None, 3, 4, 5], pa.decimal128(5, 1)),
    ):
        whole = hash_rows([column], 5).tolist()
        assert hash_rows([column.slice(2, 2)], 2).tolist() == whole[2:4]
    assert hash_rows([pa.array([], pa.string())], 0).tolist() == []


def test_what_has_no_hash_is_told() -> None:
    assert is_hashable(pa.timestamp("us", "UTC"))
    assert not is_hashable(pa.list_(pa.int64()))


def test_texts_of_rows_leave_nulls_out() -> None:
    columns = {'a"b': pa.array([1, None]), "t": pa.array(["x\\u001f\x1f\n", None])}
    assert json_rows(columns, 2).to_pylist() == ['{"a\\"b":1,"t":"x\\\\u001f\\u001F\\n"}', "{}"]
