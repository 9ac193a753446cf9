"""From states to cells: order, names, comparisons, failures and costs, on states made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from engine.core.slice_names import slice_of
from engine.core.vocabulary import (
    Cell,
    Condition,
    DatasetVersion,
    DecideBy,
    Dimension,
    EvaluationResult,
    ModelTest,
    ModelVersion,
    Output,
    SliceSet,
    TaskKind,
    ThresholdFrom,
    Verdict,
)
from engine.errors import DataError
from engine.evaluation.cells import Judge
from engine.evaluation.measure import measure as measure_packed
from engine.metrics import GROUPED, METRICS, Metric, Problem, RowsOf, Slices, Value
from engine.metrics.fairness import ComparedRate, How, fairness_metric
from engine.planning import Columns, EvaluationPlan
from engine.planning.slices import slice_key
from engine.states import BUCKETS, RowFlags, Scored, States, Sums, rows_of
from engine.states.rows import FAILURE, METER, ROWS, StateRow

BINARY = TaskKind.BINARY
OVERALL = SliceSet("overall", "overall")


def model(name: str) -> ModelVersion:
    return ModelVersion(
        name, f"models:/{name}/1", "1", name, f"/{name}", "sklearn", BINARY, Output.PROBABILITY,
        (0, 1),
    )  # fmt: skip


def plan_of(*slice_sets: SliceSet, models: Sequence[str] = ("m",), **more: Any) -> EvaluationPlan:
    names = tuple(each.name for each in slice_sets)
    plan = EvaluationPlan(
        "claims", DatasetVersion("d", "u", 0, "t", 9), Columns("y"), Problem(BINARY, (0, 1)),
        tuple(map(model, models)), None, slice_sets,
        (ModelTest("accuracy", "accuracy", slice_sets=names),), 1, 100,
    )  # fmt: skip
    return replace(plan, **more)


@dataclass(frozen=True)
class SliceRow:
    """The states of one slice, before those of a slice set are packed together."""

    model: int
    slice_set: str
    key: str
    family: str
    states: States


def measure(
    plan: EvaluationPlan, rows: Sequence[SliceRow | StateRow], **more: Any
) -> EvaluationResult:
    """Measures states by slice, which are packed as the states table has them."""
    packed: list[StateRow] = [row for row in rows if isinstance(row, StateRow)]
    found: dict[str, dict[tuple[int, str], list[SliceRow]]] = {}
    for row in rows:
        if isinstance(row, SliceRow):
            of_set = found.setdefault(row.slice_set, {})
            of_set.setdefault((row.model, row.family), []).append(row)
    for set_name, of_set in found.items():
        for (number, family), group in of_set.items():
            count = len(group)
            first, *others = (
                each.states.renumber(np.array([place]), count) for place, each in enumerate(group)
            )
            payload = first.merge(*others).encode()
            keys = tuple(each.key for each in group)
            packed.append(StateRow(set_name, 0, number, family, keys, payload))
    return measure_packed(plan, packed, **more)


def rows_for(
    plan: EvaluationPlan,
    set_name: str,
    values: tuple[str | None, ...],
    hits: dict[int, Sequence[int]],
    *,
    bad: int = 0,
) -> list[SliceRow | StateRow]:
    """The states of one slice: for each model, which of its rows (label 1) it got right."""
    made: list[SliceRow | StateRow] = []
    slice_set = {each.name: each for each in plan.scanned_sets}[set_name]
    for number, right in hits.items():
        predicted = np.array(right, np.int64)
        n = len(predicted)
        weight, bucket = np.ones(n), np.arange(n) % BUCKETS
        groups = np.zeros(n, np.int64)
        scores = np.stack([1 - predicted, predicted], axis=1) * 0.8 + 0.1
        batch = Scored(np.ones(n, np.int64), weight, bucket, scores, predicted)
        none = np.zeros(n, bool)
        flags = RowFlags(none, np.arange(n) < bad, none)
        states = {ROWS: rows_of(weight, flags, bucket, 1)}
        for family in plan.families(slice_set, plan.subjects[number]):
            states[family.key] = family.of(batch, groups, 1)
        made += [
            SliceRow(number, set_name, slice_key(values), family, of)
            for family, of in states.items()
        ]
    return made


def cells_of(result: EvaluationResult) -> dict[tuple[str, str], Cell]:
    return {(cell.model.name, cell.slice.name): cell for cell in result.cells}


def test_cells_have_what_they_rest_on() -> None:
    plan = plan_of(OVERALL)
    result = measure(plan, rows_for(plan, "overall", (), {0: [1, 1, 1, 0]}))
    (cell,) = result.cells
    assert (cell.evaluation, cell.model, cell.dataset) == ("claims", plan.models[0], plan.dataset)
    assert cell.measured.value == 0.75
    assert (cell.counts.n, cell.counts.weight_sum) == (4, 4.0)
    assert (cell.baseline_model, cell.baseline_value, cell.delta) == (None, None, None)
    assert (result.task, result.models, result.baseline) == (BINARY, plan.models, None)
    assert result.higher_is_better == {"accuracy": True}


def test_the_overall_slice_is_drawn_and_no_other() -> None:
    plan = plan_of(OVERALL, SliceSet("c", "by", (Dimension("c"),)))
    rows = rows_for(plan, "c", ("x",), {0: [1]}) + rows_for(plan, "overall", (), {0: [1, 0]})
    result = measure(plan, rows)
    (matrix,) = result.confusion
    assert matrix.matrix == ((0.0, 0.0), (1.0, 1.0))
    assert {(curve.slice, curve.model) for curve in result.curves} == {("overall", "m")}
    assert {curve.kind for curve in result.curves} == {"precision_recall", "calibration"}


def test_cells_come_in_the_order_of_the_suite_and_of_values() -> None:
    by = SliceSet("n", "by", (Dimension("n"),))
    bins = SliceSet("age", "bins", (Dimension("age", (2.0, 10.0)),))
    plan = plan_of(by, OVERALL, bins, models=("z", "a"))
    rows: list[SliceRow | StateRow] = []
    for text in (">= 10", "< 2", "NaN", None, "[2, 10)"):
        rows += rows_for(plan, "age", (text,), {1: [1], 0: [1]})
    for text in ("10.0", "9.0", "NaN", None, "b", "a", "-3"):
        rows += rows_for(plan, "n", (text,), {0: [1], 1: [0]})
    rows += rows_for(plan, "overall", (), {0: [1], 1: [0]})
    cells = measure(plan, rows).cells
    assert [cell.model.name for cell in cells] == ["z", "a"] * 13
    assert [cell.slice.name for cell in cells[::2]] == [
        "n=-3", "n=9.0", "n=10.0", "n=a", "n=b", "n=NaN", "n=<null>", "overall",
        "age < 2", "age in [2, 10)", "age >= 10", "age=NaN", "age=<null>",
    ]  # fmt: skip


def test_slices_of_two_sets_do_not_share_a_name() -> None:
    where = SliceSet("country=DE", "where", where="country = 'DE'")
    odd = SliceSet("country=DE (country)", "where", where="true")
    by = SliceSet("country", "by", (Dimension("country"),))
    plan = plan_of(where, odd, by)
    rows = (
        rows_for(plan, "country", ("DE",), {0: [1]})
        + rows_for(plan, "country", ("FR",), {0: [0]})
        + rows_for(plan, "country=DE", (), {0: [1, 0]})
        + rows_for(plan, "country=DE (country)", (), {0: [1, 0]})
    )
    cells = measure(plan, rows).cells
    assert [(cell.slice.set_name, cell.slice.name) for cell in cells] == [
        ("country=DE", "country=DE"),
        ("country=DE (country)", "country=DE (country)"),
        ("country", "country=DE (country) #2"),
        ("country", "country=FR"),
    ]
    assert cells[2].slice.columns == {"country": "DE"}


def test_candidates_are_compared_with_the_baseline() -> None:
    drop = (Condition("max_drop", 0.1),)
    test = ModelTest("accuracy", "accuracy", drop, decide=DecideBy.POINT)
    plan = plan_of(OVERALL, models=("new", "old"), baseline="old", tests=(test,))
    rows = rows_for(plan, "overall", (), {0: [1, 1, 0, 0], 1: [1, 1, 1, 0]})
    cells = cells_of(measure(plan, rows))
    new, old = cells["new", "overall"], cells["old", "overall"]
    assert (new.baseline_model, new.baseline_value, new.delta) == ("old", 0.75, -0.25)
    assert (new.verdict, new.reason) == (
        Verdict.FAIL,
        "0.5 is 0.25 below the baseline's 0.75, beyond max_drop 0.1",
    )
    assert (old.baseline_model, old.baseline_value, old.delta) == (None, None, None)
    assert old.verdict is Verdict.RECORDED


def failure(number: int, reason: str, family: str = "") -> StateRow:
    return StateRow("", 0, number, FAILURE, (), json.dumps({family: reason}).encode())


def only_counts(rows: list[SliceRow | StateRow], number: int) -> list[SliceRow | StateRow]:
    return [row for row in rows if row.model != number or row.family == ROWS]


def test_a_baseline_that_failed_leaves_its_candidates_undecided() -> None:
    drop = (Condition("max_drop", 0.1),)
    test = ModelTest("accuracy", "accuracy", drop, decide=DecideBy.POINT)
    plan = plan_of(OVERALL, models=("new", "old"), baseline="old", tests=(test,))
    rows = only_counts(rows_for(plan, "overall", (), {0: [1, 0], 1: [0, 0]}), 1)
    result = measure(plan, [failure(1, "OSError: gone"), *rows])
    cells = cells_of(result)
    assert cells["old", "overall"].reason == "the model failed: OSError: gone"
    assert cells["old", "overall"].verdict is Verdict.ERROR
    new = cells["new", "overall"]
    assert (new.verdict, new.delta, new.baseline_value) == (Verdict.INCONCLUSIVE, None, None)
    assert new.reason == (
        "max_drop 0.1: the baseline's value is undefined: it could not be computed"
    )
    assert result.model_errors == {"old": "OSError: gone"}
    assert {matrix.model for matrix in result.confusion} == {"new"}


def test_a_family_that_failed_costs_the_metrics_that_need_it() -> None:
    tests = (ModelTest("accuracy", "accuracy"), ModelTest("auc", "roc_auc"))
    plan = plan_of(OVERALL, tests=tests)
    rows = rows_for(plan, "overall", (), {0: [1, 0]})
    rows = [row for row in rows if row.family != "scores(1)"]
    result = measure(plan, [failure(0, "MemoryError", "scores(1)"), *rows])
    reasons = {cell.test.name: (cell.verdict, cell.reason) for cell in result.cells}
    assert reasons["auc"] == (Verdict.ERROR, "the metric failed: MemoryError")
    assert reasons["accuracy"][0] is Verdict.RECORDED
    assert result.model_errors == {}


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda problem, view: 1 / 0, "the metric failed: ZeroDivisionError: division by zero"),
        (lambda problem, view: Value(np.array([np.nan])), "undefined: the metric is not a finite"),
        (lambda problem, view: Value(np.array([np.inf])), "undefined: the metric is not a finite"),
        (lambda problem, view: "high", "the metric failed: "),
        (lambda problem, view: None, "the metric failed: TypeError"),
    ],
)
def test_a_metric_that_raises_or_returns_nonsense_costs_its_own_cells(
    function: Any, reason: str
) -> None:
    needs = METRICS.get("accuracy").needs
    METRICS.add("own_nonsense", Metric("own_nonsense", frozenset({BINARY}), needs, function))
    try:
        tests = (
            ModelTest("own", "own_nonsense", (Condition("min", 0.1),)),
            ModelTest("accuracy", "accuracy"),
        )
        plan = plan_of(OVERALL, tests=tests)
        own, accuracy = measure(plan, rows_for(plan, "overall", (), {0: [1, 0]})).cells
    finally:
        del METRICS._things["own_nonsense"]
    assert own.measured.value is None
    assert own.reason.startswith(reason)
    assert own.verdict is (Verdict.ERROR if "failed" in reason else Verdict.INCONCLUSIVE)
    assert accuracy.measured.value == 0.5


def test_bad_scores_are_an_error_of_their_slice_only() -> None:
    by = SliceSet("c", "by", (Dimension("c"),))
    plan = plan_of(by)
    rows = rows_for(plan, "c", ("x",), {0: [1, 0]}, bad=1) + rows_for(plan, "c", ("y",), {0: [1]})
    cells = cells_of(measure(plan, rows))
    assert cells["m", "c=x"].verdict is Verdict.ERROR
    assert cells["m", "c=x"].counts.bad_scores == 1
    assert cells["m", "c=y"].measured.value == 1.0


def test_slices_below_min_rows_are_not_decided() -> None:
    test = ModelTest("accuracy", "accuracy", (Condition("min", 0.9),))
    plan = plan_of(OVERALL, tests=(test,), min_slice_rows=3)
    (cell,) = measure(plan, rows_for(plan, "overall", (), {0: [1, 0]})).cells
    assert cell.verdict is Verdict.INCONCLUSIVE
    assert cell.measured.value == 0.5
    assert cell.reason == "the slice has 2 labelled rows, expected min_slice_rows 3"


def test_costs_are_added_up() -> None:
    def meter(number: int, *values: float) -> StateRow:
        payload = Sums(np.array([[values]], float)).encode()
        return StateRow("", 0, number, METER, (), payload)

    plan = plan_of(OVERALL, models=("m", "n"))
    rows = [meter(0, 10, 9, 0.5, 2.0, 2, 3), meter(1, 0, 9, 0.25, 0, 0, 0)]
    timings = measure(plan, rows).timings
    assert timings == {
        "rows": 10,
        "predictions": 18,
        "predict_seconds": 0.75,
        "predict_seconds/m": 0.5,
        "predict_seconds/n": 0.25,
        "predictions/m": 9,
        "predictions/n": 9,
        "scan_seconds": 2.0,
        "loads": 2,
        "batches": 3,
    }


def test_more_slices_than_allowed_are_refused() -> None:
    by = SliceSet("c", "by", (Dimension("c"),))
    plan = plan_of(by, max_slices=2)
    rows = [row for text in "abc" for row in rows_for(plan, "c", (text,), {0: [1]})]
    assert len(measure(replace(plan, max_slices=3), rows).cells) == 3
    with pytest.raises(DataError, match=r"slices by 'c' are more than max_slices \(2\)"):
        measure(plan, rows)


def test_no_states_are_no_cells() -> None:
    result = measure(plan_of(OVERALL), [])
    assert (result.cells, result.curves, result.timings) == ([], [], {})


def scored_rows(plan: EvaluationPlan, scores: Sequence[float], truth: Sequence[int]) -> list[Any]:
    """The states of all rows of one model, from its scores."""
    slice_set = plan.slice_sets[0]
    n = len(scores)
    positive = np.array(scores)
    bucket, zeros = np.arange(n) % BUCKETS, np.zeros(n, np.int64)
    batch = Scored(
        np.array(truth), np.ones(n), bucket, np.stack([1 - positive, positive], axis=1),
        (positive > 0.5).astype(np.int64), True,
    )  # fmt: skip
    none = np.zeros(n, bool)
    states = {ROWS: rows_of(np.ones(n), RowFlags(none, none, none), bucket, 1)}
    for family in plan.families(slice_set, plan.subjects[0]):
        states[family.key] = family.of(batch, zeros, 1)
    key = slice_key(())
    return [SliceRow(0, "overall", key, name, of) for name, of in states.items()]


def test_a_threshold_is_chosen_on_one_dataset_and_taken_on_another() -> None:
    chosen = plan_of(OVERALL, name="validation")
    # Positives score above 0.3: the best threshold for F1 is the lowest of them.
    first = measure(chosen, scored_rows(chosen, [0.1, 0.2, 0.35, 0.4], [0, 0, 1, 1]))
    assert first.thresholds["f1", "m"] == 0.35
    at = ThresholdFrom("f1", "validation")
    tests = (
        ModelTest("recall", "recall", (Condition("min", 0.1),), threshold=at),
        ModelTest("plain", "recall"),
        ModelTest("none", "recall", threshold=ThresholdFrom("f1", "another")),
    )
    plan = plan_of(OVERALL, name="holdout", tests=tests)
    rows = scored_rows(plan, [0.3, 0.36, 0.45, 0.6], [1, 1, 1, 1])
    cells = {cell.test.name: cell for cell in measure(plan, rows, earlier=[first]).cells}
    assert cells["recall"].measured.value == 0.75
    assert cells["plain"].measured.value == 0.25
    assert cells["none"].verdict is Verdict.ERROR
    assert "'another' has no threshold that is best for f1" in cells["none"].reason


def test_a_metric_that_failed_on_the_baseline_is_judged_without_it() -> None:
    test = ModelTest("accuracy", "accuracy", (Condition("min", 0.1),), ("c",))
    by = SliceSet("c", "by", (Dimension("c"),))
    plan = plan_of(by, models=("new", "old"), baseline="old", tests=(test,))
    rows = only_counts(rows_for(plan, "c", ("x",), {0: [1] * 40, 1: [1] * 40}), 1)
    cells = cells_of(measure(plan, [failure(1, "MemoryError", "confusion(2)"), *rows]))
    assert cells["old", "c=x"].reason == "the metric failed: MemoryError"
    new = cells["new", "c=x"]
    assert (new.verdict, new.delta, new.p_value) == (Verdict.PASS, None, None)


def test_rows_that_the_baseline_has_no_prediction_for_are_not_left_out_in_silence() -> None:
    test = ModelTest("flips", "flip_rate", (Condition("max", 0.1),), ("c",))
    by = SliceSet("c", "by", (Dimension("c"),))
    plan = plan_of(by, models=("new", "old"), baseline="old", tests=(test,))
    rows = rows_for(plan, "c", ("x",), {0: [1] * 40})
    rows += rows_for(plan, "c", ("x",), {1: [1] * 40}, bad=20)
    cells = cells_of(measure(plan, rows))
    assert cells["new", "c=x"].verdict is Verdict.INCONCLUSIVE
    assert "not finite, or not probabilities (those of the baseline)" in cells["new", "c=x"].reason


def test_groups_whose_rate_cannot_be_compared_cost_their_own_cells() -> None:
    from_loss = ComparedRate(METRICS.get("log_loss"), "log loss", "no rows")
    fairness_metric("own_loss_gap", (from_loss,), How.DIFFERENCE)
    try:
        test = ModelTest("gap", "own_loss_gap", (Condition("max", 0.1),), group="g")
        plan = plan_of(OVERALL, tests=(test, ModelTest("accuracy", "accuracy")))
        rows = rows_for(plan, "overall", (), {0: [1, 0] * 20})
        (groups,) = plan.group_sets
        for value in ("f", "m"):
            rows += rows_for(plan, groups.name, (value,), {0: [1, 0] * 20})
        gap, accuracy = measure(plan, rows).cells
    finally:
        del METRICS._things["own_loss_gap"], GROUPED["own_loss_gap"]
    assert gap.verdict is Verdict.ERROR
    assert "the metric failed: InputError: log_loss is no share of rows" in gap.reason
    assert accuracy.verdict is Verdict.RECORDED


def failing_once(problem: Problem, view: Any) -> Any:
    """A user's metric that fails on slices without a wrong prediction."""
    if view.hits[0].sum() == view.total[0]:
        raise ValueError("nothing is wrong")
    return view.hits.sum(-1) / view.total


def test_many_slices_at_once_have_the_cells_of_each_by_itself() -> None:
    METRICS.add(
        "own_failing",
        Metric("own_failing", frozenset({BINARY}), METRICS.get("accuracy").needs, failing_once),
    )
    try:
        names = ("accuracy", "roc_auc", "log_loss", "own_failing", "flip_rate")
        drop = (Condition("max_drop", 0.1), Condition("min", 0.2))
        tests = tuple(ModelTest(name, name, drop, ("c",)) for name in names)
        by = SliceSet("c", "by", (Dimension("c"),))
        plan = plan_of(by, models=("new", "old"), baseline="old", tests=tests)
        right = {"a": [1, 1, 0] * 20, "b": [1] * 30, "c": [0, 1] * 9, "d": [1]}
        rows = [
            row
            for text, hits in right.items()
            for row in rows_for(plan, "c", (text,), {0: hits, 1: hits[::-1]})
        ]
        states = packed(plan, rows)
        wheres = [slice_of(by, (text,)) for text in right]
        judge = Judge(plan, {})
        together = list(judge.block(wheres, states))
        assert len(together) == len(right) * len(tests) * 2
        alone = []
        for at, where in enumerate(wheres):
            single = {number: on.slices[at] for number, on in states.items()}
            alone += judge.block([where], single)
        assert [told(cell) for cell in together] == [told(cell) for cell in alone]
        for cell, other in zip(together, alone, strict=True):
            assert figures(cell) == pytest.approx(figures(other), rel=1e-12, nan_ok=True)
        reasons = {
            cell.slice.name: cell.reason for cell in together if cell.test.name == "own_failing"
        }
        failed = "the metric failed: ValueError: nothing is wrong"
        assert {name for name, why in reasons.items() if why.startswith(failed)} == {"c=b", "c=d"}
    finally:
        del METRICS._things["own_failing"]


def told(cell: Cell) -> tuple[object, ...]:
    return cell.slice, cell.test, cell.model.name, cell.counts, cell.verdict, cell.reason


def figures(cell: Cell) -> list[float]:
    """All numbers of a cell, NaN where it has none."""
    of = cell.measured
    listed = (
        of.value, of.ci_low, of.ci_high, of.error_bound, cell.baseline_value, cell.delta,
        cell.delta_ci_low, cell.delta_ci_high, cell.p_value, cell.violation_p_value,
    )  # fmt: skip
    return [float("nan") if each is None else each for each in listed]


def packed(plan: EvaluationPlan, rows: Sequence[Any]) -> dict[int, Slices]:
    """The states of all slices of each model."""
    made: dict[int, dict[str, States]] = {}
    keys = list(dict.fromkeys(row.key for row in rows))
    for row in rows:
        of_model = made.setdefault(row.model, {})
        placed = row.states.renumber(np.array([keys.index(row.key)]), len(keys))
        held = of_model.get(row.family)
        of_model[row.family] = placed if held is None else held.merge(placed)
    return {
        number: Slices(RowsOf.of(families[ROWS]), families, sampling=plan.sampling)
        for number, families in made.items()
    }
