"""Parquet files read by this process, where there is no Spark: columns of plain types.

Of a file that Spark wrote, those of whose types Arrow has the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.data.files import parquet
from engine.data.files.decision import Schema
from engine.data.files.facts import Facts
from engine.data.files.listing import File
from engine.data.files.local_texts import arrow_type
from engine.errors import DataError
from engine.pieces import NotThisWay

_BATCH_ROWS = 65_536
# In the schema that Spark writes into its files.
_SPARK_PLAIN = re.compile(
    r"boolean|byte|short|integer|long|float|double|string|binary|decimal\(\d+,\d+\)"
)
_ODD = (pa.types.is_time, pa.types.is_duration, pa.types.is_fixed_size_binary, pa.types.is_nested)


def look_at(files: Sequence[File]) -> list[Facts]:
    """The types of the columns of files, and how many rows each has.

    Raises:
        DataError: for a file that is no Parquet, or has a column that nothing here reads.
        NotThisWay: for one with types that only Spark knows.
    """
    return [_look_at(file) for file in files]


def _look_at(file: File) -> Facts:
    if "://" in file.path:
        raise NotThisWay(f"{file.path!r} is no file of this machine")
    about = parquet.read_end(file)
    spark_fields = (about.metadata or {}).get(parquet.SPARK_ROWS)
    if spark_fields is not None:
        _check_spark_types(file, json.loads(spark_fields)["fields"])
    facts = parquet.arrow_facts(file, about)
    parquet.check_names(file, facts.columns)
    return facts


def _check_spark_types(file: File, fields: Sequence[dict[str, Any]]) -> None:
    for field in fields:
        kind = field["type"]
        if not isinstance(kind, str) or not _SPARK_PLAIN.fullmatch(kind) or field.get("metadata"):
            raise NotThisWay(
                f"{file.path!r} was written by Spark, and its column {field['name']!r} has a type "
                "that only Spark reads"
            )


def batches_of(file: File, facts: Facts, schema: Schema) -> Iterator[pa.RecordBatch]:
    """The rows of a file with the columns of a schema.

    Raises:
        DataError: for a value that does not fit the type of its column.
        NotThisWay: for a column whose values only Spark reads.
    """
    own = dict(facts.types)
    with pq.ParquetFile(file.path) as source:
        int96 = parquet.int96_columns(source.metadata.schema)
        for field in source.schema_arrow:
            if field.name in int96 or _is_odd(field.type):
                raise NotThisWay(f"{file.path!r}: the column {field.name!r} is {field.type}")
        for batch in source.iter_batches(_BATCH_ROWS):
            columns = {
                name: _cast(batch.column(name), own[name], pa.field(name, arrow_type(kind)), file)
                for name, kind in schema
            }
            yield pa.record_batch(columns)


def _is_odd(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return isinstance(kind, pa.BaseExtensionType) or any(test(kind) for test in _ODD)


def _cast(values: pa.Array, own: str, field: pa.Field, file: File) -> pa.Array:
    if own == "void":
        return pa.nulls(len(values), field.type)
    try:
        return parquet.plain_values(values, field, file)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{file.path!r}: the column {field.name!r} has a value that does not fit {field.type}"
        ) from error
