"""Who did what, and what is forgotten: a run with keys that stand nowhere else, then its end."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

import engine
from engine.cli.app import app
from engine.core.locations import Store
from engine.core.locks import sole_process
from engine.core.vocabulary import RunInfo
from engine.delta.local_table import LocalTable
from engine.errors import InputError
from engine.spark.lazy_session import LazySession
from engine.spark.spark_table import SparkTable
from engine.store.runs import start_run
from engine.store.tables import StoreTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.fixtures.receiver import Receiver

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

# The least key of all: statistics of files name it.
CANARY = "AA, canary & key 7041776193"
SHORT = "7"


@pytest.fixture(scope="module")
def suite(world: Any, small: Callable[..., dict[str, Any]], tmp_path_factory: Any) -> Any:
    """A suite whose bad rows are shown by their keys, and whose predictions are kept."""
    folder = tmp_path_factory.mktemp("access")
    rows = world.few.dropna(subset=["fraud"])[:200].copy()
    rows["id"] = [f"row {number}" for number in range(len(rows))]
    rows.iloc[0, rows.columns.get_loc("id")] = CANARY
    rows.iloc[1, rows.columns.get_loc("id")] = SHORT
    rows["age"] = 30.0
    rows.iloc[:3, rows.columns.get_loc("age")] = 500.0
    rows["fraud"] = rows["fraud"].astype("int64")
    rows["contact"] = [f"person{number}@example.org" for number in range(len(rows))]
    rows["secret"] = [f"SECRET-CANARY-{number}-YRANAC" for number in range(len(rows))]
    rows.iloc[5, rows.columns.get_loc("secret")] = None
    write_deltalake(str(folder / "people"), pa.Table.from_pandas(rows, preserve_index=False))
    return small(
        reuse=True,
        store=str(folder / "store"),
        predictions="keep",
        dataset={"delta": str(folder / "people"), "version": 0, "sensitive": ["secret"]},
        tests=[
            {"metric": "accuracy"},
            {"data_quality": {"range": {"age": [0, 120]}}, "show_keys": 5},
        ],
    )


@pytest.fixture(scope="module")
def store(suite: dict[str, Any], evaluated: Callable[..., Any]) -> Path:
    """The store of its run, which another system was told of as well."""
    told = Path(suite["store"]).parent / "lineage.jsonl"
    suite["telemetry"] = {"openlineage": told.as_uri()}
    result = evaluated(suite, "access", run_id="night")
    assert result.exit_code == 0
    return Path(suite["store"])


def holding(store: Path, value: str) -> set[str]:
    """The parts of a store of which a file has the bytes of a value, also in Parquet's pages."""
    held = set()
    for file in store.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        if file.suffix == ".parquet":
            content += json.dumps(
                pq.read_table(file).to_pylist(), default=str, ensure_ascii=False
            ).encode()
        for form in (value, value.replace("&", "&amp;"), value.replace("&", "&#38;")):
            if form.encode() in content:
                held.add(file.relative_to(store).parts[0])
    return held


def test_a_run_is_in_the_audit_table_with_what_left_the_store(store: Path) -> None:
    (act,) = engine.audit(store=str(store))
    assert (act.command, act.run_id, act.outcome) == ("run", "night", "passed")
    assert act.about["datasets"] == ["people version 0"]
    left = {item.what: item.to for item in act.departures}
    assert left["OpenLineage events"] == str(store.parent / "lineage.jsonl")
    assert "keys of bad rows" in left
    out = CliRunner().invoke(app, ["audit", "--store", str(store), "--json"]).stdout
    assert CANARY not in out


def test_a_plan_tells_which_columns_look_personal(
    store: Path, suite: dict[str, Any], world: Any
) -> None:
    path = str(world.write("look", suite))
    told = CliRunner().invoke(app, ["plan", path])
    assert told.exit_code == 0, told.output
    assert told.stderr.count("look like") == 1
    assert "few: column `contact`: 100% of " in told.stderr
    assert "say `sensitive: [contact]` or `public: [contact]`" in told.stderr
    assert "@" not in told.output
    assert engine.audit(store=str(store))[-1].command == "plan"
    quiet = "evaluations.few.dataset.public=[contact]"
    assert "personal" not in CliRunner().invoke(app, ["plan", path, "--set", quiet]).stderr
    (planned,) = engine.plan(path, overrides=[quiet])
    assert planned.personal == ()


def test_a_report_that_is_written_elsewhere_has_left_the_store(store: Path) -> None:
    out = store.parent / "judged"
    done = CliRunner().invoke(
        app, ["judge", "--store", str(store), "night", "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert (out / "index.html").is_file()
    judged, written = engine.audit(store=str(store), act="judge")
    assert (judged.outcome, judged.run_id, judged.departures) == ("passed", "night", ())
    assert [item.to for item in written.departures] == [str(out)]
    shutil.rmtree(out)


def test_no_value_of_a_sensitive_column_is_told(
    store: Path,
    suite: dict[str, Any],
    evaluated: Callable[..., Any],
    world: Any,
    receiver: Receiver,
    leaks: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a run that fails, of whose end everybody is told, and in the papers about its model."""
    monkeypatch.setenv("HOOK", f"{receiver.url}/hook/PATH-SECRET?token=QUERY-SECRET")
    folder = store.parent / "told"
    folder.mkdir()
    (evaluation,) = suite["evaluations"]
    told = {
        **suite,
        "name": "told",
        "store": str(folder / "store"),
        "mlflow": {"tracking_uri": world.tracking_uri},
        "notify": [{"webhook": "${HOOK}", "on": ["failed"]}],
        "telemetry": {
            "openlineage": (folder / "lineage.jsonl").as_uri(),
            "prometheus": str(folder / "metrics.prom"),
        },
        "evaluations": [
            {
                **evaluation,
                "models": [{"uri": "models:/claims/2"}],
                "tests": [
                    {"metric": "accuracy"},
                    {"data_quality": {"not_null": ["secret"]}, "max_share": 0, "show_keys": 5},
                ],
            }
        ],
    }
    result = evaluated(told, "told")
    assert result.exit_code == 1
    papers = engine.card("claims/2", suite=world.write("told", told), out=folder / "papers")
    assert Path(papers.files["card"]).is_file()
    assert len(receiver.requests) == 1
    search = leaks("SECRET-CANARY", "-YRANAC", "PATH-SECRET", "QUERY-SECRET")
    assert search.in_folder(folder) == []
    assert search.in_text("the notice", receiver.requests[0][2].decode()) == []
    run, card = engine.audit(store=told["store"])
    assert (run.command, run.outcome, card.command) == ("run", "failed", "card")
    left = {item.what: item.to for item in (*run.departures, *card.departures)}
    assert left == {
        "metrics, tags, the report and the results": f"MLflow at {world.store / 'mlflow.db'}",
        "OpenLineage events": str(folder / "lineage.jsonl"),
        "metrics (Prometheus)": str(folder / "metrics.prom"),
        "a notice (failed)": "the webhook ${HOOK}",
        "keys of bad rows": "results, reports and MLflow",
        "a model card and its papers": str(folder / "papers"),
    }


def test_a_key_is_forgotten_everywhere(
    store: Path, suite: dict[str, Any], evaluated: Callable[..., Any], world: Any
) -> None:
    before = holding(store, CANARY)
    assert {"predictions", "results", "states", "reports", "artifacts"} <= before
    log = (store / "predictions" / "_delta_log").glob("*.json")
    assert not any(CANARY in file.read_text() for file in log), "statistics of keys"
    (store / "logs").mkdir(exist_ok=True)
    served = store.parent / "served"
    served.mkdir()
    for log in (store / "logs" / "served.log", served / "a.log"):
        log.write_text(f'asked for {{"id": "{CANARY}"}} and id=77\n')
    cells = engine.results(store=str(store), run="night")
    keys = ["--key", json.dumps({"id": CANARY}), "--key", f"id={SHORT}"]
    done = CliRunner().invoke(app, ["forget", "--store", str(store), *keys, "--logs", str(served)])
    assert done.exit_code == 0, done.output
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines["predictions"] == "2 rows"
    assert lines["results"] == "1 cells that showed a key"
    assert lines["states"] == "1 answers that had a key"
    assert lines["reports"].startswith("1 reports")
    assert lines["mlflow"].startswith("4 files")
    assert lines["logs"] == "1 values written over"
    assert lines["other logs"] == "1 values written over"
    assert "OpenLineage events to" in done.stderr

    assert holding(store, CANARY) == set()
    assert holding(store.parent / "served", CANARY) == set()
    assert "and id=77" in (served / "a.log").read_text()
    after = engine.results(store=str(store), run="night")
    (told,) = [text for text in after["reason"] if "keys " in text]
    assert "keys (forgotten), (forgotten), row 2" in told or told.count("(forgotten)") == 2
    same = [name for name in cells.columns if name != "reason"]
    assert after[same].equals(cells[same])
    page = (store / "reports" / "night" / "index.html").read_text()
    assert "(forgotten)" in page
    assert (
        "(forgotten)" in (store / "reports" / "night" / "junit.xml").read_text() or "row 2" in page
    )

    (act,) = engine.audit(store=str(store), act="forget")
    assert act.about["keys"] == 2
    assert act.about["reached"]["predictions"] == 2
    # The run still answers, and the next one predicts no row but those two, and finds the same.
    assert evaluated(suite, "access", run_id="night").exit_code == 0
    again = evaluated(suite, "access", run_id="next")
    assert again.exit_code == 0
    assert engine.forget([f"id={SHORT}"], store=str(store)) == 0


def test_spark_revises_rows_as_this_machine_does(spark: SparkSession, tmp_path: Path) -> None:
    rows = pa.table({"run_id": ["a", "b'\\", "c"], "reason": ["x", "x", "x"], "n": [1, 2, 3]})
    for path, table in (
        (tmp_path / "local", LocalTable(tmp_path / "local")),
        (tmp_path / "spark", SparkTable(spark, str(tmp_path / "spark"))),
    ):
        write_deltalake(str(path), rows)

        def change(old: pa.Table) -> pa.Table:
            return old.set_column(1, "reason", pa.array(["y"] * old.num_rows))

        table.revise([("run_id", "in", ["a", "b'\\"])], change)
        table.revise([("run_id", "=", "none")], change)
        assert sorted(tuple(row.values()) for row in table.rows().to_pylist()) == [
            ("a", "y", 1), ("b'\\", "y", 2), ("c", "x", 3)
        ]  # fmt: skip


def test_nothing_is_forgotten_while_a_run_goes_on(store: Path) -> None:
    table = StoreTables(Store(str(store)), LazySession())["runs"]
    info = RunInfo("late", "small", dt.datetime.now(dt.UTC), str(store), "name: small", {}, "")
    start_run(table, info, "[]")
    try:
        with (
            sole_process(store, "late"),
            pytest.raises(InputError, match="the run 'late' is going on"),
        ):
            engine.forget(["id=1"], store=str(store))
    finally:
        table.delete([("run_id", "=", "late")])
