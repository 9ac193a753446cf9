"""Models that raise, return nonsense, end their process, hang or eat memory: their own cells."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pytest
from mlflow.models import infer_signature

from tests.fixtures.tables import write_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

CODE = Path(__file__).with_name("wild_models.py")
PLACE = r", on batch [0-9]+ of partition [0-9]+"
# What each says of itself; the batch is told with each.
IN_THE_WORKER = {
    "raises": r"ValueError: out of range \(wild_models.py:[0-9]+\)",
    "shape": r"ModelError: model 'shape' returned an array of shape \([0-9]+, 2\), expected .*",
    "huge": r"ModelError: model 'huge' returned an array of shape \([0-9]+, 5000000000\), .*",
    "text": r"ModelError: model 'text' returned object, expected numbers for output 'probability'",
    "eats": r"needed more memory than 2,147,483,648 bytes",
}
KILLERS = {
    "exits": r"ended its process with exit code 7",
    "hangs": r"did not answer within 5 s",
}
SLICES = ["overall", {"by": ["country"]}, {"bins": {"age": [30, 50]}}]
TESTS = [{"metric": "accuracy", "min": 0.5, "max_drop": 0.01}, {"metric": "roc_auc"}]

Evaluate = Callable[..., "RunResult"]


@pytest.fixture(scope="module")
def paths(world: Any) -> dict[str, str]:
    """Where each model lies; two of them are good."""
    spec = importlib.util.spec_from_file_location("wild_models", CODE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wild_models"] = module
    spec.loader.exec_module(module)
    x = world.few[["f0", "f1"]]
    found = {}
    for kind in ("", "nan", "noisy", *IN_THE_WORKER, *KILLERS):
        found[kind] = str(world.folder / "wild" / (kind or "tame"))
        mlflow.sklearn.save_model(
            module.Wild(kind).fit(x, None),
            found[kind],
            signature=infer_signature(x, np.array([0, 1])),
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            code_paths=[str(CODE)],
        )
    return found


@pytest.fixture(scope="module")
def evaluate(
    world: Any, small: Callable[..., dict[str, Any]], evaluated: Evaluate, paths: dict[str, str]
) -> Evaluate:
    """Evaluates good models and, between them, some that are not, on rows of two partitions."""
    for part in range(2):
        write_rows(world.table("pair"), world.rows[2_000 * part : 2_000 * (part + 1)])

    def go(name: str, *bad: str, table: str = "pair", **over: Any) -> RunResult:
        models = [
            {"uri": paths[""], "name": "base"},
            *({"uri": paths[kind], "name": kind} for kind in bad),
            {"uri": world.model("good"), "name": "good"},
        ]
        suite = small(
            name=name,
            dataset={"delta": world.table(table), "version": "latest"},
            models=models,
            baseline="base",
            slices=SLICES,
            tests=TESTS,
            **over,
        )
        return evaluated(suite, name)

    return go


def cells_of(result: RunResult, *models: str) -> dict[tuple[str, str, str], Any]:
    return {
        (cell.model.name, cell.slice.name, cell.test.name): cell
        for cell in result.outcome.cells
        if cell.model.name in models
    }


def figures(result: RunResult) -> dict[tuple[str, str, str], Any]:
    """All that the cells of the good models say; values to 1e-9, since sums are in any order."""

    def rounded(value: Any) -> Any:
        return pytest.approx(value, abs=1e-9) if isinstance(value, float) else value

    return {
        key: (
            cell.counts.n,
            cell.verdict,
            *map(rounded, (cell.measured.value, cell.measured.ci_low, cell.measured.ci_high)),
            rounded(cell.delta),
        )
        for key, cell in cells_of(result, "base", "good").items()
    }


@pytest.fixture(scope="module")
def undisturbed(evaluate: Evaluate) -> RunResult:
    return evaluate("tame")


def check_errors(result: RunResult, reasons: dict[str, str], undisturbed: RunResult) -> None:
    good = cells_of(undisturbed, "good")
    for model, reason in reasons.items():
        cells = cells_of(result, model)
        assert len(cells) == len(good)
        for (_, where, test), cell in cells.items():
            assert cell.verdict == "ERROR" and cell.measured.value is None
            assert re.fullmatch(f"the model failed: {reason}{PLACE}", cell.reason), cell.reason
            assert cell.counts.n == good["good", where, test].counts.n


def test_models_that_fail_in_the_worker(evaluate: Evaluate, undisturbed: RunResult) -> None:
    result = evaluate("worker", *IN_THE_WORKER, "nan", "noisy", memory=2**31)
    assert figures(result) == figures(undisturbed)
    check_errors(result, IN_THE_WORKER, undisturbed)
    for cell in cells_of(result, "nan").values():
        if cell.counts.bad_scores:
            assert cell.verdict == "ERROR" and "predictions are NaN" in cell.reason
    assert result.exit_code == 3
    assert list(result.outcome.evaluations[0].not_deterministic) == ["noisy"]
    for cell in cells_of(result, "noisy").values():
        assert cell.verdict != "ERROR"
        assert cell.reason.endswith("not deterministic: another run may find another value")


def test_what_a_model_said_that_is_not_deterministic_is_not_taken_for_another_run(
    world: Any, small: Callable[..., dict[str, Any]], evaluated: Evaluate, paths: dict[str, str]
) -> None:
    models = [{"uri": paths["noisy"], "name": "noisy"}, {"uri": world.model("good")}]
    suite = small(models=models, reuse=True, min_slice_rows=3) | {"executor": "local"}
    world.forget("good")
    evaluated(suite, "chance")
    predicted = world.journal("good")
    again = evaluated(suite, "chance")
    assert world.journal("good") == predicted, "the other model's states are kept"
    of = again.outcome.evaluations[0]
    # By chance a row or two get the same answer.
    assert re.search(r"otherwise for 1[2-6] of them", of.not_deterministic["noisy"])
    assert of.timings["predict_seconds/noisy"] > 0 and "predict_seconds/good" not in of.timings
    page = (again.store.report_folder(again.run_id) / "index.html").read_text()
    summary = (again.store.report_folder(again.run_id) / "summary.md").read_text()
    for told in (page, summary, str(again)):
        assert "is not deterministic: asked again for 16 rows" in told


def test_models_that_end_their_worker_or_hang(world: Any, evaluate: Evaluate) -> None:
    """On rows of one partition: at the end each model has a process of its own for each."""
    write_rows(world.table("some"), world.rows[:2_000])
    undisturbed = evaluate("tame-some", table="some")
    result = evaluate("killers", *KILLERS, "raises", table="some", timeout=5)
    assert figures(result) == figures(undisturbed)
    check_errors(result, {**KILLERS, "raises": IN_THE_WORKER["raises"]}, undisturbed)
    assert result.exit_code == 3
