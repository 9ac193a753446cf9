"""`evalmatrix forget`: rows' keys, and what was kept by them, erased from a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.audit_trail import note_act
from engine.commands.forget_files import clean_copies, clean_files, clean_reports, tell_beyond
from engine.commands.redacted import redacted
from engine.commands.stored_runs import open_store
from engine.core.locations import DEFAULT_STORE
from engine.core.locks import run_holder
from engine.errors import InputError
from engine.store.audit import Act
from engine.store.forgetting import (
    Reached,
    erase_histories,
    forget_answers,
    forget_cells,
    forget_predictions,
)
from engine.store.row_keys import read_keys
from engine.store.runs import FINISHED
from engine.store.tables import StoreTables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Forgotten(int):
    """How many predictions were erased, as a number; and what else was reached.

    Attributes:
        places: what was reached, by place.
        beyond: what holds, or may hold, a key and could not be reached, a sentence each.
    """

    places: tuple[Reached, ...]
    beyond: tuple[str, ...]

    def __new__(cls, places: Sequence[Reached], beyond: Sequence[str] = ()) -> Forgotten:
        """Counts the predictions among what was reached."""
        number = super().__new__(cls, sum(p.count for p in places if p.place == "predictions"))
        number.places, number.beyond = tuple(places), tuple(beyond)
        return number


@redacted()
def forget(
    keys: Sequence[str],
    *,
    store: str = DEFAULT_STORE,
    logs: Sequence[str] = (),
    spark: SparkSession | None = None,
) -> Forgotten:
    """Erases rows by their keys from what a store keeps, old files too; says what it reached.

    Predictions go; keys that tests of data quality have shown are taken out of results, states,
    reports and MLflow's artifacts on this machine, and written over in logs.

    Args:
        keys: `column=value` (joined by commas where the key has several columns), a JSON object,
            or the value alone where the key has one column.
        store: the store's root.
        logs: files and folders of logs elsewhere, as those of served models.
        spark: the session to use.

    Raises:
        InputError: when nothing is kept, a key is not written so, a log is not there, or a run is
            going on.
        StoreError: when a table cannot be written.
    """
    wanted = read_keys(keys)
    tables = open_store(store, spark)
    _check_kept(tables)
    others = [Path(place) for place in logs]
    for place in others:
        if not place.exists():
            raise InputError(f"found no log at {str(place)!r}, expected a file or a folder")
    _check_idle(tables)
    predictions = forget_predictions(tables["predictions"], wanted)
    cells = forget_cells(tables["results"], wanted)
    answers = forget_answers(tables["states"], wanted)
    logging = erase_histories(tables)
    reports = clean_reports(tables, wanted, cells)
    copies = clean_copies(tables, sorted(cells))
    places = (
        Reached("predictions", predictions, "rows"),
        Reached("results", sum(cells.values()), "cells that showed a key"),
        Reached("states", answers, "answers that had a key"),
        reports,
        copies.reached,
        *clean_files(tables.store, wanted, others),
    )
    beyond = [
        *(f"the log of the table {name!r} tells least and greatest keys until it is shortened"
          for name in logging),
        *copies.beyond,
        *tell_beyond(tables, wanted, sorted(cells)),
    ]  # fmt: skip
    about = {
        "keys": len(wanted),
        "reached": {item.place: item.count for item in places if item.count},
        "beyond": len(beyond),
    }
    note_act(tables, Act("forget", about=about))
    return Forgotten(places, beyond)


def _check_kept(tables: StoreTables) -> None:
    if not any(tables[name].exists() for name in ("predictions", "results", "states")):
        raise InputError(
            f"no predictions, results or states are kept at {tables.store.root!r}; nothing can be "
            "forgotten"
        )


def _check_idle(tables: StoreTables) -> None:
    """Refuses while a run goes on: its files would be taken for old ones."""
    table = tables["runs"]
    if not table.exists():
        return
    for run_id in table.rows(["run_id"], [("status", "!=", FINISHED)])["run_id"].to_pylist():
        place = run_holder(tables.store.local, run_id)
        if place is not None:
            raise InputError(f"the run {run_id!r} is going on in {place}; wait for its end")
