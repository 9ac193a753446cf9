from __future__ import annotations

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from engine.core.vocabulary import ColumnSpec, TensorSpec
from engine.errors import ModelError
from engine.models.features import read_arrays, read_frame, refuse_lost_integers


def columns(version, **types):
    return version(
        inputs=tuple(ColumnSpec(name, kind) for name, kind in types.items()), features=tuple(types)
    )


def tensor(version, shape, dtype="float32", features=("x",), name=None):
    return version(inputs=(TensorSpec(name, dtype, shape),), features=features)


def test_columns_come_in_the_signatures_order_and_types(version):
    model = columns(version, b="float", a="long", s="string", t="boolean", d="datetime")
    table = pa.table(
        {
            "a": pa.array([1.0, 2.0]),
            "s": pa.array(["x", None]).dictionary_encode(),
            "extra": [0, 0],
            "b": pa.array([1, 2], pa.int8()),
            "t": [True, False],
            "d": pa.array([0, 1], pa.date32()),
        }
    )
    frame = read_frame(table, model)
    assert list(frame) == ["b", "a", "s", "t", "d"]
    assert [str(kind) for kind in frame.dtypes] == [
        "float32",
        "int64",
        "object",
        "bool",
        "datetime64[ns]",
    ]
    assert frame["s"].tolist() == ["x", None]


def test_a_column_can_fill_an_input_of_another_name(version):
    model = version(inputs=(ColumnSpec("a", "double"),), features=("renamed",))
    assert read_frame(pa.table({"renamed": [1]}), model)["a"].tolist() == [1.0]


@pytest.mark.parametrize("kind", ["integer", "long", "float", "double"])
def test_nulls_in_numbers_become_nan(version, kind):
    table = pa.table({"a": pa.array([1, None, 3], pa.int32())})
    values = read_frame(table, columns(version, a=kind))["a"]
    assert values.dtype.kind == "f"
    np.testing.assert_array_equal(values, [1, np.nan, 3])


def test_decimals_and_booleans_are_numbers(version):
    table = pa.table({"a": [decimal.Decimal("1.5")], "b": pa.array([True])})
    frame = read_frame(table, columns(version, a="double", b="double"))
    assert frame.iloc[0].tolist() == [1.5, 1.0]


@pytest.mark.parametrize("kind", ["datetime", None])
@pytest.mark.parametrize(("zone", "hour"), [(None, 17), ("UTC", 17), ("Europe/Berlin", 18)])
def test_times_are_the_wall_clock_of_their_zone(version, kind, zone, hour):
    instant = dt.datetime(2024, 1, 1, 17, tzinfo=None if zone is None else dt.UTC)
    table = pa.table({"t": pa.array([instant, None], pa.timestamp("us", zone))})
    times = read_frame(table, columns(version, t=kind))["t"]
    assert str(times.dtype) == "datetime64[ns]"
    assert (times[0], times.isna().tolist()) == (pd.Timestamp(2024, 1, 1, hour), [False, True])
    kept = read_frame(table, columns(version, t=kind), zoned=True)["t"]
    assert (kept.dt.tz is None) == (zone is None)


def test_times_in_texts_and_beyond_nanoseconds(version):
    table = pa.table({"t": ["2024-01-01 17:00:00", None]})
    times = read_frame(table, columns(version, t="datetime"))["t"]
    assert times[0] == pd.Timestamp(2024, 1, 1, 17) and pd.isna(times[1])
    with pytest.raises(ModelError, match="takes datetime, the column holds texts that are no time"):
        read_frame(pa.table({"t": ["soon"]}), columns(version, t="datetime"))
    with pytest.raises(ModelError, match="takes datetime, the column holds int64"):
        read_frame(pa.table({"t": [1]}), columns(version, t="datetime"))
    far = pa.table({"t": pa.array([dt.datetime(3000, 1, 1)], pa.timestamp("us"))})
    assert read_frame(far, columns(version, t="datetime"))["t"][0] == pd.Timestamp("3000-01-01")


@pytest.mark.parametrize("kind", ["integer", "long"])
def test_what_mlflow_refuses_is_told_with_its_hint(version, kind):
    model = columns(version, visits=kind, other="double")
    table = pa.table({"visits": [1, None], "other": [1.0, None]})
    words = f"'visits' is {kind} in the signature, the column holds nulls; .* as double"
    with pytest.raises(ModelError, match=words):
        refuse_lost_integers(table, model)
    refuse_lost_integers(table.slice(0, 1), model)


def test_without_a_signature_columns_keep_their_types(version):
    table = pa.table({"n": [1, None], "s": ["x", "y"], "z": [0, 0]})
    frame = read_frame(table, version(features=("s", "n")))
    expected = pd.DataFrame({"s": ["x", "y"], "n": [1.0, np.nan]})
    pd.testing.assert_frame_equal(frame, expected)


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("long", [1.5], "takes int64, the column holds values with a fraction"),
        ("integer", [2**40], "takes int32, the column holds values out of its range"),
        ("double", ["x"], "takes numbers, the column holds string"),
        ("string", [1], "takes string, the column holds int64"),
        ("boolean", [1], "takes boolean, the column holds int64"),
    ],
)
def test_values_that_would_change_are_refused(version, kind, values, words):
    with pytest.raises(ModelError, match=words):
        read_frame(pa.table({"a": values}), columns(version, a=kind))


def test_a_missing_column_is_named_with_those_there_are(version):
    with pytest.raises(ModelError, match="'m' wants the column 'b', the data have 'a', 'c'"):
        read_frame(pa.table({"a": [1], "c": [1]}), columns(version, a="long", b="long"))


def test_without_features_nothing_is_guessed(version):
    with pytest.raises(ModelError, match="nothing says which columns"):
        read_frame(pa.table({"a": [1]}), version())


def test_scalar_columns_are_stacked_into_a_tensor(version):
    table = pa.table({f"p{i}": [i, 10 + i] for i in range(6)})
    model = tensor(version, (2, 3, 1), features=tuple(f"p{i}" for i in range(6)))
    (array,) = read_arrays(table, model)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array[1, :, :, 0], [[10, 11, 12], [13, 14, 15]])


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 4)]
)
def test_a_column_of_lists_is_a_tensor(version, kind):
    table = pa.table({"x": pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], kind)}).slice(1)
    (array,) = read_arrays(table, tensor(version, (2, -1)))
    np.testing.assert_array_equal(array, [[[5, 6], [7, 8]]])


def test_nested_lists_and_null_lists(version):
    table = pa.table({"x": [[[1.0, 2.0]], None, [[3.0, 4.0]]]})
    (array,) = read_arrays(table, tensor(version, (1, 2)))
    np.testing.assert_array_equal(array[:, 0], [[1, 2], [np.nan, np.nan], [3, 4]])


def test_several_tensors_take_a_column_each(version):
    model = version(
        inputs=(TensorSpec("x", "float32", (2,)), TensorSpec("n", "int64", ())), features=("x", "n")
    )
    pixels, number = read_arrays(pa.table({"n": [7], "x": [[1.0, 2.0]]}), model)
    assert pixels.tolist() == [[1.0, 2.0]]
    assert number.tolist() == [7]
    assert number.dtype == np.int64


@pytest.mark.parametrize(
    ("shape", "dtype", "values", "words"),
    [
        ((3,), "float32", [[1.0, 2.0]], r"shape \(3\) for each row, found 2 values in 1 columns"),
        ((3, -1), "float32", [[1.0, 2.0]], r"shape \(3, any\) for each row"),
        ((-1,), "float32", [[1.0], [1.0, 2.0]], r"have the lengths \[1, 2\], expected one length"),
        ((1,), "int64", [None, [1]], "takes int64, the column holds a null"),
        ((1,), "float32", [["x"]], "takes numbers, the column holds string"),
    ],
)
def test_what_does_not_fill_a_tensor_is_refused(version, shape, dtype, values, words):
    with pytest.raises(ModelError, match=words):
        read_arrays(pa.table({"x": values}), tensor(version, shape, dtype))


def test_without_a_signature_there_is_one_float32_array(version):
    (array,) = read_arrays(pa.table({"a": [1, 2], "b": [0.5, None]}), version(features=("b", "a")))
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, [[0.5, 1], [np.nan, 2]])
