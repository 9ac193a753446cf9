"""Sources that are odd: read right, told, or refused with what to do; never wrong silently."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from engine.data.generation.closeness import compare
from engine.data.generation.make import Generated, make
from engine.data.generation.recipe import read_recipe
from engine.delta.local_table import LocalTable
from engine.errors import DataError, SuiteError
from engine.spark.lazy_session import LazySession
from tests.data.generation.quiet import show_nothing

ROWS = 300
RNG = np.random.default_rng(0)
X = RNG.normal(size=ROWS)
Y = RNG.integers(0, 2, ROWS)
DAYS = pa.array([dt.date(1900, 1, 1) + dt.timedelta(days=n) for n in range(ROWS)])
TIMES = pa.array(
    [dt.datetime(2024, 1, 1) + dt.timedelta(minutes=n) for n in range(ROWS)],
    pa.timestamp("us", "UTC"),
)
MONEY = pa.array([Decimal(int(x * 1e12)).scaleb(-2) for x in X], pa.decimal128(38, 2))


def made(folder: Path, columns: dict[str, Any], **keys: Any) -> tuple[Generated, pa.Table]:
    """The result of a recipe on columns, and the rows."""
    write_deltalake(str(folder / "source"), pa.table(columns))
    recipe = {"dataset": {"delta": str(folder / "source")}, "out": str(folder / "made"),
              "rows": 400, **keys}  # fmt: skip
    chosen = read_recipe({key: value for key, value in recipe.items() if value is not None})
    generated = make(LazySession(), chosen, show_nothing)
    return generated, LocalTable(folder / "made").rows()


@pytest.mark.parametrize(
    "columns",
    [
        {"a b": X, "ünï.cödé": X * 2, "sel`ect": RNG.choice(["a", "b"], ROWS)},
        {"t": TIMES, "d": DAYS},
        {"money": MONEY},
        {"x": [3.0] * ROWS, "z": pa.nulls(ROWS, pa.float64())},
        {"x": pa.array(np.arange(ROWS) % 7, pa.int8())},
        {"x": X * 1e300, "z": X * 1e-300},
        {"x": X.astype(np.float32), "s": RNG.choice(["", " ", "a"], ROWS)},
        {"x": np.where(RNG.random(ROWS) < 0.9, 0.0, X)},
    ],
    ids=["names", "times", "decimal", "constant", "int8", "huge", "float32", "zeros"],
)
def test_columns_keep_their_names_and_types(tmp_path: Path, columns: dict[str, Any]) -> None:
    _, rows = made(tmp_path, {**columns, "y": Y}, label="y")
    tables = [DeltaTable(str(tmp_path / name)) for name in ("source", "made")]
    fields = [[(field.name, field.type) for field in table.schema().fields] for table in tables]
    assert fields[0] == fields[1] and rows.num_rows == 400
    own = compare(pa.table({**columns, "y": Y}), rows.cast(pa.table({**columns, "y": Y}).schema))
    assert min(own.columns.values()) > 0.9


@pytest.mark.parametrize(
    "label",
    [Y > 0, np.where(Y > 0, "yes", "no"), Y.astype(float), pa.array(Y, mask=RNG.random(ROWS) < 0.2),
     np.arange(ROWS) % 15],
    ids=["truth", "text", "float", "null", "fifteen"],
)  # fmt: skip
def test_labels_of_any_type_make_classes(tmp_path: Path, label: Any) -> None:
    _, rows = made(tmp_path, {"x": X, "y": label}, label="y")
    source = pa.table({"y": label}).column("y").combine_chunks()
    ours = rows.column("y").combine_chunks()
    assert set(ours.unique().to_pylist()) == set(source.unique().to_pylist())


def test_ends_of_the_source_are_no_heap_of_copies(tmp_path: Path) -> None:
    generated, rows = made(tmp_path, {"x": X, "y": Y}, label="y")
    assert generated.copies == 0
    counts = rows.column("x").combine_chunks().value_counts().field("counts")
    assert max(counts.to_pylist()) == 1


@pytest.mark.parametrize(
    ("columns", "keys", "said"),
    [
        ({"x": 2**62 + np.arange(ROWS)}, {}, "'x' has whole numbers beyond 2\\^53"),
        ({"k": DAYS, "x": X}, {"key": "k"}, "key 'k' is date32.*expected whole numbers or text"),
        ({"k": np.arange(ROWS)}, {"key": "k"}, "no column but its key"),
        ({"x": [float("inf")] * ROWS}, {}, "'x' has no finite number"),
        ({"x": [f"a {n}" for n in range(ROWS)], "z": [f"b {n}" for n in range(ROWS)]}, {},
         "'x' cannot be modelled.*'z' cannot be modelled"),
        ({"x": X}, {"by": ["x"]}, "'x' make 300 groups"),
        ({"x": X}, {"label": "X"}, "there is 'x': mind the capitals"),
    ],
)  # fmt: skip
def test_what_cannot_be_modelled_is_refused(
    tmp_path: Path, columns: dict[str, Any], keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        made(tmp_path, columns, **keys)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"key": "y", "label": "y"}, "the key 'y' is the label"),
        ({"label": "y", "leave_out": ["y"]}, "the label 'y' is in `leave_out`"),
        ({"key": "k", "by": ["k"]}, "or in `by`, too"),
    ],
)
def test_columns_have_one_part(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        made(tmp_path, {"x": X, "y": Y, "k": np.arange(ROWS)}, **keys)


def test_dates_of_conditions_may_be_texts(tmp_path: Path) -> None:
    _, rows = made(tmp_path, {"d": DAYS, "y": Y}, given={"d": {"min": "1900-06-01"}})
    assert min(rows.column("d").to_pylist()) >= dt.date(1900, 6, 1)


def test_one_row_is_enough_where_that_is_asked_for(tmp_path: Path) -> None:
    generated, rows = made(tmp_path, {"x": [1.0], "c": ["a"], "y": [1]}, label="y", least_rows=1)
    assert rows.num_rows == generated.copies == 400
    assert generated.closeness is not None and generated.closeness.area is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"label": "yy"}, "no column 'yy' for the label; did you mean 'y'"),
        ({"key": "x"}, "the key 'x' is among the columns"),
    ],
)
def test_a_population_has_the_columns_that_are_named(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    population = {
        "columns": {"x": {"normal": [0.0, 1.0]}}, "target": {"name": "y", "weights": {"x": 1.0}},
    }  # fmt: skip
    recipe = {"out": str(tmp_path / "made"), "rows": 10, "population": population, **keys}
    with pytest.raises(DataError, match=said):
        make(LazySession(), read_recipe(recipe), show_nothing)
    assert not (tmp_path / "made").exists()


def test_a_key_has_room_for_the_rows(tmp_path: Path) -> None:
    columns = {"k": pa.array(np.arange(100), pa.int8()), "x": X[:100]}
    with pytest.raises(DataError, match="the key 'k' is int8, which has no room for 400 numbers"):
        made(tmp_path, columns, key="k")


@pytest.mark.parametrize("more", [{"rows": 5}, {"key": "id"}, {"reference": "./r"}])
def test_boundaries_have_rows_of_their_own(tmp_path: Path, more: dict[str, Any]) -> None:
    recipe = {"out": str(tmp_path / "made"), "model": "models:/a/1", "boundaries": True, **more}
    with pytest.raises(SuiteError, match="`boundaries` has rows and columns of its own"):
        read_recipe(recipe)


def test_what_becomes_of_infinities_is_told(tmp_path: Path) -> None:
    endless = np.where(np.arange(ROWS) % 10 == 0, np.inf, X)
    generated, rows = made(tmp_path, {"x": endless, "y": Y}, label="y")
    assert "'x': infinities of 30 rows are made as null" in generated.notes
    assert rows.column("x").null_count / rows.num_rows == pytest.approx(0.1, abs=0.05)
