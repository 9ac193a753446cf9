"""Made rows by Spark's workers, and planted effects that a run is to find at their size.

That made rows are the same on both ways is looked at once; the runs are the local executor's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from engine import generate, run
from engine.data.generation.make import Generated, make
from engine.data.generation.recipe import read_recipe
from engine.data.generation.sources import _read_by_spark
from engine.data.source import pin_table
from engine.spark.lazy_session import LazySession
from tests.data.generation.mixed import frame_of, mixed_rows
from tests.data.generation.quiet import show_nothing
from tests.fixtures.tables import read_rows, write_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

ROWS = 20_000
PLANTS: list[dict[str, Any]] = [
    {"drift": {"column": "height", "shift": 0.5}},
    {"drift": {"column": "region", "share": 0.2, "to": "west"}},
    {"broken": {"column": "visits", "share": 0.03}},
    {"broken": {"column": "amount", "share": 0.04, "factor": 1000.0}},
    {"label_noise": {"share": 0.1, "keep": "clean"}},
    {"leakage": {"rows": 40}},
    {"leakage": {"column": "secret", "share": 0.9}},
    {"weak_slice": {"where": {"vip": True}, "error": 0.3, "otherwise": 0.1}},
    {"duplicates": {"rows": 100}},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate")
    source = mixed_rows().drop_columns(["none", "same"])
    write_rows(folder / "source", frame_of(source))
    return folder


class Without(LazySession):
    """No session, though the tests have one."""

    current = None
    shares_disk = True


def make_here(recipe: dict[str, Any]) -> Generated:
    return make(Without(), read_recipe(recipe), show_nothing)


def recipe(
    folder: Path, name: str, plants: list[dict[str, Any]], rows: int = ROWS
) -> dict[str, Any]:
    return {
        "out": str(folder / name), "reference": str(folder / f"{name}-reference"), "rows": rows,
        "seed": 3, "dataset": {"delta": str(folder / "source")}, "label": "label", "key": "id",
        "plant": plants, "closeness": False,
    }  # fmt: skip


def test_workers_make_the_rows_that_this_process_makes(spark: SparkSession, folder: Path) -> None:
    # A whole block and a part of one.
    wanted = recipe(folder, "by-spark", PLANTS, rows=10_000)
    ours = generate(wanted, spark=spark)
    again = generate(wanted, spark=spark)
    here = make_here(recipe(folder, "here", PLANTS, rows=10_000))
    assert (ours.version, again.version, here.version) == (0, 1, 0)
    for suffix in ("", "-reference"):
        tables = [
            read_rows(folder / f"{name}{suffix}").sort_values("id", ignore_index=True)
            for name in ("by-spark", "here")
        ]
        pd.testing.assert_frame_equal(*tables)
    assert here.planted == ours.planted and ours.copies == here.copies


HERE = """
import json, os, sys
from pathlib import Path
import engine

engine.generate(json.loads(sys.argv[1]))
children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
java = [pid for pid in children if "java" in Path(f"/proc/{pid}/cmdline").read_text()]
print(len(java), "pyspark" in sys.modules)
"""


def test_files_are_taken_without_a_jvm_and_give_the_same_rows(
    spark: SparkSession, tmp_path: Path, root: Path
) -> None:
    frame = frame_of(mixed_rows()).loc[:, ["id", "height", "region", "label"]]
    frame.to_csv(tmp_path / "rows.csv", index=False)

    def wanted(name: str) -> dict[str, Any]:
        return {
            "dataset": {"csv": str(tmp_path / "rows.csv")}, "out": str(tmp_path / name),
            "store": str(tmp_path / f"{name}-store"), "rows": 2_000, "seed": 3, "label": "label",
            "key": "id",
        }  # fmt: skip

    generate(wanted("there"), spark=spark)
    done = subprocess.run(
        [sys.executable, "-c", HERE, json.dumps(wanted("here"))],
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 False"
    tables = [
        read_rows(tmp_path / name).sort_values("id", ignore_index=True)
        for name in ("here", "there")
    ]
    assert len(tables[0]) == 2_000
    pd.testing.assert_frame_equal(*tables)


def suite(folder: Path, name: str, tests: list[dict[str, Any]]) -> dict[str, Any]:
    evaluation = {
        "name": name,
        "dataset": {"delta": str(folder / name), "task": "binary", "label": "label", "key": "id"},
        "reference": {"delta": str(folder / f"{name}-reference")},
        "models": [
            {"name": "truth", "predicted": "clean"},
            {"name": "planted", "predicted": "predicted"},
        ],
        "slices": ["overall", {"name": "weak", "where": "vip"}],
        "tests": tests,
    }  # fmt: skip
    top = {"name": name, "store": str(folder / "store"), "executor": "local"}
    return {**top, "evaluations": [evaluation]}


@pytest.fixture(scope="module")
def planted(folder: Path) -> Generated:
    return make_here(recipe(folder, "planted", PLANTS))


@pytest.mark.usefixtures("warm_workers")
def test_a_run_finds_each_planted_effect_at_its_size(folder: Path, planted: Generated) -> None:
    tests, wanted = [], []
    for place, item in enumerate(planted.planted):
        answer, name = item.answer, f"plant {place}"
        assert answer.test is not None
        on = {} if "discover" in answer.test else {"slices": ["overall"]}
        tests.append({**answer.test, **on, "name": name})
        wanted.append((name, next(iter(item.plant)), dict(answer.finds)))
    tests.append({"metric": "accuracy", "name": "weak", "slices": ["weak"]})
    result = run(suite(folder, "planted", tests))
    table = result.table.to_pandas()
    for name, plant, finds in wanted:
        if plant in ("weak_slice", "label_noise"):
            continue
        cells = table[table["test"].str.startswith(name)]
        cells = cells[cells["metric"].isin(finds)]
        assert len(cells) >= 1, (name, plant)
        for cell in cells.itertuples():
            tolerance = max(0.06 * finds[cell.metric], 0.004)
            assert cell.value == pytest.approx(finds[cell.metric], abs=tolerance), cell.test
            assert cell.verdict == "FAIL", (cell.test, cell.reason)
    noise = table[(table["test"] == "plant 4") & (table["model"] == "truth")].iloc[0]
    assert noise["value"] == pytest.approx(0.9, abs=0.01) and noise["verdict"] == "FAIL"
    weak = table[(table["test"] == "weak") & (table["model"] == "planted")].iloc[0]
    assert weak["value"] == pytest.approx(0.7, abs=0.02)
    found = table[(table["slice_kind"] == "discovered") & (table["model"] == "planted")]
    assert found["slice"].tolist() == ["vip=true"]


@pytest.mark.usefixtures("warm_workers")
def test_a_run_finds_nothing_where_nothing_was_planted(folder: Path, planted: Generated) -> None:
    """The tests of what is planted, on rows with the same columns and no effect."""
    keep = {"label_noise": {"share": 0.0, "keep": "clean"}}
    column = {"leakage": {"column": "secret", "share": 0.0}}
    even = {"weak_slice": {"where": {"vip": True}, "error": 0.1, "otherwise": 0.1}}
    make_here(recipe(folder, "sound", [keep, column, even]))
    tests: list[dict[str, Any]] = []
    for place, item in enumerate(planted.planted):
        answer = item.answer
        assert answer.test is not None
        on = {} if "discover" in answer.test else {"slices": ["overall"]}
        tests.append({**answer.test, **on, "name": f"plant {place}"})
    table = run(suite(folder, "sound", tests)).table.to_pandas()
    # The predictions with errors are not the labels: the test of noise is for those that are.
    noise = table["test"].str.startswith("plant 4") & (table["model"] == "planted")
    table = table[~noise]
    assert set(table["verdict"]) <= {"PASS", "INCONCLUSIVE", "RECORDED"}, table[
        ["test", "model", "verdict", "reason"]
    ].to_string()
    assert not (table["slice_kind"] == "discovered").any()


def test_a_table_that_spark_reads_is_sampled_alike_whatever_its_columns_are_called(
    spark: SparkSession, folder: Path
) -> None:
    place = folder / "odd names"
    write_rows(place, frame_of(mixed_rows(3000)).rename(columns={"amount": "a `b.c"}))
    source = pin_table(LazySession(spark), str(place), "latest")
    names = [name for name in source.columns if name != "vip"]
    rows, total = _read_by_spark(source, names, 500)
    again, _ = _read_by_spark(source, names, 500)
    assert (total, rows.num_rows, rows.column_names) == (3000, 500, names)
    assert rows.equals(again)


def test_files_that_are_called_like_a_table_of_the_lake_leave_it_alone(folder: Path) -> None:
    store = folder / "own store"
    write_rows(store / "lake" / "claims", frame_of(mixed_rows(200)))
    files = folder / "files" / "claims.csv"
    files.parent.mkdir()
    frame_of(mixed_rows(300)).drop(columns=["none"]).to_csv(files, index=False)
    made = make_here(
        {"store": str(store), "dataset": {"csv": str(files)}, "rows": 50, "key": "id",
         "out": str(folder / "of files"), "closeness": False},
    )  # fmt: skip
    assert "(300 rows)" in made.source and len(read_rows(folder / "of files")) == 50
    assert len(read_rows(store / "lake" / "claims")) == 200
