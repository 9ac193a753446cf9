"""Models and slices that fail cost their own cells, with the reason; the rest is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def troubled(
    world: Any, small: Callable[..., dict[str, Any]], evaluated: Callable[..., RunResult]
) -> RunResult:
    suite = small(
        name="troubled",
        models=[{"uri": world.model(name)} for name in ("good", "nan", "raise")],
        slices=[
            "overall",
            {"by": ["device"]},
            {"name": "nobody", "where": "age > 1000"},
            {"name": "tame", "where": "f1 < 1"},
        ],
        tests=[{"metric": "accuracy", "min": 0.3}, {"metric": "roc_auc"}],
    )
    return evaluated(suite, "troubled", run_id="troubled-1")


def cells_of(result: RunResult, model: str, slice_name: str) -> list[Any]:
    return [
        cell
        for cell in result.outcome.cells
        if cell.model.name == model and cell.slice.name == slice_name
    ]


def test_the_good_model_is_complete(troubled: RunResult) -> None:
    for name in ("overall", "device=ios", "device=web", "tame"):
        accuracy, auc = cells_of(troubled, "good", name)
        assert accuracy.verdict == "PASS" and accuracy.measured.value > 0.5
        assert auc.verdict == "RECORDED" and auc.measured.value > 0.5


def test_nan_scores_make_errors_where_they_are(world: Any, troubled: RunResult) -> None:
    bad = int(((world.few["f1"] > 2) & world.few["fraud"].notna()).sum())
    assert bad > 0
    for cell in cells_of(troubled, "nan", "overall"):
        assert cell.verdict == "ERROR" and cell.measured.value is None
        assert cell.counts.bad_scores == bad
        assert f"{bad} of {cell.counts.n} predictions are NaN" in cell.reason
    # No NaN in this slice: its cells are as good as the good model's.
    for ours, good in zip(
        cells_of(troubled, "nan", "tame"), cells_of(troubled, "good", "tame"), strict=True
    ):
        assert ours.measured == good.measured and ours.verdict == good.verdict


def test_a_model_that_raises_has_errors_with_its_own_words(troubled: RunResult) -> None:
    found = [cell for cell in troubled.outcome.cells if cell.model.name == "raise"]
    assert found and {cell.verdict for cell in found} == {"ERROR"}
    overall = cells_of(troubled, "raise", "overall")
    for cell in overall:
        assert "ValueError: f1 is out of the range that I know" in cell.reason
        assert cell.measured.value is None and cell.counts.n > 0
    assert troubled.outcome.evaluations[0].model_errors["raise"]


def test_a_slice_that_matches_nothing_is_an_error(troubled: RunResult) -> None:
    for cell in cells_of(troubled, "good", "nobody"):
        assert cell.verdict == "ERROR" and cell.counts.n == 0
        assert "matched no row" in cell.reason


def test_errors_decide_the_gate_and_the_exit_code(troubled: RunResult) -> None:
    assert troubled.gate.outcome == "error" and troubled.exit_code == 3
    gates = troubled.outcome.model_gates
    assert gates["troubled", "raise"].outcome == "error"


def test_a_gate_that_forgives_errors_passes(
    world: Any, small: Callable[..., dict[str, Any]], evaluated: Callable[..., RunResult]
) -> None:
    suite = small(
        models=[{"uri": world.model("nan")}],
        tests=[{"metric": "accuracy", "min": 0.1}],
        gate={"on_error": "warn"},
    )
    result = evaluated(suite, "forgiven")
    assert result.gate.warnings == 1 and result.exit_code == 0


def test_all_cells_are_in_the_table_and_mlflow_has_no_nan(world: Any, troubled: RunResult) -> None:
    import math

    from mlflow import MlflowClient

    assert len(read_rows(world.store / "results", run="troubled-1")) == 3 * 5 * 2
    client = MlflowClient(world.tracking_uri)
    experiment = client.get_experiment_by_name("small").experiment_id
    query = "tags.`evalmatrix.run_id` = 'troubled-1'"
    for run in client.search_runs([experiment], query):
        assert all(math.isfinite(value) for value in run.data.metrics.values())
    failed = [
        run
        for run in client.search_runs([experiment], query)
        if run.data.tags.get("evalmatrix.model") == "raise"
    ]
    assert len(failed) == 1
    assert "accuracy_score" not in failed[0].data.metrics
    assert failed[0].data.metrics["verdicts/ERROR"] == 10
    assert failed[0].data.tags["evalmatrix.gate"] == "error"
