"""`contract`: planted defects are found, sound models keep it, and the broken input is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from engine.core.vocabulary import (
    ColumnSpec,
    Condition,
    DatasetVersion,
    ModelTest,
    Output,
    TaskKind,
    Verdict,
)
from engine.errors import InputError, SuiteError
from engine.evaluation.measure import Beside, measure
from engine.execution.kernel.probes import ORDER, probe, probe_tasks, sample_columns
from engine.kinds import KINDS, parameters_text
from engine.kinds.contract.kind import _detail
from engine.kinds.contract.probe import CHECKS, ContractProbe
from engine.models.load import load
from engine.planning import EvaluationPlan, check_fit, distinct_questions
from engine.store.answers import Answer
from engine.suite import load_suite
from tests.fixtures.kernel import OVERALL, Models, plan_of, rows_of

TYPES = (("a", "double"), ("b", "double"), ("label", "int"))
NONE = Condition("max_breaches", 0.0)


def a_test(*checks: str, kind: str = "contract") -> ModelTest:
    return ModelTest(
        f"contract {','.join(checks)}", "breaches", (NONE,), kind=kind,
        parameters=parameters_text({"contract": list(checks)}),
    )  # fmt: skip


def plan_for(models: list[Any], *tests: ModelTest, **more: Any) -> EvaluationPlan:
    task = more.pop("task", TaskKind.BINARY)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    return plan_of(task, models, [], slice_sets=(OVERALL,), dataset=dataset, tests=tests, **more)


def answers_to(plan: EvaluationPlan, rows: int = 40) -> dict[Any, Answer]:
    tasks = probe_tasks(plan, distinct_questions(plan))
    table = rows_of(TaskKind.BINARY, rows=rows).select(sample_columns(tasks))
    for name in ORDER:
        table = table.append_column(name, pa.array(np.arange(rows)))
    (batch,) = table.combine_chunks().to_batches()
    return {
        tuple(json.loads(row["place"])): Answer.decode(row["payload"])
        for task in tasks
        for found in probe([batch], task)
        for row in found.to_pylist()
    }


def cells_of(plan: EvaluationPlan) -> dict[tuple[str, str], Any]:
    cells = measure(plan, [], beside=Beside(answers=answers_to(plan))).cells
    return {(cell.model.name, cell.test.name.removeprefix("contract ")): cell for cell in cells}


def native(kind: type, seed: int = 1) -> Any:
    table = rows_of(TaskKind.BINARY, seed=seed).to_pandas().dropna(subset=["label"])
    return kind().fit(table[["a", "b"]], table["label"].astype(int))


# A predictor in this process, for many seeds and planted defects: no process, no saved model.


class Predictor:
    """What a probe is given, around a function of a frame."""

    def __init__(self, answer: Any, inputs: tuple[Any, ...] = (), **about: Any) -> None:
        self.answer = answer
        known = {
            "features": ("a", "b", "text"), "inputs": inputs, "classes": (0, 1),
            "output": Output.PROBABILITY, "task": TaskKind.BINARY, "flavor": "sklearn",
            "squashed": False,
        }  # fmt: skip
        self.model = SimpleNamespace(**{**known, **about})

    def predict_any(self, batch: pa.RecordBatch) -> Any:
        answer = np.asarray(self.answer(batch.to_pandas()), float)
        if self.model.output is Output.LABEL:
            return SimpleNamespace(scores=None, labels=answer.astype(int))
        if answer.ndim == 1:
            answer = np.stack([1 - answer, answer], axis=1)
        return SimpleNamespace(scores=answer, labels=None)

    predict = predict_any


def score(frame: Any) -> Any:
    text = frame["text"].fillna("").astype(str).str.len().clip(upper=5)
    a = frame[["a", "b"]].astype(float).fillna(0).clip(-9, 9)
    return 1 / (1 + np.exp(-(a["a"] - a["b"] + 0.1 * text)))


def batch_of(seed: int = 0, rows: int = 60) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    words = pa.array(rng.choice(["x", "yy", "zzz"], rows).tolist())
    return pa.RecordBatch.from_arrays(
        [pa.array(rng.normal(size=rows)), pa.array(rng.normal(size=rows)), words],
        ["a", "b", "text"],
    )


def tried(check: str, predictor: Any, batch: pa.RecordBatch | None = None) -> Any:
    numbers = ContractProbe(check).run(predictor, batch_of() if batch is None else batch, None)
    count = numbers["breaches"]
    detail = "" if count is None else _detail(CHECKS[check], count, int(numbers["tried"]), numbers)
    return count, detail


SIGNATURE = (ColumnSpec("a", "double"), ColumnSpec("b", "double"), ColumnSpec("text", "string"))


def strict(frame: Any) -> Any:
    for name in ("a", "b"):
        if frame[name].dtype.kind not in "f":
            raise TypeError(f"{name!r} takes numbers")
    if not frame["text"].map(lambda text: isinstance(text, str)).all():
        raise TypeError("'text' takes text")
    return score(frame)


def test_a_sound_model_keeps_all_of_it_on_any_rows() -> None:
    for seed in range(25):
        for check in CHECKS:
            count, detail = tried(check, Predictor(strict, SIGNATURE), batch_of(seed))
            assert count == 0, (check, detail)


def test_models_that_differ_by_rounding_keep_it() -> None:
    # What a network in float32 and a sum in another order do: 2e-7 and 2e-16.
    calls = iter(range(10**6))

    def single(frame: Any) -> Any:
        return np.float32(score(frame)) * np.float32(1 + 2e-7 * (next(calls) % 3))

    def double(frame: Any) -> Any:
        return np.asarray(score(frame)) * (1 + 3e-16 * (next(calls) % 3))

    for check in ("deterministic", "batch_equals_row", "order"):
        assert tried(check, Predictor(double))[0] == 0
        assert tried(check, Predictor(single, flavor="pytorch"))[0] == 0
    wrong = Predictor(lambda frame: score(frame) * (1 - 1e-7 * (next(calls) % 3)))
    assert tried("deterministic", wrong)[0] > 0, "too much for a double"


class Stateful:
    """Answers by what it was asked before."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, frame: Any) -> Any:
        self.seen += len(frame)
        return score(frame) * (1 - 1e-4 * (self.seen % 7))


def refusing(is_refused: Callable[[Any], Any], error: BaseException) -> Any:
    """Refuses a frame of which that holds."""

    def answer(frame: Any) -> Any:
        if is_refused(frame):
            raise error
        return score(frame)

    return answer


def has_null(frame: Any) -> Any:
    return frame["a"].isna().any()


def has_no_rows(frame: Any) -> bool:
    return len(frame) == 0


def is_unseen(frame: Any) -> Any:
    return not frame["text"].isin(["x", "yy", "zzz"]).all()


DEFECTS = {
    "stateful": ("deterministic", Stateful(), r"60 of 60 rows answered otherwise when asked again"),
    "batch": (
        "batch_equals_row",
        lambda frame: score(frame) - 0.1 * frame["a"].mean(),
        r"rows answered otherwise alone than in a batch",
    ),
    "order": (
        "order",
        lambda frame: score(frame) * (1 - 0.1 * (np.arange(len(frame)) == 0)),
        r"[23] of 60 rows answered otherwise when the rows stand in another order",
    ),
    "null to NaN": (
        "nulls",
        lambda frame: score(frame) + 0 * frame["a"],
        r"1 of 3 inputs .*; null in 'a' is answered by NaN or infinity",
    ),
    "dies of null": (
        "nulls",
        refusing(has_null, SystemExit(3)),
        r"null in 'a' makes it fail without a clear word",
    ),
    "a lookup": ("unseen", refusing(is_unseen, KeyError("x")), r"an unseen text in 'text' makes"),
    "infinite": (
        "infinite",
        lambda frame: score(frame) + 0 * frame["b"],
        r"infinity in 'b' is answered by NaN or infinity, minus infinity in 'b'",
    ),
    "extreme": (
        "extreme",
        lambda frame: np.where(np.abs(frame["b"]) > 1e6, np.nan, score(frame)),
        r"a very large number in 'b' is answered by NaN",
    ),
    "empty": ("empty", refusing(has_no_rows, IndexError("list")), r"a batch of no rows makes it"),
    "types": ("types", score, r"numbers in the place of text in 'text' is answered"),
    "sum": (
        "probabilities",
        lambda frame: np.stack([score(frame), score(frame)], axis=1),
        r"with numbers that are no probabilities",
    ),
    "above 1": ("probabilities", lambda frame: 1.5 * score(frame), r"no probabilities"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found_and_named(name: str) -> None:
    check, answer, told = DEFECTS[name]
    count, detail = tried(check, Predictor(answer, SIGNATURE))
    assert count >= 1 and re.search(told, detail), detail


def test_a_clear_refusal_is_no_breach_and_one_without_the_column_is_told() -> None:
    named = Predictor(refusing(has_null, ValueError("the column 'a' must have a value")))
    assert tried("nulls", named) == (0, "0 of 3 inputs neither answered nor clearly refused")
    nameless = Predictor(refusing(has_null, ValueError("Input X contains NaN.")))
    count, detail = tried("nulls", nameless)
    assert count == 0 and "refused without naming the column: null in 'a'" in detail
    unclear = Predictor(refusing(has_null, ValueError("unsupported operand")))
    assert tried("nulls", unclear)[0] == 1
    # A short name is a word of many sentences.
    assert tried("nulls", Predictor(refusing(has_null, ValueError("not a valid thing"))))[0] == 1


def test_labels_outside_of_the_classes_and_types_that_the_data_lack() -> None:
    strange = Predictor(lambda frame: np.where(frame["a"] > 1, -1, 1), output=Output.LABEL)
    batch = batch_of()
    count, _ = tried("classes", strange, batch)
    assert count == (batch.column(0).to_numpy() > 1).sum() > 0
    assert tried("probabilities", strange)[0] is None
    long = (ColumnSpec("a", "long"), *SIGNATURE[1:])
    count, detail = tried("signature", Predictor(score, long))
    assert count == 1 and "double instead of long in 'a'" in detail
    assert tried("signature", Predictor(score))[0] is None, "nothing is declared"
    assert tried("types", Predictor(score))[0] is None


def test_no_breach_of_some_rows_still_has_a_bound() -> None:
    _, detail = tried("order", Predictor(score), batch_of(rows=100))
    assert "0 of 100 rows" in detail and "of all rows at most 3 %, by 95 %" in detail


def test_models_are_tried_in_their_process_and_each_check_is_a_cell(models: Models) -> None:
    logistic = models.of("logistic", native(LogisticRegression))
    forest = models.of("boosted", native(HistGradientBoostingClassifier))
    odd = [models.odd("batch"), models.odd("exits")]
    plan = plan_for([logistic, forest, *odd], a_test("all"))
    cells = cells_of(plan)
    assert {test for _, test in cells} == set(CHECKS)
    for name in ("logistic", "boosted"):
        for check in CHECKS:
            cell = cells[name, check]
            undeclared = check in ("types", "signature")
            expected = Verdict.INCONCLUSIVE if undeclared else Verdict.PASS
            assert cell.verdict is expected, (name, check, cell.reason)
    assert "refused without naming the column" in cells["logistic", "nulls"].reason
    broken = cells["odd-batch", "batch_equals_row"]
    assert broken.verdict is Verdict.FAIL and broken.measured.value == 40
    assert broken.reason.startswith("40 is above 0, the max_breaches: 40 of 40 rows answered")
    dies = cells["odd-exits", "extreme"]
    assert dies.verdict is Verdict.FAIL, dies.reason
    assert "a very large number in 'a' makes it fail without a clear word" in dies.reason
    section = KINDS.get("contract").section(list(cells.values()))
    assert section is not None
    (table,) = section.pictures
    assert set(table.rows) == set(CHECKS) and len(table.columns) == 4
    signs = {
        (model, check): sign
        for check, row in table.rows.items()
        for model, sign in zip(table.columns, row, strict=True)
    }
    assert signs["odd-batch", "batch_equals_row"].state == "broken"
    assert signs["odd-batch", "batch_equals_row"].text == "40 rows"
    assert "40 of 40 rows answered otherwise" in signs["odd-batch", "batch_equals_row"].tip
    same = signs["odd-batch", "deterministic"]
    assert (same.state, same.text) == ("ok", "kept")
    # Both columns of a logistic regression refuse null, and say so.
    assert signs["logistic", "nulls"].state == "refused"
    assert signs["logistic", "nulls"].text == "2 of 2 refused"
    assert signs["logistic", "types"].state == "undecided"
    soft = replace(cells["odd-batch", "batch_equals_row"], verdict=Verdict.PASS)
    (allowed,) = KINDS.get("contract").section([soft]).pictures[0].rows.values()
    assert allowed[0].state == "allowed"


def test_a_model_that_ends_its_process_costs_the_check_and_tells_no_value(models: Models) -> None:
    """It prints the rows that it dies of, of which a column is sensitive."""
    plan = plan_for([models.odd("ends")], a_test("nulls", "deterministic", "extreme"))
    plan = replace(plan, columns=replace(plan.columns, sensitive=("b",)))
    cells = cells_of(plan)
    dies = cells["odd-ends", "nulls"]
    assert dies.verdict is Verdict.ERROR and dies.measured.value is None
    assert dies.reason == "the model failed in the probe: ended its process with exit code 7"
    for check in ("deterministic", "extreme"):
        # What comes after it has a process of its own.
        assert cells["odd-ends", check].verdict is Verdict.PASS, cells["odd-ends", check].reason
    hidden = rows_of(TaskKind.BINARY, rows=40)["b"].to_pylist()
    told = "".join(cell.reason for cell in cells.values())
    assert not [value for value in hidden if f"{value:.4f}"[1:] in told]


def test_of_a_regression_there_are_no_classes(models: Models) -> None:
    table = rows_of(TaskKind.BINARY).to_pandas().dropna(subset=["label"])
    line = models.of(
        "line", LinearRegression().fit(table[["a", "b"]], table["label"]), TaskKind.REGRESSION
    )
    plan = plan_for([line], a_test("all"), task=TaskKind.REGRESSION)
    assert {test.name.removeprefix("contract ") for test in plan.tests} == {
        name for name in CHECKS if name not in ("probabilities", "classes")
    }
    with pytest.raises(InputError, match="'classes' is of models of classes, the task is regr"):
        check_fit(plan_for([line], a_test("classes"), task=TaskKind.REGRESSION))
    stored = replace(line, flavor="columns")
    with pytest.raises(InputError, match="it tries a loaded model, and 'line' is predictions"):
        check_fit(plan_for([stored], a_test("nulls"), task=TaskKind.REGRESSION))
    assert load(line) is not None


SUITE = """
name: nightly
evaluations:
  - name: claims
    dataset: {{delta: ./claims, task: binary, label: fraud}}
    models: [{{uri: ./model}}]
    tests:
      - {{contract: {asked}}}
"""


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("[batch_equal_row]", "did you mean 'batch_equals_row'?"),
        ("everything", "expected all, or one of deterministic, batch_equals_row"),
        ("[]", "expected all, or a list of deterministic"),
        ("[nulls, nulls]", "checks that differ, but 'nulls' stands twice"),
        ("nulls, max_breaches: -1", "max_breaches"),
        ("nulls, max_breaches: 0.5", "max_breaches"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE.format(asked=asked))
    with pytest.raises(SuiteError) as refused:
        load_suite(path)
    assert told in str(refused.value), str(refused.value)


@pytest.mark.parametrize(
    ("asked", "limit"), [("all", 0.0), ("nulls", 0.0), ("[nulls, order], max_breaches: 2", 2.0)]
)
def test_none_may_break_it_where_nothing_is_said(asked: str, limit: float, tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE.format(asked=asked))
    (test,) = load_suite(path).evaluations[0].tests
    assert test.conditions == (Condition("max_breaches", limit),)
    kind = KINDS.get("contract")
    file = kind.file().model_validate(kind.write(test))
    assert kind.read(file, str)["parameters"] == test.parameters
