"""The files of a table's version, as the workers themselves could read them.

Where anything stands between the files and the rows that this does not know, there is a reason
why Spark must read them: `NotThisWay`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable

from engine.core.object_store import in_object_store
from engine.delta.head import type_text
from engine.delta.messages import text_of
from engine.delta.object_store import patiently, storage_options
from engine.pieces import NotThisWay
from engine.pieces.column_types import arrow_type
from engine.pieces.data_file import DataFile, pack_mask
from engine.pieces.object_files import plain_uri
from engine.pieces.opening import open_parquet

# Under which a file holds what the table says, but for its columns' names and deleted rows.
_KNOWN = frozenset(
    {"appendOnly", "changeDataFeed", "checkConstraints", "clustering", "columnMapping",
     "deletionVectors", "domainMetadata", "generatedColumns", "identityColumns",
     "inCommitTimestamp", "invariants", "rowTracking", "timestampNtz", "v2Checkpoint",
     "vacuumProtocolCheck"}
)  # fmt: skip
_PHYSICAL = "delta.columnMapping.physicalName"
# Spark fills such a text up with spaces when it reads it.
_FIXED_TEXT = "__CHAR_VARCHAR_TYPE_STRING"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table: what its files call it, and how Spark writes its type."""

    stored: str
    type: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a version, sorted by their paths, and the table's columns by their names.

    `table_id` is another one where the table was replaced.
    """

    files: tuple[DataFile, ...]
    columns: Mapping[str, TableColumn]
    table_id: str = ""

    @property
    def rows(self) -> int:
        return sum(file.live for file in self.files)

    def name_in_files(self, name: str) -> str:
        """The name that a column has in the files; its own where the log has none of it."""
        return self.columns[name].stored if name in self.columns else name

    def arrow_type(self, name: str, zone: str) -> pa.DataType:
        """The type of a column as Spark hands it to Python.

        Raises:
            NotThisWay: for a column that only Spark can read.
        """
        column = self.columns.get(name)
        if column is None:
            raise NotThisWay(f"the column {name!r} is not in the table's log")
        kind = arrow_type(column.type, zone)
        if kind is None or column.trouble:
            raise NotThisWay(f"the column {name!r} is {column.trouble or column.type}")
        return kind

    def plain_types(self, zone: str) -> dict[str, pa.DataType]:
        """The types of the columns that predicates may read; the others have none."""
        types = {}
        for name in self.columns:
            try:
                types[name] = self.arrow_type(name, zone)
            except NotThisWay:
                types[name] = pa.null()
        return types


def list_files(table: Path | str, version: int) -> Listing:
    """What the log of a table says of a version; no row is read.

    Args:
        table: its folder on this machine, or its URI in an object store.
        version: the version.

    Raises:
        NotThisWay: where only Spark can read the rows.
    """
    options = storage_options(table)
    try:
        delta = patiently(lambda: DeltaTable(str(table), version, storage_options=options))
        protocol, metadata = delta.protocol(), delta.metadata()
        fields = json.loads(delta.schema().to_json())["fields"]
        features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
        if unknown := features - _KNOWN:
            raise NotThisWay(f"the table has the feature {sorted(unknown)[0]}")
        mapping = str(metadata.configuration.get("delta.columnMapping.mode", "none"))
        if mapping not in ("none", "name"):
            raise NotThisWay(f"its columns are mapped by {mapping}")
        columns = {str(field["name"]): _column(field) for field in fields}
        actions = pa.table(delta.get_add_actions(flatten=True))
        masks = _masks(delta, table) if "deletionVectors" in features else {}
    except NotThisWay:
        raise
    except Exception as error:  # whatever delta-rs raises
        raise NotThisWay(f"its log cannot be read without Spark: {text_of(error)}") from error
    names = [name for name in columns if f"partition.{name}" in actions.column_names]
    if set(names) != set(metadata.partition_columns):
        raise NotThisWay("its partition columns are not those of its log")
    paths, sizes = actions["path"].to_pylist(), actions["size_bytes"].to_pylist()
    known = "num_records" in actions.column_names
    counts = actions["num_records"].to_pylist() if known else [None] * len(paths)
    files = []
    for place, (named, rows, size) in enumerate(zip(paths, counts, sizes, strict=True)):
        path = _file_place(named, table)
        one = {name: actions[f"partition.{name}"].slice(place, 1) for name in names}
        partition = {name: pa.concat_arrays(column.chunks) for name, column in one.items()}
        file = _file(path, rows, partition, masks.get(path))
        files.append(replace(file, size=size))
    return Listing(tuple(sorted(files, key=lambda file: file.path)), columns, str(metadata.id))


def _column(field: Mapping[str, Any]) -> TableColumn:
    about = field.get("metadata") or {}
    trouble = ""
    if _FIXED_TEXT in about:
        trouble = str(about[_FIXED_TEXT])
    elif any("collat" in str(key).lower() for key in about):
        trouble = "a text with a collation"
    elif isinstance(field["type"], dict) and _PHYSICAL in about:
        trouble = f"{type_text(field['type'])} whose parts may be mapped"
    return TableColumn(str(about.get(_PHYSICAL, field["name"])), type_text(field["type"]), trouble)


def _masks(delta: DeltaTable, table: Path | str) -> dict[str, Any]:
    """Which rows of files are kept, by the files' paths."""
    vectors = pa.RecordBatchReader.from_stream(delta.deletion_vectors()).read_all()
    kept = vectors["selection_vector"]
    paths = vectors["filepath"].to_pylist()
    return {
        _file_place(path, table): np.asarray(kept[place].values.to_numpy(zero_copy_only=False))
        for place, path in enumerate(paths)
    }


def _file(path: str, rows: int | None, partition: Mapping[str, pa.Array], kept: Any) -> DataFile:
    rows = _count(path) if rows is None else rows
    if kept is None:
        return DataFile(path, rows, rows, partition)
    deleted = int((~kept).sum())
    return DataFile(path, rows, rows - deleted, partition, pack_mask(kept))


def _count(path: str) -> int:
    """How many rows a file has, where its log does not say."""
    try:
        with open_parquet(path) as file:
            return int(file.metadata.num_rows)
    except Exception as error:
        # What is wrong with the file Spark tells in more words.
        raise NotThisWay(f"the file {path.rpartition('/')[2]} cannot be opened here") from error


def _file_place(path: str, table: Path | str) -> str:
    """Where a file lies that a log names: its path, or its URI in the table's object store."""
    plain = unquote(path)
    if isinstance(table, str):
        if in_object_store(plain):
            return plain_uri(plain)
        if "://" in plain or plain.startswith("/"):
            raise NotThisWay("its files lie elsewhere")
        return f"{plain_uri(table).rstrip('/')}/{plain}"
    parts = urlsplit(path)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return unquote(parts.path)
    if "://" in plain or parts.scheme not in ("", "file"):
        raise NotThisWay("its files lie elsewhere")
    return plain if plain.startswith("/") else str(table / plain)
