"""CSV files read by this process, where there is no Spark: the same fields, classes and values.

Files are read as Spark would where every quote stands as RFC 4180 has it and lines end alike.
Of others it is not known what Spark makes of them: they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from engine.data.files import csv_files
from engine.data.files.decision import Schema
from engine.data.files.facts import Facts
from engine.data.files.listing import File, is_packed
from engine.data.files.local_texts import Misfit, classes_of, values_of
from engine.data.files.reading import Reading
from engine.errors import DataError
from engine.pieces import NotThisWay

MOST_BYTES = 2**28
"""A file that is larger is not read whole into this process."""

# Each field is bare, or in quotes from its first to its last letter; a line break ends a record.
_FIELD = rb'(?:"[^"]*+(?:""[^"]*+)*+"|[^",\n]*+)'
_PLAIN = re.compile(rb"(?:%b(?:,|\n|\Z))*+" % _FIELD)
_BOM = b"\xef\xbb\xbf"


def look_at(files: Sequence[File], reading: Reading) -> list[Facts]:
    """What is seen in the columns of files.

    Raises:
        DataError: for a file without columns, with two of one name, or that cannot be read.
        NotThisWay: for a file of which it is not known how Spark reads it.
    """
    return [_look_at(file, reading) for file in files]


def _look_at(file: File, reading: Reading) -> Facts:
    rows = texts(file, csv_files.local_header(file), reading)
    if not rows.num_rows:
        return Facts(0, tuple((name, 0) for name in rows.column_names))
    seen = zip(rows.column_names, rows.columns, strict=True)
    return Facts(rows.num_rows, tuple((name, int(classes_of(column))) for name, column in seen))


def rows_of(file: File, facts: Facts, schema: Schema, reading: Reading) -> pa.Table:
    """The rows of a file with the columns of a schema.

    Raises:
        DataError: for a value that does not fit the type of its column.
        NotThisWay: for a file of which it is not known how Spark reads it.
    """
    rows, columns = texts(file, facts.columns, reading), {}
    for name, kind in schema:
        try:
            columns[name] = values_of(rows[name], kind)
        except Misfit as error:
            raise csv_files.misfit_error(repr(file.path), name, kind) from error
    return pa.table(columns)


def texts(file: File, names: Sequence[str], reading: Reading) -> pa.Table:
    """The fields of a file as texts, null where nothing or a mark of null stands."""
    content = _content(file, len(names))
    try:
        rows = csv.read_csv(
            pa.BufferReader(content),
            # Whole: a record that is cut by the end of a block would be none.
            csv.ReadOptions(
                column_names=list(names), skip_rows_after_names=1, block_size=len(content) + 1
            ),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise csv_files.record_error(repr(file.path)) from error
    columns = {name: _without_nulls(rows[name], reading.nulls_of(name)) for name in names}
    return pa.table(columns)


def _without_nulls(texts: pa.ChunkedArray, nulls: Sequence[str]) -> pa.ChunkedArray:
    if not nulls:
        return texts
    marks = pc.is_in(pc.utf8_trim(texts, " "), pa.array(nulls, pa.string()))
    return pc.if_else(marks, pa.scalar(None, pa.string()), texts)


def _content(file: File, width: int) -> bytes:
    """The bytes of a file, with its line breaks alike.

    Raises:
        NotThisWay: where it is not known how Spark reads them.
    """
    path = Path(file.path)
    if "://" in file.path or is_packed(file.path):
        raise NotThisWay(f"{file.path!r} is packed, or no file of this machine")
    if path.stat().st_size > MOST_BYTES:
        raise NotThisWay(f"{file.path!r} has more than {MOST_BYTES // 2**20} MiB")
    try:
        content = path.read_bytes().removeprefix(_BOM)
    except OSError as error:
        raise DataError(f"{file.path!r} could not be read: {error.strerror}") from error
    breaks = {content.count(end) for end in (b"\r", b"\n", b"\r\n")}
    if b"\r" in content and len(breaks) > 1:
        raise NotThisWay(f"{file.path!r} has lines that end in different ways")
    lines = content.replace(b"\r\n", b"\n")
    if b"\0" in lines:
        raise NotThisWay(f"{file.path!r} has a character of the code 0")
    if b'"' in lines and _PLAIN.fullmatch(lines) is None:
        raise NotThisWay(f"{file.path!r} has a quote where a field neither begins nor ends")
    if width == 1 and re.search(rb"\n\s*\n|\A\s*\n", lines):
        raise NotThisWay(f"{file.path!r} has an empty line, and a single column")
    return lines
