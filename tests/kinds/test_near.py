"""`leakage: rows` with `near`: against all pairs by hand, in crowds, among copies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from engine.core.vocabulary import RowCounts
from engine.kinds import Context, SlicedRows
from engine.kinds.leakage import arrow_near, near
from engine.metrics import RowsOf, Sampling, Slices
from engine.pieces import NotThisWay
from tests.fixtures.leakage import LEAKAGE, SCHEMA, ask, ask_frames, leakage, row, setting_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

WORDS = [f"word{n}" for n in range(300)]


def tokens(one: dict[str, Any]) -> set[tuple[str, Any]]:
    """What a row says, by hand: no key, cluster or label, nothing for null, words for texts."""
    said = {(name, one[name]) for name in ("a", "c", "day") if one[name] is not None}
    said = {(name, "nan" if value != value else value) for name, value in said}
    return said | {("b", word.lower()) for word in (one["b"] or "").split()}


def jaccard(ours: set[Any], theirs: set[Any]) -> float:
    return len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0


def nearest(rows: Iterable[dict[str, Any]], reference: list[dict[str, Any]]) -> list[float]:
    known = [tokens(one) for one in reference]
    return [max(jaccard(tokens(one), other) for other in known) for one in rows]


def articles(rng: np.random.Generator, count: int, first: int) -> list[dict[str, Any]]:
    return [
        row(first + n, a=float(rng.integers(5)), b=" ".join(rng.choice(WORDS, 24, replace=False)))
        for n in range(count)
    ]


def edited(rng: np.random.Generator, one: dict[str, Any], n: int, words: int) -> dict[str, Any]:
    """A row with some words replaced, the rest in another order, under another key and label."""
    kept = rng.permutation(one["b"].split())[words:]
    new = [f"new{place}" for place in range(words)]
    text = "  ".join([*kept, *new]).upper()
    return {**one, "id": n, "who": f"x{n}", "b": f"{one['a']:g}|{text}\t", "label": None}


def test_rows_with_some_words_changed_are_found_and_no_others(spark: SparkSession) -> None:
    """Each row has one on the other side that is more or less like it; its slice is how near."""
    rng = np.random.default_rng(0)
    reference = articles(rng, 240, 0)
    rows = [edited(rng, one, 1000 + n, n % 6) for n, one in enumerate(reference)]
    setting = setting_of()
    similarity = np.array(nearest(rows, reference))
    expected = int((similarity >= 0.7).sum())
    assert 0 < expected < 240 and ((similarity > 0.65) & (similarity < 0.75)).any()
    test = leakage("rows", setting, near=0.7)
    found = ask(spark, test, setting, rows, reference)
    leaked = sum(one["leaked"] for one in found.values())
    assert expected - 6 <= leaked <= expected
    assert sum(one["n"] for one in found.values()) == 240
    assert all(one["crowded"] == 0 for one in found.values())
    # The same from other partitions in another order.
    frames = [
        spark.createDataFrame(list(reversed(given)), SCHEMA).repartition(5)
        for given in (rows, reference)
    ]
    again = ask_frames(spark, test, setting, *frames, by="substr(b, 1, 1)")
    assert again == found


def test_a_row_is_the_set_of_what_it_says(spark: SparkSession) -> None:
    """Null says nothing, NaN is NaN, -0 is 0, texts are their words, each column has its own."""
    reference = [
        row(1, a=-0.0, b="x one two"),
        row(2, a=math.nan, b="y one", day=None),
        row(3, a=None, b=None, c=None, day=None),
        row(4, a=7.5, b="z 1.5", c=None, day=None, label=1),
        row(5, a=8.0, b="q", c=False),
    ]
    rows = [
        row(11, a=0.0, b="x Two  ONE\n", c=False, label=0),  # all the same
        row(12, a=math.nan, b="y one", c=True, day=None),  # all the same
        row(13, a=None, b=" ", c=None, day=None),  # says nothing, as row 3 does
        row(14, a=1.5, b="z 7.5", c=None, day=None),  # values of one column are not of another
        row(15, a=None, b="q", c=False),  # 3 of 4: 0.75
        row(16, a=None, b="q new", c=False),  # 3 of 5: 0.6
    ]
    setting = setting_of()
    found = ask(spark, leakage("rows", setting, near=0.75), setting, rows, reference)
    assert {key: (one["n"], one["leaked"]) for key, one in found.items()} == {
        "x": (1, 1), "y": (1, 1), " ": (1, 1), "z": (1, 0), "q": (2, 1),
    }  # fmt: skip
    same = ask(spark, leakage("rows", setting, near=1.0), setting, rows, reference)
    assert {key: one["leaked"] for key, one in same.items() if one["leaked"]} == {
        "x": 1, "y": 1, " ": 1,
    }  # fmt: skip
    none = ask(spark, leakage("rows", setting, near=0.75), setting, rows, [])
    assert [one["leaked"] for one in none.values()] == [0] * 5


def test_many_rows_that_are_the_same_are_looked_at_once(spark: SparkSession) -> None:
    """40,000 on either side: all pairs of them would be more than a billion."""
    setting = setting_of()
    ours, theirs = (
        spark.range(first, first + 40_000, numPartitions=4).selectExpr(
            "id", "'w' AS who", f"IF(id % 1000 = 0, {alone}, 1.0D) AS a",
            "'one two three four' AS b", "id % 2000 = 0 AS c", "DATE'2024-03-01' AS day",
            "1 AS label",
        )
        for first, alone in ((0, "id"), (10**6, "2.0D"))
    )  # fmt: skip
    test = leakage("rows", setting, near=1.0)
    found = ask_frames(spark, test, setting, ours, theirs, by="id % 1000 = 0")
    assert {key: (one["n"], one["leaked"]) for key, one in found.items()} == {
        False: (39_960, 39_960), True: (40, 0),
    }  # fmt: skip


def test_crowds_of_rows_that_are_much_alike_are_bounded_and_told(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of twelve columns of two values: each has twelve at 11 of 13, and meets far more."""
    names = [f"f{n}" for n in range(12)]
    types = {"id": "bigint", **dict.fromkeys(names, "int"), "label": "int"}
    setting = setting_of(types=types, cluster=None)
    bits = [f"CAST(shiftright(id, {n}) & 1 AS INT) AS {name}" for n, name in enumerate(names)]
    # Half of all rows, and the other half: no row of one is in the other.
    ours, theirs = (
        spark.range(4096, numPartitions=3)
        .where(f"bit_count(id) % 2 = {parity}")
        .selectExpr("id", *bits, "1 AS label")
        for parity in (0, 1)
    )

    def asked(similarity: float) -> dict[str, Any]:
        test = leakage("rows", setting, near=similarity)
        (found,) = ask_frames(spark, test, setting, ours, theirs, by="1").values()
        assert found["n"] == 2048
        return found

    found = asked(11 / 13)
    assert 0.99 * 2048 < found["leaked"] <= 2048 and found["crowded"] == 0
    for road in (near, arrow_near):
        monkeypatch.setattr(road, "CROWD", 4)
    none = asked(0.85)
    assert none["leaked"] == 0 and 0.9 * 2048 < none["crowded"] <= 2048


def test_what_does_not_fit_here_is_left_to_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(kind: pa.DataType, texts: list[str]) -> dict[str, list[float]]:
        sides = [
            SlicedRows(pa.table({"b": pa.array(texts).cast(type_)}), np.zeros(2, np.int64), 1)
            for type_ in (pa.string(), kind)
        ]
        return dict(arrow_near.count_near(sides[0], {"reference": sides[1]}, ["b"], 0.8))

    found = count(pa.string(), ["a b", "c d"])
    assert found == {"n": [2.0], "leaked": [2.0], "crowded": [0.0]}
    with pytest.raises(NotThisWay, match="'b' is of another type in the reference"):
        count(pa.binary(), ["a b", "c d"])
    with pytest.raises(NotThisWay, match="whose cases only Spark knows"):
        count(pa.string(), ["a b", "\u03a3"])
    monkeypatch.setattr(arrow_near, "MOST_ROWS", 1)
    with pytest.raises(NotThisWay, match="2 distinct rows are more than 1"):
        count(pa.string(), ["a b", "c d"])


def test_what_it_tells(spark: SparkSession) -> None:
    setting = setting_of()
    test = leakage("rows", setting, near=0.8)
    assert test.metric == "near_rows" and LEAKAGE.title(test) == "leakage rows near 0.8"
    counts = RowsOf((RowCounts(200, 200.0),), np.ones((1, 20)))
    on = Slices(counts, {}, sampling=Sampling(False, False, 1.0))
    on.answers = [{"n": 200.0, "leaked": 3.0, "crowded": 0.0}]
    (value,) = LEAKAGE.estimate(test, on, Context(setting.problem, 0.95)).values
    assert value.value == 3.0
    assert value.detail == "1.50% of the rows; of rows as near as 0.8 99.96% are found"
    on.answers = [{"n": 200.0, "leaked": 3.0, "crowded": 7.0}]
    (value,) = LEAKAGE.estimate(test, on, Context(setting.problem, 0.95)).values
    assert str(value.detail).endswith("; 7 more were compared with some of their like only")


@pytest.mark.parametrize("given", [0, -0.1, 1.01, True, "0.8", math.nan])
def test_near_is_a_share(given: Any) -> None:
    with pytest.raises(ValidationError):
        LEAKAGE.file().model_validate({"leakage": "rows", "near": given})


def test_columns_of_any_name_are_tokens(spark: SparkSession) -> None:
    types = {
        "id": "bigint", "a`b {x}.y": "decimal(9,2)", "b": "string", "'q'": "timestamp",
        "vector": "array<double>", "label": "int",
    }  # fmt: skip
    setting = setting_of(types=types, cluster=None)
    frame = spark.sql(
        "SELECT id, id / 4 AS `a``b {x}.y`, concat('b\\\\ \\'', id) AS b, "
        "TIMESTAMP'2024-01-01' + make_interval(0, 0, 0, id) AS `'q'`, "
        "array(1.0D) AS vector, 1 AS label FROM range(50)"
    )
    test = leakage("rows", setting, near=1.0)
    (found,) = ask_frames(spark, test, setting, frame, frame.where("id < 20"), by="1").values()
    assert (found["n"], found["leaked"]) == (50, 20)
