"""MLflow's tables in a new SQLite file.

MLflow makes them in some hundred steps, seconds of a run in a new store. What an MLflow makes is
the same each time, so a file as it is at first is kept in the user's cache by MLflow's version.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from engine.core.locks import sole_writer
from engine.core.paths import user_cache
from engine.models.mlflow_client import database_path, quiet


def make_database(tracking_uri: str) -> None:
    """Makes MLflow's tables for an SQLite URI that has no file yet; does nothing for other URIs.

    Two processes disturb each other while they make them, and of those of one that is killed a part
    is left that MLflow refuses for ever. So they are made elsewhere, by one process at a time, and
    put in place when they are whole.
    """
    database = database_path(tracking_uri)
    if database is None or database.exists():
        return
    database = database.absolute()
    with sole_writer(database):
        if database.exists():
            return
        begun = database.with_name(f".{database.name}.begun")
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        new_database, template = begun / database.name, _template_file()
        if not _copy_template(template, new_database):
            new_database.unlink(missing_ok=True)
            _make_tables(new_database)
            _keep_template(new_database, template)
        new_database.replace(database)
        shutil.rmtree(begun, ignore_errors=True)


def _make_tables(database: Path) -> None:
    from mlflow import MlflowClient

    with quiet("mlflow.store.db.utils"):
        MlflowClient(f"sqlite:///{database}").search_experiments(max_results=1)


def _template_file() -> Path:
    return user_cache() / f"mlflow-{version('mlflow')}.db"


def _default_location() -> str:
    """Where MLflow has the files of its experiment `Default`: below the working directory."""
    return str(Path.cwd() / "mlruns" / "0")


def _copy_template(template: Path, target: Path) -> bool:
    """Copies the tables of an earlier time, with what is of this one; tells whether that went."""
    now = int(time.time() * 1000)
    try:
        shutil.copyfile(template, target)
        with contextlib.closing(sqlite3.connect(target)) as copied, copied:
            is_whole = copied.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            changed = copied.execute(
                "UPDATE experiments SET artifact_location = ?, creation_time = ?, "
                "last_update_time = ? WHERE experiment_id = 0",
                (_default_location(), now, now),
            )
            return is_whole and changed.rowcount == 1
    except (OSError, sqlite3.Error):
        return False


def _keep_template(database: Path, template: Path) -> None:
    """Keeps new tables for other stores; where they cannot be kept that costs nothing but time."""
    with contextlib.suppress(OSError, sqlite3.Error):
        with contextlib.closing(sqlite3.connect(database)) as made_now:
            places = made_now.execute("SELECT artifact_location FROM experiments").fetchall()
        if places != [(_default_location(),)]:
            return
        template.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=template.parent) as folder:
            copied = Path(folder) / template.name
            shutil.copyfile(database, copied)
            copied.replace(template)
