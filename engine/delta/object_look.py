"""Looks into an object store by delta-rs: whether it can be reached, and what its objects are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from engine.core.object_store import (
    check_bucket,
    check_place,
)
from engine.delta.object_store import first_words, object_store_words, storage_options
from engine.errors import StoreError

# One short try: before a run begins, who cannot reach the store wants to know it at once.
_ONCE = {"max_retries": "1", "retry_timeout": "10s", "connect_timeout": "5s", "timeout": "20s"}
_GLOB = re.compile(r"[*?\[{\\|^#]")


def check_object_store(place: str) -> None:
    """Looks once at an object store, before anything is begun.

    Raises:
        InputError: for a URI, or an address in the environment, that is none.
        StoreError: when it is out of reach, refuses the credentials, or has no such bucket.
    """
    check_place(place)
    options = {**(storage_options(place) or {}), **_ONCE}
    try:
        # A table that is not there is no error; a bucket that is not there is one.
        DeltaTable.is_deltatable(place, storage_options=options)
    except Exception as error:
        told = object_store_words(error) or first_words(error)
        raise StoreError(f"the object store of {place!r} {told}; nothing was evaluated") from error


def check_data(place: str) -> None:
    """Looks once at an object store that data are in: a table, or the files of a glob.

    Raises:
        InputError: for a URI, or an address in the environment, that is none.
        StoreError: when it is out of reach, refuses the credentials, or has no such bucket.
    """
    check_bucket(place)
    fixed = _GLOB.split(place)[0]
    folder = place if fixed == place else fixed.rpartition("/")[0]
    # Which delta-rs would take for another place: of that Spark says what is wrong.
    if "%" not in folder:
        check_object_store(folder)


def file_facts(table: DeltaTable, file: str) -> tuple[int, int]:
    """When an object of a table was written, in nanoseconds since 1970, and its bytes.

    Raises:
        FileNotFoundError: where there is none.
    """
    (about,) = _files(table).get_file_info([file])
    if about.mtime_ns is None or about.size is None:
        raise FileNotFoundError(file)
    return int(about.mtime_ns), int(about.size)


def _files(table: DeltaTable) -> DeltaStorageHandler:
    """The objects of a table, by their names within it."""
    return DeltaStorageHandler(table.table_uri, storage_options(table.table_uri))


def commit_note(table: DeltaTable) -> dict[str, Any]:
    """What the commit of the version that is open says of itself, and no other commit."""
    name = f"_delta_log/{table.version():020d}.json"
    file = _files(table).open_input_file(name)
    actions = [json.loads(line) for line in file.read().splitlines() if line.strip()]
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})


def open_table(place: str | Path, version: int | None = None) -> DeltaTable:
    """A table wherever it lies, as delta-rs opens it."""
    options: Mapping[str, str] | None = storage_options(place)
    return DeltaTable(str(place), version=version, storage_options=dict(options or {}) or None)
