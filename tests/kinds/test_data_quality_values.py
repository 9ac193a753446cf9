"""Checks of values in the scan: what pandas counts, planted defects, types, odd texts and names."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from engine.core.vocabulary import Condition, DatasetVersion, ModelTest, TaskKind, Verdict
from engine.errors import InputError, SuiteError
from engine.kinds import KINDS, parameters_text
from engine.kinds.data_quality import values
from engine.planning import EvaluationPlan, check_fit, expand_tests
from engine.planning.slices import where_column
from engine.suite import Suite, dump_suite, load_suite
from tests.fixtures.kernel import BY_COUNTRY, NOBODY, OVERALL, Models, evaluated, plan_of, rows_of

SETS = (OVERALL, BY_COUNTRY)
SPARK = {
    "double": "double", "float": "float", "int64": "bigint", "int32": "int", "int8": "tinyint",
    "string": "string", "bool": "boolean", "date32[day]": "date",
    "timestamp[us, tz=UTC]": "timestamp", "timestamp[us]": "timestamp_ntz",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(models: Models) -> Any:
    return models.odd("")


def a_test(checks: dict[str, Any], share: float | None = 0.0, **more: Any) -> ModelTest:
    conditions = () if share is None else (Condition("max_share", share),)
    return ModelTest(
        "quality", "bad_share", conditions, ("overall", "country"), kind="data_quality",
        parameters=parameters_text(checks), decide=KINDS.get("data_quality").decides_by, **more,
    )  # fmt: skip


def spark_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return "array<bigint>"
    return SPARK[str(kind)]


def plan_for(model: Any, table: pa.Table, *tests: ModelTest, **more: Any) -> EvaluationPlan:
    plan = plan_of(TaskKind.BINARY, [model], [], slice_sets=more.pop("slice_sets", SETS), **more)
    types = tuple(
        (field.name, spark_type(field.type)) for field in table.schema if "\0" not in field.name
    )
    plan = replace(plan, dataset=DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=types))
    return replace(plan, tests=expand_tests(tests, plan.setting))


def with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.append_column(name, column) if place < 0 else table.set_column(place, name, column)


PATTERNS: dict[str, Callable[[Any], bool]] = {
    "range": lambda v: not (-1.5 <= v <= 1.5),
    "allowed": lambda v: v not in ("DE", "a=b & c"),
    "pattern": lambda v: re.fullmatch("[A-Z]{2}|", v) is None,
}
CHECKS: dict[str, Any] = {
    "range": {"a": [-1.5, 1.5]},
    "allowed": {"country": ["DE", "a=b & c"]},
    "pattern": {"country": "[A-Z]{2}|"},
}


@pytest.mark.parametrize("parts", [1, 4])
def test_shares_are_those_of_pandas_on_any_partitioning(model: Any, parts: int) -> None:
    table = rows_of(TaskKind.BINARY)
    frame = table.to_pandas()
    plan = plan_for(model, table, a_test({**CHECKS, "not_null": "all"}))
    cells = evaluated(plan, table, parts, seed=parts).cells
    columns = {**{key: next(iter(value)) for key, value in CHECKS.items()}}
    seen = set()
    for cell in cells:
        rows = frame
        if cell.slice.kind != "overall":
            value = cell.slice.columns["country"]
            rows = frame[frame["country"].isna() if value is None else frame["country"] == value]
        key = cell.test.name.split()[1].partition("(")[0]
        if key == "not_null":
            column = cell.test.name.partition("(")[2].rstrip(")")
            bad = rows[column].isna()
        else:
            column = columns[key]
            bad = rows[column].map(lambda v, key=key: not pd.isna(v) and PATTERNS[key](v))
        assert cell.measured.value == pytest.approx(bad.mean(), abs=1e-12), cell.test.name
        assert cell.counts.n == len(rows)
        assert cell.measured.detail == f"{bad.sum():,} of {len(rows):,} row" + "s" * (len(rows) > 1)
        assert cell.measured.ci_low <= cell.measured.value <= cell.measured.ci_high
        if len(rows) > 1:
            assert cell.verdict is (Verdict.FAIL if bad.any() else Verdict.PASS)
        seen.add(cell.test.name)
    assert seen == {
        "quality range(a)", "quality allowed(country)", "quality pattern(country)",
        *(f"quality not_null({name})" for name in frame if "\0" not in name),
    }  # fmt: skip


@pytest.mark.parametrize("check", ["range", "allowed", "pattern", "type"])
@pytest.mark.parametrize("share", [0.0, 0.002, 0.05])
def test_planted_defects_are_found_at_their_share(model: Any, check: str, share: float) -> None:
    asked = {
        "range": {"x": [0, 100]}, "allowed": {"x": ["a", "b"]}, "pattern": {"x": "[0-9]{5}"},
        "type": {"x": "integer"},
    }[check]  # fmt: skip
    good, bad = {
        "range": (50.0, 101.0), "allowed": ("a", "A"), "pattern": ("01067", "1067 "),
        "type": ("12", "1 2"),
    }[check]  # fmt: skip
    for seed in range(5):
        rng = np.random.default_rng(seed)
        table = rows_of(TaskKind.BINARY, rows=1000, seed=seed)
        planted = rng.permutation(1000) < round(1000 * share)
        table = with_column(table, "x", pa.array([bad if p else good for p in planted]))
        plan = plan_for(model, table, a_test({check: asked}))
        (cell, *_) = [c for c in evaluated(plan, table, 2).cells if c.slice.kind == "overall"]
        assert cell.measured.value == pytest.approx(share, abs=1e-12)
        assert cell.verdict is (Verdict.FAIL if share else Verdict.PASS)


def bad(function: Any, items: list[Any], kind: pa.DataType) -> list[float]:
    return function(pa.array(items, kind)).tolist()


DAY = dt.date(2026, 1, 31)
NOON = dt.datetime(2026, 1, 31, 12)


@pytest.mark.parametrize(
    ("kind", "ends", "items", "expected"),
    [
        (pa.int64(), (0.5, 2.5), [0, 1, 2, 3, None], [1, 0, 0, 1, 0]),
        (pa.int64(), (2**53 + 1, None), [2**53, 2**53 + 1], [1, 0]),
        (pa.int8(), (-1000, 1000), [-128, 127], [0, 0]),
        (pa.int8(), (1000, None), [127, None], [1, 0]),
        (pa.int8(), (None, -1000), [127, None], [1, 0]),
        (pa.float64(), (0, 1), [math.nan, None, -0.0, 1.0, 1.0000001, math.inf, -math.inf],
         [0, 0, 0, 0, 1, 1, 1]),
        (pa.float32(), (0.1, 0.3), [0.1, 0.3, 0.30000002], [0, 0, 0]),
        (pa.float32(), (0.1, 0.3), [0.0999, 0.3001], [1, 1]),
        (pa.float32(), (1e39, None), [1e38, math.inf], [1, 0]),
        (pa.decimal128(5, 2), (0.105, 9.999), [Decimal("0.10"), Decimal("0.11"), Decimal("9.99"),
         Decimal("10.00"), None], [1, 0, 0, 1, 0]),
        (pa.decimal128(38, 2), (None, 1.105), [Decimal("1.10"), Decimal("1.11")], [0, 1]),
        (pa.decimal128(3, 1), (None, 10**30), [Decimal("99.9")], [0]),
        (pa.decimal128(3, 1), (10**30, None), [Decimal("99.9")], [1]),
        (pa.date32(), ("2026-01-01", "2026-01-31"), [DAY, dt.date(2026, 2, 1), None], [0, 1, 0]),
        (pa.timestamp("us", "UTC"), ("2026-01-31 13:00:00+01:00", None),
         [NOON, NOON - dt.timedelta(microseconds=1)], [0, 1]),
        (pa.timestamp("us", "Europe/Berlin"), ("2026-01-31 12:00:00", None),
         [NOON, NOON - dt.timedelta(microseconds=1)], [0, 1]),
        (pa.timestamp("us"), (None, "2026-01-31T12:00"), [NOON, NOON + dt.timedelta(1)], [0, 1]),
    ],
)  # fmt: skip
def test_ranges_are_held_in_the_type_of_the_column(
    kind: pa.DataType, ends: tuple[Any, Any], items: list[Any], expected: list[float]
) -> None:
    assert bad(values.outside(*ends), items, kind) == expected


@pytest.mark.parametrize(
    ("kind", "wanted", "items", "expected"),
    [
        (pa.string(), ["DE", "é"], ["DE", "de", "DE ", "e\u0301", "", None], [0, 1, 1, 1, 1, 0]),
        (pa.large_string(), ["DE"], ["DE", "FR"], [0, 1]),
        (pa.int32(), [1, 2.0], [1, 2, 3, None], [0, 0, 1, 0]),
        (pa.int8(), [1, 1000], [1, 2], [0, 1]),
        (pa.float64(), [0, 0.1], [0.0, -0.0, 0.1, 0.2, math.nan, None], [0, 0, 0, 1, 0, 0]),
        (pa.float32(), [0.1], [0.1, 0.2], [0, 1]),
        (pa.decimal128(4, 1), [0.1, 0.15], [Decimal("0.1"), Decimal("0.2")], [0, 1]),
        (pa.bool_(), [True], [True, False, None], [0, 1, 0]),
        (pa.date32(), ["2026-01-31"], [DAY, dt.date(2026, 2, 1)], [0, 1]),
        (pa.timestamp("us", "UTC"), ["2026-01-31 13:00+01:00"], [NOON, NOON + dt.timedelta(1)],
         [0, 1]),
    ],
)  # fmt: skip
def test_lists_are_held_in_the_type_of_the_column(
    kind: pa.DataType, wanted: list[Any], items: list[Any], expected: list[float]
) -> None:
    assert bad(values.not_among(wanted), items, kind) == expected


def test_a_pattern_is_of_the_whole_text_and_never_hangs() -> None:
    function = values.not_like("(a+)+b|c")
    texts = ["aab", "c", "cc", "c\n", "xc", "", None, "a" * 50_000]
    assert bad(function, texts, pa.string()) == [0, 0, 1, 1, 1, 1, 0, 1]
    assert bad(values.not_like("^[a-z]+$"), ["abc", "ab1", "a\n"], pa.string()) == [0, 1, 1]
    assert bad(values.not_like("(?i)de|fr"), ["De", "FR", "it"], pa.string()) == [0, 0, 1]
    for refused in ("[", "(?=a)", r"(a)\1", "a)|(b", "a{2000}"):
        assert not values.is_pattern(refused), refused


def test_odd_texts_are_compared_as_they_are(nasty: Any) -> None:
    texts = pa.array([*nasty.CURATED, None])
    for text in nasty.CURATED:
        among = values.not_among([text])(texts)
        like = values.not_like(re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text))(texts)
        expected = [0.0 if other in (text, None) else 1.0 for other in texts.to_pylist()]
        assert among.tolist() == expected, repr(text)
        if "\0" not in text and text.isascii():
            assert like.tolist() == expected, repr(text)


TYPED = [
    "12", "+12", "-0", "1.5", ".5", "5.", "1e3", "1e", "nan", " 1", "1,000", "true", "FALSE", "t",
    "2026-02-28", "2026-02-29", "2024-02-29", "1900-02-29", "2000-02-29", "2026-04-31", "2026-1-1",
    "2026-13-01", "2026-01-31 24:00", "2026-01-31T23:59:59.5Z", "2026-01-31 18:30+01:00", "", "x",
    "٣", None,
]  # fmt: skip
READS = {
    "integer": {"12", "+12", "-0"},
    "number": {"12", "+12", "-0", "1.5", ".5", "5.", "1e3"},
    "boolean": {"true", "FALSE"},
    "date": {"2026-02-28", "2024-02-29", "2000-02-29"},
    "timestamp": {"2026-02-28", "2024-02-29", "2000-02-29", "2026-01-31T23:59:59.5Z",
                  "2026-01-31 18:30+01:00"},
}  # fmt: skip


@pytest.mark.parametrize("name", list(READS))
def test_texts_are_read_as_types(name: str) -> None:
    answers = bad(values.not_of_type(name), TYPED, pa.string())
    good = {text for text, flag in zip(TYPED, answers, strict=True) if not flag}
    assert good == READS[name] | {None}


def test_columns_of_a_type_have_no_others() -> None:
    function = values.not_of_type
    assert bad(function("integer"), [1, None], pa.int64()) == [0, 0]
    assert bad(function("integer"), [1.0, 1.5, math.inf, math.nan, None], pa.float64()) == [
        0, 1, 1, 0, 0,
    ]  # fmt: skip
    decimals = [Decimal("1.0"), Decimal("1.5"), None]
    assert bad(function("integer"), decimals, pa.decimal128(5, 1)) == [0, 1, 0]
    assert bad(function("number"), [1.5, None], pa.float64()) == [0, 0]
    assert bad(function("date"), [1, None], pa.int64()) == [1, 0]
    assert bad(function("timestamp"), [DAY], pa.date32()) == [0]
    assert bad(function("date"), [NOON], pa.timestamp("us")) == [1]
    assert bad(function("boolean"), [True, None], pa.bool_()) == [0, 0]


@pytest.mark.parametrize("name", ["a`b", "{x}", "c.d", "ä", "' OR 1=1", "x" * 200, "f(x)"])
def test_columns_of_any_name(model: Any, name: str) -> None:
    table = with_column(rows_of(TaskKind.BINARY), name, pa.array([1.0] * 1490 + [5.0] * 10))
    plan = plan_for(model, table, a_test({"range": {name: [0, 2]}}))
    (cell, *_) = [c for c in evaluated(plan, table).cells if c.slice.kind == "overall"]
    assert cell.measured.value == pytest.approx(10 / 1500)


def test_a_row_count_is_judged_on_few_rows_as_well(model: Any) -> None:
    table = rows_of(TaskKind.BINARY)
    plan = plan_for(
        model, table, a_test({"row_count": [100, 1400]}, None), slice_sets=(*SETS, NOBODY),
        min_slice_rows=30,
    )  # fmt: skip
    plan = replace(plan, tests=tuple(replace(t, slice_sets=("overall", "country", "nobody"))
                                     for t in plan.tests))  # fmt: skip
    names = {where_column(6): where_column(2)}
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    cells = {cell.slice.name: cell for cell in evaluated(plan, table, 2).cells}
    assert cells["overall"].measured.value == 1500
    assert cells["overall"].verdict is Verdict.FAIL
    assert "1500 is above 1400" in cells["overall"].reason
    rare = cells["country=only one row"]
    assert (rare.measured.value, rare.verdict) == (1.0, Verdict.FAIL)
    assert cells["country=DE"].verdict is Verdict.PASS
    assert (cells["nobody"].measured.value, cells["nobody"].verdict) == (0.0, Verdict.FAIL)
    assert {cell.test.metric for cell in cells.values()} == {"row_count"}


SUITE = """name: night
evaluations:
  - name: claims
    dataset: {{delta: claims, task: binary, label: fraud}}
    models: [{{uri: "models:/claims/1"}}]
    tests:
      - {test}
"""


def suite_of(folder: Path, test: str) -> Suite:
    path = folder / "suite.yml"
    path.write_text(SUITE.format(test=test), encoding="utf-8")
    return load_suite(path)


FULL = """data_quality:
          not_null: all
          unique: [claim_id, [country, day]]
          range: {age: [0, 120], day: [2026-01-01, null], price: [null, 1.0e+6]}
          allowed: {country: [DE, FR], vip: [true], n: [1, 2.5], since: [2026-01-01]}
          pattern: {iban: "[A-Z]{2}[0-9]+"}
          type: {zip: integer}
          row_count: [1000, null]
          row_change: [-0.1, 0.5]
          freshness: {created_at: 2 d}
          no_duplicates: features
          no_conflicts: [a, b]
          not_constant: all
          determined_by: {city: [zip, country], state: city}
        max_share: 0.01
        show_keys: 10"""


def test_a_suite_says_all_of_it_and_loads_again(tmp_path: Path) -> None:
    suite = suite_of(tmp_path, FULL)
    (test,) = suite.evaluations[0].tests
    assert test.name.startswith("data_quality not_null(all) range(age,day,price) allowed(country,")
    assert test.metric == "bad_share" and test.kind == "data_quality"
    path = tmp_path / "again.yml"
    path.write_text(dump_suite(suite), encoding="utf-8")
    assert load_suite(path) == suite


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("{}", "found no check, expected one or more of not_null, range"),
        ("{not_null: null}", "found no check, expected one or more"),
        ("{uniqe: id}", "did you mean 'unique'?"),
        ("{allowed: {country: []}}", "at least 1 of them"),
        ("{allowed: {}}", "at least 1 of them"),
        ("{allowed: {country: [DE, null]}}", "nulls break no list"),
        ("{allowed: {country: [DE, DE]}}", "'DE' stands twice"),
        ("{range: {age: [120, 0]}}", "expected the lower end first"),
        ("{range: {age: [2026-01-01, 2025-01-01]}}", "expected the lower end first"),
        ("{range: {age: [0, 2025-01-01]}}", "both of one type"),
        ("{range: {age: [null, null]}}", "only one may be null"),
        ("{range: {age: 5}}", "expected [low, high]"),
        ("{range: {age: [old, older]}}", "a number, a date or a timestamp"),
        ("{range: {age: [true, 1]}}", "a number, a date or a timestamp"),
        ("{range: {age: [.inf, null]}}", "a finite number"),
        ('{pattern: {iban: "["}}', "a regular expression of RE2"),
        ('{pattern: {iban: "(?=a)b"}}', "no look-around"),
        ("{type: {zip: whole}}", "expected one of integer, number, boolean, date, timestamp"),
        ("{row_count: [-1, 5]}", "numbers of 0 or more"),
        ("{row_change: [-2, 5]}", "numbers of -1 or more"),
        ("{row_count: ['2026-01-01', null]}", "two numbers"),
        ("{freshness: {at: 2 weeks}}", "a time such as 90 min, 36 h or 2 d"),
        ("{unique: []}", "a column, or a list of columns"),
        ("{unique: [[a, a]]}", "a column, or a list of columns"),
        ("{no_duplicates: [a, a]}", "expected all or features or a column"),
        ("{no_conflicts: 5}", "expected features or a column"),
        ("{determined_by: {city: []}}", "expected a column or a list of columns"),
        ("{unique: id}, show_keys: 0", "a number of 1 or more"),
        ("{unique: id}, show_keys: 101", "a number of 100 or less"),
        ("{row_count: [5, null]}, max_share: 0", "found max_share with row_count"),
    ],
)
def test_mistakes_of_a_suite_are_told_before_anything_runs(
    tmp_path: Path, checks: str, message: str
) -> None:
    test = f"{{data_quality: {checks}}}"
    with pytest.raises(SuiteError) as caught:
        suite_of(tmp_path, test)
    assert message in str(caught.value)
    assert [mistake.line for mistake in caught.value.mistakes] == [7]


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ({"range": {"agee": [0, 1]}}, "the dataset has no column 'agee'; did you mean 'age'"),
        ({"range": {"country": [0, 1]}}, "expected a column of numbers, dates or timestamps"),
        ({"range": {"list": [0, 1]}}, "column 'list', which is array<bigint>"),
        ({"range": {"age": ["2026-01-01", None]}}, "found the end '2026-01-01', expected numbers"),
        ({"range": {"day": [0, 1]}}, "found the end 0, expected dates"),
        ({"range": {"naive": ["2026-01-01 00:00Z", None]}}, "timestamps without a zone"),
        ({"allowed": {"country": [True]}}, "found the value True, expected texts; quote"),
        ({"allowed": {"label": [0.5]}}, "found the value 0.5, expected whole numbers"),
        ({"allowed": {"age": ["1"]}}, "found the value '1', expected numbers"),
        ({"allowed": {"list": [1]}}, "which is array<bigint>"),
        ({"pattern": {"age": "1"}}, "expected a column of text"),
        ({"type": {"list": "integer"}}, "which is array<bigint>"),
        ({"unique": ["list"]}, "unique reads 'list', which is array<bigint>"),
        ({"unique": ["idd"]}, "the dataset has no column 'idd'"),
        ({"no_duplicates": "all"}, "no_duplicates reads 'list', which is array<bigint>"),
        ({"no_conflicts": ["list"]}, "no_conflicts reads 'list'"),
        ({"not_constant": ["list"]}, "not_constant reads 'list'"),
        ({"determined_by": {"age": ["age"]}}, "found 'age' among the columns that determine it"),
        ({"freshness": {"age": "1 d"}}, "expected dates or timestamps"),
    ],
)
def test_checks_that_do_not_fit_the_data_are_refused(
    model: Any, checks: dict[str, Any], message: str
) -> None:
    table = rows_of(TaskKind.BINARY)
    rows = table.num_rows
    for name, column in {
        "list": pa.array([[1]] * rows), "day": pa.array([DAY] * rows),
        "naive": pa.array([NOON] * rows, pa.timestamp("us")),
    }.items():  # fmt: skip
        table = with_column(table, name, column)
    with pytest.raises(InputError) as caught:
        check_fit(plan_for(model, table, a_test(checks)))
    assert message in str(caught.value)


def test_the_section_has_the_worst_first(model: Any) -> None:
    table = rows_of(TaskKind.BINARY)
    checks = {**CHECKS, "not_null": ["a", "age"], "row_count": [1, 10]}
    cells = evaluated(plan_for(model, table, a_test(checks)), table).cells
    section = KINDS.get("data_quality").section(cells)
    assert section is not None
    verdicts = [cell.verdict for cell in section.cells]
    shown = [(*row[:2], verdict) for row, verdict in zip(section.rows, verdicts, strict=True)]
    shares = [float(row[4].rstrip("%")) for row in section.rows if row[4].endswith("%")]
    assert verdicts == sorted(verdicts), "FAIL before PASS"
    bars = [bar for bar in section.bars["share"] if bar is not None]
    assert [f"{100 * bar:.2f}" for bar in bars] == [f"{share:.2f}" for share in shares]
    assert shares == sorted(shares, reverse=True)
    assert ("row_count", "rows", "FAIL") in shown and shown[-1] == ("not_null", "a", "PASS")
    (nulls,) = [row for row in section.rows if row[1] == "age"]
    share = table.to_pandas()["age"].isna()
    assert nulls[2:5] == [f"{share.sum()}", "1,500", f"{share.mean():.2%}"]
    assert nulls[6].startswith("country=")
