"""`drift: domain_classifier`: joint shifts are found, one population is not told apart."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.core.vocabulary import (
    Cell,
    Condition,
    DatasetVersion,
    ModelTest,
    SliceSet,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, SuiteError
from engine.evaluation.measure import Beside, measure
from engine.execution.kernel.contrasts import ORDER, SIDE, UNIT, ContrastTask, contrast
from engine.kinds import KINDS, Contrast, Kind, figure, parameters_text
from engine.planning import (
    EvaluationPlan,
    check_fit,
    code_of,
    distinct_questions,
    expand_tests,
    needs,
)
from engine.planning.suites import read_suite
from engine.store.answers import Answer
from engine.suite import dump_suite
from tests.fixtures.domain_trees import domain_area
from tests.fixtures.kernel import BY_COUNTRY, OVERALL, plan_of

TYPES = {
    "a": "double", "b": "double", "holes": "double", "whole": "int", "vip": "boolean",
    "country": "string", "text_id": "string", "money": "decimal(10,2)", "day": "date",
    "tags": "array<string>", "label": "int", "key": "bigint", "cluster": "bigint",
}  # fmt: skip
ALL = ["a", "b", "holes", "whole", "vip", "country", "text_id", "money", "label"]
KEYED = {"cluster": "cluster"}


def rows(n: int, seed: int, correlation: float = 0.8, clusters: int = 0) -> pa.Table:
    """Two columns of one correlation; others of one population, and texts that number rows."""
    rng = np.random.default_rng(seed)
    z, w = rng.normal(size=(2, n))
    cluster = rng.integers(0, clusters or n, n)
    if clusters:
        z = (z + rng.normal(size=clusters)[cluster]) / np.sqrt(2)
    b = correlation * z + np.sqrt(1 - correlation**2) * w
    country = [
        None if draw < 0.05 else ("DE", "FR", f"rare {rng.integers(90)}")[int(3 * draw)]
        for draw in rng.random(n)
    ]
    money = rng.integers(0, 10_000, n)
    return pa.table(
        {
            "a": z,
            "b": b,
            "holes": pa.array(np.where(rng.random(n) < 0.1, np.inf, rng.normal(size=n))),
            "whole": pa.array(rng.integers(0, 100, n), pa.int32()),
            "vip": pa.array([None if draw < 0.1 else bool(draw < 0.5) for draw in rng.random(n)]),
            "country": pa.array(country, pa.string()),
            "text_id": [f"row {rng.integers(1 << 60)}" for _ in range(n)],
            "money": pa.array([Decimal(int(cents)) / 100 for cents in money], pa.decimal128(10, 2)),
            "day": pa.array([dt.date(2026, 1, 1 + int(d)) for d in rng.integers(0, 28, n)]),
            "label": pa.array((z > 0).astype(int), pa.int32()),
            "cluster": cluster,
            # Of a cluster, else of the row: all that is known of either is a hash.
            UNIT: pa.array(np.random.default_rng(seed).integers(-(2**62), 2**62, n)[cluster]
                           if clusters else rng.integers(-(2**62), 2**62, n)),
        }
    )  # fmt: skip


def domain(
    columns: Sequence[str] | None = ("a", "b"),
    limit: float | None = 0.6,
    sets: Sequence[SliceSet] = (OVERALL,),
) -> ModelTest:
    conditions = () if limit is None else (Condition("max", limit),)
    listed = None if columns is None else list(columns)
    test = ModelTest(
        "", "domain_auc", conditions, tuple(one.name for one in sets), kind="drift",
        parameters=parameters_text({"distance": "domain_classifier", "columns": listed}),
    )  # fmt: skip
    return replace(test, name=KINDS.get("drift").title(test))


def plan_for(test: ModelTest, **more: Any) -> EvaluationPlan:
    plan = plan_of(TaskKind.BINARY, [], [], slice_sets=(OVERALL, BY_COUNTRY))
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=tuple(TYPES.items()))
    columns = replace(plan.columns, weight=None, **more)
    plan = replace(plan, dataset=dataset, columns=columns)
    plan = replace(plan, tests=expand_tests((test,), plan.setting))
    return plan.beside(replace(dataset, name="train", table_id="other"))


def sample(reference: pa.Table, table: pa.Table, names: Sequence[str], seed: int = 0) -> pa.Table:
    """Both samples as Spark gives them: in any order, with the hashes that put them in one."""
    sides = []
    for side, own in enumerate((table, reference)):
        order = np.arange(len(own))
        columns = {name: own[name] for name in names}
        columns |= {SIDE: pa.array(np.full(len(own), side == 1)), UNIT: own[UNIT]}
        sides.append(pa.table({**columns, ORDER[0]: order, ORDER[1]: order}))
    both = pa.concat_tables(sides)
    return both.take(pa.array(np.random.default_rng(seed).permutation(len(both))))


def cell_of(
    reference: pa.Table, table: pa.Table, test: ModelTest, seed: int = 0, **more: Any
) -> Cell:
    plan = plan_for(test, **more)
    check_fit(plan)
    assert needs(plan) == () and plan.reference is not None and needs(plan.reference) == ()
    (question,) = distinct_questions(plan)
    content = question.content
    assert isinstance(content, Contrast)
    both = sample(reference, table, content.columns, seed)
    (found,) = contrast(both.to_batches(max_chunksize=300), ContrastTask(content))
    answer = Answer.decode(found["payload"][0].as_py())
    (cell,) = measure(plan, [], beside=Beside(answers={question.place: answer})).cells
    return cell


@pytest.mark.parametrize("correlation", [0.8, -0.8])
def test_the_area_is_that_of_scikit_learn_on_the_same_rows(correlation: float) -> None:
    before, now = rows(900, 1), rows(700, 2, correlation)
    cell = cell_of(before, now, domain(None, None), **KEYED)
    sides, texts = [now.to_pandas(), before.to_pandas()], ["country", "text_id"]
    by_hand = domain_area([side[ALL] for side in sides], [side[UNIT] for side in sides], texts)
    assert cell.measured.value == pytest.approx(by_hand, abs=1e-9)
    assert (cell.model.name, cell.test.metric, cell.counts.n) == ("", "domain_auc", 700)
    again = cell_of(before, now, domain(None, None), seed=5, **KEYED)
    assert again.measured == cell.measured, "whatever the order of the rows"


def test_a_shift_that_no_column_shows_is_found_and_told() -> None:
    for seed in range(3):
        before, now = rows(1000, seed), rows(1000, 50 + seed, -0.8)
        cell = cell_of(before, now, domain(ALL))
        assert cell.verdict is Verdict.FAIL and cell.measured.ci_low > 0.6
        told = str(cell.measured.detail)
        assert told.startswith(("lost without a column: a 0.", "lost without a column: b 0."))
        assert ", a 0." in told or ", b 0." in told
        assert "held out" in told
        section = KINDS.get("drift").section([cell])
        assert section is not None and told in section.rows[0]
        assert "rows that it has not seen" in section.lead


def test_rows_of_one_population_are_not_told_apart() -> None:
    lows, fails = [], 0
    for seed in range(40):
        sides = rows(300, seed), rows(300, 1000 + seed)
        cell = cell_of(*sides, domain(["a", "b", "country", "text_id"], 0.55))
        fails += cell.verdict is Verdict.FAIL
        lows.append(cell.measured.ci_low)
        assert cell.measured.ci_high - cell.measured.ci_low < 0.17
    assert fails == 0
    # 2.5 % would be 1 of 40.
    assert sum(low > 0.5 for low in lows) <= 4


def test_clusters_are_on_one_side_and_make_the_area_less_sure() -> None:
    widths = []
    for clusters in (0, 30):
        lows = []
        for seed in range(8):
            sides = (rows(300, seed + 70 * side, clusters=clusters) for side in (0, 1))
            cell = cell_of(*sides, domain(["a", "b"], 0.55), **KEYED)
            lows.append(cell.measured.ci_low > 0.5)
            widths.append((clusters, cell.measured.ci_high - cell.measured.ci_low))
        assert sum(lows) <= 3
    by_clusters = {c: np.mean([w for n, w in widths if n == c]) for c in (0, 30)}
    assert by_clusters[30] > 1.3 * by_clusters[0]
    # A table beside an older version of itself: the same rows, and nothing to tell them by.
    same = rows(400, 3)
    cell = cell_of(same, same, domain(ALL))
    assert cell.measured.value == 0.5 and cell.verdict is Verdict.PASS
    few = cell_of(rows(300, 4, clusters=6), rows(300, 5, clusters=6), domain(["a"]), **KEYED)
    assert few.verdict is Verdict.INCONCLUSIVE and few.measured.ci_low is None


def test_nulls_unseen_values_and_dates_that_are_named_tell_tables_apart() -> None:
    before, now = rows(500, 1), rows(500, 2)
    names = now.column_names

    def with_column(name: str, values: pa.Array) -> pa.Table:
        return now.set_column(names.index(name), name, values)

    lost = np.random.default_rng(3).random(500) < 0.6
    nulls = pa.array(np.where(lost, None, now["b"].to_numpy()), pa.float64())
    unseen = [None if bad else text for bad, text in zip(lost, now["text_id"].to_pylist(),
                                                         strict=True)]  # fmt: skip
    new = pa.array(["ES" if bad else text for bad, text in
                    zip(lost, now["country"].to_pylist(), strict=True)])  # fmt: skip
    late = pa.array([day + dt.timedelta(60) for day in now["day"].to_pylist()])
    for name, values in (("b", nulls), ("text_id", pa.array(unseen)), ("country", new),
                         ("day", late)):  # fmt: skip
        cell = cell_of(before, with_column(name, values), domain(["a", name]))
        assert cell.verdict is Verdict.FAIL, name
        assert f"column: {name} 0." in str(cell.measured.detail)
    apart = cell_of(before, with_column("day", late), domain(["day"], 0.9))
    assert apart.measured.value == apart.measured.ci_high == 1.0
    assert 0.98 < apart.measured.ci_low < 1 and apart.verdict is Verdict.FAIL


def test_a_column_that_is_null_in_all_rows_tells_nothing() -> None:
    sides = []
    for seed in (1, 2):
        table = rows(400, seed)
        place = table.column_names.index("b")
        sides.append(table.set_column(place, "b", pa.nulls(400, pa.float64())))
    cell = cell_of(*sides, domain(["a", "b"]))
    assert cell.verdict is Verdict.PASS and 0.4 < float(cell.measured.value or 0) < 0.6


def test_too_few_rows_say_so() -> None:
    cell = cell_of(rows(49, 1), rows(400, 2), domain())
    assert cell.measured.value is None and cell.verdict is Verdict.INCONCLUSIVE
    assert "400 in the sample and 49 in that of the reference; expected 50" in cell.reason


def test_all_columns_are_those_that_say_something() -> None:
    plan = plan_for(domain(None), cluster="cluster", sensitive=("whole",))
    (question,) = distinct_questions(plan)
    # Neither keys, clusters and what is sensitive, nor dates, nor what has no numbers.
    assert question.content.columns == tuple(name for name in ALL if name != "whole")
    assert plan.tests[0].name == "drift domain_classifier(all)"
    assert KINDS.get("drift").cost(plan.tests[0], plan.setting) == (
        "a sample of 10,000 rows of both tables"
    )


def test_an_answer_is_kept_for_all_that_it_depends_on() -> None:
    def name(plan: EvaluationPlan) -> str | None:
        (question,) = distinct_questions(plan)
        return question.name

    plan = plan_for(domain())
    assert plan.reference is not None
    other = replace(plan.reference, dataset=replace(plan.reference.dataset, version=4))
    names = [
        name(plan),
        name(replace(plan, reference=other)),
        name(plan_for(domain(["a", "whole"]))),
        name(plan_for(domain(), cluster="cluster")),
        name(plan_for(domain(), key=("a",))),
    ]
    assert None not in names and len(set(names)) == len(names)
    assert name(plan_for(domain(limit=0.9))) == names[0]


@pytest.mark.parametrize(
    ("test", "more", "message"),
    [
        (domain(["gone"]), {}, "the dataset has no column 'gone'"),
        (domain(["tags"]), {}, "the column 'tags' is array<string>, which the classifier"),
        (domain(["a", "b"]), {"sensitive": ("b",)}, "how far 'b' has moved"),
        (domain(sets=[BY_COUNTRY]), {}, r"found the slices 'country', expected \[overall\]"),
        (domain([]), {}, "no column of the dataset says anything"),
    ],
)
def test_what_makes_no_sense_is_refused(test: ModelTest, more: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_fit(plan_for(test, **more))


def suite_text(test: str) -> str:
    return f"""
name: nightly
store: ./store
evaluations:
  - name: claims
    dataset: {{delta: ./t, task: binary, label: y, key: id}}
    reference: {{delta: ./r}}
    models: [{{uri: ./m, name: m}}]
    slices: [overall, {{by: [country]}}]
    tests: [{test}]
"""


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("{drift: domain_classifier, max: 0.4}", "found 0.4, expected a number from 0.5 to 1"),
        ("{drift: domain_classifier, max: 2}", "found 2, expected a number from 0.5 to 1"),
        ("{drift: domain}", "wasserstein, domain_classifier"),
        ("{prediction_drift: domain_classifier}", "found 'domain_classifier', expected a dist"),
    ],
)
def test_mistakes_in_a_suite(tmp_path: Path, test: str, message: str) -> None:
    import yaml

    with pytest.raises(SuiteError) as refused:
        read_suite(yaml.safe_load(suite_text(test)))
    assert message in str(refused.value)


def test_a_suite_is_written_as_it_was_read() -> None:
    import yaml

    suite = read_suite(
        yaml.safe_load(suite_text("{drift: domain_classifier, columns: [a, b], max: 0.6}"))
    )
    (test,) = suite.evaluations[0].tests
    assert test.slice_sets == ("overall",), "it is of all rows"
    assert json.loads(test.parameters)["columns"] == ["a", "b"]
    assert read_suite(yaml.safe_load(dump_suite(suite))) == suite


@dataclass(frozen=True)
class Odd(Contrast):
    """A contrast of somebody's own that does what its `kind` says."""

    kind: str = "good"
    columns: tuple[str, ...] = ("a",)
    rows: Any = 10

    @property
    def key(self) -> str:
        return self.kind

    def run(self, rows: Any, reference: Any) -> Any:
        if self.kind == "raises":
            raise ValueError(f"found {rows.table['a'][0].as_py()} in a row")
        if self.kind == "nan":
            return {"value": float("nan")}, {}
        return {"value": float(rows.table.num_rows - reference.table.num_rows)}, {}


class OddKind(Kind):
    """More rows than the reference?"""

    key, description, measures_data, reads_reference = "odd", "Odd.", True, True
    asked: Any = Odd()

    def keys(self) -> Any:
        return {}

    def read(self, file: Any, canonical: Any) -> dict[str, Any]:
        return {}

    def write(self, test: ModelTest) -> dict[str, Any]:
        return {}

    def title(self, test: ModelTest) -> str:
        return "odd"

    def contrast(self, test: ModelTest, setting: Any) -> Any:
        return self.asked

    def metric(self, test: ModelTest) -> Any:
        return figure("odd")


@pytest.fixture
def odd() -> Any:
    kind = OddKind()
    KINDS.add("odd", kind)
    yield kind
    KINDS._things.pop("odd", None)


def test_what_a_contrast_may_cost_is_its_own_cells(odd: Any) -> None:
    plan = plan_for(ModelTest("odd", "odd", slice_sets=("overall",), kind="odd"))
    check_fit(plan)
    assert code_of(plan) == ((__name__, dict(code_of(plan))[__name__]),)
    for kind, failure in (
        ("raises", "the contrast failed: ValueError: found …"),
        ("nan", "the contrast failed: found a number that is not finite"),
        ("good", None),
    ):
        both = sample(rows(8, 1), rows(10, 2), ["a"])
        (found,) = contrast(both.to_batches(), ContrastTask(Odd(kind)))
        answer = Answer.decode(found["payload"][0].as_py())
        assert answer.failure is None if failure is None else answer.failure.startswith(failure)
        if failure is None:
            assert answer.slices == {"[]": {"n": 10.0, "value": 2.0}}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Odd(rows=0), "its contrast wants 0 rows, expected 1 to 10,000"),
        (Odd(rows="all"), "its contrast wants 'all' rows, expected a whole number"),
        (Odd(columns=()), "its contrast reads no columns"),
        (Odd(columns=("gone",)), "the dataset has no column 'gone'"),
        ("text", "'contrast' of the kind 'odd' gave a value of type str, expected a Contrast"),
    ],
)
def test_a_contrast_that_makes_no_sense_is_refused(odd: Any, asked: Any, message: str) -> None:
    odd.asked = asked
    plan = plan_for(domain())
    plan = replace(plan, tests=(ModelTest("odd", "odd", slice_sets=("overall",), kind="odd"),))
    with pytest.raises(InputError) as refused:
        check_fit(plan)
    assert message in str(refused.value)
