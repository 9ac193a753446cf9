"""A nightly run that evaluates and promotes, on the real Spark, Delta and MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.lifecycle.evidence import find_evidence
from engine.lifecycle.request import Ending
from engine.store.promotions import Step, read_promotions
from engine.store.tables import StoreTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def client(world: Any) -> Any:
    from mlflow import MlflowClient

    made = MlflowClient(world.tracking_uri)
    made.set_registered_model_alias("claims", "champion", "1")
    made.set_registered_model_alias("claims", "challenger", "2")
    return made


@pytest.fixture
def suite(world: Any, small: Callable[..., dict[str, Any]], client: Any) -> dict[str, Any]:
    made = small(
        dataset={"version": "latest"},
        models=[{"uri": "models:/claims@champion", "name": "champion"},
                {"uri": "models:/claims@challenger", "name": "challenger"}],
        baseline="champion",
        tests=[{"metric": "roc_auc", "min": 0.5}, {"metric": "accuracy", "max_drop": 0.5}],
    )  # fmt: skip
    return made | {"name": "promoting", "promote": {"alias": "champion", "when": "passed"}}


def aliases(client: Any) -> dict[str, str]:
    return {key: str(one) for key, one in client.get_registered_model("claims").aliases.items()}


def test_a_night_that_evaluates_and_promotes(
    world: Any,
    suite: dict[str, Any],
    evaluated: Callable[..., RunResult],
    client: Any,
    command: Callable[..., Any],
    spark: SparkSession,
) -> None:
    from engine.core.locations import Store
    from engine.spark.lazy_session import LazySession

    first = evaluated(suite, "promoting", run_id="promoting-1")
    assert first.exit_code == 0, str(first)
    (promotion,) = first.promotions
    assert (promotion.ending, promotion.reasons, promotion.version) == (
        Ending.PROMOTED, (), "2",
    )  # fmt: skip
    assert aliases(client) == {"champion": "2", "previous": "1"}
    tables = StoreTables(Store(suite["store"]), LazySession(spark))
    (item,) = find_evidence(tables, "claims", "2", "promoting")
    gate = first.outcome.model_gates["few", "challenger"]
    assert item.gate == gate, "as the run itself has it"
    path = world.folder / "suites" / "promoting.yml"
    summary = Path(first.places["summary"]).read_text()
    assert "claims version 2 is promoted to" in summary
    # The aliases of the suite mean other versions now: the run's own plan says what it was about.
    again = command("run", path, "--run-id", "promoting-1")
    assert again.exit_code == 0, again.stderr
    assert "has promoted it before, and does so once" in again.stdout
    done = [row for row in read_promotions(tables["promotions"], "claims")
            if row.step is Step.DONE]  # fmt: skip
    assert [row.by_run for row in done] == ["promoting-1"]
    back = command("promote", "claims", "--suite", path, "--rollback")
    assert back.exit_code == 0, back.stdout
    assert aliases(client) == {"champion": "1"}
    refused = command("promote", "claims/2", "--suite", path, "--max-age", "1s")
    assert (refused.exit_code, "may be at most 1 second old" in refused.stdout) == (1, True)
    promoted = command("promote", "claims/2", "--suite", path)
    assert promoted.exit_code == 0, promoted.stdout
    told = command("history", "claims", "--suite", path, "--json")
    events = [(event["kind"], event["version"]) for event in json.loads(told.stdout)["events"]]
    assert events[-4:] == [
        ("promoted", "2"), ("rolled back", "1"), ("refused", "2"), ("promoted", "2"),
    ]  # fmt: skip
