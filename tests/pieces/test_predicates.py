"""Predicates over Arrow: what Spark says of the same rows, value by value."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from engine.pieces import NotThisWay
from engine.pieces.expressions import matches
from engine.pieces.predicates import parse_predicate

TIMES = [dt.datetime(2026, 1, day, 12, 30, tzinfo=dt.UTC) for day in (1, 2, 3)]
ROWS = pa.table(
    {
        "text": pa.array(["a", "b", "Ab%c", "", None, "ä\nb", "z_"], pa.string()),
        "Other Text": pa.array(["a", "a", None, "", None, "x", "z"], pa.string()),
        "d": pa.array([0.0, -0.0, float("nan"), None, float("inf"), 1.5, -2.25], pa.float64()),
        "e": pa.array([0.0, 1.0, float("nan"), float("nan"), None, 1.5, 3.0], pa.float64()),
        "f": pa.array([0.1, 1.5, float("nan"), None, -1.0, 2.5, 3.0], pa.float32()),
        "i": pa.array([0, 1, -1, None, 2, 7, 100], pa.int32()),
        "l": pa.array([0, 1, 2**53 + 1, None, -(2**53) - 1, 7, 100], pa.int64()),
        "y": pa.array([0, 1, -1, None, 2, 7, 100], pa.int8()),
        "c": pa.array(
            [
                Decimal("1.50"),
                Decimal("-0.01"),
                None,
                Decimal("7.00"),
                Decimal(2),
                None,
                Decimal(0),
            ],
            pa.decimal128(12, 2),
        ),
        "t": pa.array([True, False, None, True, False, None, True], pa.bool_()),
        "day": pa.array(
            [
                dt.date(2026, 1, 1),
                None,
                *(moment.date() for moment in TIMES),
                dt.date(1999, 12, 31),
                None,
            ],
            pa.date32(),
        ),
        "at": pa.array([*TIMES, None, *TIMES], pa.timestamp("us", "UTC")),
    }
)
TYPES = {field.name: field.type for field in ROWS.schema}
BATCH = ROWS.combine_chunks().to_batches()[0]

NUMBERS = ("d", "e", "f", "i", "l", "y", "c")
LITERALS = ("0", "1", "-1", "1.5", "0.1", "7", "2.0", "1e0", "100", "-2.25", "9007199254740993")


def _number(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.5:
        return draw.choice(NUMBERS)
    if kind < 0.8:
        return draw.choice(LITERALS)
    operation = draw.choice(["+", "-", "*"])
    if draw.random() < 0.3:
        return f"({draw.choice(('d', 'e'))} / {draw.choice(('2', '0.5', '-4.0'))})"
    return (
        f"({draw.choice(('d', 'e', 'i', 'y'))} {operation} {draw.choice(('1', '2', 'd', '0.5'))})"
    )


def _predicate(draw: random.Random, depth: int = 0) -> str:
    if depth < 3 and draw.random() < 0.5:
        left, right = _predicate(draw, depth + 1), _predicate(draw, depth + 1)
        return draw.choice([f"({left} AND {right})", f"({left} OR {right})", f"NOT ({left})"])
    compare = draw.choice(["=", "<", ">", "<=", ">=", "<>", "!=", "==", "<=>"])
    return draw.choice(
        [
            f"{_number(draw)} {compare} {_number(draw)}",
            f"{_number(draw)} {compare} {_number(draw)}",
            f"text {compare} {draw.choice(['`Other Text`', repr('a'), repr('Ab'), repr('')])}",
            f"TEXT IN ('a', {draw.choice(['repr', chr(39) + 'b' + chr(39)])})".replace(
                "repr", "'x'"
            ),
            "text NOT IN ('a', 'z_')",
            f"text LIKE '{draw.choice(['a%', '%b%', '_', '%_b', '%'])}'",
            f"i IN (1, 2, {draw.choice(['7', '-1'])})",
            "d NOT IN (1.5, 0)",
            f"{draw.choice(NUMBERS)} BETWEEN {draw.choice('01')} AND {draw.choice(LITERALS)}",
            f"{draw.choice([*TYPES, 'x'])} IS NULL".replace("Other Text", "`Other Text`"),
            f"{draw.choice(['d', 'text', 'day', 't'])} IS NOT NULL",
            f"isnan({draw.choice(('d', 'f'))})",
            "t",
            f"t = {draw.choice(['true', 'false'])}",
            f"day {compare} DATE '2026-01-02'",
            f"day {compare} '2026-01-02'",
            f"at {compare} '2026-01-02 12:30:00'",
            f"at {compare} '2026-01-02'",
            "day BETWEEN '2026-01-01' AND '2026-01-02'",
        ]
    )


@pytest.mark.spark
@pytest.mark.parametrize("seed", [1, 2])
def test_predicates_say_of_every_row_what_spark_says(spark: SparkSession, seed: int) -> None:
    draw = random.Random(seed)
    texts, read = [_predicate(draw) for _ in range(250)], {}
    for text in texts:
        try:
            read[text] = parse_predicate(text, TYPES)
        except NotThisWay:
            continue
    # Most of them are of the known kind: else this test would look at nothing.
    assert len(read) > 120
    frame = spark.createDataFrame(ROWS).coalesce(1)
    columns = [F.expr(text).alias(f"p{place}") for place, text in enumerate(read)]
    wanted = frame.select(*columns).toArrow()
    for place, (text, expression) in enumerate(read.items()):
        assert matches(expression, BATCH).to_pylist() == wanted[f"p{place}"].to_pylist(), text


@pytest.mark.parametrize(
    "where",
    [
        "text = 5",
        "i = '5'",
        "text = 'a\\n'",
        "text = '${HOME}'",
        "text RLIKE 'a'",
        "CASE WHEN t THEN true END",
        "i / 2 = 0",
        "d / e > 1",
        "CAST(text AS int) = 1",
        "day = '2026-1-2'",
        "day = 'now'",
        "at > '2026-01-01T00:00:00Z'",
        "nothing = 1",
        "a.b = 1",
        "i",
        "text LIKE `Other Text`",
        "i IN (SELECT 1)",
        "i IN (1, 2.5)",
        "f = i",
        "l > f",
        "c = d",
        "1 = 1",
        "t IS TRUE",
        "text LIKE 'a!%' ESCAPE '!'",
        "text ILIKE 'A%'",
        "i =",
        "i = 1; DROP TABLE x",
        "count(*) > 1",
        "text = 'a' 'b'",
        "text = r'a'",
        "i = 1L",
        "exists(array(1), x -> x > 0)",
        "lower('A') = 'a'",
        "lower(i) = '1'",
        "length(day) = 10",
        "trim('x' FROM text) = 'a'",
        "substring(text, i, 1) = 'a'",
        "substring(text, 9999999999) = 'a'",
        "concat(text, i) = 'a1'",
        "coalesce(i, 'a') = 'a'",
        "coalesce(i) = 1",
        "c % 2 = 0",
        "f % 2 = 0",
        "d % 0.5 = 0",
        "abs(c) = 1",
        "try_cast(i AS tinyint) = 1",
        "CAST(text AS varchar(3)) = 'a'",
        "CAST(d AS string) = '1.5'",
        "CAST(d AS smallint) = 1",
        "CAST(i AS decimal(10, 2)) = 1",
        "CAST('1' AS int) = i",
        "year(text) = 2026",
        "quarter(day) = 1",
        "text ILIKE lower(text)",
    ],
)
def test_what_only_spark_reads_is_left_to_it(where: str) -> None:
    with pytest.raises(NotThisWay):
        parse_predicate(where, TYPES)


def test_columns_of_one_name_in_two_cases_are_left_to_spark() -> None:
    with pytest.raises(NotThisWay, match="or several"):
        parse_predicate("a = 1", {"a": pa.int32(), "A": pa.int32()})
