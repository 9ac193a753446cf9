"""No JVM is started by what reads no row, nor by planning: a look at rows needs none."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

LOOK = """
import json, os, sys
from pathlib import Path
import engine
from engine.core.locations import Store

suite, store, out = sys.argv[1:]

def jvms():
    context = getattr(sys.modules.get("pyspark.core.context"), "SparkContext", None)
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    java = [pid for pid in children if "java" in Path(f"/proc/{pid}/cmdline").read_text()]
    return len(java) + (getattr(context, "_gateway", None) is not None)

def told(name, value):
    print(json.dumps({"command": name, "jvms": jvms(), "value": value}), flush=True)

"""
SCRIPT = (
    LOOK
    + """
told("results", len(engine.results(store=store)))
told("pyspark", "pyspark" in sys.modules)
told("mlflow", "mlflow" in sys.modules)
told("explain", engine.explain("latest", "0", store=store))
told("report", str(engine.report(store=store, out=out)))
told("judge", engine.judge(store=store).exit_code)
told("plan", engine.plan(suite)[0].predictions)
again = engine.run(suite)
told("run", [again.exit_code, len(again.outcome.cells), again.tracking_error])
told("resume", engine.run(suite, resume=again.run_id).exit_code)
told("sync", [run.state.value for run in engine.sync(store=store).runs])
told("forget", engine.forget(["id=1"], store=store))
told("maintain", [done.table for done in engine.maintain(store=store)])
told("results again", len(engine.results(store=store, run=again.run_id)))
"""
)
# A version that nobody has looked at, and one to which rows were appended since.
NEW = (
    LOOK
    + """
import deltalake
table = str(Path(suite).parent / "claims")
rows = deltalake.DeltaTable(out).to_pyarrow_table()
deltalake.write_deltalake(table, rows.slice(0, 300))
(first,) = engine.plan(suite)
told("first", [first.plan.dataset.rows, first.rows])
deltalake.write_deltalake(table, rows.slice(300), mode="append")
(second,) = engine.plan(suite)
told("second", [second.plan.dataset.rows, second.rows])
told("edges", [len(one.dimensions[0].edges) for one in second.plan.slice_sets[1:2]])
told("trivial", [model.trivial_kind for model in second.plan.trivial])
"""
)
ASK = (
    LOOK
    + """
asked = engine.run(suite)
told("asked", [asked.exit_code, sorted(cell.test.name for cell in asked.outcome.cells)])
told("frameworks", sorted({"sklearn", "skops", "torch", "tensorflow"} & set(sys.modules)))
"""
)


def told_by(script: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """What a script tells in a process of its own, in which no JVM may be started."""
    file = folder / "look.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, str(file), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["command"]: line["jvms"] for line in lines} == {
        line["command"]: 0 for line in lines
    }
    return {line["command"]: line["value"] for line in lines}


def test_looks_and_nights_with_nothing_new_start_no_jvm(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> None:
    suite = small(
        reuse=True,
        store=str(tmp_path / "store"),
        predictions="keep",
        models=[{"uri": world.model("good")}, {"uri": world.model("other")}],
        slices=["overall", {"by": ["country"]}, {"quantiles": {"f0": 3}}],
        tests=[{"metric": "accuracy"}, {"metric": "f1", "min": 0.1}],
    )
    first = evaluated(suite, "quiet")
    path = world.write("quiet", suite)
    values = told_by(SCRIPT, tmp_path, str(path), suite["store"], str(tmp_path / "out"))
    cells = len(first.outcome.cells)
    assert values["results"] == values["results again"] == cells > 0
    assert values["pyspark"] is values["mlflow"] is False, "the results table needs neither"
    assert "accuracy" in values["explain"]
    assert (tmp_path / "out" / "index.html").is_file()
    assert values["judge"] == values["resume"] == first.exit_code
    assert values["plan"] == 0
    assert values["run"] == [first.exit_code, cells, None]
    assert values["sync"] == ["there", "there"]
    assert values["forget"] == 2
    assert values["maintain"] == ["states", "predictions", "results", "runs", "audit"]


def test_a_version_that_is_new_is_planned_without_a_jvm(
    world: Any, small: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    suite = small(
        dataset={"delta": str(tmp_path / "claims"), "version": "latest", "weight": "w"},
        reference={"delta": world.table("few")},
        store=str(tmp_path / "store"),
        models=[{"uri": world.model("good")}, {"uri": world.model("other")}],
        slices=["overall", {"quantiles": {"f0": 3}}, {"by": ["country"]},
                {"name": "old", "where": "age > 40 AND country IS NOT NULL"}],
        tests=[{"metric": "accuracy"}, {"drift": "psi", "max": 0.1},
               {"baseline_models": ["majority", "stump"], "metric": "accuracy", "min_gain": 0}],
    )  # fmt: skip
    path = tmp_path / "suite.yml"
    path.write_text(world.write("new", suite).read_text())
    values = told_by(NEW, tmp_path, str(path), suite["store"], world.table("few"))
    assert values["first"] == [300, 700]
    assert values["second"] == [400, 800]
    assert values["edges"] == [2]
    assert values["trivial"] == ["majority", "stump"]


def test_new_questions_of_a_version_that_is_known_start_no_jvm(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> None:
    tests: list[dict[str, Any]] = [{"metric": "accuracy"}]
    suite = small(reuse=True, store=str(tmp_path / "store"), tests=tests)
    evaluated(suite, "known")
    suite["evaluations"][0]["tests"] = [*tests, {"data_quality": {"unique": "id"}}]
    path = world.write("asks", suite)
    values = told_by(ASK, tmp_path, str(path), suite["store"], str(tmp_path / "out"))
    assert values["asked"] == [0, ["accuracy", "data_quality unique(id)"]]


def test_kept_predictions_are_joined_without_a_jvm(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> None:
    def asked(*slices: Any, **over: Any) -> dict[str, Any]:
        return small(
            reuse=True,
            store=str(tmp_path / "store"),
            predictions="keep",
            slices=["overall", *slices],
            **over,
        )

    evaluated(asked(), "keeps")
    assert sum(world.journal("good")) > 0
    world.forget("good")
    more = asked({"by": ["country"]}, checkpoint_rows=150)
    path = world.write("joins", more)
    values = told_by(ASK, tmp_path, str(path), str(tmp_path / "store"), str(tmp_path / "out"))
    assert values["asked"][0] == 0 and len(values["asked"][1]) > 1
    assert values["frameworks"] == [], "models are opened where rows are scanned"
    assert sum(world.journal("good")) == 0, "each row's prediction was kept"


def test_kept_profiles_and_pictures_are_found_again_and_may_be_damaged(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> None:
    suite = small(
        reuse=True,
        store=str(tmp_path / "store"),
        slices=["overall", {"quantiles": {"f0": 3}}],
        tests=[{"metric": "accuracy"}, {"metric": "precision"}],
    ) | {"executor": "local"}
    first = evaluated(suite, "kept")
    cache = tmp_path / "store" / "cache"
    kept = sorted((cache / "profiles").glob("*.json"))
    profiles = [file for file in kept if isinstance(json.loads(file.read_text()), dict)]
    assert len(profiles) == 2, "that of the version, and what the next one adds to"
    assert len(kept) == 3, "and which columns look personal"
    pictures = sorted((cache / "pictures").glob("*.json"))
    assert len(pictures) == 2, "those of the page, and those for MLflow"
    page = (tmp_path / "store" / "reports" / first.run_id / "index.html").read_text()
    again = evaluated(suite, "kept")
    assert sorted((cache / "pictures").glob("*.json")) == pictures
    for file in (*kept, *pictures):
        file.write_text("{")
    third = evaluated(suite, "kept")
    assert {400} == {json.loads(file.read_text()).get("rows", 400) for file in profiles}, (
        "they were made again"
    )
    reports = tmp_path / "store" / "reports"
    found, drawn = (
        re.findall(
            '<svg role="img".*?</svg>', (reports / run_id / "index.html").read_text(), re.DOTALL
        )
        for run_id in (again.run_id, third.run_id)
    )
    assert found == drawn and len(found) == page.count('<svg role="img"') > 0
    figures = ["slice", "test", "n", "value", "ci_low", "ci_high", "verdict"]
    assert third.table.select(figures).equals(first.table.select(figures))
