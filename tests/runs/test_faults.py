"""Disks that are full or read-only, data that vanish or are damaged while a run goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]

Suites = Callable[..., dict[str, Any]]
Command = Callable[..., Any]

KEY = ["evaluation", "model", "slice", "test"]
SAME = ["value", "n", "weight_sum", "verdict", "reason", "dataset_version"]


@pytest.fixture
def two(world: Any, small: Suites, tmp_path: Path) -> Callable[[Path], dict[str, Any]]:
    """A suite of two evaluations, the second of which has a table of its own."""

    def make(store: Path) -> dict[str, Any]:
        table = tmp_path / "table"
        if not table.exists():
            shutil.copytree(world.table("few"), table)
        slices = ["overall", {"by": ["device"]}]
        first = small(name="first", slices=slices, store=str(world.make_store(store)))
        second = small(
            name="second",
            dataset={"delta": str(table)},
            models=[{"uri": world.model("other")}],
            slices=slices,
        )
        for name in ("good", "other"):
            world.forget(name)
        return first | {"evaluations": [*first["evaluations"], *second["evaluations"]]}

    return make


@pytest.fixture(scope="module")
def undisturbed(
    world: Any, small: Suites, evaluated: Callable[..., Any], tmp_path_factory: Any
) -> pd.DataFrame:
    """What both evaluations give where nothing happens."""
    slices = ["overall", {"by": ["device"]}]
    first = small(name="first", slices=slices)
    second = small(name="second", models=[{"uri": world.model("other")}], slices=slices)
    made = first | {"evaluations": [*first["evaluations"], *second["evaluations"]]}
    frame: pd.DataFrame = evaluated(made, "faultless").to_pandas()
    return frame.set_index(KEY).sort_index()


def fails(
    world: Any,
    command: Command,
    suite: dict[str, Any],
    run_id: str,
    *words: str,
    going_on: str = "--run-id",
) -> str:
    """Runs a suite that must fail, with these words and the way to go on in its message."""
    found = command("run", world.write(run_id, suite), going_on, run_id)
    assert found.exit_code == 4, found.stderr
    message = str(found.stderr[found.stderr.index("evalmatrix: ") :])
    assert found.stdout == ""
    lacking = [word for word in (*words, f"--resume {run_id}") if word not in message]
    assert not lacking, f"{lacking} not in: {message}"
    return message


def completes(
    world: Any, command: Command, undisturbed: pd.DataFrame, store: Path, run_id: str
) -> None:
    """Resumes a run, which ends as if nothing had been."""
    stopped = command("results", "--store", store, "--run", run_id)
    assert stopped.exit_code == 2 and "was stopped before it was finished" in stopped.stderr
    found = command("run", world.folder / "suites" / f"{run_id}.yml", "--resume", run_id)
    assert found.exit_code == 0, found.stderr
    from engine import results

    mine = results(store=str(store), run=run_id).set_index(KEY).sort_index()
    assert not mine.index.duplicated().any()
    assert mine[SAME].equals(undisturbed[SAME])


def test_a_disk_that_fills_up_under_a_run(
    world: Any,
    two: Callable[[Path], dict[str, Any]],
    command: Command,
    undisturbed: pd.DataFrame,
    disk: Path,
) -> None:
    store = disk / "store"
    suite = two(store)
    world.hook("other", f"dd if=/dev/zero of={disk}/filler bs=64k")
    fails(world, command, suite, "full", "No space left on device", str(store / "states"))
    first = sum(world.journal("good"))
    (disk / "filler").unlink()
    completes(world, command, undisturbed, store, "full")
    assert sum(world.journal("good")) == first, "what was finished is not predicted again"


@pytest.mark.soak
def test_the_disk_of_the_temporary_files_fills_up_under_a_run(
    world: Any,
    two: Callable[[Path], dict[str, Any]],
    command: Command,
    undisturbed: pd.DataFrame,
    disk: Path,
    tmp_path: Path,
    root: Path,
) -> None:
    """In a process of its own, as Spark chooses that disk when it starts."""
    store = tmp_path / "store"
    suite = world.write("cramped", two(store))
    world.hook("other", f"dd if=/dev/zero of={disk}/filler bs=4k")
    ours = {"TMPDIR": str(disk), "PYTHONPATH": str(root), "PYSPARK_PYTHON": sys.executable}
    run = [sys.executable, "-m", "engine.cli.app", "run", str(suite), "--run-id", "cramped"]
    found = subprocess.run(run, capture_output=True, text=True, check=False, env=os.environ | ours)
    assert found.returncode == 4, found.stderr
    for words in ("No space left on device", "temporary files", "--resume cramped"):
        assert words in found.stderr
    first = sum(world.journal("good"))
    (disk / "filler").unlink()
    completes(world, command, undisturbed, store, "cramped")
    assert sum(world.journal("good")) == first, "what was finished is not predicted again"


def freeze(folder: Path) -> str:
    """A command after which nothing can be written to a folder, whoever has it open."""
    return f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"


def test_a_disk_that_becomes_read_only(
    world: Any,
    two: Callable[[Path], dict[str, Any]],
    command: Command,
    undisturbed: pd.DataFrame,
    disk: Path,
) -> None:
    store = disk / "store"
    suite = two(store)
    world.hook("other", freeze(store))
    fails(world, command, suite, "frozen", "Read-only file system", str(store / "states"))
    path = world.write("frozen", suite)
    again = command("run", path, "--resume", "frozen")
    assert again.exit_code == 4
    assert "cannot be written: Read-only file system" in again.stderr
    subprocess.run(["umount", str(store)], check=True)
    completes(world, command, undisturbed, store, "frozen")
    subprocess.run(["sh", "-c", freeze(store)], check=True)
    read = command("results", "--store", store, "--run", "frozen", "--format", "json")
    subprocess.run(["umount", str(store)], check=True)
    assert read.exit_code == 0, read.stderr


def test_a_report_that_finds_no_room_leaves_the_old_one(
    world: Any, small: Suites, evaluated: Callable[..., Any], disk: Path
) -> None:
    from engine.errors import StoreError
    from engine.sinks.files import write_report

    outcome = evaluated(small(), "report").outcome
    folder = disk / "report"
    write_report(outcome, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() >= {"index.html", "junit.xml", "summary.md", "results.parquet"}
    subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler", "bs=4k"], check=False)
    with pytest.raises(StoreError, match=r"No space left on device.*evalmatrix report --run"):
        write_report(outcome, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def data_files(table: Path) -> list[Path]:
    return sorted(table.glob("*.parquet"))


def test_a_table_that_is_vacuumed_under_a_run(
    world: Any,
    two: Callable[[Path], dict[str, Any]],
    command: Command,
    undisturbed: pd.DataFrame,
    spark: SparkSession,
    tmp_path: Path,
) -> None:
    from engine.spark import tables

    store, table, kept = tmp_path / "store", tmp_path / "table", tmp_path / "kept"
    suite = two(store)
    shutil.copytree(table, kept)
    files = data_files(table)
    # Version 2 has the rows of version 1 in another file; only a VACUUM takes those of version 1.
    rows = spark.read.format("delta").load(str(table)).coalesce(1)
    rows.write.format("delta").mode("overwrite").save(str(table))
    tables.vacuum(spark, str(table), 0)
    gone = [path for path in files if not path.exists()]
    assert gone, "VACUUM has removed the files of version 1"
    for path in gone:
        shutil.copy(kept / path.name, path)
    world.hook("good", f"rm {' '.join(map(str, gone))}")

    message = fails(
        world, command, suite, "vacuumed", "evaluation 'second': dataset 'table'", "VACUUM"
    )
    assert "evaluate a newer version" in message or "restore" in message
    predicted = sum(world.journal("good"))
    for path in gone:
        shutil.copy(kept / path.name, path)
    completes(world, command, undisturbed, store, "vacuumed")
    assert sum(world.journal("good")) == predicted


def test_a_data_file_that_is_damaged_under_a_run(
    world: Any,
    two: Callable[[Path], dict[str, Any]],
    command: Command,
    undisturbed: pd.DataFrame,
    tmp_path: Path,
) -> None:
    """First some of its bytes are others, and when the run is resumed, it is cut off."""
    store, table, kept = tmp_path / "store", tmp_path / "table", tmp_path / "kept"
    suite = two(store)
    shutil.copytree(table, kept)
    path = data_files(table)[0]
    told = ("evaluation 'second': dataset 'table'", path.name, "damaged", "restore")
    world.hook("good", f"printf XXXXXXXX | dd of={path} bs=1 seek=200 conv=notrunc")
    fails(world, command, suite, "damaged", *told)
    with path.open("r+b") as file:
        file.truncate(300)
    fails(world, command, suite, "damaged", *told, going_on="--resume")
    shutil.copy(kept / path.name, path)
    completes(world, command, undisturbed, store, "damaged")
