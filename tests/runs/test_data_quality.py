"""`data_quality` in whole runs: every sink, nothing new, rows that came and went, judged again."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from engine.execution import evaluate
from tests.fixtures.desk import Desk
from tests.fixtures.desk import cells_of as cells_by
from tests.fixtures.tables import delete_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

SCANNED: dict[str, Any] = {
    "not_null": ["age"],
    "range": {"age": [18, 79], "at": ["2026-01-01", None]},
    "allowed": {"country": ["DE", "FR", "US"]},
    "pattern": {"device": "ios|w.b"},
    "type": {"device": "integer"},
    "row_count": [100, None],
}
ASKED: dict[str, Any] = {
    "unique": "id",
    "determined_by": {"device": "country"},
    "not_constant": "all",
    "row_change": [-0.5, 0.5],
    "freshness": {"at": "2 d"},
}
KEY = ["test", "slice"]


def append(desk: Desk, rows: pd.DataFrame) -> None:
    desk.append(rows.assign(at=pd.Timestamp("2026-03-01", tz="UTC")))


def cells_of(result: RunResult) -> pd.DataFrame:
    return cells_by(result, KEY)


@pytest.fixture(scope="module")
def desk(
    world: Any,
    spark: SparkSession,
    evaluated: Callable[..., RunResult],
    tmp_path_factory: pytest.TempPathFactory,
) -> Desk:
    tests = [
        {"data_quality": SCANNED, "max_share": 0.05, "name": "quality"},
        {"data_quality": ASKED, "max_share": 0.05, "name": "rows", "slices": ["overall"]},
    ]
    folder = tmp_path_factory.mktemp("quality")
    desk = Desk(world, spark, folder, evaluated, {"tests": tests})
    append(desk, world.rows[:400])
    return desk


@pytest.fixture(scope="module")
def first(desk: Desk) -> RunResult:
    return desk.run(desk.suite(), run_id="first")


def test_cells_are_those_of_the_table_without_a_model(desk: Desk, first: RunResult) -> None:
    rows, cells = desk.world.rows[:400], cells_of(first)
    assert set(cells["model"]) == {""}
    whole = cells.xs("overall", level="slice")
    assert whole.loc["quality not_null(age)", "value"] == pytest.approx(rows["age"].isna().mean())
    age = rows["age"].dropna()
    assert whole.loc["quality range(age)", "value"] == pytest.approx(
        ((age < 18) | (age > 79)).sum() / 400
    )
    assert whole.loc["quality allowed(country)", "value"] == pytest.approx(
        (rows["country"] == "XX").mean()
    )
    assert whole.loc["quality type(device)", "value"] == 1.0
    assert whole.loc["quality row_count", ["value", "condition"]].tolist() == [400, "min 100"]
    assert whole.loc["rows row_change", "verdict"] == "INCONCLUSIVE"
    assert "no version before" in whole.loc["rows row_change", "reason"]
    fresh = whole.loc["rows freshness(at)"]
    hours = (fresh["started_at"] - pd.Timestamp("2026-03-01", tz="UTC")).total_seconds() / 3600
    assert fresh["value"] == pytest.approx(hours, abs=1e-3)
    assert fresh["condition"] == "max 48"
    assert "rows not_constant(f0)" in whole.index
    assert first.outcome.gate.outcome.value == "failed"


def test_every_sink_tells_of_it(desk: Desk, first: RunResult) -> None:
    folder = desk.folder / "store" / "reports" / "first"
    page = (folder / "index.html").read_text(encoding="utf-8")
    for text in ("Data quality", "bad rows", "the data", "quality type(device)", "100.00%"):
        assert text in page, text
    suites = ET.parse(folder / "junit.xml").getroot().findall("testsuite")
    names = [case.get("name", "") for suite in suites for case in suite]
    assert any("type(device)" in name for name in names)

    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{desk.folder / 'store' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("desk")
    runs = client.search_runs([experiment.experiment_id])
    assert any("quality not_null_age_" in run.data.metrics for run in runs)


def test_nothing_new_is_neither_scanned_nor_asked(
    desk: Desk, first: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("a question was asked again")

    tracker = desk.spark.sparkContext.statusTracker()
    jobs = set(tracker.getJobIdsForGroup(None))
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "answer_questions", refuse)
        again = desk.run(desk.suite(), run_id="again")
    assert set(tracker.getJobIdsForGroup(None)) == jobs, "Spark had nothing to do"
    ours, theirs = cells_of(again), cells_of(first)
    others = [name for name in ours.index if "freshness" not in name[0]]
    assert ours.loc[others, "value"].equals(theirs.loc[others, "value"])
    old = ("rows freshness(at)", "overall")
    assert ours.loc[old, "value"] > theirs.loc[old, "value"], "the clock goes on"


def test_a_run_is_judged_again_by_its_own_clock(desk: Desk, first: RunResult) -> None:
    from engine import judge

    store = str(desk.folder / "store")
    loose = desk.suite()
    scanned, asked = loose["evaluations"][0]["tests"]
    asked["data_quality"] = {**ASKED, "freshness": {"at": "90000 d"}, "row_change": [-1, None]}
    scanned["max_share"] = asked["max_share"] = 1
    judged = judge("first", suite=desk.world.write("loose", loose), store=store)
    assert cells_of(judged)["value"].equals(cells_of(first)["value"])
    assert judged.outcome.gate.outcome.value == "passed"


def test_rows_that_came_and_went_give_what_all_rows_give(desk: Desk, first: RunResult) -> None:
    append(desk, desk.world.rows[380:430])
    delete_rows(desk.table, "id < 40")
    night = desk.run(desk.suite(), run_id="night")
    anew = desk.run(desk.suite(reuse=False), run_id="anew")
    ours, theirs = cells_of(night), cells_of(anew)
    assert ours.index.equals(theirs.index)
    others = [name for name in ours.index if "freshness" not in name[0]]
    for column in ("value", "ci_low", "ci_high", "n"):
        left, right = (frame.loc[others, column].to_numpy(float) for frame in (ours, theirs))
        assert left == pytest.approx(right, rel=1e-9, abs=1e-12, nan_ok=True), column
    rows = pd.concat([desk.world.rows[40:400], desk.world.rows[380:430]])
    whole = ours.xs("overall", level="slice")
    repeated = rows.duplicated("id", keep=False)
    assert whole.loc["rows unique(id)", "value"] == pytest.approx(repeated.mean())
    assert whole.loc["quality not_null(age)", "value"] == pytest.approx(rows["age"].isna().mean())
    change = whole.loc["rows row_change"]
    assert change["value"] == pytest.approx(410 / 450 - 1) and change["verdict"] == "PASS"
    assert np.isfinite(whole["n"]).all()
