"""A model that is not trusted in a scan: as the baseline of others, and on its way through JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.vocabulary import (
    Condition,
    Credentials,
    ModelFormat,
    ModelTest,
    ModelVersion,
    TaskKind,
    Verdict,
)
from engine.planning import dump_plans, load_plans
from tests.fixtures.kernel import OVERALL, Models, evaluated, plan_of, rows_of, saved_models

REFUSAL = "it is not trusted, and was not opened: model.pkl is pickle"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with saved_models(tmp_path_factory.mktemp("refused")) as models:
        yield models


@pytest.fixture
def refused(models: Models) -> ModelVersion:
    """A model that would raise if it were asked: it must not even be opened."""
    known = Credentials((ModelFormat.PICKLE,), ("os.system",), refusal=REFUSAL)
    gone = str(Path(models.folder, "there is no such folder"))
    return replace(models.odd("raises"), name="refused", path=gone, credentials=known)


def test_what_is_compared_with_it_has_nothing_to_be_compared_with(
    models: Models, refused: ModelVersion
) -> None:
    good = models.odd("")
    tests = (
        ModelTest("alone", "accuracy", slice_sets=("overall",)),
        ModelTest("beside", "accuracy", (Condition("max_drop", 0.01),), slice_sets=("overall",)),
    )
    plan = plan_of(
        TaskKind.BINARY, [refused, good], [], slice_sets=(OVERALL,), tests=tests, baseline="refused"
    )
    result = evaluated(plan, rows_of(TaskKind.BINARY))
    cells = {(cell.model.name, cell.test.name): cell for cell in result.cells}
    assert cells[good.name, "alone"].verdict is Verdict.RECORDED
    beside = cells[good.name, "beside"]
    assert beside.verdict is Verdict.INCONCLUSIVE
    assert beside.baseline_value is None and "baseline" in beside.reason
    for test in ("alone", "beside"):
        assert cells["refused", test].verdict is Verdict.ERROR
        assert cells["refused", test].reason == f"the model failed: {REFUSAL}"
    assert result.timings["loads"] <= 1


def test_a_plan_keeps_what_is_known_of_its_models(models: Models, refused: ModelVersion) -> None:
    plan = plan_of(TaskKind.BINARY, [refused, models.odd("")], ["accuracy"])
    (again,) = load_plans(dump_plans([plan]))
    assert again == plan
    trusted = replace(plan, models=(replace(refused, credentials=Credentials()), plan.models[1]))
    assert trusted.digest != plan.digest
    told = replace(refused, credentials=Credentials((ModelFormat.PICKLE,)))
    assert replace(plan, models=(told, plan.models[1])).digest == trusted.digest
