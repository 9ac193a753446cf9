"""What expires of a store, and what is said of it before: no Spark is needed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pytest

import engine
from engine.core.locations import Store
from engine.spark.lazy_session import LazySession
from engine.store.audit import AUDIT, Act, read_acts, write_act
from engine.store.maintenance import Keeping, Maintained, maintain
from engine.store.runs import RUNS_SCHEMA
from engine.store.tables import StoreTables

NOW = dt.datetime(2020, 1, 31, tzinfo=dt.UTC)
PREDICTIONS = pa.schema(
    [
        ("predictions", pa.string()),
        ("dataset_version", pa.int64()),
        ("key", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)
STATES = pa.schema(
    [
        ("state", pa.string()),
        ("family", pa.string()),
        ("dataset_version", pa.int64()),
        ("run_id", pa.string()),
        ("payload", pa.binary()),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


@pytest.fixture
def tables(tmp_path: Path) -> StoreTables:
    """Runs of 100 and 10 days ago with their reports, a chain of two links, and a lost one."""
    tables = StoreTables(Store(str(tmp_path / "store")), LazySession())
    runs = [
        {"run_id": f"r{days}", "suite": "s", "started_at": ago(days), "status": "finished",
         "evaluations": "[]"}
        for days in (100, 10)
    ]  # fmt: skip
    tables["runs"].append_once(pa.Table.from_pylist(runs, RUNS_SCHEMA), token="runs")
    states = [
        {"state": "chain", "family": "predictions", "dataset_version": 1, "run_id": "r10",
         "payload": json.dumps([0, 1]).encode(), "created_at": ago(10)},
        {"state": "other", "family": "scores", "dataset_version": 0, "run_id": "r100",
         "payload": b"", "created_at": ago(100)},
        {"state": "chain", "family": "predictions", "dataset_version": 0, "run_id": "r100",
         "payload": json.dumps([0]).encode(), "created_at": ago(100)},
    ]  # fmt: skip
    tables["states"].append_once(pa.Table.from_pylist(states, STATES), token="states")
    rows = [("chain", 0, 3, 100), ("chain", 1, 2, 10), ("gone", 0, 4, 10)]
    predictions = [
        {"predictions": name, "dataset_version": version, "key": f'{{"id":{number}}}',
         "created_at": ago(days)}
        for name, version, count, days in rows
        for number in range(count)
    ]  # fmt: skip
    tables["predictions"].append_once(pa.Table.from_pylist(predictions, PREDICTIONS), token="p")
    for run in runs:
        folder = tables.store.report_folder(run["run_id"])
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("a report")
    return tables


def expired(done: list[Maintained]) -> dict[str, int]:
    return {item.table: item.rows_expired for item in done}


def left(tables: StoreTables) -> list[tuple[str, int]]:
    rows = tables["predictions"].rows(["predictions", "dataset_version"]).to_pylist()
    return sorted({(row["predictions"], row["dataset_version"]) for row in rows})


def test_predictions_and_reports_go_when_their_days_are_over(tables: StoreTables) -> None:
    keeping = Keeping(days=90, report_days=30, prediction_days=30)
    said = maintain(tables, keeping, now=NOW, dry=True)
    assert expired(said) == {"states": 2, "predictions": 7, "runs": 0, "reports": 1}
    assert str(said[1]).startswith("predictions: 7 rows would expire, 1 files, ")
    assert str(said[-1]).startswith("reports: 1 folders would expire, 2 files, ")
    assert left(tables) == [("chain", 0), ("chain", 1), ("gone", 0)]
    assert tables.store.report_folder("r100").exists()

    done = maintain(tables, keeping, now=NOW)
    assert expired(done) == expired(said)
    assert left(tables) == [("chain", 1)]
    assert not tables.store.report_folder("r100").exists()
    assert tables.store.report_folder("r10").exists()
    assert expired(maintain(tables, keeping, now=NOW)) == {
        "states": 0, "predictions": 0, "runs": 0, "reports": 0
    }  # fmt: skip


def test_without_days_a_prediction_is_kept_as_long_as_its_state(tables: StoreTables) -> None:
    assert expired(maintain(tables, Keeping(), now=NOW)) == {
        "states": 2, "predictions": 4, "runs": 0
    }  # fmt: skip
    assert left(tables) == [("chain", 0), ("chain", 1)]
    assert tables.store.report_folder("r100").exists()


def test_a_suite_says_for_how_long_and_an_option_over_it(
    tables: StoreTables, tmp_path: Path
) -> None:
    suite = tmp_path / "suite.yml"
    suite.write_text(f"""
        name: s
        store: {tables.store.root}
        retention: {{predictions_days: 36000, reports_days: 0}}
        evaluations:
          - name: e
            dataset: {{csv: t.csv, task: binary, label: y}}
            models: [{{name: m, scores: s}}]
            tests: [{{metric: accuracy}}]
    """)
    write_act(tables[AUDIT], Act("run"))
    # All is older than 90 days, whenever the tests run.
    said = engine.maintain(suite, dry_run=True)
    assert expired(said)["reports"] == 2
    assert expired(said)["predictions"] == 9, "what no state names: they are old by now"
    assert expired(engine.maintain(suite, days=100_000, dry_run=True))["predictions"] == 4
    said = engine.maintain(suite, days=100_000, prediction_days=0, report_days=1e5, dry_run=True)
    assert expired(said) | {"audit": 0} == expired(said)
    assert (expired(said)["predictions"], expired(said)["reports"]) == (9, 0)
    acts = read_acts(tables[AUDIT])
    assert [act.command for act in acts] == ["run", "maintain", "maintain", "maintain"]
    assert acts[1].about["dry_run"] is True
    assert acts[1].about["expired"]["reports"] == 2
