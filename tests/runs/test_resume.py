"""A run that was stopped between two evaluations is completed: nothing twice, nothing missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from engine.commands import evaluation_run
from engine.errors import InputError, StoreError
from engine.execution import distribute
from tests.fixtures.tables import read_rows

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

Suites = Callable[..., dict[str, Any]]
Runs = Callable[..., "RunResult"]


def two(world: Any, small: Suites) -> dict[str, Any]:
    suite = small(name="first", models=[{"uri": world.model("good")}], slices=[{"by": ["device"]}])
    second = small(name="second", models=[{"uri": world.model("other")}])
    return suite | {"evaluations": [*suite["evaluations"], *second["evaluations"]]}


def stop_at(name: str, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Lets the scan of one evaluation fail hard."""
    scan = distribute.scan

    def failing(spark: Any, plan: Any, parts: Any) -> Any:
        if plan.name == name:
            raise error
        return scan(spark, plan, parts)

    monkeypatch.setattr(distribute, "scan", failing)


@pytest.fixture(scope="module")
def undisturbed(world: Any, small: Suites, evaluated: Runs) -> RunResult:
    return evaluated(two(world, small), "two", run_id="undisturbed")


def test_a_stopped_run_is_completed(
    world: Any,
    small: Suites,
    evaluated: Runs,
    undisturbed: RunResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("good", "other"):
        world.forget(name)
    with monkeypatch.context() as patch:
        stop_at("second", patch, StoreError("the cluster is gone"))
        with pytest.raises(StoreError, match="the cluster is gone") as caught:
            evaluated(two(world, small), "two", run_id="stopped")
    assert "--resume stopped" in caught.value.__notes__[0]
    predicted = sum(world.journal("good"))
    assert predicted == int(world.few["fraud"].notna().sum()) and not world.journal("other")
    assert list(read_rows(world.store / "runs", run="stopped")["status"]) == ["running"]

    result = evaluated(two(world, small), "two", resume="stopped")

    assert sum(world.journal("good")) == predicted, "what was finished is not predicted again"
    assert sum(world.journal("other")) == predicted
    assert result.run_id == "stopped" and result.exit_code == undisturbed.exit_code
    key = ["evaluation", "model", "slice", "test"]
    mine, theirs = (
        read_rows(world.store / "results", run=run).set_index(key).sort_index()
        for run in ("stopped", "undisturbed")
    )
    assert not mine.index.duplicated().any()
    same = ["value", "n", "weight_sum", "error_bound", "verdict", "reason", "dataset_version"]
    assert mine[same].equals(theirs[same])
    assert list(read_rows(world.store / "runs", run="stopped")["status"]) == ["finished"]


def test_resuming_a_finished_run_changes_nothing(
    world: Any, small: Suites, evaluated: Runs, undisturbed: RunResult
) -> None:
    from mlflow import MlflowClient

    def state() -> tuple[Any, ...]:
        client = MlflowClient(world.tracking_uri)
        experiment = client.get_experiment_by_name("small").experiment_id
        query = "tags.`evalmatrix.run_id` = 'undisturbed'"
        runs = client.search_runs([experiment], query)
        (row,) = read_rows(world.store / "runs", run="undisturbed").to_dict("records")
        return (
            # When it ended, and what it cost, is what it was.
            row["finished_at"],
            dict(row["timings"]),
            row["exit_code"],
            len(read_rows(world.store / "results", run="undisturbed")),
            sorted(run.info.run_id for run in runs),
            {run.info.run_id: run.data.metrics for run in runs}.keys(),
        )

    world.forget("good")
    before = state()
    again = evaluated(two(world, small), "two", resume="undisturbed")
    assert state() == before and not world.journal("good")
    assert [cell.measured for cell in again.outcome.cells] == [
        cell.measured for cell in undisturbed.outcome.cells
    ]


def test_a_runs_id_is_a_promise(
    world: Any,
    small: Suites,
    evaluated: Runs,
    undisturbed: RunResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def again(run_id: str) -> RunResult:
        return evaluated(two(world, small), "two", run_id=run_id)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def figures(result: RunResult) -> list[Any]:
        return [(cell.measured, cell.verdict) for cell in result.outcome.cells]

    # Finished: it answers.
    world.forget("good")
    assert figures(again("undisturbed")) == figures(undisturbed)
    assert not world.journal("good")
    # Stopped between two evaluations, and then before its first row was written.
    with monkeypatch.context() as patch:
        stop_at("second", patch, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            again("promised")
    assert figures(again("promised")) == figures(undisturbed)
    with monkeypatch.context() as patch:
        patch.setattr(evaluation_run, "prepare_workers", stop)
        with pytest.raises(KeyboardInterrupt):
            again("early")
    assert figures(again("early")) == figures(undisturbed)
    for run in ("promised", "early"):
        assert list(read_rows(world.store / "runs", run=run)["status"]) == ["finished"]
    with pytest.raises(InputError, match="begun with another suite; go on with the same"):
        evaluated(small(min_slice_rows=3), "other", run_id="promised")


def test_a_run_is_resumed_with_the_suite_it_was_begun_with(
    world: Any, small: Suites, evaluated: Runs, undisturbed: RunResult
) -> None:
    with pytest.raises(InputError, match="begun with another suite"):
        evaluated(small(min_slice_rows=3), "other", resume="undisturbed")
    with pytest.raises(InputError, match="has no run 'never' to resume"):
        evaluated(two(world, small), "two", resume="never")
    with pytest.raises(InputError, match=r"a run id is '\.\./up'"):
        evaluated(two(world, small), "two", run_id="../up")


def test_the_report_of_a_stopped_run_says_how_to_complete_it(
    world: Any,
    small: Suites,
    evaluated: Runs,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., Any],
) -> None:
    stop_at("second", monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        evaluated(two(world, small), "two", run_id="half")
    found = command("report", "--store", world.store, "--run", "half")
    assert found.exit_code == 2
    assert "the run 'half' was stopped before it was finished" in found.stderr
    assert "--resume half" in found.stderr
