"""The newest version of a Delta table on this machine, or in an object store; no row is read."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from engine.core.object_store import in_object_store
from engine.delta.messages import NeedsSpark, check_path, text_of
from engine.delta.object_look import file_facts, open_table
from engine.delta.object_store import object_store_words, patiently, storage_options
from engine.errors import StoreError

Schema = tuple[tuple[str, str], ...]

# What a table's columns are is told by its schema, whatever their files look like.
_KNOWN = frozenset(
    {"appendOnly", "changeDataFeed", "checkConstraints", "clustering", "columnMapping",
     "deletionVectors", "domainMetadata", "generatedColumns", "identityColumns", "invariants",
     "rowTracking", "timestampNtz", "typeWidening", "v2Checkpoint", "vacuumProtocolCheck"}
)  # fmt: skip
_SPARK_NAMES = {"long": "bigint", "integer": "int", "short": "smallint", "byte": "tinyint"}


@dataclass(frozen=True, slots=True)
class Head:
    """A version of a table: its number, when it was committed, the table's id and columns.

    `schema` has names and types as Spark writes them: `array<int>`, `decimal(10,2)`.
    """

    version: int
    timestamp: dt.datetime
    table_id: str
    schema: Schema
    partitions: tuple[str, ...]
    properties: Mapping[str, str]
    features: frozenset[str]


def is_table(path: str | Path) -> bool:
    """Whether a Delta table lies in a folder.

    Raises:
        NeedsSpark: where the path means another one to delta-rs.
        StoreError: where an object store is out of reach, or refuses.
    """
    check_path(path)
    try:
        return patiently(lambda: DeltaTable.is_deltatable(str(path), storage_options(path)))
    except Exception as error:
        raise _refusal(path, error) from error


def _refusal(path: str | Path, error: Exception) -> Exception:
    """What an object store says, which Spark would only say in more words; else NeedsSpark."""
    if isinstance(error, (NeedsSpark, StoreError)):
        return error
    words = object_store_words(error) if in_object_store(path) else None
    if words is None:
        return NeedsSpark(f"{path}: {text_of(error)}")
    return StoreError(f"the Delta table {str(path)!r} cannot be read: the object store {words}")


def read_head(path: str | Path, version: int | None = None) -> Head:
    """The newest version of a table, or another that is there.

    Raises:
        NeedsSpark: where Delta's own reader must tell: a feature, a version or a log that is not
            plain; what is wrong there it says better.
        StoreError: where an object store is out of reach, or refuses.
    """
    try:
        table = patiently(lambda: open_table(path, version))
        protocol, metadata = table.protocol(), table.metadata()
        features = frozenset([*(protocol.reader_features or ()), *(protocol.writer_features or ())])
        if not features <= _KNOWN:
            raise NeedsSpark(f"{path}: the features {sorted(features - _KNOWN)}")
        number = table.version()
        fields = json.loads(table.schema().to_json())["fields"]
        schema = tuple((str(field["name"]), type_text(field["type"])) for field in fields)
        when = _commit_time(path, table, number)
        return Head(
            number,
            when,
            str(metadata.id),
            schema,
            tuple(metadata.partition_columns),
            {name: str(value) for name, value in metadata.configuration.items()},
            features,
        )
    except NeedsSpark:
        raise
    except Exception as error:  # whatever delta-rs raises: Spark tells it in more words
        raise _refusal(path, error) from error


def _commit_time(path: str | Path, table: DeltaTable, version: int) -> dt.datetime:
    """When a version was committed, as Delta has it: its file's time, or what stands in it."""
    properties = table.metadata().configuration
    if str(properties.get("delta.enableInCommitTimestamps", "")).lower() == "true":
        raise NeedsSpark(f"{path}: times are in the commits")
    name = f"_delta_log/{version:020d}.json"
    try:
        if in_object_store(path):
            nanoseconds, size = patiently(lambda: file_facts(table, name))
        else:
            about = (Path(path) / name).stat()
            nanoseconds, size = about.st_mtime_ns, about.st_size
    except OSError as error:  # a log of which only a checkpoint is left
        if in_object_store(path) and object_store_words(error):
            raise
        raise NeedsSpark(f"{path}: no commit file of version {version}") from error
    if size == 0:
        raise NeedsSpark(f"{path}: the commit {version} is half written")
    milliseconds = nanoseconds // 1_000_000
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def type_text(kind: Any) -> str:
    """A type of a Delta schema as Spark writes it."""
    if isinstance(kind, str):
        return _SPARK_NAMES.get(kind, kind)
    if kind["type"] == "array":
        return f"array<{type_text(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{type_text(kind['keyType'])},{type_text(kind['valueType'])}>"
    fields = (f"{field['name']}:{type_text(field['type'])}" for field in kind["fields"])
    return f"struct<{','.join(fields)}>"


def committed_tokens(path: str | Path, tokens: Iterable[str]) -> set[str]:
    """Those of the transaction ids that a table has commits of.

    Raises:
        NeedsSpark: where Delta's own reader must tell.
    """
    try:
        table = patiently(lambda: open_table(path))
        return {token for token in tokens if table.transaction_version(token) is not None}
    except Exception as error:
        raise _refusal(path, error) from error


def partition_values(path: str | Path, column: str, version: int | None = None) -> set[str | None]:
    """The values of a partition column that a version of a table has rows of.

    Raises:
        NeedsSpark: where Delta's own reader must tell.
    """
    try:
        table = patiently(lambda: open_table(path, version))
        return {part.get(column) for part in table.partitions()}
    except Exception as error:
        raise _refusal(path, error) from error
