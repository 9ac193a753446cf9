"""The seam for what adds up to nothing: probes of loaded models, and what a question is.

Queries need Spark: see `tests/runs/test_questions.py`.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from engine.core.vocabulary import (
    Condition,
    DatasetVersion,
    ModelTest,
    SliceSet,
    TaskKind,
    Verdict,
    plain_numbers,
)
from engine.core.vocabulary.answers import MOST_NUMBERS
from engine.errors import InputError
from engine.evaluation.measure import Beside, measure
from engine.execution.kernel.probes import ORDER, probe, probe_tasks, sample_columns
from engine.kinds import KINDS, Query, column_sql, figure, parameters_text, text_sql
from engine.planning import EvaluationPlan, check_fit, distinct_questions, needs
from engine.store.answers import Answer
from tests.fixtures.kernel import BY_COUNTRY, OVERALL, Models, plan_of, rows_of

TYPES = (("a", "double"), ("b", "double"), ("country", "string"), ("label", "int"))
RUNS = Path(__file__).resolve().parent.parent / "runs"


@pytest.fixture(scope="module")
def own() -> Iterator[Any]:
    """The kinds of the tests' own, as a plugin's: by a name that a process of a model imports."""
    sys.path.insert(0, str(RUNS))
    module = importlib.import_module("own_question_kinds")
    yield module
    sys.path.remove(str(RUNS))
    for kind in module.OWN:
        KINDS._things.pop(kind.key, None)
    sys.modules.pop("own_question_kinds", None)


@pytest.fixture(scope="module")
def logistic(models: Models) -> Any:
    table = rows_of(TaskKind.BINARY).to_pandas().dropna(subset=["label"])
    return models.of("fit", LogisticRegression().fit(table[["a", "b"]], table["label"].astype(int)))


def a_test(kind: str, asked: Any, *conditions: Condition, **more: Any) -> ModelTest:
    parameters = parameters_text({kind: asked})
    name = f"{kind} {asked}"
    return ModelTest(name, f"{kind}_share", conditions, kind=kind, parameters=parameters, **more)


def plan_for(models: list[Any], *tests: ModelTest, **more: Any) -> EvaluationPlan:
    plan = plan_of(TaskKind.BINARY, models, [], slice_sets=(OVERALL, BY_COUNTRY), **more)
    dataset = DatasetVersion("claims", "somewhere", 3, "id", 1500, schema=TYPES)
    return replace(plan, dataset=dataset, tests=tests)


def sample_of(plan: EvaluationPlan, rows: int = 50) -> pa.RecordBatch:
    """Rows in a wrong order, with the hashes by which they are to be ordered."""
    tasks = probe_tasks(plan, distinct_questions(plan))
    table = rows_of(TaskKind.BINARY, rows=rows).select(sample_columns(tasks))
    rng = np.random.default_rng(5)
    order = pa.array(rng.permutation(rows))
    for name in ORDER:
        table = table.append_column(name, order)
    (batch,) = table.take(pa.array(rng.permutation(rows))).combine_chunks().to_batches()
    return batch


def answers_to(plan: EvaluationPlan) -> dict[Any, Answer]:
    sample, answers = sample_of(plan), {}
    for task in probe_tasks(plan, distinct_questions(plan)):
        for batch in probe([sample], task):
            for row in batch.to_pylist():
                answers[tuple(json.loads(row["place"]))] = Answer.decode(row["payload"])
    return answers


def cells_of(plan: EvaluationPlan) -> Any:
    return measure(plan, [], beside=Beside(answers=answers_to(plan))).cells


def test_a_model_that_depends_on_its_batch_is_found_and_others_are_not(
    own: Any, models: Models, logistic: Any
) -> None:
    within = Condition("max", 1e-6)
    odd = models.odd("batch")
    plan = plan_for([logistic, odd], a_test("batch_row", 20, within), baseline="fit")
    assert needs(plan) == (), "nothing of the scan is asked for"
    sound, planted = cells_of(plan)
    assert (sound.model.name, sound.verdict, sound.counts.n) == ("fit", Verdict.PASS, 20)
    assert sound.measured.value == pytest.approx(0, abs=1e-12)
    assert planted.verdict is Verdict.FAIL and planted.slice.name == "overall"
    # The same by numpy: the rows with the smallest hashes, in their order.
    sample = sample_of(plan).to_pandas().sort_values(list(ORDER))[:20]
    a = sample["a"].to_numpy()
    together, alone = 0.5 + 0.1 * np.tanh(a - a.mean()), 0.5
    assert planted.measured.value == pytest.approx(np.abs(together - alone).max(), abs=1e-12)
    first = answers_to(plan)[1, "overall", distinct_questions(plan)[1].key]
    assert first.slices["[]"]["first"] == a[0]
    assert planted.baseline_value == sound.measured.value and planted.baseline_model == "fit"


@pytest.mark.frameworks
def test_a_network_of_torch_is_tried_too(own: Any, tmp_path: Path) -> None:
    import mlflow.pytorch
    import torch

    from engine.models import ModelRequest, resolve

    class_rows = np.zeros((2, 2), np.float32)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Sigmoid())
    signature = mlflow.models.infer_signature(class_rows, np.zeros((2, 1), np.float32))
    options = {"serialization_format": "pickle", "pip_requirements": ["torch"]}
    path = str(tmp_path / "net")
    mlflow.pytorch.save_model(network, path, signature=signature, **options)
    request = ModelRequest(
        path, TaskKind.BINARY, "", tmp_path / "cache", "net", features=("a", "b")
    )
    (cell,) = cells_of(
        plan_for([resolve(request)], a_test("batch_row", 30, Condition("max", 1e-5)))
    )
    assert cell.verdict is Verdict.PASS and cell.counts.n == 30, cell.reason


def test_a_probe_has_the_baseline_beside_it_and_a_process_to_itself(
    own: Any, models: Models, logistic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    monkeypatch.setenv("PROBE_JOURNAL", str(journal))
    tests = [a_test("slower", "any"), a_test("batch_row", 5), a_test("batch_row", 6)]
    plan = plan_for([logistic, models.odd("")], *tests, baseline="fit")
    alone = [task.alone for task in probe_tasks(plan, distinct_questions(plan))]
    assert sorted(alone) == [False, False, True, True], "one process for those that share it"
    cells = [cell for cell in cells_of(plan) if cell.test.kind == "slower"]
    assert [cell.measured.value is not None for cell in cells] == [False, True]
    assert len(set(journal.read_text().split())) == 4
    names = {q.test.kind: q.name for q in distinct_questions(plan)}
    assert names["slower"] is None and names["batch_row"] is not None


FAILURES = {
    "raises": "the probe failed: ValueError: cannot take …",
    "a list": "the probe failed: found a value of type list, expected a mapping",
    "nothing": "the probe failed: found a value of type NoneType, expected a mapping",
    "a text": "the probe failed: found a value of type str, expected a number",
    "not finite": "the probe failed: found a number that is not finite",
    "an odd name": "the probe failed: found a value of type int as the name of a number",
    "another": "the kind failed: KeyError",
    "eats": "the model failed in the probe: needed more memory than 400,000,000 bytes",
    "exits": "the model failed in the probe: ended its process with exit code 7",
    "hangs": "the model failed in the probe: did not answer within 2 s",
}


def test_a_probe_that_fails_costs_its_own_cell(own: Any, logistic: Any) -> None:
    tests = [a_test("broken_probe", what) for what in (*FAILURES, "fine")]
    plan = plan_for([logistic], *tests, timeout=2.0, memory=400_000_000)
    secret = str(sample_of(plan).to_pandas().sort_values(list(ORDER))["a"].iloc[0])[:6]
    *broken, fine = cells_of(plan)
    for cell, (what, reason) in zip(broken, FAILURES.items(), strict=True):
        assert cell.verdict is Verdict.ERROR, what
        assert cell.reason.startswith(reason), cell.reason
        assert secret not in cell.reason
    assert fine.verdict is Verdict.RECORDED, fine.reason
    assert 0 <= fine.measured.value <= 1


def test_a_model_that_fails_costs_its_own_cells(own: Any, models: Models, logistic: Any) -> None:
    plan = plan_for([models.odd("shape"), logistic], a_test("broken_probe", "fine"))
    broken, fine = cells_of(plan)
    assert broken.verdict is Verdict.ERROR and "the probe failed: ModelError" in broken.reason
    assert fine.verdict is Verdict.RECORDED


@pytest.mark.parametrize(
    ("test", "mistake"),
    [
        (("broken_probe", "too many"), "its probe wants 1,000,000 rows, expected 1 to 50,000"),
        (("batch_row", 0), "its probe wants 0 rows"),
        (("broken_probe", "no probe"), "gave a value of type str, expected a Probe or None"),
        (("broken_probe", "no pickle"), "its probe cannot be sent to a worker: "),
        (("broken_probe", "cannot say"), "could not say what it asks: LookupError: no word for it"),
        (("repeats", "cuntry"), "the dataset has no column 'cuntry'; did you mean 'country'?"),
        (("broken_query", "SELECT 1"), r"found no {rows} in its query, expected {rows}"),
        (("broken_query", "SELECT {x} FROM {rows}"), r"found {x} in its query"),
        (("broken_query", "FROM {rows"), "its query's braces do not match"),
        (
            ("broken_query", "FROM {rows} JOIN {reference}"),
            "expected `reads_reference` in the kind",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_before_the_scan(
    own: Any, logistic: Any, test: tuple[str, Any], mistake: str
) -> None:
    with pytest.raises(InputError) as refused:
        check_fit(plan_for([logistic], a_test(*test)))
    assert mistake in str(refused.value)


def test_a_probe_is_not_on_slices(own: Any, logistic: Any) -> None:
    wide = a_test("batch_row", 5, slice_sets=("overall", "country"))
    with pytest.raises(InputError, match=r"found the slices 'country', expected \[overall\]"):
        check_fit(plan_for([logistic], wide))


def test_the_name_of_a_question_has_all_that_its_answer_depends_on(
    own: Any, models: Models, logistic: Any
) -> None:
    def names(plan: EvaluationPlan) -> list[str | None]:
        return [question.name for question in distinct_questions(plan)]

    test, query = a_test("batch_row", 5), a_test("repeats", "country")
    plan = plan_for([logistic], test, query)
    (probe_name, query_name) = names(plan)
    assert probe_name is not None and query_name is not None
    # Its verdict, its name and the dataset's version are no part of it.
    other = replace(test, name="other", conditions=(Condition("max", 1),))
    newer = replace(plan, dataset=replace(plan.dataset, version=4))
    assert names(replace(newer, tests=(other, query))) == [probe_name, query_name]
    assert names(plan_for([models.odd("")], test, query))[0] != probe_name
    assert names(plan_for([models.odd("")], test, query))[1] == query_name
    assert names(plan_for([logistic], a_test("batch_row", 6), query))[0] != probe_name
    where = SliceSet("old", "where", where="age > 50")
    sliced = replace(query, slice_sets=("old",))
    assert names(replace(plan, slice_sets=(where,), tests=(sliced,)))[0] != query_name
    elsewhere = replace(plan, dataset=replace(plan.dataset, table_id="other"))
    assert not set(names(elsewhere)) & set(names(plan))
    code = replace(plan, code=(("own_question_kinds", "abc"),))
    assert names(code)[0] != probe_name and names(code)[1] == query_name
    assert names(replace(plan, code=(("own_question_kinds", None),)))[0] is None
    # Two tests of one question ask it once.
    assert len(distinct_questions(replace(plan, tests=(test, other)))) == 1


@pytest.mark.parametrize(
    "name", ["plain", "a`b", "{rows}", "}{", "two words", "ä.b", "it's \\ {x}"]
)
def test_any_column_and_text_can_stand_in_a_query(name: str) -> None:
    query = Query(f"SELECT {column_sql(name)}, {text_sql(name)} FROM {{rows}}", (name,))
    assert query.mistake() is None and query.fields == {"rows"}
    column, text = (part.format() for part in (column_sql(name), text_sql(name)))
    assert column == "`" + name.replace("`", "``") + "`"
    assert text[1:-1].replace("\\'", "'").replace("\\\\", "\\") == name


def test_numbers_of_an_answer_are_plain() -> None:
    assert plain_numbers({"a": np.float32(0.5), "b": np.int64(2), "c": True, "d": None}) == {
        "a": 0.5, "b": 2.0, "c": 1.0, "d": None,
    }  # fmt: skip
    with pytest.raises(InputError, match="expected 4,096 or fewer"):
        plain_numbers({str(n): 1.0 for n in range(MOST_NUMBERS + 1)})
    answer = Answer({'["ä"]': {"n": 3.0, "value": None}})
    assert Answer.decode(answer.encode()) == answer
    for damaged in (b"", b"[]", b"{}", b"\xff", b'{"slices": {}}'):
        with pytest.raises(ValueError, match=r"found no answer|Expecting|codec"):
            Answer.decode(damaged)


def test_a_figure_has_no_states(logistic: Any) -> None:
    metric = figure("share", higher_is_better=False, bounds=(0, 1))
    problem = plan_for([logistic]).problem
    assert metric.families(problem, compared=True) == () and not metric.intervals


def test_an_answer_that_is_lacking_is_an_error(own: Any, logistic: Any) -> None:
    plan = plan_for([logistic], a_test("batch_row", 5))
    (cell,) = measure(plan, []).cells
    assert cell.verdict is Verdict.ERROR and "there is no answer" in cell.reason
