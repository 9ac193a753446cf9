"""The rows of the files that came and went, read by their paths where the table allows it.

A filter on the file's path is applied after Spark has read all files of the version. So files are
read as Parquet by their own paths where their columns are what the table says they are, and through
the table where Delta stands between: deletion vectors, column mapping, widened types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from engine.core.object_store import in_object_store
from engine.core.paths import local_path
from engine.data.changes.cancel import Raw
from engine.data.changes.delta_log import File
from engine.data.changes.net import Part, total
from engine.delta.head import read_head
from engine.delta.messages import NeedsSpark
from engine.spark import tables
from engine.spark.api import F, T, sql
from engine.spark.internals import shares_disk
from engine.spark.tables import column, escape_glob

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType


# Features under which a file holds the table's own columns and types. One that is not named here,
# or is not known yet, only costs the longer way.
PLAIN_FEATURES = frozenset(
    {
        "appendOnly",
        "changeDataFeed",
        "checkConstraints",
        "clustering",
        "deletionVectors",
        "domainMetadata",
        "generatedColumns",
        "identityColumns",
        "inCommitTimestamp",
        "invariants",
        "rowTracking",
        "timestampNtz",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    }
)
_FILE, _ROW, _VALUES = "evalmatrix file", "evalmatrix row", "evalmatrix partition"

Project = Callable[["DataFrame"], "DataFrame"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A table at its later version: where it lies, its columns, and whether its files are plain."""

    spark: SparkSession
    table: str
    location: str
    table_id: str
    schema: StructType
    partitions: tuple[str, ...]
    plain: bool

    def readable(self, file: File) -> bool:
        """Whether a file's rows can be had from the file alone."""
        if not self.plain or file.vector is not None:
            return False
        values = dict(file.partition or ())
        return set(values) == set(self.partitions)


def layout_of(spark: SparkSession, table: str, version: int) -> Layout:
    """Reads what Delta says about a table; no Spark job but that of Delta's own snapshot."""
    about = _local_head(spark, table) or _description(spark, table)
    schema = tables.read(spark, table, version).schema
    plain = (
        about.features <= PLAIN_FEATURES
        and not any(name.startswith("delta.columnMapping") for name in about.properties)
        and all(_plain(field.dataType) for field in schema.fields)
    )
    return Layout(spark, table, about.location, about.table_id, schema, about.partitions, plain)


@dataclass(frozen=True, slots=True)
class _About:
    """What a table's newest version says of itself."""

    location: str
    table_id: str
    partitions: tuple[str, ...]
    properties: frozenset[str]
    features: frozenset[str]


def _local_head(spark: SparkSession, table: str) -> _About | None:
    """What the log says, here or in an object store; None where Delta's command must tell."""
    folder = None if tables.is_catalog_name(table) else local_path(table)
    place = table if in_object_store(table) else folder
    if place is None or (place is folder and not shares_disk(spark)):
        return None
    try:
        head = read_head(place)
    except NeedsSpark:
        return None
    # As Delta's own command writes it.
    location = table.rstrip("/") if folder is None else f"file:{folder}"
    names = frozenset(head.properties)
    return _About(location, head.table_id, head.partitions, names, head.features)


def _description(spark: SparkSession, table: str) -> _About:
    detail = tables.delta_table(spark, table).detail().collect()[0].asDict()
    return _About(
        detail["location"],
        detail["id"],
        tuple(detail["partitionColumns"]),
        frozenset(detail["properties"]),
        frozenset(detail.get("tableFeatures") or ()),
    )


def _plain(kind: DataType) -> bool:
    if isinstance(kind, T.StructType):
        return all(_plain(field.dataType) for field in kind.fields)
    if isinstance(kind, T.ArrayType):
        return _plain(kind.elementType)
    if isinstance(kind, T.MapType):
        return _plain(kind.keyType) and _plain(kind.valueType)
    return not isinstance(kind, (T.NullType, T.VariantType))


def rows_of_files(layout: Layout, files: Sequence[File], version: int) -> DataFrame:
    """The rows of some files of a version, with the columns of the table."""
    frames = _by_path(layout, files) + _by_table(layout, files, version)
    return reduce(sql.DataFrame.unionByName, frames)


def rows_by_file(layout: Layout, version: int) -> list[File]:
    """The files of a version by their paths, each with its rows; one job that reads no column.

    A file with deleted rows has a deletion vector, whose name is not told.
    """
    live = _row_counts(tables.read(layout.spark, layout.table, version))
    whole: dict[str, int] = {}
    if layout.plain and not layout.partitions and live:
        paths = [escape_glob(path) for path in live]
        whole = _row_counts(layout.spark.read.schema(layout.schema).parquet(*paths))
    return [
        File(path, None if whole.get(path) == rows else "", rows, ())
        for path, rows in sorted(live.items())
    ]


def _row_counts(frame: DataFrame) -> dict[str, int]:
    path = _path(frame).alias("path")
    return {
        row["path"]: row["rows"]
        for row in frame.select(path).groupBy("path").agg(F.count("*").alias("rows")).collect()
    }


def feed(layout: Layout, versions: tuple[int, int], project: Project, delta: int | None) -> Raw:
    """The rows that the change feed has after the first version, up to the second."""
    old, new = versions
    reader = layout.spark.read.format("delta").options(
        readChangeFeed="true", startingVersion=str(old + 1), endingVersion=str(new)
    )
    by_name = tables.is_catalog_name(layout.table)
    rows = reader.table(layout.table) if by_name else reader.load(layout.table)
    about = ["_change_type", "_commit_version", "_commit_timestamp"]

    def rows_of(*kinds: str) -> DataFrame:
        return project(rows.where(F.col("_change_type").isin(*kinds)).drop(*about))

    return Raw(
        (rows_of("insert", "update_postimage"),),
        (rows_of("delete", "update_preimage"),),
        delta=delta,
    )


def both_sides(layout: Layout, parts: Sequence[Part], project: Project) -> Raw:
    """The rows that came and those that went in the parts of a range."""
    came = [file for part in parts for file in part.came]
    gone = [file for part in parts for file in part.gone]
    cut = any(part.cut for part in parts)
    deltas = [part.delta for part in parts]
    known = [delta for delta in deltas if delta is not None]
    plus, minus = _by_path(layout, came), _by_path(layout, gone)
    for part in parts:
        plus += _by_table(layout, part.came, part.end)
        minus += _by_table(layout, part.gone, part.start)
        if part.cut:
            minus.append(_of_cut(layout, part, part.start, part.end))
            if part.grown:
                plus.append(_of_cut(layout, part, part.end, part.start))
    return Raw(
        tuple(map(project, plus)),
        tuple(map(project, minus)),
        rows_came=None if cut else total(came),
        rows_gone=None if cut else total(gone),
        delta=sum(known) if len(known) == len(deltas) else None,
        certain=all(layout.readable(file) for file in (*came, *gone)),
    )


def _by_path(layout: Layout, files: Iterable[File]) -> list[DataFrame]:
    """The rows of the files that can be read by their paths, in one frame."""
    readable_files = [file for file in files if layout.readable(file)]
    if not readable_files:
        return []
    stored = [field for field in layout.schema.fields if field.name not in layout.partitions]
    frame = layout.spark.read.schema(T.StructType(stored)).parquet(
        *[escape_glob(file.path) for file in readable_files]
    )
    if layout.partitions:
        frame = _with_partitions(layout, frame, readable_files)
    return [frame]


def _with_partitions(layout: Layout, frame: DataFrame, files: Sequence[File]) -> DataFrame:
    """Adds the values that the log has for the partition columns of each file."""
    kinds = {field.name: field.dataType for field in layout.schema.fields}
    if len({file.partition for file in files}) == 1:
        values = {name: F.lit(value) for name, value in files[0].partition or ()}
    else:
        paths = [(file.path, dict(file.partition or ())) for file in files]
        ddl = f"{column(_FILE)} string, {column(_VALUES)} map<string, string>"
        known = layout.spark.createDataFrame(paths, ddl)
        frame = frame.withColumn("evalmatrix path", _path(frame))
        frame = frame.join(
            F.broadcast(known), F.col(column("evalmatrix path")) == F.col(column(_FILE)), "left"
        )
        # A file that Spark names otherwise than the log must not pass for one without values.
        missing = F.raise_error(F.lit("a file's partition is not in the log"))
        of_file = F.coalesce(F.col(column(_VALUES)), missing.cast("map<string, string>"))
        values = {name: F.element_at(of_file, F.lit(name)) for name in layout.partitions}
    typed = {
        name: F.nullif(value.cast("string"), F.lit("")).cast(kinds[name])
        for name, value in values.items()
    }
    return frame.select(
        *[
            typed[name].alias(name) if name in typed else F.col(column(name))
            for name in layout.schema.names
        ]
    )


def _by_table(layout: Layout, files: Iterable[File], version: int) -> list[DataFrame]:
    """The rows of the other files, through the table at a version that has them."""
    paths = [file.path for file in files if not layout.readable(file)]
    if not paths:
        return []
    frame = tables.read(layout.spark, layout.table, version)
    return [frame.where(_path(frame).isin(paths))]


def _of_cut(layout: Layout, part: Part, version: int, other: int) -> DataFrame:
    """The rows of the files of a part that one version has, and that the other deletes."""
    paths = [file.path for file, _ in part.cut]

    def at(which: int) -> DataFrame:
        frame = tables.read(layout.spark, layout.table, which)
        here = frame.withColumns(
            {_FILE: _path(frame), _ROW: frame.metadataColumn("_metadata").getField("row_index")}
        )
        return here.where(F.col(column(_FILE)).isin(paths))

    left = at(other).select(F.col(column(_FILE)), F.col(column(_ROW)))
    return at(version).join(left, [_FILE, _ROW], "left_anti").drop(_FILE, _ROW)


def _path(frame: DataFrame) -> Column:
    """The path of a row's file, not encoded."""
    encoded = frame.metadataColumn("_metadata").getField("file_path")
    return F.url_decode(F.replace(encoded, F.lit("+"), F.lit("%2B")))
