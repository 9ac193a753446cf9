"""The local executor: the same cells as Spark's, whole after kills, and clear where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine import run
from engine.commands.run_result import RunResult
from engine.errors import DataError, InputError, StoreError
from engine.execution import local_scans
from tests.fixtures.alike import assert_alike, cells, wide
from tests.fixtures.tables import read_rows, write_rows

Suites = Callable[..., dict[str, Any]]
Runs = Callable[..., RunResult]

pytestmark = pytest.mark.spark


def test_processes_of_this_machine_give_the_cells_of_spark(
    world: Any, small: Suites, evaluated: Runs, tmp_path: Path
) -> None:
    for first in (0, 700, 1400):
        write_rows(tmp_path / "files", world.rows[first : first + 700])

    def suite(executor: str) -> dict[str, Any]:
        asked = wide(world, small, executor)
        asked["evaluations"][0]["dataset"] |= {"delta": str(tmp_path / "files"), "version": 2}
        return asked

    local = evaluated(suite("local"), "local")
    assert_alike(local, evaluated(suite("spark"), "by-spark"))
    assert len(cells(local)) > 100


def test_a_run_that_was_stopped_goes_on_behind_its_chunks(
    world: Any, small: Suites, evaluated: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = small(dataset={"delta": world.table("claims7"), "version": 0}, checkpoint_rows=5000) | {
        "executor": "local"
    }
    world.forget("good")
    scan, done = local_scans._scan_part, []

    def failing(*arguments: Any) -> Any:
        if len(done) == 3:
            raise StoreError("the disk is gone")
        done.append(1)
        return scan(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(local_scans, "_scan_part", failing)
        with pytest.raises(StoreError, match="the disk is gone"):
            evaluated(asked, "chunks", run_id="local-chunks")
    before = sum(world.journal("good"))
    # A row without a label is not predicted.
    labelled = int(world.rows["fraud"].notna().sum())
    assert 0 < before < labelled
    resumed = evaluated(asked, "chunks", resume="local-chunks")
    assert sum(world.journal("good")) == labelled
    whole = small(dataset={"delta": world.table("claims7"), "version": 0})
    assert_alike(resumed, evaluated(whole, "whole"))


def test_a_worker_that_is_killed_costs_a_second_scan(
    world: Any, small: Suites, evaluated: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    world.forget("good")
    world.hook("good", "kill -9 $PPID")
    with caplog.at_level("INFO", "evalmatrix"):
        killed = evaluated(small() | {"executor": "local"}, "killed")
    assert "a Python worker died; scanning again with 'good' in a process of its own" in caplog.text
    assert_alike(killed, evaluated(small(), "calm"))


def test_predictions_are_kept_as_spark_keeps_them(
    world: Any, small: Suites, evaluated: Runs
) -> None:
    def kept(executor: str) -> Any:
        store = world.make_store(world.folder / f"kept-{executor}")
        asked = small(store=str(store), predictions="keep") | {"executor": executor}
        evaluated(asked, f"kept-{executor}")
        rows = read_rows(store / "predictions").sort_values("key", ignore_index=True)
        return rows[["dataset", "dataset_version", "model_digest", "key", "scores"]]

    ours, theirs = kept("local"), kept("spark")
    assert ours.drop(columns="scores").equals(theirs.drop(columns="scores")) and len(ours) > 390
    np.testing.assert_array_equal(np.stack(ours["scores"]), np.stack(theirs["scores"]))


def test_a_key_of_two_rows_keeps_nothing(
    world: Any, small: Suites, evaluated: Runs, tmp_path: Any
) -> None:
    rows = world.few.assign(id=world.few["id"] // 2)
    write_rows(tmp_path / "twice", rows)
    asked = small(dataset={"delta": str(tmp_path / "twice"), "version": 0}, predictions="keep")
    with pytest.raises(DataError, match=r"200 values of 'id' stand in more than one row"):
        evaluated(asked | {"executor": "local"}, "twice")


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"slices": [{"name": "f", "where": "country RLIKE 'F'"}]}, "where: .*RLIKE.* is read by"),
        (
            {
                "slices": [{"name": "f", "where": "country RLIKE 'F'"}],
                "tests": [{"leakage": "rows", "slices": ["f"]}],
                "reference": {"delta": "few"},
            },
            "the test .* has no answer, which asks beside the scan: .*RLIKE",
        ),
    ],
)
def test_what_takes_spark_is_refused_before_the_scan(
    world: Any, small: Suites, evaluated: Runs, over: dict[str, Any], why: str
) -> None:
    if "reference" in over:
        over = over | {"reference": {"delta": world.table("few")}}
    world.forget("good")
    with pytest.raises(InputError, match=f"evaluation 'few': without Spark .*{why}"):
        evaluated(small(**over) | {"executor": "local"}, "refused")
    assert world.journal("good") == []


def test_what_spark_has_answered_takes_no_spark_again(
    world: Any, small: Suites, evaluated: Runs, tmp_path: Path
) -> None:
    store = world.make_store(tmp_path / "store")
    asked = small(
        store=str(store),
        reuse=True,
        slices=[{"name": "even", "where": "country RLIKE 'F'"}],
        tests=[{"metric": "accuracy"}, {"data_quality": {"unique": "id"}}],
    )
    first = evaluated(asked, "answered")
    world.forget("good")
    again = evaluated(asked | {"executor": "local"}, "answered")
    assert_alike(again, first)
    assert world.journal("good") == []


def test_a_value_that_only_spark_reads_is_read_by_it_where_it_may_be(
    world: Any,
    small: Suites,
    evaluated: Runs,
    command: Callable[..., tuple[str, RunResult]],
    tmp_path: Path,
) -> None:
    """Spark divides no row by zero of which the other side is false; this process asks of all."""
    odd = "id <> 5 AND 7 % (id - 5) = 1"
    asked = small(store=str(world.make_store(tmp_path / "store")), predictions="keep", reuse=True,
                  slices=[{"name": "odd", "where": odd}])  # fmt: skip
    with pytest.raises(StoreError, match="remainder of a division by zero; say executor: auto"):
        evaluated(asked | {"executor": "local"}, "odd")
    told, turned = command(asked)
    assert turned.exit_code == 0
    assert "few: Spark reads the rows: a remainder of a division by zero" in told
    assert_alike(turned, evaluated(small(slices=[{"name": "odd", "where": odd}]), "by-spark"))


# All checks of rows and of leaks, on odd tables: execution/test_local_answers.py.
QUALITY = {
    "unique": [["country", "age"]],
    "determined_by": {"country": ["age"]},
    "row_change": [-0.1, 0.1],
}


def test_what_is_asked_of_rows_is_answered_without_spark(
    world: Any, small: Suites, evaluated: Runs
) -> None:
    tests = [{"data_quality": QUALITY, "show_keys": 3, "slices": ["country"]}]
    asked = small(tests=tests, slices=["overall", {"by": ["country"]}])
    local = evaluated(asked | {"executor": "local"}, "quality-local")
    assert_alike(local, evaluated(asked, "quality-spark"))
    details = {cell.measured.detail for cell in local.outcome.cells}
    assert any("keys " in detail for detail in details if detail)


def test_probes_contrasts_and_leaks_are_answered_without_spark(
    world: Any, small: Suites, evaluated: Runs, tmp_path: Path
) -> None:
    write_rows(tmp_path / "reference", world.rows[:1000])
    asked = small(
        reference={"delta": str(tmp_path / "reference"), "version": 0},
        models=[{"uri": world.model("good")}, {"uri": world.model("other")}],
        baseline="good",
        tests=[
            {"contract": ["deterministic", "batch_equals_row", "nulls"]},
            {"drift": "domain_classifier", "columns": ["f0", "f1", "age", "device"], "max": 0.6},
            {"leakage": "rows", "max_rows": 0},
        ],
    )
    local = evaluated(asked | {"executor": "local"}, "asked-local")
    assert_alike(local, evaluated(asked, "asked-spark"))
    reasons = {cell.test.kind: cell.reason for cell in local.outcome.cells}
    assert reasons.keys() == {"contract", "drift", "leakage"}
    assert not any(cell.verdict.value == "ERROR" for cell in local.outcome.cells), reasons


@pytest.fixture
def command(
    world: Any, no_session: None, caplog: pytest.LogCaptureFixture
) -> Callable[..., tuple[str, RunResult]]:
    """Runs a suite as a process that has no session: gives what it told, and its result."""

    def go(suite: dict[str, Any]) -> tuple[str, RunResult]:
        caplog.clear()
        with caplog.at_level("INFO", "evalmatrix"):
            result = run(world.write("command", suite))
        return caplog.text, result

    return go


def test_a_machine_without_java_evaluates_a_table_of_its_own(
    world: Any,
    small: Suites,
    evaluated: Runs,
    command: Callable[..., tuple[str, RunResult]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = world.make_store(tmp_path / "store")
    slices = ["overall", {"by": ["country"]}]
    with monkeypatch.context() as patch:
        patch.setenv("JAVA_HOME", "/nonexistent")
        told, ended = command(small(store=str(store), slices=slices))
        assert ended.exit_code == 0
        assert "no Java 17 here: processes of this machine do Spark's work" in told
        there = read_rows(store / "results")
        asked = small(
            store=str(store),
            slices=[{"name": "f", "where": "country RLIKE 'F'"}],
            tests=[{"leakage": "rows", "slices": ["f"]}],
            reference={"delta": world.table("few")},
        )
        with pytest.raises(InputError, match=r"RLIKE.* is read by Spark only"):
            command(asked)
    here = evaluated(small(slices=slices), "with-java").to_pandas()
    columns = ["slice", "test", "n", "value", "verdict"]
    order = {"by": ["slice", "test"], "ignore_index": True}
    pd.testing.assert_frame_equal(
        there[columns].sort_values(**order), here[columns].sort_values(**order)
    )


def test_nights_of_new_rows_start_no_spark_until_something_needs_it(
    world: Any,
    small: Suites,
    evaluated: Runs,
    command: Callable[..., tuple[str, RunResult]],
    tmp_path: Path,
) -> None:
    """What a user gets who says nothing: `executor: auto`, on a machine with Java."""
    table, store = tmp_path / "table", world.make_store(tmp_path / "store")
    write_rows(table, world.few[:300])
    asked = small(
        store=str(store),
        reuse=True,
        dataset={"delta": str(table), "version": "latest"},
        slices=["overall", {"by": ["country"]}],
    )

    def night(suite: dict[str, Any]) -> tuple[str, Any]:
        told, ended = command(suite)
        assert ended.exit_code == 0
        rows = read_rows(store / "results")
        return told, rows[rows["started_at"] == rows["started_at"].max()]

    told, _ = night(asked)
    assert "starting Spark" not in told and "300 rows scanned" in told
    write_rows(table, world.few[300:])
    told, there = night(asked)
    assert "starting Spark" not in told and "since then 100 rows came and 0 went" in told
    whole = evaluated(asked | {"reuse": False}, "auto-by-spark").to_pandas()
    columns = ["slice", "test", "n", "verdict"]
    order = {"by": ["slice", "test"], "ignore_index": True}
    ours, theirs = there.sort_values(**order), whole.sort_values(**order)
    pd.testing.assert_frame_equal(ours[columns], theirs[columns])
    np.testing.assert_allclose(ours["value"], theirs["value"], rtol=1e-12)
    asked["evaluations"][0]["slices"] = [{"name": "even", "where": "country RLIKE 'F'"}]
    told, _ = night(asked)
    assert "starting Spark" in told


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("rm {}", "data files of this version are gone, most likely removed by VACUUM"),
        ("printf XXXXXXXX | dd of={} bs=1 seek=200 conv=notrunc", "a data file is damaged"),
        ("truncate -s 300 {}", "a data file is damaged"),
    ],
)
def test_a_file_that_is_lost_under_a_run_is_told(
    world: Any, small: Suites, evaluated: Runs, tmp_path: Path, what: str, told: str
) -> None:
    table = tmp_path / "table"
    write_rows(table, world.few)
    (file,) = table.glob("*.parquet")
    one = small(dataset={"version": 1})["evaluations"][0]
    asked = small(dataset={"delta": str(table), "version": 0}, name="second")
    asked["evaluations"].insert(0, one)
    world.forget("good")
    world.hook("good", what.format(file))
    with pytest.raises(
        StoreError, match=r"evaluation 'second': dataset 'table': .*restore"
    ) as error:
        evaluated(asked | {"executor": "local"}, "lost")
    assert told in str(error.value) and file.name in str(error.value)
