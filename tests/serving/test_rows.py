"""Rows as JSON has them: what comes back is what went, bit by bit."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.vocabulary import ColumnSpec, ModelVersion, Output, TaskKind, TensorSpec
from engine.errors import EndpointError
from engine.serving import rows_of


def model(**more: object) -> ModelVersion:
    given = {"features": ("x",), **more}
    return ModelVersion("m", "", None, "", "", "", TaskKind.BINARY, Output.VALUE, **given)


def values(array: pa.Array, kind: str | None = None) -> list[object]:
    specs = () if kind is None else (ColumnSpec("x", kind),)
    (own,) = rows_of(pa.table({"x": array}), model(inputs=specs)).inputs
    return json.loads(json.dumps(list(own.values), allow_nan=False))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_doubles_come_back_with_every_bit(numbers: list[float]) -> None:
    assert [*map(repr, values(pa.array(numbers, pa.float64()), "double"))] == [*map(repr, numbers)]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_floats_of_32_bits_come_back(numbers: list[float]) -> None:
    back = pa.array(values(pa.array(numbers, pa.float32())), pa.float32())
    assert back.equals(pa.array(numbers, pa.float32()))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_stay_whole(numbers: list[int]) -> None:
    assert values(pa.array(numbers, pa.int64()), "long") == numbers


def test_numbers_are_of_the_type_of_their_input() -> None:
    assert repr(values(pa.array([1, None]), "double")) == "[1.0, None]"
    assert repr(values(pa.array([1.0, 2.5, None]), "long")) == "[1, 2.5, None]"


def test_what_json_lacks_is_said_in_its_own_words() -> None:
    assert values(pa.array([float("nan"), 1.0])) == [None, 1.0]
    assert values(pa.array([b"\0\xff"])) == ["AP8="]
    when = dt.datetime(2024, 2, 29, 12, 0, tzinfo=dt.UTC)
    assert values(pa.array([when], pa.timestamp("us", "Europe/Berlin"))) == ["2024-02-29T13:00:00"]
    assert values(pa.array([dt.date(2024, 2, 29)])) == ["2024-02-29"]
    assert values(pa.array(["a", "b", "a"]).dictionary_encode()) == ["a", "b", "a"]


def test_infinity_is_refused_by_the_name_of_its_input() -> None:
    with pytest.raises(EndpointError, match="the input 'x' holds infinity, which JSON"):
        values(pa.array([float("inf")]))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(EndpointError, match="'m' wants the column 'x', which is missing"):
        rows_of(pa.table({"y": [1]}), model())


def test_columns_side_by_side_fill_one_tensor() -> None:
    one = model(features=("x", "y"), inputs=(TensorSpec(None, "float32", (2,)),))
    rows = rows_of(pa.table({"x": [1, 2], "y": [0.5, 1.5]}), one)
    assert rows.are_tensors
    assert list(rows.inputs[0].values) == [[1.0, 0.5], [2.0, 1.5]]


def test_rows_are_taken_by_their_places() -> None:
    rows = rows_of(pa.table({"x": [1, 2, 3]}), model())
    assert rows.take([2, 0]).as_records() == [{"x": 3}, {"x": 1}]
    assert rows.slice(1, 10).as_lists() == [[2], [3]]
    assert rows.slice(3, 10).count == 0
