"""`leakage`: counts against pandas, rows that a hash would take for others, planted targets."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from engine.core.vocabulary import RowCounts, TaskKind
from engine.kinds import Context
from engine.metrics import RowsOf, Sampling, Slices
from tests.fixtures.leakage import LEAKAGE, TYPES, ask, leakage, row, setting_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

SAMPLING = Sampling(weighted=False, clustered=False, rows_per_cluster=1.0)


def test_rows_are_the_same_only_where_all_values_are(spark: SparkSession) -> None:
    """Null beside a value and a value beside null, NaN, zeros, texts that look alike."""
    reference = [
        row(1),
        row(2, a=None, b="y"),
        row(3, a=float("nan"), b="y"),
        row(4, a=-0.0, b="z"),
        row(5, b="x "),
        row(6, label=None, b="l"),
        row(1),
    ]
    rows = [
        row(101, a=1.0, label=1, c=False),  # row 1 under another key: leaked
        row(102, a=1.0, label=0, c=False),  # with another label: not
        row(103, a=2.0, b=None, c=True, label=0),  # (2, null) is not (null, y)
        row(104, a=None, b="y", c=True, label=0),  # null is null: leaked
        row(105, a=float("nan"), b="y", c=False, label=1),  # NaN is NaN: leaked
        row(106, a=0.0, b="z", c=True, label=0),  # 0 is -0: leaked
        row(107, a=5.0, c=False, label=1),  # "x" is not "x "
        row(108, a=6.0, b="l", c=True, label=None),  # leaked, without a label
    ]
    setting = setting_of()
    found = ask(spark, leakage("rows", setting), setting, rows, reference)
    assert {key: (one["n"], one["leaked"]) for key, one in found.items()} == {
        "x": (3, 1), None: (1, 0), "y": (2, 2), "z": (1, 1), "l": (1, 1),
    }  # fmt: skip


def test_keys_entities_and_dates(spark: SparkSession) -> None:
    later = pd.Timestamp("2024-03-02").date()
    reference = [row(n) for n in range(10)] + [row(50, id=None, who=None)]
    rows = [
        row(3), row(3, b="y"), row(40, who="w1", day=later), row(41, id=None, who=None, day=None),
        row(42, day=later),
    ]  # fmt: skip
    setting = setting_of()
    expected = {"keys": {"x": 1, "y": 1}, "entities": {"x": 2, "y": 1}, "dates": {"x": 1, "y": 1}}
    for check, counts in expected.items():
        more = {"column": "day"} if check == "dates" else {}
        found = ask(spark, leakage(check, setting, **more), setting, rows, reference)
        assert {key: one["leaked"] for key, one in found.items()} == counts, check
        assert {key: one["n"] for key, one in found.items()} == {"x": 4, "y": 1}
    # Nothing is younger than a reference without rows.
    found = ask(spark, leakage("dates", setting, column="day"), setting, rows, [])
    assert found["x"]["leaked"] == 0


def test_random_rows_match_as_pandas_merges_them(spark: SparkSession) -> None:
    rng = np.random.default_rng(0)

    def some(count: int) -> list[dict[str, Any]]:
        return [
            row(int(n), a=float(rng.integers(6)), b=str(rng.choice(list("pq"))), label=int(n % 2))
            for n in rng.integers(0, 400, count)
        ]

    rows, reference = some(300), some(200)
    setting = setting_of(key=("id", "who"))
    found = ask(spark, leakage("rows", setting), setting, rows, reference)
    inputs = ["a", "b", "c", "day", "label"]
    ours = pd.DataFrame(rows)
    theirs = pd.DataFrame(reference)[inputs].drop_duplicates()
    merged = ours.merge(theirs, on=inputs, how="left", indicator=True)
    expected = (merged["_merge"] == "both").groupby(merged["b"]).sum().to_dict()
    assert {key: one["leaked"] for key, one in found.items()} == expected
    assert sum(expected.values()) > 100


def planted(count: int, seed: int, task: TaskKind, leak: float) -> list[dict[str, Any]]:
    """Rows whose `a` is the label in disguise in a share of them, and else knows nothing of it."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        label = int(rng.random() < 0.2) if task is TaskKind.BINARY else int(rng.integers(100))
        told = rng.random() < leak
        a = 3.0 * label + 7 if told else 3.0 * rng.integers(100 if label > 1 else 2) + 7
        rows.append(row(seed * 10_000 + n, a=float(a), b="x", who=f"w{n}", label=label))
    return rows


@pytest.mark.parametrize("task", [TaskKind.BINARY, TaskKind.REGRESSION])
@pytest.mark.parametrize("leak", [0.0, 1.0])
def test_a_target_in_disguise_is_found(spark: SparkSession, task: TaskKind, leak: float) -> None:
    setting = setting_of(task)
    rows, reference = planted(800, 1, task, leak), planted(800, 2, task, leak)
    wild = [row(7, a=value, label=0) for value in (1e300, -math.inf, math.nan, None)]
    rows, reference = [*rows, *wild], [*reference, *wild]
    test = leakage("target", setting)
    (found,) = ask(spark, test, setting, rows, reference).values()
    on = Slices(RowsOf((RowCounts(804, 804.0),), np.ones((1, 20))), {}, sampling=SAMPLING)
    on.answers = [found]
    (value,) = LEAKAGE.estimate(test, on, Context(setting.problem, 0.95)).values
    assert value.value is not None
    if leak:
        assert value.detail == "the column 'a'"
        assert value.value > (0.99 if task is TaskKind.BINARY else 0.95)
    else:
        assert value.value < 0.1


def test_the_power_of_a_category_is_that_of_its_means(spark: SparkSession) -> None:
    """R squared of a model that says each category's mean on the reference."""
    rng = np.random.default_rng(3)

    def some(seed: int) -> list[dict[str, Any]]:
        letters = rng.choice(list("abc"), 200)
        means = {"a": 0, "b": 5, "c": 50}
        return [
            row(n, b=f"x{letter}", a=None, label=int(rng.normal(means[letter], 9)))
            for n, letter in enumerate(letters)
        ]

    rows, reference = some(1), some(2)
    setting = setting_of(TaskKind.REGRESSION)
    (found,) = ask(spark, leakage("target", setting), setting, rows, reference).values()
    means = pd.DataFrame(reference).groupby("b")["label"].mean()
    ours = pd.DataFrame(rows)
    around = ours["label"] - pd.DataFrame(reference)["label"].mean()
    errors = ours["label"] - ours["b"].map(means)
    expected = 1 - (errors**2).sum() / (around**2).sum()
    assert found["p1"] == pytest.approx(expected, rel=1e-9)
    assert expected == pytest.approx(r2_score(ours["label"], ours["b"].map(means)), abs=0.02)


def test_a_key_in_disguise_says_nothing(spark: SparkSession) -> None:
    """Each value stands in one row: by heart it knows the reference, and nothing of the rows."""
    rows, reference = (
        [row(at + n, b=f"x{at + n}", a=None, label=int(n % 3 == 0)) for n in range(300)]
        for at in (0, 10_000)
    )
    setting = setting_of()
    (found,) = ask(spark, leakage("target", setting), setting, rows, reference).values()
    assert found["p1"] == 0.0


@pytest.mark.parametrize(
    ("check", "more", "columns", "words"),
    [
        ("keys", {}, {"key": ()}, "says no `key`"),
        ("entities", {}, {"cluster": None}, "says no `cluster`"),
        ("dates", {"column": "a"}, {}, "'a' is double; expected dates"),
        ("rows", {"near": 0.8}, {"types": {"a": "array<double>", "label": "int"}}, "no column of"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_scan(
    check: str, more: dict[str, Any], columns: dict[str, Any], words: str
) -> None:
    setting = setting_of(**columns)
    (mistake,) = LEAKAGE.misfits(leakage(check, setting, **more), setting)
    assert words in mistake


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"leakage": "dates"}, "found dates without column"),
        ({"leakage": "rows", "column": "day"}, "expected it beside dates only"),
        ({"leakage": "keys", "near": 0.8}, "found near beside keys, expected it beside rows only"),
        ({"leakage": "target", "max_rows": 0}, "expected max"),
        ({"leakage": "rows", "max": 0.1}, "expected max_rows"),
    ],
)
def test_what_is_written_wrongly_is_told(test: dict[str, Any], words: str) -> None:
    ((_, sentence),) = LEAKAGE.mistakes(test)
    assert words in sentence


def test_columns_of_any_name_and_of_odd_types() -> None:
    types = {**TYPES, "a`b {x}": "double", "vector": "array<double>", "map": "map<string,int>"}
    setting = setting_of(types=types)
    query = LEAKAGE.query(leakage("rows", setting), setting)
    assert query is not None and query.mistake() is None
    assert query.columns == ("a", "b", "c", "day", "a`b {x}", "label")


def test_predictions_that_the_dataset_has_are_no_inputs() -> None:
    stored = SimpleNamespace(is_stored=True, features=("a",))
    setting = replace(setting_of(), models=(stored,))
    for check, more in (("rows", {}), ("rows", {"near": 0.8}), ("target", {})):
        query = LEAKAGE.query(leakage(check, setting, **more), setting)
        assert query is not None and {"b", "c", "day"} <= set(query.columns)
        assert "a" not in query.columns


def test_a_test_is_written_as_it_was_read() -> None:
    setting = setting_of()
    for check, column, near in (
        ("target", None, None), ("dates", "day", None), ("rows", None, None), ("rows", None, 0.8),
    ):  # fmt: skip
        written = LEAKAGE.write(leakage(check, setting, column=column, near=near))
        assert written == {"leakage": check, "column": column, "near": near}
