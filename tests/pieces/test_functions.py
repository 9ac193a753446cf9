"""Functions and casts within predicates: what Spark makes of the same values, value by value."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import sqlglot

from engine.pieces import NotThisWay
from engine.pieces.expressions import Expression, evaluate
from engine.pieces.functions import _has_known_cases
from engine.pieces.predicates import _Reader, parse_predicate
from engine.spark.api import F

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TEXTS = ["", " ", "  a b ", "Straße", "ÄÖÜ äöü", "ŉ ǆ ǅ", "Ωμέγα", "жЖ", "日本語", "😀 a😀",
         "e\u0301", "\t x\n", "\u00a0x\u00a0", "a\0b", "true", "1", None]  # fmt: skip
DOUBLES = [0.0, -0.0, 1.5, -1.5, 0.1, 7.0, 2.0**31 - 0.5, -(2.0**31), 1e-300, 5e-324, 1e18,
           float("inf"), float("-inf"), float("nan"), None]  # fmt: skip
DAYS = [dt.date(1, 1, 1), dt.date(1582, 10, 4), dt.date(1582, 10, 15), dt.date(1969, 12, 31),
        dt.date(1970, 1, 1), dt.date(2000, 2, 29), dt.date(2026, 1, 4), dt.date(9999, 12, 31),
        None]  # fmt: skip
TIMES = [dt.datetime(1, 1, 1, tzinfo=dt.UTC),
         dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, dt.UTC),
         dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
         dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.UTC), None]  # fmt: skip
WHOLE = {"y": 8, "s": 16, "i": 32, "l": 64}


def whole_values(bits: int) -> list[int | None]:
    top = 2 ** (bits - 1)
    return [0, 1, -1, 2, -3, 7, -8, 100, top - 1, -top, 1 - top, None]


def table() -> pa.RecordBatch:
    """Odd values of each type, in rows that pair all of two columns of a type at some place."""
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "t": (TEXTS, pa.string()), "u": (TEXTS, pa.string()),
        "d": (DOUBLES, pa.float64()), "e": (DOUBLES, pa.float64()),
        "f": (DOUBLES[:5] + DOUBLES[-4:], pa.float32()),
        "day": (DAYS, pa.date32()), "at": (TIMES, pa.timestamp("us", "UTC")),
        "b": ([True, False, None], pa.bool_()),
    }  # fmt: skip
    for name, bits in WHOLE.items():
        kind = getattr(pa, f"int{bits}")()
        columns[name] = columns[f"{name}2"] = (whole_values(bits), kind)
    draw = random.Random(7)
    made = {
        name: pa.array([draw.choice(values) for _ in range(600)], kind)
        for name, (values, kind) in columns.items()
    }
    return pa.record_batch(made)


BATCH = table()
TYPES = {field.name: field.type for field in BATCH.schema}


class Values:
    """Draws expressions of each type."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def text(self, depth: int = 0) -> str:
        if depth > 2 or self.draw.random() < 0.25:
            return self.draw.choice(["t", "u", "t", "'a'", "'ß '"])
        inner = self.text(depth + 1)
        return self.draw.choice([
            f"lower({inner})", f"upper({inner})", f"trim({inner})", f"ltrim({inner})",
            f"rtrim({inner})", f"substring({inner}, {self.place()}, {self.place()})",
            f"substr({inner}, {self.place()})", f"concat({inner}, {self.text(depth + 1)})",
            f"({inner} || {self.text(depth + 1)})", f"coalesce({inner}, {self.text(depth + 1)})",
            f"CAST({self.draw.choice(['y', 's', 'i', 'l', 'b', 'day'])} AS STRING)",
        ])  # fmt: skip

    def place(self) -> str:
        return str(self.draw.choice([-5, -2, -1, 0, 1, 2, 3, 100]))

    def whole(self, depth: int = 0) -> str:
        if depth > 2 or self.draw.random() < 0.25:
            return self.draw.choice(["y", "s", "i", "l", "y2", "s2", "i2", "l2", "3", "-2"])
        left, right = self.whole(depth + 1), self.whole(depth + 1)
        return self.draw.choice([
            f"({left} % {self.draw.choice(['2', '-3', '7', '1000'])})", f"({left} % {right})",
            f"abs({left})", f"coalesce({left}, {right})", f"length({self.text(depth + 1)})",
            f"{self.draw.choice(['year', 'month', 'day', 'dayofmonth', 'dayofweek'])}"
            f"({self.draw.choice(['day', 'at', 'CAST(at AS DATE)'])})",
            f"CAST({left} AS {self.draw.choice(['TINYINT', 'SMALLINT', 'INT', 'BIGINT'])})",
            f"CAST(b AS {self.draw.choice(['INT', 'BIGINT'])})",
            f"CAST({self.number(2)} % 1000 AS BIGINT)",
        ])  # fmt: skip

    def number(self, depth: int = 0) -> str:
        if depth > 2 or self.draw.random() < 0.25:
            return self.draw.choice(["d", "e", "1.5e0"])
        inner = self.number(depth + 1)
        return self.draw.choice([
            f"abs({inner})", f"({inner} % {self.draw.choice(['2', '0.5e0', '-3'])})",
            f"({inner} % {self.number(depth + 1)})", f"coalesce({inner}, {self.whole(2)})",
            f"CAST({self.draw.choice(['y', 's', 'i', 'l', 'f', 'b'])} AS DOUBLE)",
        ])  # fmt: skip

    def truth(self) -> str:
        return self.draw.choice(["b", f"CAST({self.whole(2)} AS BOOLEAN)", "coalesce(b, t = 'a')"])

    def any(self) -> str:
        return self.draw.choice([self.text, self.whole, self.number, self.truth])()


def read(text: str) -> Expression | None:
    try:
        return _Reader(TYPES).value(sqlglot.parse_one(text, dialect="spark"))
    except NotThisWay:
        return None


def plain(values: list[Any]) -> list[Any]:
    """Values of which NaN is equal to itself, and the zeros are two."""
    return [repr(value) if isinstance(value, float) else value for value in values]


@pytest.mark.spark
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_values_are_those_of_spark(spark: SparkSession, seed: int) -> None:
    draw, here = Values(seed), {}
    for text in {draw.any(): None for _ in range(900)}:
        expression = read(text)
        if expression is None or expression.operation in ("column", "literal"):
            continue
        try:
            here[text] = expression.type, evaluate(expression, BATCH)
        except pa.ArrowInvalid:
            # Spark reads the rows then.
            continue
    assert len(here) > 200
    names = ("lower", "upper", "trim", "substr", "concat", "||", "coalesce", "%", "abs")
    names = (*names, "length", "year", "dayofweek", "CAST")
    assert all(any(name in text for text in here) for name in names)
    frame = spark.createDataFrame(pa.Table.from_batches([BATCH])).coalesce(1)
    columns = [F.expr(text).alias(f"v{place}") for place, text in enumerate(here)]
    for start in range(0, len(columns), 60):
        wanted = frame.select(*columns[start : start + 60]).toArrow()
        for place, (text, (kind, ours)) in list(enumerate(here.items()))[start : start + 60]:
            theirs = wanted[f"v{place}"]
            assert (kind, ours.type) == (theirs.type, theirs.type), text
            assert plain(ours.to_pylist()) == plain(theirs.to_pylist()), text


@pytest.mark.spark
def test_remainders_of_all_pairs(spark: SparkSession) -> None:
    for name, bits in WHOLE.items():
        kind = getattr(pa, f"int{bits}")()
        pairs = [
            (left, right) for left, right in itertools.product(whole_values(bits), repeat=2)
            if right != 0
        ]  # fmt: skip
        check_remainders(spark, pairs, kind, name)
    numbers = [pair for pair in itertools.product(DOUBLES, repeat=2) if pair[1] != 0]
    check_remainders(spark, numbers, pa.float64(), "d")


def check_remainders(
    spark: SparkSession, pairs: list[tuple[Any, Any]], kind: pa.DataType, name: str
) -> None:
    rows = pa.table({"a": pa.array([p[0] for p in pairs], kind),
                     "c": pa.array([p[1] for p in pairs], kind)})  # fmt: skip
    tree = sqlglot.parse_one("a % c", dialect="spark")
    expression = _Reader({"a": kind, "c": kind}).value(tree)
    ours = evaluate(expression, rows.combine_chunks().to_batches()[0])
    theirs = spark.createDataFrame(rows).coalesce(1).select(F.expr("a % c").alias("r")).toArrow()
    assert ours.type == theirs["r"].type, name
    assert plain(ours.to_pylist()) == plain(theirs["r"].to_pylist()), name


@pytest.mark.spark
def test_every_letter_that_is_known_has_the_cases_of_spark(spark: SparkSession) -> None:
    letters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    known = [letter for letter in letters if _has_known_cases(letter)]
    assert len(known) > 80_000 and "Σ" not in known and "ß" in known and "語" in known
    texts = [*known, *(f"a{letter} B" for letter in known if letter.lower() != letter.upper())]
    rows = pa.table({"x": pa.array(texts)})
    batch = rows.to_batches()[0]
    frame = spark.createDataFrame(rows).coalesce(1)
    for function in ("lower", "upper"):
        tree = sqlglot.parse_one(f"{function}(x)", dialect="spark")
        ours = evaluate(_Reader({"x": pa.string()}).value(tree), batch)
        theirs = frame.select(F.expr(f"{function}(x)").alias("r")).toArrow()["r"]
        assert ours.to_pylist() == theirs.to_pylist(), function


@pytest.mark.parametrize(
    ("where", "column"),
    [
        ("lower(x) = 'σ'", pa.array(["Σ"])),
        ("upper(x) = 'a'", pa.array(["\u0250"])),
        ("length(x) = 1", pa.array([b"\xff"]).view(pa.string())),
        ("substring(x, 1, 1) = 'a'", pa.array([b"a\xff"]).view(pa.string())),
        ("x % 0 = 1", pa.array([1], pa.int32())),
        ("5 % x = 1", pa.array([1, 0], pa.int32())),
        ("x % 0e0 = 1", pa.array([1.0])),
        ("abs(x) = 1", pa.array([-(2**31)], pa.int32())),
        ("CAST(x AS TINYINT) = 1", pa.array([128], pa.int32())),
        ("CAST(x AS INT) = 1", pa.array([2.0**31])),
        ("CAST(x AS BIGINT) = 1", pa.array([2.0**63])),
        ("CAST(x AS INT) = 1", pa.array([math.nan])),
        ("year(x) = 1", pa.array([2_932_897], pa.int32()).view(pa.date32())),
        ("CAST(x AS STRING) = 'a'", pa.array([-800_000], pa.int32()).view(pa.date32())),
    ],
)
def test_what_only_spark_can_tell_of_a_value_is_an_error(where: str, column: pa.Array) -> None:
    expression = parse_predicate(where, {"x": column.type})
    with pytest.raises(pa.ArrowInvalid):
        evaluate(expression, pa.record_batch({"x": column}))
