"""MLflow's tables in a new file: copied from an earlier time, they are those that MLflow makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.models import mlflow_tables
from engine.models.mlflow_client import client_of, find_experiment
from engine.models.mlflow_tables import make_database


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The file of a new store, made by a process that works in the store's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        make_database(f"sqlite:///{folder / 'mlflow.db'}")
        return folder / "mlflow.db"

    return make


def content(database: Path) -> tuple[list[object], dict[str, list[object]]]:
    """What makes the tables, and their rows; of an experiment but the times, which come last."""
    with closing(sqlite3.connect(database)) as read:
        schema = read.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        names = [name for kind, name, _ in schema if kind == "table"]
        rows = {name: read.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    rows["experiments"] = [row[:4] for row in rows["experiments"]]
    return schema, rows


@pytest.fixture
def made_by_mlflow(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose tables MLflow itself has made."""
    files: list[Path] = []
    make = mlflow_tables._make_tables

    def note(database: Path) -> None:
        files.append(database)
        make(database)

    monkeypatch.setattr(mlflow_tables, "_make_tables", note)
    return files


def test_a_copy_is_what_mlflow_makes(
    places: Callable[[str], Path], made_by_mlflow: list[Path]
) -> None:
    first, second = places("first"), places("second")
    assert len(made_by_mlflow) == 1, "once for all stores"
    (schema, rows), (own_schema, own) = content(first), content(second)
    assert schema == own_schema and len(rows) > 20
    place = [(0, "Default", f"{first.parent}/mlruns/0", "active")]
    assert rows.pop("experiments") == place
    assert own.pop("experiments") == [
        (0, "Default", f"{second.parent}/mlruns/0", "active"),
    ]
    assert rows == own
    client = client_of(f"sqlite:///{second}")
    number = find_experiment(client, "nightly", (second.parent / "artifacts").as_uri())
    run = client.create_run(number)
    client.log_metric(run.info.run_id, "accuracy", 0.5)
    assert client.get_run(run.info.run_id).data.metrics == {"accuracy": 0.5}


@pytest.mark.parametrize("damage", ["other", "no row", "half"])
def test_a_damaged_copy_is_made_anew(
    places: Callable[[str], Path],
    made_by_mlflow: list[Path],
    empty_database: Path,
    damage: str,
) -> None:
    template = mlflow_tables._template_file()
    template.parent.mkdir(parents=True)
    whole = empty_database.read_bytes()
    half = whole[: len(whole) // 2 // 4096 * 4096]
    template.write_bytes({"other": b"no database", "half": half}.get(damage, whole))
    if damage == "no row":
        with closing(sqlite3.connect(template)) as changed, changed:
            changed.execute("DELETE FROM experiments")
    assert [row[1] for row in content(places("first"))[1]["experiments"]] == ["Default"]
    places("second")
    assert len(made_by_mlflow) == 1, "the new one is kept"


def test_a_cache_that_cannot_be_written_costs_time_alone(
    places: Callable[[str], Path],
    made_by_mlflow: list[Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "cache").write_text("a file")
    assert content(places("first"))[1]["alembic_version"]
    assert len(made_by_mlflow) == 1
