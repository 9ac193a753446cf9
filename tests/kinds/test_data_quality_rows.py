"""Checks of rows beside others: queries on Spark beside pandas, planted, by slice, odd values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.core.vocabulary import (
    Columns,
    Condition,
    DatasetVersion,
    DecideBy,
    Dimension,
    ModelTest,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, StoreError
from engine.evaluation.measure import Beside, measure
from engine.execution.answers import _answer_query
from engine.kinds import KINDS, parameters_text
from engine.planning import EvaluationPlan, check_fit, distinct_questions, expand_tests
from tests.fixtures.kernel import Models, plan_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

NOW = dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC)
SETS = (
    SliceSet("overall", "overall"),
    SliceSet("country", "by", (Dimension("country"),)),
    SliceSet("young", "where", where="age < 25"),
    SliceSet("nobody", "where", where="age BETWEEN 1000 AND 2000"),
)
NAMES = tuple(slice_set.name for slice_set in SETS)
ODD = "a`b {x}.c"
SCHEMA = (
    "id bigint, country string, city string, zip string, age double, f float, at timestamp, "
    "naive timestamp_ntz, day date, n int, one string, void double, label int, "
    f"`{ODD.replace('`', '``')}` string"
)
Answered = dict[tuple[str, str], Any]


@pytest.fixture(scope="module")
def model(models: Models) -> Any:
    return models.odd("")


def rows_of(seed: int, rows: int = 600) -> pd.DataFrame:
    """Rows with repeated ids, rows that are equal, odd values, and cities that do not follow."""
    rng = np.random.default_rng(seed)
    zips = rng.integers(0, 40, rows)
    frame = pd.DataFrame({
        "id": [None if draw < 0 else draw for draw in rng.integers(-20, 3000, rows).tolist()],
        "country": rng.choice(["DE", "FR", None, "a=b & c"], rows),
        "city": [f"city {z // 4}" for z in zips],
        "zip": [f"{z:05d}" for z in zips],
        "age": rng.choice([18.0, 20.0, -0.0, 0.0, math.nan, 40.0], rows),
        "f": rng.choice([1.5, -0.0, 0.0, math.nan], rows),
        "n": rng.integers(0, 3, rows),
        "label": rng.integers(0, 2, rows),
        ODD: rng.choice(["'", '"', "\\", "ä", "x" * 200, "\U0001f600", "a\nb", ""], rows),
    })  # fmt: skip
    frame["at"] = pd.Timestamp("2026-01-31 12:00", tz="UTC") - pd.to_timedelta(
        rng.integers(0, 10**6, rows), "s"
    )
    frame["naive"] = frame["at"].dt.tz_localize(None)
    frame["day"] = frame["at"].dt.date
    frame["one"], frame["void"] = "same", None
    wrong = rng.permutation(rows) < rows // 50
    frame.loc[wrong, "city"] = "elsewhere"
    frame.loc[rng.permutation(rows) < 7, "zip"] = None
    return frame


def plain_rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Rows as Spark takes them: null for None, NaN where it is."""
    names = [
        "id", "country", "city", "zip", "age", "f", "at", "naive", "day", "n", "one", "void",
        "label", ODD,
    ]  # fmt: skip
    listed = []
    for row in frame[names].itertuples(index=False, name=None):
        values = [v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in row]
        values[0] = None if values[0] is None or math.isnan(values[0]) else int(values[0])
        values = [v.item() if isinstance(v, np.generic) else v for v in values]
        values[11] = None
        listed.append(tuple(values))
    return listed


@pytest.fixture(scope="module")
def make(spark: SparkSession) -> Callable[..., DataFrame]:
    def frame_of(rows: pd.DataFrame, parts: int = 3) -> DataFrame:
        return spark.createDataFrame(plain_rows(rows), SCHEMA).repartition(parts).cache()

    return frame_of


def a_test(checks: dict[str, Any], share: float | None = 0.0, **more: Any) -> ModelTest:
    conditions = () if share is None else (Condition("max_share", share),)
    about = {"decide": DecideBy.POINT, "slice_sets": ("overall", "country"), **more}
    return ModelTest(
        "quality", "bad_share", conditions, kind="data_quality",
        parameters=parameters_text(checks), **about,
    )  # fmt: skip


def plan_for(
    model: Any,
    frame: DataFrame,
    *tests: ModelTest,
    version: int = 3,
    keys: tuple[str, ...] = (),
    sensitive: tuple[str, ...] = (),
) -> EvaluationPlan:
    plan = plan_of(TaskKind.BINARY, [model], [], slice_sets=SETS)
    schema = tuple((f.name, f.dataType.simpleString()) for f in frame.schema)
    plan = replace(
        plan,
        dataset=DatasetVersion("claims", "somewhere", version, "id", 600, schema=schema),
        columns=Columns("label", key=keys, sensitive=sensitive),
        started_at=NOW,
    )
    plan = replace(plan, tests=expand_tests(tests, plan.setting))
    check_fit(plan)
    return plan


def ask(plan: EvaluationPlan, frames: Callable[[EvaluationPlan], DataFrame]) -> Answered:
    """The cells of a plan, by test and slice."""
    spark = frames(plan).sparkSession
    answers = {
        question.place: _answer_query(spark, plan, question, frames)
        for question in distinct_questions(plan)
    }
    for answer in answers.values():
        assert answer.failure is None, answer.failure
    cells = measure(plan, [], beside=Beside(answers=answers)).cells
    title = KINDS.get("data_quality").title
    names = [f"{title(cell.test).partition(' ')[2]}" for cell in cells]
    return {(name, cell.slice.name): cell for name, cell in zip(names, cells, strict=True)}


def masks_of(rows: pd.DataFrame) -> dict[str, pd.Series]:
    country = rows["country"].fillna("<null>").replace("a=b & c", '"a=b & c"')
    masks = {f"country={value}": country == value for value in country.unique()}
    return {"overall": rows["n"] >= 0, "young": rows["age"] < 25, **masks}


def on_sets(masks: dict[str, pd.Series], *sets: str) -> dict[str, pd.Series]:
    return {name: mask for name, mask in masks.items() if name.partition("=")[0] in sets}


CHECKS: dict[str, Any] = {
    "unique": ["id", ["zip", "age"]],
    "no_duplicates": ["age", "f", ODD, "country", "n"],
    "no_conflicts": ["zip", "f", "n"],
    "not_constant": ["n", "one", "void", "age"],
    "determined_by": {"city": ["zip"], "n": ["country", "f"]},
}


def majority(rows: pd.DataFrame, sources: list[str], column: str) -> pd.Series:
    """Rows whose value is not that which most rows of their group have, the least of several."""
    known = rows.dropna(subset=[*sources, column])
    counts = known.groupby([*sources, column]).size().rename("size").reset_index()
    usual = counts.sort_values(["size", column], ascending=[False, True]).drop_duplicates(sources)
    usual = usual.set_index(sources)[column]
    own = known.set_index(sources).index.map(usual)
    bad = pd.Series(False, index=rows.index)
    bad[known.index] = known[column].to_numpy() != np.asarray(own)
    return bad


def offences(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """What is wrong, by pandas, whose groups have one zero and one NaN as well."""
    label = rows.groupby(["zip", "f", "n"], dropna=False)["label"].transform("nunique") > 1
    both = rows[["zip", "age"]].notna().all(axis=1)
    return {
        "unique(id)": rows["id"].notna() & rows.duplicated("id", keep=False),
        "unique(zip+age)": both & rows.duplicated(["zip", "age"], keep=False),
        f"no_duplicates(age,f,{ODD},country,n)": rows.duplicated(
            CHECKS["no_duplicates"], keep=False
        ),
        "no_conflicts(zip,f,n)": label,
        "determined_by(city)": majority(rows, ["zip"], "city"),
        "determined_by(n)": majority(rows, ["country", "f"], "n"),
    }


@pytest.fixture(scope="module")
def seen(make: Any, model: Any) -> Answered:
    frame = make(rows_of(1))
    plan = plan_for(model, frame, a_test(CHECKS))
    # One check on all kinds of slices; the others on those that tell most.
    own = {"quality unique(id)": NAMES, "quality unique(zip+age)": ("overall",)}
    tests = (
        test
        if test.slice_sets == ("overall",)
        else replace(test, slice_sets=own.get(test.name, ("country",)))
        for test in plan.tests
    )
    return ask(replace(plan, tests=tuple(tests)), lambda plan: frame)


def test_shares_are_those_of_pandas_on_all_kinds_of_slices(seen: Answered) -> None:
    rows = rows_of(1)
    masks = masks_of(rows)
    for name, bad in offences(rows).items():
        here = {where for test, where in seen if test == name}
        assert here >= set(on_sets(masks, "country")) or here == {"overall"}
        assert bad.any() and not bad.all(), name
        for where in here - {"nobody"}:
            cell, mask = seen[name, where], masks[where]
            assert cell.counts.n == mask.sum()
            assert cell.measured.value == pytest.approx(bad[mask].mean(), abs=1e-12), (name, where)
            assert cell.measured.detail == f"{bad[mask].sum():,} of {mask.sum():,} rows"
            assert cell.measured.ci_low <= cell.measured.value <= cell.measured.ci_high
            assert cell.verdict is (Verdict.FAIL if bad[mask].any() else Verdict.PASS)
    assert "matched no row" in seen["unique(id)", "nobody"].reason


def test_constant_columns_are_told_on_all_rows(seen: Answered) -> None:
    cells = {name: cell for name, cell in seen.items() if name[0].startswith("not_constant")}
    assert {where for _, where in cells} == {"overall"}
    verdicts = {name: cell.verdict for (name, _), cell in cells.items()}
    assert verdicts == {
        "not_constant(n)": Verdict.PASS, "not_constant(age)": Verdict.PASS,
        "not_constant(one)": Verdict.FAIL, "not_constant(void)": Verdict.FAIL,
    }  # fmt: skip
    assert cells["not_constant(one)", "overall"].measured.value == 1.0


def test_all_constant_columns_are_one_query(make: Any, model: Any) -> None:
    frame = make(rows_of(2, 50))
    plan = plan_for(model, frame, a_test({"not_constant": "all"}))
    assert len(plan.tests) == len(frame.columns)
    (question,) = distinct_questions(plan)
    assert question.slice_set.name == "overall"


def test_a_clean_table_has_nothing_to_report_on_any_partitioning(make: Any, model: Any) -> None:
    rows = rows_of(3, 400).assign(id=np.arange(400))
    rows["city"] = "city of " + rows["zip"].fillna("")
    rows["age"] = np.arange(400) / 4
    checks = {"unique": ["id"], "no_duplicates": "all", "determined_by": {"city": ["zip"]}}
    values = set()
    test = a_test(checks, slice_sets=("overall",))
    for parts in (1, 5):
        frame = make(rows, parts)
        cells = ask(plan_for(model, frame, test), lambda plan, frame=frame: frame)
        shown = {name: cell.measured.value for name, cell in cells.items() if "nobody" not in name}
        assert set(shown.values()) == {0.0}
        values.add(tuple(sorted(shown.items())))
    assert len(values) == 1


@pytest.mark.parametrize("share", [0.004, 0.1])
def test_planted_defects_are_found_at_their_share(make: Any, model: Any, share: float) -> None:
    rows = 1000
    frame = rows_of(4, rows).assign(id=np.arange(rows), age=np.arange(rows) * 1.0, label=0)
    frame["zip"] = [f"{n % 20}" for n in range(rows)]
    frame["city"] = "city " + frame["zip"]
    bad = round(rows * share)
    # Pairs of rows that are equal in id and age; labels that differ in half of them.
    twins = np.arange(bad // 2)
    frame.loc[twins, ["id", "age"]] = frame.loc[500 + twins, ["id", "age"]].to_numpy()
    frame.loc[twins, "label"] = 1
    frame.loc[np.arange(bad), "city"] = "elsewhere"
    checks = {
        "unique": ["id"], "no_duplicates": ["id", "age"], "no_conflicts": ["age"],
        "determined_by": {"city": ["zip"]},
    }  # fmt: skip
    table = make(frame)
    test = a_test(checks, slice_sets=("overall",))
    cells = ask(plan_for(model, table, test), lambda plan: table)
    assert len(cells) == 4
    for name, cell in cells.items():
        assert cell.measured.value == pytest.approx(share, abs=1e-12), name
        assert cell.verdict is Verdict.FAIL


def test_an_interval_knows_that_bad_rows_come_in_groups(make: Any, model: Any) -> None:
    rows = rows_of(5, 600).assign(id=np.arange(600))
    rows.loc[:59, "id"] = 7
    pairs = rows.assign(id=np.arange(600))
    pairs.loc[:59, "id"] = np.repeat(np.arange(30), 2)
    width = []
    for frame in (make(rows), make(pairs)):
        test = a_test({"unique": ["id"]}, slice_sets=("overall",))
        (cell,) = ask(plan_for(model, frame, test), lambda plan, frame=frame: frame).values()
        width.append(cell.measured.ci_high - cell.measured.ci_low)
    assert cell.measured.value == pytest.approx(0.1)
    # As of half as many rows, against a single group.
    assert width[1] == pytest.approx(2 * 1.96 * math.sqrt(0.09 / 600 * 1.9), rel=0.05)
    assert width[0] > 3 * width[1]


def test_ages_are_counted_from_the_beginning_of_the_run(make: Any, model: Any) -> None:
    rows = rows_of(6)
    frame = make(rows)
    checks = {"freshness": {"at": "36 h", "naive": "10 min", "day": "3 d"}}
    plan = plan_for(model, frame, a_test(checks, None))
    cells = ask(plan, lambda plan: frame)
    for where, mask in on_sets(masks_of(rows), "overall", "country").items():
        newest = rows["at"][mask].max()
        hours = (pd.Timestamp(NOW) - newest).total_seconds() / 3600
        for name in ("at", "naive"):
            value = cells[f"freshness({name})", where].measured.value
            assert value == pytest.approx(hours, abs=1e-6)
        day = pd.Timestamp(rows["day"][mask].max(), tz="UTC")
        old = cells["freshness(day)", where].measured.value
        assert old == pytest.approx((pd.Timestamp(NOW) - day).total_seconds() / 3600)
    verdicts = {name: cell.verdict for (name, where), cell in cells.items() if where == "overall"}
    assert verdicts == {
        "freshness(at)": Verdict.PASS, "freshness(naive)": Verdict.FAIL,
        "freshness(day)": Verdict.PASS,
    }  # fmt: skip
    unknown = replace(plan, started_at=None)
    assert (
        "when the run began" in ask(unknown, lambda plan: frame)["freshness(at)", "overall"].reason
    )


def test_rows_are_held_against_the_version_before(make: Any, model: Any) -> None:
    before, now = rows_of(7, 500), rows_of(7, 400)
    now = now[now["country"] != "FR"]
    now.loc[now.index[:3], "country"] = "new"
    versions = {2: make(before), 3: make(now)}

    def frames(plan: EvaluationPlan) -> DataFrame:
        return versions[plan.dataset.version]

    checks = {"row_change": [-0.1, 0.1]}
    cells = ask(plan_for(model, versions[3], a_test(checks, None)), frames)
    here, there = (on_sets(masks_of(rows), "overall", "country") for rows in (now, before))
    for where in there:
        n = here[where].sum() if where in here else 0
        expected = n / there[where].sum() - 1
        cell = cells["row_change", where]
        assert cell.measured.value == pytest.approx(expected), where
        assert cell.verdict is (Verdict.PASS if abs(expected) <= 0.1 else Verdict.FAIL)
    assert cells["row_change", "country=FR"].measured.value == -1.0, "all rows are gone"
    assert cells["row_change", "country=FR"].verdict is Verdict.FAIL
    new = cells["row_change", "country=new"]
    assert new.verdict is Verdict.INCONCLUSIVE
    assert "the version before has no such row" in new.reason


def test_without_a_version_before_it_is_undefined_and_told(make: Any, model: Any) -> None:
    frame = make(rows_of(8, 100))
    test = a_test({"row_change": [-0.1, None]}, None, slice_sets=("overall",))

    def gone(plan: EvaluationPlan) -> DataFrame:
        if plan.dataset.version == 2:
            raise StoreError("it is no longer there")
        return frame

    def other(plan: EvaluationPlan) -> DataFrame:
        return frame if plan.dataset.version == 3 else frame.drop("age")

    plans = [(plan_for(model, frame, test, version=0), gone), (plan_for(model, frame, test), gone)]
    for plan, frames in plans:
        (cell,) = ask(plan, frames).values()
        assert (cell.verdict, cell.measured.value) == (Verdict.INCONCLUSIVE, None)
        assert "there is no version before, or it can no longer be read" in cell.reason
    young = replace(test, slice_sets=("young",))
    (cell,) = ask(plan_for(model, frame, young), other).values()
    assert cell.verdict is Verdict.INCONCLUSIVE, "the predicate reads what was not there"


def keys_of(cell: Any) -> list[str]:
    """The keys that a cell shows."""
    assert cell.verdict is Verdict.RECORDED and cell.measured.detail in cell.reason
    return str(cell.measured.detail.removeprefix("keys ").partition(";")[0]).split(", ")


@pytest.fixture(scope="module")
def keyed() -> pd.DataFrame:
    """Rows with a key, `id`, of which some are twins in everything else that is read."""
    rows = rows_of(9, 300).assign(id=np.arange(300))
    rows["zip"] = [f"{n % 20}" for n in range(300)]
    rows["city"] = "city " + rows["zip"]
    rows.loc[[3, 50, 111], "city"] = "elsewhere"
    rows["age"] = np.arange(300) * 1.0
    rows.loc[[7, 8], "age"] = 1000.0
    rows.loc[[20, 21, 22], "age"] = 500.0
    rows["label"] = 0
    rows.loc[21, "label"] = 1
    rows.loc[[1, 2, 4], ODD] = "\x00 odd"
    return rows


@pytest.mark.parametrize("parts", [1, 4])
def test_keys_of_bad_rows_are_shown_on_request(
    make: Any, model: Any, keyed: pd.DataFrame, parts: int
) -> None:
    checks = {
        "range": {"age": [0, 499]}, "pattern": {ODD: "(?s)[^\\x00]*"}, "unique": ["age"],
        "no_conflicts": ["age"], "determined_by": {"city": ["zip"]}, "show_keys": 3,
    }  # fmt: skip
    frame = make(keyed, parts)
    plan = plan_for(model, frame, a_test(checks, slice_sets=("overall",)), keys=("id",))
    plan = replace(plan, tests=tuple(test for test in plan.tests if test.metric == "bad_rows"))
    cells = {
        cell.test.name.removeprefix("quality "): cell
        for cell in ask(plan, lambda _: frame).values()
    }
    every = {
        f"pattern({ODD}) keys": [1, 2, 4], "determined_by(city) keys": [3, 50, 111],
        "no_conflicts(age) keys": [20, 21, 22],
    }  # fmt: skip
    for name, expected in every.items():
        assert sorted(map(int, keys_of(cells[name]))) == expected
        assert cells[name].measured.value == 3.0
    for name in ("range(age) keys", "unique(age) keys"):
        cell = cells[name]
        assert cell.measured.value == 5.0 and cell.measured.detail.endswith("; 3 of 5")
        shown = keys_of(cell)
        assert set(map(int, shown)) < {7, 8, 20, 21, 22}
    # Those with the smallest hash, whatever the partitioning.
    hashed = frame.sparkSession.sql(
        "SELECT k FROM VALUES ('7'), ('8'), ('20'), ('21'), ('22') AS t(k) ORDER BY xxhash64(k)"
    )
    assert keys_of(cells["range(age) keys"]) == [row.k for row in hashed.collect()[:3]]


def test_keys_of_slices_and_of_several_columns(make: Any, model: Any, keyed: pd.DataFrame) -> None:
    frame = make(keyed)
    test = a_test({"range": {"age": [0, 499]}, "show_keys": 10}, slice_sets=("country",))
    plan = plan_for(model, frame, test, keys=("id", "zip"))
    cells = ask(replace(plan, tests=plan.tests[1:]), lambda _: frame)
    shown = set()
    for (_, where), cell in cells.items():
        here = keyed[on_sets(masks_of(keyed), "country")[where] & (keyed["age"] > 499)]
        assert cell.measured.value == len(here)
        texts = [f'{{"id":{row.id},"zip":"{row.zip}"}}' for row in here.itertuples()]
        assert all(text in (cell.measured.detail or "") for text in texts)
        shown |= set(texts)
    assert len(shown) == 5


def test_keys_are_refused_where_there_is_none_or_it_is_sensitive(make: Any, model: Any) -> None:
    frame = make(rows_of(9, 20))
    test = a_test({"unique": ["id"], "show_keys": 3})
    with pytest.raises(InputError, match="found show_keys and no key of the dataset"):
        plan_for(model, frame, test)
    with pytest.raises(InputError, match="would show the key 'id', which the suite calls sens"):
        plan_for(model, frame, test, keys=("id",), sensitive=("id",))


@pytest.mark.timeout(120)
def test_many_columns_are_planned_in_time(spark: SparkSession, model: Any) -> None:
    # Of renamed columns in a hash, Spark's optimizer tries every combination.
    wide = [f"id * {n} + 0.5D AS w{n}" for n in range(60)]
    one = ["CAST(id % 2 AS INT) AS label", "'DE' AS country", "1.0D AS age"]
    frame = spark.range(50).selectExpr(*wide, *one)
    frame = frame.union(frame.where("w1 = 3.5"))
    test = a_test({"no_duplicates": "all"}, slice_sets=("overall",))
    (cell,) = ask(plan_for(model, frame, test), lambda _: frame).values()
    assert cell.measured.value == pytest.approx(2 / 51)
