"""Parquet files: the types of their columns, read without Spark where they lie on this machine.

What Spark refuses and pandas writes is written anew beside the table first, where nothing of it is
lost: nanoseconds as microseconds, half floats as floats, times of day as texts.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from engine.data.files.csv_files import PATH, decode_path, encoded_path, file_path, unreadable
from engine.data.files.facts import Facts
from engine.data.files.listing import File, place
from engine.errors import DataError
from engine.spark.api import F, sql
from engine.spark.error_messages import first_line
from engine.spark.lazy_session import LazySession
from engine.spark.tables import column, escape_glob

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


_EXACT = 2**53
SPARK_ROWS = b"org.apache.spark.sql.parquet.row.metadata"
_NO_DELTA = re.compile(r"\binterval [a-z ]+|\btime\(\d\)")
_BATCH_ROWS = 65_536


def look_at(session: LazySession, files: Sequence[File]) -> list[Facts]:
    """The types of the columns of files, and how many rows each has.

    Raises:
        DataError: for a file that is no Parquet, or has a column that nothing here reads.
    """
    return [_look_at(session, file) for file in files]


def _look_at(session: LazySession, file: File) -> Facts:
    facts = None if "://" in file.path else _local_facts(file)
    facts = _spark_facts(session.get(), file) if facts is None else facts
    check_names(file, facts.columns)
    return facts


def check_names(file: File, names: Sequence[str]) -> None:
    if not names:
        raise DataError(f"{file.path!r} has no columns; expected some")
    folded: dict[str, str] = {}
    for name in names:
        other = folded.get(name.lower())
        folded[name.lower()] = name
        if other is not None:
            raise DataError(
                f"{file.path!r} has two columns whose names are the same, or differ by capitals "
                f"only: {other!r} and {name!r}; Delta and Spark take them for one; rename one"
            )


def _local_facts(file: File) -> Facts | None:
    """What the file's end tells; None where Spark knows types that Arrow does not."""
    about = read_end(file)
    if SPARK_ROWS in (about.metadata or {}):
        # Vectors, variants and intervals are known to Spark only.
        return None
    return arrow_facts(file, about)


def read_end(file: File) -> pq.FileMetaData:
    """What the end of a file of this machine tells.

    Raises:
        DataError: when it is no Parquet.
    """
    try:
        about = pq.read_metadata(file.path)
        about.schema.to_arrow_schema()
    except Exception as error:  # Arrow's own, and those of the disk
        raise DataError(
            f"{file.path!r} could not be read: it is no Parquet file, or is damaged"
        ) from error
    return about


def arrow_facts(file: File, about: pq.FileMetaData) -> Facts:
    """The types of a file's columns by Arrow's, and how many rows it has.

    Raises:
        DataError: for a column that nothing here reads.
    """
    schema = about.schema.to_arrow_schema()
    int96 = int96_columns(about.schema)
    types = []
    for field in schema:
        kind = spark_type(field.type, in_int96=field.name in int96)
        if kind is None:
            raise DataError(
                f"{file.path!r}: the column {field.name!r} is {field.type}, which Delta has no "
                f"type for; {_remedy(field)}"
            )
        types.append((field.name, kind))
    wide = tuple(name for name, kind in types if kind == "bigint" and not _is_exact(about, name))
    return Facts(about.num_rows, types=tuple(types), wide=wide)


def _remedy(field: pa.Field) -> str:
    name = field.name
    return (
        f"write the file anew without it, or as text, in pandas df[{name!r}] = "
        f"df[{name!r}].astype(str)"
    )


def int96_columns(schema: pq.ParquetSchema) -> set[str]:
    """The columns of times in Spark's old form, which it reads though they are nanoseconds."""
    columns = [schema.column(place) for place in range(len(schema.names))]
    return {leaf.path.split(".")[0] for leaf in columns if leaf.physical_type == "INT96"}


def _is_exact(about: pq.FileMetaData, name: str) -> bool:
    """Whether a file's numbers are known to have equal ones among the doubles."""
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    return all(_is_small(chunk) for chunk in chunks if chunk.path_in_schema == name)


def _is_small(chunk: pq.ColumnChunkMetaData) -> bool:
    about = chunk.statistics
    if about is None:
        return False
    if not about.has_min_max:
        return bool(about.null_count == chunk.num_values)
    return bool(-_EXACT <= about.min <= about.max <= _EXACT)


_TYPES = {
    pa.bool_(): "boolean", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int",
    pa.int64(): "bigint", pa.uint8(): "smallint", pa.uint16(): "int", pa.uint32(): "bigint",
    pa.uint64(): "decimal(20,0)", pa.float16(): "float", pa.float32(): "float",
    pa.float64(): "double", pa.string(): "string", pa.large_string(): "string",
    pa.string_view(): "string", pa.binary(): "binary", pa.large_binary(): "binary",
    pa.binary_view(): "binary", pa.date32(): "date", pa.date64(): "date", pa.null(): "void",
}  # fmt: skip


def spark_type(kind: pa.DataType, *, in_int96: bool = False) -> str | None:
    """The type that a column is read as, as Spark writes it; None where there is none."""
    if isinstance(kind, pa.BaseExtensionType):
        return spark_type(kind.storage_type)
    if kind in _TYPES:
        return _TYPES[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is not None or in_int96 else "timestamp_ntz"
    if pa.types.is_time(kind):
        return "string"
    if pa.types.is_duration(kind):
        # A file has plain whole numbers for it, and Arrow's note beside them.
        return "bigint"
    if pa.types.is_fixed_size_binary(kind):
        return "binary"
    if pa.types.is_decimal(kind):
        fits = kind.precision <= 38 and 0 <= kind.scale <= kind.precision
        return f"decimal({kind.precision},{kind.scale})" if fits else None
    if pa.types.is_dictionary(kind):
        return spark_type(kind.value_type)
    return _nested_type(kind)


def _nested_type(kind: pa.DataType) -> str | None:
    if pa.types.is_map(kind):
        parts = [_part_type(kind.key_type), _part_type(kind.item_type)]
        return None if None in parts else f"map<{parts[0]},{parts[1]}>"
    if pa.types.is_struct(kind):
        fields = [(field.name, _part_type(field.type)) for field in kind]
        known = all(part is not None for _, part in fields)
        return f"struct<{','.join(f'{name}:{part}' for name, part in fields)}>" if known else None
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(test(kind) for test in lists):
        part = _part_type(kind.value_type)
        return None if part is None else f"array<{part}>"
    return None


def _part_type(kind: pa.DataType) -> str | None:
    # No table holds a part that has no type.
    return "string" if pa.types.is_null(kind) else spark_type(kind)


def _spark_facts(spark: SparkSession, file: File) -> Facts:
    try:
        frame = spark.read.parquet(escape_glob(place(file.path)))
        types = [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]
        rows = frame.count()
    except Exception as error:  # Spark's own, and those of Java that py4j brings
        raise DataError(f"{file.path!r} could not be read: {first_line(error)}") from error
    for name, kind in types:
        if refused := _NO_DELTA.search(kind):
            raise DataError(
                f"{file.path!r}: the column {name!r} is {refused[0]}, which Delta has no type for; "
                "write the file anew without it, or as text or a number"
            )
    wide = tuple(name for name, kind in types if kind == "bigint")
    return Facts(rows, types=tuple(types), wide=wide)


@contextmanager
def readable(files: Sequence[File], beside: Path | None) -> Iterator[dict[File, str]]:
    """The places from which Spark reads files, some of them written anew for as long as it does.

    Args:
        files: the files.
        beside: a folder that Spark sees as well; None where there is none.

    Raises:
        DataError: where a value would be lost, with the file, the column and the remedy.
    """
    odd = {file: fields for file in files if (fields := _odd_fields(file))}
    folder = None if beside is None else beside / ".written-anew"
    places = {file: place(file.path) for file in files}
    copies: list[Path] = []
    try:
        for file in odd:
            if folder is None:
                name = odd[file][0]
                raise DataError(
                    f"{file.path!r}: the column {name!r} has a type that Spark does not read; "
                    "write the file anew with microseconds and plain floats"
                )
            mark = hashlib.sha256(f"{file.path}\0{file.content}".encode()).hexdigest()[:32]
            copies.append(folder / f"{mark}.parquet")
            folder.mkdir(parents=True, exist_ok=True)
            _write_anew(file, copies[-1])
            places[file] = str(copies[-1])
        yield places
    finally:
        for path in copies:
            path.unlink(missing_ok=True)
        if copies and folder is not None:
            with suppress(OSError):  # another process writes there
                folder.rmdir()


def _odd_fields(file: File) -> list[str]:
    """The columns of a file on this machine that Spark refuses."""
    if "://" in file.path:
        return []
    about = pq.read_metadata(file.path)
    if SPARK_ROWS in (about.metadata or {}):
        return []
    int96 = int96_columns(about.schema)
    schema = about.schema.to_arrow_schema()
    return [f.name for f in schema if f.name not in int96 and _read_as(f.type) != f.type]


def _read_as(kind: pa.DataType) -> pa.DataType:
    return kind if pa.types.is_null(kind) else plain_type(kind)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type in which Spark reads the values of a column, without loss but for nanoseconds."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_null(kind):
        # As a part of others.
        return pa.string()
    if pa.types.is_dictionary(kind):
        value = plain_type(kind.value_type)
        return kind if value == kind.value_type else value
    if pa.types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([f.with_type(plain_type(f.type)) for f in kind])
    if pa.types.is_fixed_size_list(kind):
        value = plain_type(kind.value_type)
        return kind if value == kind.value_type else pa.list_(value)
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(plain_type(kind.value_type)))
    return kind


def _write_anew(file: File, target: Path) -> None:
    with pq.ParquetFile(file.path) as source:
        whole = source.schema_arrow
        schema = pa.schema([f.with_type(_read_as(f.type)) for f in whole])
        begun = target.with_suffix(".begun")
        try:
            with pq.ParquetWriter(begun, schema, store_schema=False) as writer:
                for batch in source.iter_batches(_BATCH_ROWS):
                    columns = [
                        plain_values(batch.column(place), field, file)
                        for place, field in enumerate(schema)
                    ]
                    writer.write_batch(pa.record_batch(columns, schema=schema))
            shutil.move(begun, target)
        finally:
            begun.unlink(missing_ok=True)


def plain_values(values: pa.Array, field: pa.Field, file: File) -> pa.Array:
    if values.type == field.type:
        return values
    try:
        return pc.cast(values, field.type)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{file.path!r}: the column {field.name!r} has nanoseconds that microseconds cannot "
            f"hold, and Delta has no finer times; write the file anew, in pandas with "
            f"df[{field.name!r}] = df[{field.name!r}].dt.floor('us')"
        ) from error
    except pa.ArrowNotImplementedError as error:
        raise DataError(
            f"{file.path!r}: the column {field.name!r} is {values.type}, which cannot be read; "
            f"{_remedy(field)}"
        ) from error


def rows_of(
    spark: SparkSession,
    files: Sequence[tuple[File, Facts]],
    schema: Sequence[tuple[str, str]],
    places: Mapping[File, str],
) -> DataFrame:
    """The rows of files with the columns of a schema, and the path of each row's file."""
    groups: dict[tuple[tuple[str, str], ...], list[File]] = {}
    for file, facts in files:
        groups.setdefault(facts.types, []).append(file)
    frames = []
    for types, group in groups.items():
        paths = {places[file]: file for file in group}
        try:
            frame = spark.read.parquet(*[escape_glob(path) for path in paths])
        except Exception as error:
            raise unreadable(error, group) from error
        own = dict(types)
        fields = [
            _as_type(frame, name, own[name], kind).alias(name)
            for name, kind in schema
            if name in own
        ]
        frames.append(
            frame.select(*fields, _original(decode_path(encoded_path(frame)), paths).alias(PATH))
        )
    return reduce(sql.DataFrame.unionByName, frames)


def _as_type(frame: DataFrame, name: str, own: str, kind: str) -> Column:
    value = F.col(column(name))
    if own == "void":
        value = F.lit(None)
    elif frame.schema[name].dataType.simpleString() == kind:
        return value
    return value.cast(kind)


def _original(path: Column, places: dict[str, File]) -> Column:
    """The path of the file that was written anew, for that from which it was made."""
    for at, file in places.items():
        if at != place(file.path):
            path = F.when(path == at, F.lit(file_path(file))).otherwise(path)
    return path
