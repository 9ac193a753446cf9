"""A look at rows without Spark: by the side of Spark's own look at the same tables."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from engine.data import arrow_numbers, arrow_values, column_values, looks, profile, table_rows
from engine.data.arrow_numbers import DistinctValues
from engine.data.arrow_profile import aggregate_here, torn_queries_here
from engine.data.profile import MOMENTS, aggregate, make_profile, torn_queries
from engine.data.profile_updates import updated_here, updated_stats
from engine.data.source import Source, pin_table
from engine.errors import DataError, InputError
from engine.pieces import NotThisWay
from engine.pieces.numbers import doubles
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession
from engine.suite import Evaluation

Asked = Callable[..., Evaluation]

ROWS = 700


def some_rows(count: int = ROWS, seed: int = 1, first: int = 0) -> pa.Table:
    """Rows of all plain types, with nulls, NaN, both zeros and infinities."""
    rng = np.random.default_rng(seed)

    def some(kind: pa.DataType, values: Any, nulls: float = 0.1) -> pa.Array:
        return pa.array(list(values), kind, mask=rng.random(count) < nulls)

    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf])
    x = np.where(rng.random(count) < 0.2, rng.choice(odd, count), rng.normal(size=count) * 1e3)
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    cents = [Decimal(int(n)).scaleb(-2) for n in rng.integers(-(10**6), 10**6, count)]
    wide = [Decimal(int(n)).scaleb(-7) * 10**9 + Decimal("0.0000001")
            for n in rng.integers(-(10**17), 10**17, count)]  # fmt: skip
    units = np.sort(rng.integers(0, 90, count))
    return pa.table(
        {
            "id": pa.array(range(first, first + count), pa.int64()),
            "y": some(pa.int32(), rng.integers(0, 3, count)),
            "text": some(pa.string(), rng.choice(["a", "b b", "ä€", "", "c"], count)),
            "flag": some(pa.bool_(), rng.random(count) < 0.4),
            "x": some(pa.float64(), x),
            "f": some(pa.float32(), x.astype(np.float32)),
            "tiny": some(pa.int8(), rng.integers(-3, 3, count)),
            "small": some(pa.int16(), rng.integers(-300, 300, count)),
            "long": some(pa.int64(), rng.integers(-(2**62), 2**62, count)),
            "money": some(pa.decimal128(12, 2), cents),
            "wide": some(pa.decimal128(38, 7), wide),
            "day": some(pa.date32(), [start.date() + dt.timedelta(int(n)) for n in units]),
            "at": some(pa.timestamp("us", "UTC"), [start + dt.timedelta(hours=int(n) % 7)
                                                  for n in units]),
            "raw": some(pa.binary(), [bytes([n % 5]) for n in units]),
            "w": pa.array(np.arange(count) % 4 + 0.5),
            "good": pa.array(rng.random(count)),
            "query": pa.array(units, pa.int64()),
            "cluster": pa.array([f"c{n // 3}" for n in units]),
            "torn": pa.array([f"c{n % 4}" for n in range(count)]),
            "ys": some(pa.list_(pa.int32()), [[n % 2, 1, 0] for n in range(count)], 0.05),
            "p": pa.array(rng.random(count) * 0.5),
            "q": pa.array(rng.random(count) * 0.5),
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A table of three files."""
    folder = str(tmp_path_factory.mktemp("looks") / "table")
    rows = some_rows()
    for start, stop in ((0, 300), (300, 301), (301, ROWS)):
        write_deltalake(folder, rows.slice(start, stop - start), mode="append")
    return folder


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    def ask(
        slices: list[Any] | None = None, tests: list[Any] | None = None, **dataset: Any
    ) -> Evaluation:
        models = dataset.pop("models", [{"uri": "./m"}])
        label = {"task": "multiclass", "label": "y", "key": ["id"], **dataset}
        metrics = {"multilabel": "hamming_loss", "regression": "r2", "ranking": "ndcg"}
        metric = metrics.get(label["task"], "accuracy")
        suite = {
            "name": "s",
            "store": str(tmp_path / "store"),
            "evaluations": [
                {
                    "name": "e",
                    "dataset": {"delta": str(tmp_path / "t"), **label},
                    "models": models,
                    "slices": slices or ["overall"],
                    "tests": tests or [{"metric": metric}],
                }
            ],
        }
        path = tmp_path / "suite.yml"
        path.write_text(yaml.safe_dump(suite))
        return read_suite(path).evaluations[0]

    return ask


def pin(spark: SparkSession, table: str) -> Source:
    return pin_table(LazySession(spark), table, "latest")


def both(spark: SparkSession, table: str, evaluation: Evaluation) -> tuple[Any, Any]:
    """What is told of a table without Spark, and with it."""
    source = pin(spark, table)
    return aggregate_here(source.rows_here(), evaluation), aggregate(source.frame(), evaluation)


def about(stats: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is estimated, or differs in its last digits."""
    return {
        name: (set(map(repr, value)) if name == "labels" else value)
        for name, value in stats.items()
        if not name.startswith((MOMENTS, "units_", "group_", "by_"))
    }


def check_alike(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    assert here.keys() == there.keys()
    assert about(here) == about(there)
    for name, value in here.items():
        if name.startswith(MOMENTS):
            assert value == pytest.approx(there[name], rel=1e-12), name
        elif name.startswith(("units_", "group_", "by_")):
            # Spark's are estimates.
            assert value == pytest.approx(there[name], rel=0.1), name
            assert type(value) is int


HURT = {"metric": "accuracy", "max_drop": 0.5}
SPREADS = {"robustness": {"noise": ["x", "money", "small"], "severities": [1]}, **HURT}
VALUED = ["text", "flag", "tiny", "x", "f", "wide", "long"]
VALUES = {"robustness": {"shuffle": VALUED, "severities": [1]}, **HURT}
QUANTILES = [
    {"name": f"{name} cut", "quantiles": {name: parts}}
    for name, parts in (("x", 4), ("f", 7), ("money", 3), ("wide", 5), ("long", 6), ("tiny", 2))
]


@pytest.mark.spark
@pytest.mark.parametrize("label", ["y", "text", "flag", "x", "f", "money", "long", "tiny", "small"])
def test_labels_have_the_types_that_spark_gives_them(
    spark: SparkSession, table: str, asked: Asked, label: str
) -> None:
    here, there = both(spark, table, asked(label=label))
    check_alike(here, there)
    assert {type(value) for value in here["labels"]} == {type(value) for value in there["labels"]}
    profiles = make_profile(here, asked(label=label)), make_profile(there, asked(label=label))
    assert repr(profiles[0].labels) == repr(profiles[1].labels)


@pytest.mark.spark
def test_all_that_is_asked_of_rows_is_the_same(
    spark: SparkSession, table: str, asked: Asked
) -> None:
    evaluation = asked(
        task="binary",
        label="flag",
        weight="w",
        cluster="cluster",
        slices=["overall", *QUANTILES, *({"by": [name]} for name in ("text", "day", "at", "f")),
                {"by": ["raw"]}, {"by": ["flag", "wide"]},
                {"name": "bins", "bins": {"x": [-1, 0, 1]}}],
        tests=[{"metric": "accuracy"}, SPREADS, VALUES,
               {"metric": "demographic_parity_ratio", "group": "text"}],
    )  # fmt: skip
    here, there = both(spark, table, evaluation)
    check_alike(here, there)
    assert here["cut_0"] is not None and here["units_0"] == 30
    one, other = make_profile(here, evaluation), make_profile(there, evaluation)
    assert one.slice_sets == other.slice_sets and one.rows == other.rows == ROWS
    assert one.labels == other.labels and one.column_values == other.column_values
    assert one.spreads == pytest.approx(other.spreads, rel=1e-12)


@pytest.mark.spark
def test_arrays_and_scores_are_looked_at_alike(
    spark: SparkSession, table: str, asked: Asked
) -> None:
    check_alike(*both(spark, table, asked(task="multilabel", label="ys")))
    for names in (["p", "q"], ["good", "x"], ["f", "p", "q"]):
        models = [{"name": "m", "scores": names, "classes": list(range(len(names)))}]
        here, there = both(spark, table, asked(models=models))
        check_alike(here, there)
        assert here["outside m"] + here["uneven m"] > 0


@pytest.mark.spark
def test_odd_arrays_are_counted_alike(spark: SparkSession, tmp_path: Path, asked: Asked) -> None:
    values = [[0.0, 1.0], [], None, [math.nan], [0.5, 0.5, None], [None], [-0.0]]
    rows = pa.table({"id": range(7), "ys": pa.array(values, pa.list_(pa.float64()))})
    write_deltalake(str(tmp_path / "t"), rows)
    here, there = both(spark, str(tmp_path / "t"), asked(task="multilabel", label="ys"))
    assert here == there
    assert (here["shortest"], here["longest"], here["odd"]) == (0, 3, 3)


@pytest.mark.spark
def test_bad_rows_are_refused_in_the_same_words(
    spark: SparkSession, tmp_path: Path, asked: Asked
) -> None:
    def fault(rows: pa.Table, evaluation: Evaluation) -> str:
        table = str(tmp_path / f"t{len(list(tmp_path.iterdir()))}")
        write_deltalake(table, rows)
        source = pin(spark, table)
        ways: list[tuple[Any, Callable[[], int]]] = [
            (
                aggregate_here(source.rows_here(), evaluation),
                lambda: torn_queries_here(source.rows_here(), evaluation),
            ),
            (
                aggregate(source.frame(), evaluation),
                lambda: torn_queries(source.frame(), evaluation),
            ),
        ]
        told = []
        for stats, torn in ways:
            with pytest.raises(DataError) as caught:
                make_profile(stats, evaluation, torn)
            told.append(str(caught.value))
        assert told[0] == told[1]
        return told[0]

    rows = some_rows(90)

    def with_column(name: str, values: Any, kind: pa.DataType | None = None) -> pa.Table:
        return rows.set_column(rows.column_names.index(name), name, pa.array(values, kind))

    odd = [1.0, -1.0, math.nan, math.inf, None, *[0.0] * 85]
    everything = asked(weight="w", cluster="cluster", query="query", task="ranking", label="good")
    assert "no rows at this version" in fault(rows.slice(0, 0), everything)
    assert "no label in 90 rows" in fault(with_column("y", [None] * 90, pa.int32()), asked())
    assert "4 rows whose weight 'w'" in fault(with_column("w", odd), asked(weight="w"))
    lacking = with_column("cluster", [None, *["a"] * 89])
    assert "1 rows without a value in the cluster column" in fault(
        lacking, asked(cluster="cluster")
    )
    torn = asked(task="ranking", label="good", query="query", cluster="torn")
    assert "queries of 'query' with rows in several clusters of 'torn'" in fault(rows, torn)
    one = with_column("text", ["a"] * 90)
    grouped = asked(task="binary", label="flag", tests=[
        {"metric": "demographic_parity_ratio", "group": "text"}])  # fmt: skip
    assert "one value only in the group column 'text'" in fault(one, grouped)
    empty = with_column("x", [None, math.nan, *[None] * 88], pa.float64())
    cut = asked(slices=[{"quantiles": {"x": 4}}])
    assert "no number in 'x', of which quantiles are asked" in fault(empty, cut)
    ragged = with_column("ys", [[1], *[[1, 0]] * 89], pa.list_(pa.int32()))
    assert "arrays of 1 to 2 entries" in fault(ragged, asked(task="multilabel", label="ys"))
    beyond = asked(models=[{"name": "m", "scores": ["p", "x"], "classes": [0, 1]}])
    assert "one is below 0 or above 1" in fault(rows, beyond)


@pytest.mark.spark
def test_of_a_large_table_the_same_rows_are_looked_at(
    spark: SparkSession, table: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (arrow_values, column_values):
        monkeypatch.setattr(module, "SAMPLE_ROWS", 150)
    for key in (["id"], ["text", "f", "day", "at", "raw"]):
        here, there = both(spark, table, asked(tests=[VALUES], key=key))
        check_alike(here, there)


@pytest.mark.spark
def test_rows_that_came_alone_are_looked_at(
    spark: SparkSession, tmp_path: Path, asked: Asked
) -> None:
    folder, evaluation = str(tmp_path / "t"), asked(weight="w", slices=[{"by": ["text"]}])
    write_deltalake(folder, some_rows(200, 1), partition_by=["tiny"])
    before = aggregate_here(pin(spark, folder).rows_here(), evaluation)
    write_deltalake(folder, some_rows(50, 2, 200), mode="append", partition_by=["tiny"])
    source = pin(spark, folder)
    here = updated_here(source, 0, evaluation, before)
    assert here is not None and here["rows"] == 250
    there = updated_stats(spark, folder, (0, 1), evaluation, before)
    assert there is not None
    check_alike(here, there)
    assert updated_here(source, 0, asked(cluster="cluster"), before) is None
    spark.sql(f"DELETE FROM delta.`{folder}` WHERE id = 7")
    assert updated_here(pin(spark, folder), 0, evaluation, before) is None


@pytest.mark.spark
def test_what_only_spark_reads_spark_looks_at(
    spark: SparkSession, table: str, tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = spark.read.format("delta").load(table)
    odd = str(tmp_path / "odd")
    frame.selectExpr("*", "named_struct('a', id) AS s").write.format("delta").save(odd)
    source, evaluation = pin(spark, odd), asked(slices=[{"by": ["text"]}])
    assert source.rows_here().type_of("y") == pa.int32()
    with pytest.raises(NotThisWay, match="the column 's' is struct<a:bigint>"):
        source.rows_here().type_of("s")
    check_alike(looks.look_at(source, evaluation), aggregate(source.frame(), evaluation))
    for name, limit in (("MOST_ROWS", 100), ("MOST_BYTES", 1000)):
        with monkeypatch.context() as patch:
            patch.setattr(table_rows, name, limit)
            with pytest.raises(NotThisWay, match=f"more than {limit:,}"):
                aggregate_here(source.rows_here(), evaluation)
            assert looks.look_at(source, evaluation)["rows"] == ROWS
    calls: list[Any] = []
    monkeypatch.setattr(profile, "check_predicates", lambda *given: calls.append(given))
    looks.check_predicates(source, asked(slices=[{"name": "a", "where": "x > 1 AND text = 'a'"}]))
    assert not calls
    looks.check_predicates(source, asked(slices=[{"name": "a", "where": "s.a > 1"}]))
    looks.check_predicates(source, asked(slices=[{"name": "a", "where": "nowhere > 1"}]))
    assert len(calls) == 2
    assert looks.count_rows(source) == ROWS


def test_where_no_spark_is_started_it_is_told_what_takes_it() -> None:
    def refuse() -> int:
        raise NotThisWay("the column 's' is struct<a:bigint>")

    told = "by Spark only, which is not started here: the column 's' is struct<a:bigint>; say"
    # A session that is active already would be taken.
    session = SimpleNamespace(current=None, is_local=True, remedy="say so")
    with pytest.raises(InputError, match=told):
        table_rows.either_way(session, refuse, lambda: 1)  # type: ignore[arg-type]
    session = SimpleNamespace(current=None, is_local=False)
    assert table_rows.either_way(session, refuse, lambda: 1) == 1  # type: ignore[arg-type]


def test_many_values_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_numbers, "MOST_DISTINCT", 1 << 12)
    counted = DistinctValues()
    for start in range(0, 200_000, 10_000):
        counted.add(pa.array(range(start, start + 20_000)))
    # 4 standard deviations of what half of 4,096 hashes tell.
    assert counted.count() == pytest.approx(210_000, rel=4 / math.sqrt(2048))
    few = DistinctValues()
    for _ in range(3):
        few.add(pa.array([*range(4000), None]))
    assert few.count() == 4000


def test_doubles_are_the_nearest_to_decimals() -> None:
    texts = ["0.07", "-123456789012345.67", "99999999999999999999999999.99", "-0.01", "0.29", None]
    column = pa.array([None if t is None else Decimal(t) for t in texts], pa.decimal128(38, 2))
    wanted = [math.nan if text is None else float(text) for text in texts]
    np.testing.assert_array_equal(doubles(column), wanted)
    np.testing.assert_array_equal(doubles(column.slice(2, 3)), wanted[2:5])
    tiny = pa.array([Decimal("1.2345678901234567890123456789")], pa.decimal128(38, 28))
    assert doubles(tiny)[0] == 1.2345678901234567890123456789
