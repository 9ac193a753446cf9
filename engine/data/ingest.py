"""Files into Delta: each file is one commit, written once however often it is ingested.

A file is known by its name and the SHA-256 of its content; Delta keeps that as the commit's
transaction id, so that the same files again make no new version, in this process or in any other.
The first file makes the table and its schema; later files must have the same columns.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from engine.core.paths import is_folder, is_there, local_path
from engine.delta import head
from engine.delta.head import is_table, read_head
from engine.delta.messages import NeedsSpark
from engine.errors import DataError, EvalMatrixError, StoreError
from engine.spark import tables
from engine.spark.error_messages import first_line
from engine.spark.internals import committed_tokens
from engine.spark.lazy_session import LazySession, lazy
from engine.spark.tables import column, escape_glob

log = logging.getLogger(__name__)

_UNREADABLE = re.compile(r"MALFORMED_RECORD|MALFORMED_CSV|CANNOT_READ_FILE|FAILED_READ_FILE")

# In a column's name Delta takes these only where it stores the column under another one.
_ODD = re.compile(r"[ ,;{}()\n\t=]")

FORMATS = ("csv", "parquet")
_PACKED = (".gz", ".bz2", ".deflate", ".snappy", ".lz4", ".zst", ".xz")


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingestion did: the table, its version now, and the files that were new or known."""

    table: str
    version: int
    added: tuple[str, ...]
    known: tuple[str, ...]


def ingest(session: LazySession | SparkSession, pattern: str, *, table: str, fmt: str) -> Ingested:
    """Appends the files of a glob that the table does not have yet, in the order of their names.

    On this machine no Spark is needed to find that there are none.

    Raises:
        DataError: when no file matches, or a file does not have the table's columns and types.
    """
    if fmt not in FORMATS:
        raise DataError(f"files are {fmt!r}, expected one of {FORMATS}")
    session = lazy(session)
    files = _files(session, pattern)
    _check_table_path(table)
    known_before = _known_identities(session, table, [identity for _, identity in files])
    for name, identity in files:
        if identity not in known_before:
            _check_file(name, fmt)
    added: list[str] = []
    known: list[str] = []
    version = None
    for name, identity in files:
        if identity in known_before:
            known.append(name)
            continue
        before = _newest_version(session, table) if version is None else version
        frame = _read(session.get(), name, fmt, table, before)
        _append(frame, table, name, identity, new=before is None)
        version = _newest_version(session, table)
        (known if version == before else added).append(name)
    if version is None:
        version = _newest_version(session, table)
    assert version is not None, "a table that was appended to exists"
    log.info("%s: %d files added, %d known, version %d", table, len(added), len(known), version)
    return Ingested(table, version, tuple(added), tuple(known))


def _append(frame: DataFrame, table: str, path: str, identity: str, *, new: bool) -> None:
    if not frame.columns:
        raise DataError(f"{path!r} has no columns; expected a line with their names")
    # The commit carries the identity twice: as what people and the next run can read in the
    # history, and as Delta's own guard, which outlives the history.
    options = {"userMetadata": identity}
    if new and any(_ODD.search(name) for name in _names(frame.schema)):
        # Delta stores such columns under names of its own.
        options["delta.columnMapping.mode"] = "name"
    try:
        tables.append_once(frame, table, token=identity, options=options)
    except StoreError as error:
        if not _UNREADABLE.search(str(error.__cause__)):
            raise
        # Spark quotes the whole record, which may hold what must not leave the data.
        columns = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in frame.schema)
        raise DataError(
            f"{path!r} has a record that does not fit the table's columns, or cannot be read at "
            f"all; expected {columns}"
        ) from error


def _names(kind: DataType) -> Iterator[str]:
    """The names of a schema's columns, and of the fields within them."""
    if isinstance(kind, StructType):
        for field in kind.fields:
            yield field.name
            yield from _names(field.dataType)
    elif isinstance(kind, ArrayType):
        yield from _names(kind.elementType)
    elif isinstance(kind, MapType):
        yield from _names(kind.keyType)
        yield from _names(kind.valueType)


def _local_table(session: LazySession, table: str) -> Path | None:
    """A table's folder, where this process sees it as Spark does."""
    path = None if tables.is_catalog_name(table) else local_path(table)
    return path if path is not None and session.shares_disk else None


def _newest_version(session: LazySession, table: str) -> int | None:
    """The version that a table has now; None when there is no table."""
    path = _local_table(session, table)
    with suppress(NeedsSpark):
        if path is not None:
            return read_head(path).version if is_table(path) else None
    return tables.newest_version(session.get(), table)


def _known_identities(session: LazySession, table: str, identities: Sequence[str]) -> set[str]:
    """Which of the files have been ingested.

    Where only the history can tell, those of commits that have left it are missing; Delta's own
    guard knows them still.
    """
    path = _local_table(session, table)
    with suppress(NeedsSpark):
        if path is not None:
            return head.committed_tokens(path, identities) if is_table(path) else set()
    spark = session.get()
    told = None if tables.is_catalog_name(table) else committed_tokens(spark, table, identities)
    if told is not None:
        return told
    if not tables.exists(spark, table):
        return set()
    history = tables.delta_table(spark, table).history().select("userMetadata").collect()
    return {row["userMetadata"] for row in history if row["userMetadata"]}


def _check_table_path(table: str) -> None:
    if not tables.is_catalog_name(table) and Path(table).is_file():
        raise DataError(f"the table's place {table!r} is a file; expected a folder or none")


def _files(session: LazySession, pattern: str) -> list[tuple[str, str]]:
    """The files of a glob with what identifies each, sorted by name."""
    if "://" in pattern:
        return _remote_files(session.get(), pattern)
    paths = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())
    if not paths and is_there(pattern) and not is_folder(pattern):
        # A file whose own name looks like a pattern.
        paths = [pattern]
    if not paths:
        raise DataError(f"no file matches {pattern!r}, seen from {Path.cwd()}")
    for path in paths:
        if any(unicodedata.category(char) == "Cs" for char in path):
            raise _file_error(path, "a name that is not UTF-8: rename it")
    return [(path, f"{Path(path).name} {_sha256(path)}") for path in paths]


def _check_file(path: str, fmt: str) -> None:
    """Refuses a file that Spark would read as something else, before any file is taken."""
    name, wrong = Path(path).name, None
    if fmt == "csv" and escape_glob(place := _place(path)) != place:
        # To infer the types of multi-line CSV, Spark looks for files once more, now by pattern.
        wrong = "one of []{}*?\\ in its path, which Spark takes for a pattern: rename it"
    elif "://" in path:
        return
    elif name.startswith(("_", ".")):
        wrong = f"a name that begins with {name[0]!r}, so that Spark passes over it: rename it"
    elif ":" in name:
        wrong = "a colon in its name, which Spark takes for a URI's: rename it"
    elif fmt == "csv" and not name.endswith(_PACKED) and not _is_text(path):
        wrong = "content that is not UTF-8: convert it, for example by iconv"
    if wrong is not None:
        raise _file_error(path, wrong)


def _file_error(path: str, wrong: str) -> DataError:
    return DataError(f"the file {path!r} has {wrong}, or let the glob leave it out")


def _is_text(path: str) -> bool:
    """Whether a file is UTF-8; in what is not, Spark replaces characters without a word."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with Path(path).open("rb") as file:
            while part := file.read(2**20):
                decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _remote_files(spark: SparkSession, pattern: str) -> list[tuple[str, str]]:
    """Files of an object store, identified by name, length and time, without reading them."""
    try:
        rows = (
            spark.read.format("binaryFile")
            .load(pattern)
            .select("path", "length", F.col("modificationTime").cast("string").alias("time"))
            .orderBy("path")
            .collect()
        )
    except PySparkException as error:
        raise DataError(f"no file matches {pattern!r} ({first_line(error)})") from error
    if not rows:
        raise DataError(f"no file matches {pattern!r}")
    return [(row.path, f"{row.path} {row.length} {row.time}") for row in rows]


def _place(path: str) -> str:
    """Where a file lies, also for the server of a Spark Connect session, which runs elsewhere."""
    return path if "://" in path else str(Path(path).absolute())


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(spark: SparkSession, path: str, fmt: str, table: str, version: int | None) -> DataFrame:
    schema = tables.read(spark, table).schema if version is not None else None
    place = escape_glob(_place(path))
    try:
        return _csv(spark, place, schema) if fmt == "csv" else _parquet(spark, place, schema)
    except EvalMatrixError:
        raise
    except Exception as error:  # Spark's own, and those of Java that py4j brings
        raise DataError(f"{path!r} could not be read: {first_line(error)}") from error


def _csv(spark: SparkSession, path: str, schema: StructType | None) -> DataFrame:
    options: dict[str, bool | str] = {
        "header": True,
        "mode": "FAILFAST",
        "multiLine": True,
        "escape": '"',
    }
    if schema is None:
        return spark.read.options(**options).csv(path, inferSchema=True)
    names = spark.read.options(header=True, multiLine=True, escape='"').csv(path).columns
    _same_columns(path, names, schema.names)
    in_order = StructType([schema[name] for name in names])
    frame = spark.read.options(**options).schema(in_order).csv(path)
    return frame.select(*[column(name) for name in schema.names])


def _parquet(spark: SparkSession, path: str, schema: StructType | None) -> DataFrame:
    frame = spark.read.parquet(path)
    if schema is None:
        return frame
    _same_columns(path, frame.columns, schema.names)
    frame = frame.select(*[column(name) for name in schema.names])
    for have, want in zip(frame.schema, schema, strict=True):
        if have.dataType != want.dataType:
            raise DataError(
                f"{path!r}: column {have.name!r} is {have.dataType.simpleString()}, the table "
                f"has {want.dataType.simpleString()}"
            )
    return frame


def _same_columns(path: str, columns: Sequence[str], expected: Sequence[str]) -> None:
    missing = [name for name in expected if name not in columns]
    extra = [name for name in columns if name not in expected]
    if missing or extra:
        raise DataError(
            f"{path!r} does not have the table's columns: missing {missing}, unexpected {extra}"
        )
