"""Questions that are answered without Spark, by the side of Spark's answers: on odd tables."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.vocabulary import (
    Columns,
    DatasetVersion,
    Dimension,
    ModelTest,
    SliceSet,
    TaskKind,
)
from engine.delta.head import read_head
from engine.execution.answers import _answer_query
from engine.execution.contrasts import _sample
from engine.execution.local_answers import LocalAnswers
from engine.execution.local_pool import LocalPool
from engine.execution.local_samples import Sampling
from engine.execution.scans import open_frame
from engine.execution.table_columns import rows_of_table
from engine.kinds import Contrast, parameters_text
from engine.planning import EvaluationPlan, distinct_questions, expand_tests
from engine.planning.projection import sample_rows
from engine.spark.lazy_session import LazySession
from tests.fixtures.kernel import plan_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

START = dt.datetime(2026, 1, 31, 23, 59, 59, 999_999)
# Few values of each type, so that rows are often alike; `None` is one of each.
POOLS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), ["", "a", "ä", "\U0001f600", "\uffff", 'q"\\\n\x01', "a" * 250]),
    "flag": (pa.bool_(), [True, False]),
    "tiny": (pa.int8(), [-128, 0, 127]),
    "n": (pa.int32(), [-1, 0, 1, 2**31 - 1]),
    "long": (pa.int64(), [-(2**63), -1, 0, 2**63 - 1]),
    "x": (pa.float64(), [0.0, -0.0, np.nan, np.inf, -np.inf, 0.1, -1e300]),
    "f": (pa.float32(), [0.0, -0.0, np.nan, np.inf, 0.1, 1e-45]),
    "money": (pa.decimal128(9, 2), [Decimal("0.00"), Decimal("-1.10"), Decimal("9999999.99")]),
    "wide": (pa.decimal128(38, 7), [Decimal("0E-7"), Decimal("-1.0000001"), Decimal(10**30)]),
    "day": (pa.date32(), [dt.date(1, 1, 1), dt.date(1969, 12, 31), dt.date(2026, 2, 28)]),
    "at": (pa.timestamp("us", "UTC"), [START.replace(tzinfo=dt.UTC),
                                       dt.datetime(1969, 12, 31, 1, 2, 3, 4, tzinfo=dt.UTC)]),
    "naive": (pa.timestamp("us"), [START, dt.datetime(1969, 12, 31, 1, 2, 3, 4)]),
    "a`b {x}.c": (pa.string(), ["x", "y", "z"]),
}  # fmt: skip
SETS = (
    SliceSet("overall", "overall"),
    SliceSet("text", "by", (Dimension("text"),)),
    SliceSet("x and f", "by", (Dimension("x"), Dimension("f"))),
    SliceSet("at and flag", "by", (Dimension("at"), Dimension("flag"))),
    SliceSet("bins", "bins", (Dimension("x", (-1.0, 0.0, 0.1)),)),
    SliceSet("some", "where", where="x < 1 OR flag"),
    SliceSet("nobody", "where", where="n > 5 AND n < 7"),
)
ALL = list(POOLS)
# What slices are cut by.
SLICED = ["text", "x", "f", "at", "flag", "n"]


def some_rows(rng: np.random.Generator, count: int, first: int = 0) -> pa.Table:
    """Rows of all types; those of a column are null as often as it falls out."""
    columns: dict[str, Any] = {"id": pa.array(range(first, first + count), pa.int64())}
    for name, (kind, pool) in POOLS.items():
        share = rng.choice([0.0, 0.2, 0.6, 1.0], p=[0.4, 0.4, 0.15, 0.05])
        few = rng.permutation(len(pool))[: rng.integers(1, len(pool) + 1)]
        values = [pool[place] for place in rng.choice(few, count)]
        columns[name] = pa.array(values, kind, mask=rng.random(count) < share, from_pandas=False)
    columns["label"] = pa.array(rng.integers(0, 2, count), pa.int32(), mask=rng.random(count) < 0.1)
    return pa.table(columns)


def pin(folder: Path, name: str = "rows") -> DatasetVersion:
    """The newest version of a table, as a plan has it."""
    head, rows = read_head(folder), DeltaTable(str(folder)).to_pandas()
    return DatasetVersion(
        name, str(folder), head.version, head.table_id, len(rows), schema=head.schema
    )


def plan_on(
    dataset: DatasetVersion, *tests: ModelTest, task: TaskKind = TaskKind.BINARY, **columns: Any
) -> EvaluationPlan:
    plan = plan_of(task, [], [], slice_sets=SETS)
    about = Columns(**{"label": "label", "weight": None, "key": ("id",), **columns})
    plan = replace(plan, dataset=dataset, columns=about, max_slices=1000)
    return replace(plan, tests=expand_tests(tests, plan.setting))


def quality(checks: dict[str, Any], *sets: str) -> ModelTest:
    return ModelTest(
        "quality", "bad_share", (), kind="data_quality", slice_sets=sets,
        parameters=parameters_text(checks),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("answers")
    return (base / f"table-{number}" for number in range(10**6))


Both = Callable[..., None]


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    with LocalPool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def check(spark: SparkSession, pool: LocalPool) -> Both:
    """Holds the answers of a plan's questions against Spark's."""

    def check(plan: EvaluationPlan, *, alike: bool = False) -> None:
        local = LocalAnswers(LazySession(executor="local"), plan)
        asked = distinct_questions(plan)
        assert asked
        for question in asked:
            local.check(question)
            here = local.answer(question, pool)
            there = _answer_query(spark, plan, question, partial(open_frame, spark))
            assert there.failure is None, there.failure
            if alike:
                # Sums of floats come in another order.
                assert here.slices.keys() == there.slices.keys()
                for key, numbers in here.slices.items():
                    assert numbers.keys() == there.slices[key].keys()
                    for name, number in numbers.items():
                        other = there.slices[key][name]
                        assert (number is None) == (other is None), (key, name)
                        near = math.isclose(number or 0, other or 0, rel_tol=1e-9, abs_tol=1e-9)
                        assert near, (key, name, number, other)
                continue
            assert here == there, (question.test.name, question.slice_set.name)

    return check


def some(
    rng: np.random.Generator, least: int = 1, most: int = 3, names: Sequence[str] = ALL
) -> list[str]:
    return [str(name) for name in rng.permutation(names)[: rng.integers(least, most + 1)]]


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
def test_checks_of_rows_find_what_spark_finds(check: Both, folders: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder, count = next(folders), int(rng.integers(1, 80))
    for part in range(2):
        write_deltalake(folder, some_rows(rng, count, part * count), mode="append")
    *sources, column = some(rng, 2)
    keys: Any = tuple(rng.permutation(["id", "text", "flag", "day", "n"])[: rng.integers(1, 3)])
    checks = {
        "unique": [some(rng, 1, 2)], "no_duplicates": some(rng), "no_conflicts": some(rng),
        "determined_by": {column: sources}, "not_constant": some(rng, 5, 5),
        "freshness": {"day": "1 d", "at": "1 d", "naive": "1 d"}, "row_change": [-0.1, 0.1],
    }  # fmt: skip
    shown = {
        "not_null": some(rng, 1, 1), "allowed": {"n": [0, 1]}, "show_keys": 2,
        **{name: checks[name] for name in ("unique", "no_conflicts", "determined_by")},
    }  # fmt: skip
    sets = [str(name) for name in rng.permutation([s.name for s in SETS])]
    for part, where in ((checks, sets[0]), (shown, sets[1])):
        check(plan_on(pin(folder), quality(part, where), key=keys))


class Columnwise(Contrast):
    """A contrast of which only the samples are looked at."""

    key = "columnwise"

    def __init__(self, columns: tuple[str, ...], rows: int) -> None:
        self.columns, self.rows = columns, rows

    def run(self, rows: Any, reference: Any) -> Any:
        raise AssertionError("nobody runs it")


def in_order(table: pa.Table) -> list[str]:
    """The rows of a sample by their hashes, each as a text."""
    names = [f"c{place}" for place in range(table.num_columns)]
    renamed = table.rename_columns(names)
    return [
        repr(row) for row in renamed.sort_by([(n, "ascending") for n in names[-2:]]).to_pylist()
    ]


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_samples_are_of_the_rows_that_spark_takes(
    spark: SparkSession, folders: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    folder, count = next(folders), int(rng.integers(1, 200))
    for part in range(3):
        write_deltalake(folder, some_rows(rng, count, part * count), mode="append")
    units = ["id", "text", "flag", "day", "n", "tiny", "long"]
    about: dict[str, Any] = {"key": tuple(some(rng, 1, 3, [*ALL, "id"]))}
    if rng.random() < 0.5:
        about["cluster"] = str(rng.choice(units))
    else:
        about["key"] = tuple(some(rng, 1, 3, units))
    plan = plan_on(pin(folder), **about)
    # Which of two rows that are alike in key and columns is taken, Spark leaves to chance: nulls
    # have no hash, and zeros one.
    content = Columnwise(("id", *some(rng, 0, 4)), int(rng.integers(1, 4 * count)))
    rows = rows_of_table(LazySession(executor="local"), plan.dataset)
    here = Sampling.of_contrast(plan, content).take(rows)
    frame = open_frame(spark, plan)
    assert in_order(here) == in_order(_sample(frame, plan, content).toArrow())
    names, most = [*some(rng, 0, 4), "id"], int(rng.integers(1, 4 * count))
    probed = Sampling(tuple(names), plan.row_columns, most).take(rows)
    assert in_order(probed) == in_order(sample_rows(frame, plan, names, most).toArrow())
    assert probed.schema.types == sample_rows(frame, plan, names, most).toArrow().schema.types


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
def test_leaks_are_those_that_spark_finds(check: Both, folders: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours, theirs, count = next(folders), next(folders), int(rng.integers(1, 80))
    both, shared = some_rows(rng, 2 * count), some(rng, 1, 3)
    columns = ["id", "label", *dict.fromkeys([*shared, "day", "at", "naive", *SLICED])]
    for folder, first in ((ours, 0), (theirs, count // 2)):
        write_deltalake(folder, both.slice(first, count + 1).select(columns))
    where = str(rng.choice([one.name for one in SETS]))
    tests = [
        ModelTest(f"leak {place}", "leaked_rows", kind="leakage", slice_sets=(where,),
                  parameters=parameters_text({"check": asked, **more}))
        for place, (asked, more) in enumerate((
            ("rows", {}), ("keys", {}), ("entities", {}), ("dates", {"column": "day"}),
            ("dates", {"column": "at"}), ("dates", {"column": "naive"}),
        ))
    ]  # fmt: skip
    about = {"key": tuple(some(rng, 1, 2, columns[2:])), "cluster": shared[0]}
    check(plan_on(pin(ours), *tests, **about).beside(pin(theirs, "train")))


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32 - 1))
def test_columns_say_of_the_label_what_they_say_by_spark(
    check: Both, folders: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ours, theirs, count = next(folders), next(folders), int(rng.integers(2, 300))
    inputs = some(rng, 0, 4, [name for name in ALL if name not in SLICED])
    both = some_rows(rng, 2 * count)
    wild = np.where(rng.random(2 * count) < 0.1, np.nan, rng.normal(size=2 * count))
    both = both.append_column("wild", pa.array(wild, mask=rng.random(2 * count) < 0.1))
    label, task = rng.choice([("label", "binary"), ("text", "multiclass"), ("n", "regression"),
                              ("money", "regression")])  # fmt: skip
    columns = list(dict.fromkeys(["id", "label", "wild", label, *inputs, *SLICED]))
    for folder, first in ((ours, 0), (theirs, count)):
        write_deltalake(folder, both.slice(first, count).select(columns))
    where = str(rng.choice([one.name for one in SETS]))
    test = ModelTest("target", "target_power", kind="leakage", slice_sets=(where,),
                     parameters=parameters_text({"check": "target"}))  # fmt: skip
    kind = TaskKind(str(task))
    plan = plan_on(pin(ours), test, task=kind, label=str(label)).beside(pin(theirs, "train"))
    check(plan, alike=kind is TaskKind.REGRESSION)
