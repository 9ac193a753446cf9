"""The commits of a Delta table, as its log has them: files added, files removed, schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from engine.errors import EvalMatrixError
from engine.pieces.object_files import open_object, plain_uri
from engine.pieces.opening import unreachable
from engine.spark.api import F, T, spark_errors
from engine.spark.internals import shares_disk
from engine.spark.tables import escape_glob

if TYPE_CHECKING:
    from pyspark.sql import Column, Row, SparkSession
    from pyspark.sql.types import StructType


_FILE = (
    "path string, dataChange boolean, partitionValues map<string, string>, stats string, "
    "deletionVector struct<storageType string, pathOrInlineDv string, offset int, cardinality long>"
)
_ACTIONS = (
    f"add struct<{_FILE}>, remove struct<{_FILE}>, cdc struct<path string>, "
    "metaData struct<id string, schemaString string>, commitInfo struct<operation string>"
)


_FILE_FIELDS = ("path", "dataChange", "partitionValues", "deletionVector")
_REMOVED = "Delta has removed log files of the versions between them"


class CannotTell(EvalMatrixError):
    """What changed between two versions cannot be known; the whole table must be evaluated."""

    @classmethod
    def of(cls, old: int, new: int, reason: str) -> CannotTell:
        """The sentence for a user that says why."""
        return cls(
            f"what changed between the versions {old} and {new} cannot be told: {reason}; the "
            "whole table is evaluated instead"
        )


@dataclass(frozen=True, slots=True)
class File:
    """A data file with its deletion vector: the unit that a commit adds or removes.

    `path` is absolute and not encoded. `rows` are the live ones, None where the log has no count;
    `partition` is None where the log does not say.
    """

    path: str
    vector: str | None
    rows: int | None
    partition: tuple[tuple[str, str | None], ...] | None

    @property
    def key(self) -> tuple[str, str | None]:
        return self.path, self.vector


@dataclass(frozen=True, slots=True)
class Commit:
    """One version. `data` is False where it changed no row, as OPTIMIZE, which rewrites files."""

    version: int
    operation: str
    added: tuple[File, ...]
    removed: tuple[File, ...]
    data: bool
    feed: bool
    table_id: str | None
    schema: StructType | None

    @property
    def rewrites(self) -> bool:
        return not self.data and bool(self.added or self.removed)


def read_commits(spark: SparkSession, location: str, versions: tuple[int, int]) -> list[Commit]:
    """The commits from one version to another, both included.

    A log on this machine is read as it lies there, others by one Spark job.

    Raises:
        CannotTell: when the log no longer has one of them.
    """
    first, last = versions
    if location.startswith("file:") and shares_disk(spark):
        # Delta names a table's place without the encoding of a URI.
        return local_commits(Path("/" + location.removeprefix("file:").lstrip("/")), versions)
    paths = [
        f"{escape_glob(location)}/_delta_log/{version:020d}.json"
        for version in range(first, last + 1)
    ]
    version = F.regexp_extract(F.col("_metadata.file_name"), r"^(\d+)", 1).cast("long")
    try:
        rows = (
            spark.read.schema(_ACTIONS)
            .json(paths)
            .select(
                version.alias("version"),
                _file("add"),
                _file("remove"),
                F.col("cdc").isNotNull().alias("feed"),
                F.col("metaData").alias("table"),
                F.col("commitInfo.operation").alias("operation"),
            )
            .where(
                "add.path is not null or remove.path is not null or feed or table is not null "
                "or operation is not null"
            )
            .collect()
        )
    except spark_errors() as error:
        if "PATH_NOT_FOUND" not in str(error):
            raise
        raise CannotTell.of(first - 1, last, _REMOVED) from error
    by_version: dict[int, list[Row]] = {number: [] for number in range(first, last + 1)}
    for row in rows:
        by_version[row["version"]].append(row)
    return [_commit(number, actions, location) for number, actions in by_version.items()]


def local_commits(place: Path | str, versions: tuple[int, int]) -> list[Commit]:
    """The commits of a log from one version to another, both included; no Spark.

    `place` is the table's folder on this machine, or its URI in an object store.

    Raises:
        CannotTell: when the log no longer has one of them.
    """
    first, last = versions
    # As Delta's own command writes the place.
    location = f"file:{place}" if isinstance(place, Path) else plain_uri(place).rstrip("/")
    return [_local_commit(place, location, number) for number in range(first, last + 1)]


def _local_commit(place: Path | str, location: str, version: int) -> Commit:
    try:
        # Not splitlines(): values in the statistics may hold what that takes for an end of a line.
        lines = _read_text(place, f"_delta_log/{version:020d}.json").split("\n")
    except FileNotFoundError as error:
        raise CannotTell.of(version - 1, version, _REMOVED) from error
    actions = [json.loads(line) for line in lines if line.strip()]
    if not actions:
        raise CannotTell.of(version - 1, version, "a commit between them is half written")
    return _commit(version, [_row(action) for action in actions], location)


def _read_text(place: Path | str, name: str) -> str:
    if isinstance(place, Path):
        return (place / name).read_text(encoding="utf-8")
    uri = f"{place}/{name}"
    try:
        with open_object(uri) as file:
            return str(file.read(), "utf-8")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreachable(uri, error) from error


def _row(action: Mapping[str, Any]) -> dict[str, Any]:
    """An action as the Spark job gives it."""
    return {
        "add": _local_file(action.get("add")),
        "remove": _local_file(action.get("remove")),
        "feed": action.get("cdc") is not None,
        "table": action.get("metaData"),
        "operation": (action.get("commitInfo") or {}).get("operation"),
    }


def _local_file(action: Mapping[str, Any] | None) -> dict[str, Any]:
    file = {name: (action or {}).get(name) for name in _FILE_FIELDS}
    stats = (action or {}).get("stats")
    rows = json.loads(stats).get("numRecords") if stats else None
    return {**file, "rows": rows}


def _file(action: str) -> Column:
    """What is used of an action, with the count of rows instead of all the statistics."""
    stats = F.get_json_object(F.col(f"{action}.stats"), "$.numRecords").cast("long")
    names = [F.col(f"{action}.{name}") for name in _FILE_FIELDS]
    return F.struct(*names, stats.alias("rows")).alias(action)


def _commit(version: int, rows: Sequence[Mapping[str, Any] | Row], location: str) -> Commit:
    added = [row["add"] for row in rows if row["add"]["path"] is not None]
    removed = [row["remove"] for row in rows if row["remove"]["path"] is not None]
    tables = [row["table"] for row in rows if row["table"] is not None]
    schemas = [json.loads(table["schemaString"]) for table in tables if table["schemaString"]]
    return Commit(
        version,
        next((row["operation"] for row in rows if row["operation"]), ""),
        tuple(_parse_file(action, location) for action in added),
        tuple(_parse_file(action, location) for action in removed),
        data=any(action["dataChange"] is not False for action in (*added, *removed)),
        feed=any(row["feed"] for row in rows),
        table_id=tables[-1]["id"] if tables else None,
        schema=T.StructType.fromJson(schemas[-1]) if schemas else None,
    )


def _parse_file(action: Mapping[str, Any] | Row, location: str) -> File:
    path, vector, rows = unquote(action["path"]), action["deletionVector"], action["rows"]
    absolute = path if re.match(r"[A-Za-z][\w+.-]+:/|/", path) else f"{location}/{path}"
    values = action["partitionValues"]
    partition = None if values is None else tuple(sorted(values.items()))
    if vector is None:
        return File(absolute, None, rows, partition)
    name = f"{vector['storageType']}{vector['pathOrInlineDv']}@{vector['offset']}"
    live = None if rows is None else rows - vector["cardinality"]
    return File(absolute, name, live, partition)
