"""An estimator of somebody's own: seen on the first rows, and asked for what is needed then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

import engine

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


def test_what_is_seen_on_the_first_rows_is_asked_from_then_on(
    world: Any, small: Callable[..., Any], evaluated: Callable[..., RunResult]
) -> None:
    names = ("cautious", "third")
    models = [{"uri": world.model(name)} for name in names]
    tests = [{"metric": "recall"}, {"metric": "roc_auc"}]
    suite = small(name="decisions", models=models, tests=tests, reuse=True) | {"name": "decisions"}
    for name in names:
        world.forget(name)
    result = evaluated(suite, "decisions")
    frame = world.few[world.few["fraud"].notna()]
    labels = frame["fraud"].astype(int)
    scores = 1 / (1 + np.exp(-1.5 * frame["f0"].to_numpy(float)))
    cells = {
        (cell.model.name, cell.test.name): cell.measured.value
        for cell in result.outcome.cells
        if cell.slice.kind == "overall"
    }
    for name, threshold in (("cautious", 0.2), ("third", 0.5)):
        expected = recall_score(labels, scores > threshold)
        assert cells[name, "recall"] == pytest.approx(expected, abs=1e-12)
        assert cells[name, "roc_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    (evaluation,) = result.outcome.evaluations
    assert [model.decides for model in evaluation.models] == [True, False]
    assert not any(model.unsure for model in evaluation.models)
    # Who is asked for both predicts twice, and it is counted.
    assert evaluation.timings["predictions"] == 3 * len(frame)

    # Nothing of it is done again: the plan has the same states, and looks at no row.
    for name in names:
        world.forget(name)
    (planned,) = engine.plan(world.folder / "suites" / "decisions.yml")
    assert [model.decides for model in planned.plan.models] == [True, False]
    assert planned.predictions == 0
    assert not any(world.journal(name) for name in names)
