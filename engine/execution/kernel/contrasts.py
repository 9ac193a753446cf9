"""What a worker does with a contrast: it computes it of the samples of both tables.

Nothing here knows Spark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from engine.core.redaction import redacted_message
from engine.core.vocabulary import plain_numbers
from engine.errors import InputError
from engine.kinds import COUNT, Contrast, SampleRows, load_extensions
from engine.planning.slices import slice_key
from engine.store.answers import Answer

CONTRAST_SCHEMA = pa.schema([("payload", pa.binary())])
CONTRAST_DDL = "payload binary"

# The columns of both samples beside their own: whether a row is of the reference, what it belongs
# to, and the two hashes by which rows are ordered.
SIDE, UNIT, ORDER = "\0side", "\0unit", ("\0hash", "\0rest")


@dataclass(frozen=True, slots=True)
class ContrastTask:
    """A contrast, and the modules in which users' own stand."""

    content: Contrast
    plugins: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The columns of its samples, in their order."""
        return [*self.content.columns, SIDE, UNIT, *ORDER]


def contrast(batches: Iterable[pa.RecordBatch], task: ContrastTask) -> Iterator[pa.RecordBatch]:
    """The answer to a contrast (`CONTRAST_SCHEMA`), from the rows of both samples."""
    load_extensions(task.plugins)
    table = pa.Table.from_batches(batches)
    try:
        answer = _answer(task.content, table)
    except Exception as error:  # what a contrast costs is its own cells
        answer = Answer(failure=f"the contrast failed: {redacted_message(error)}")
    yield pa.RecordBatch.from_pylist([{"payload": answer.encode()}], CONTRAST_SCHEMA)


def _answer(content: Contrast, table: pa.Table) -> Answer:
    of_reference = np.asarray(table.column(SIDE).to_numpy(), bool)
    ours, theirs = (
        _sample(content, table.filter(pa.array(side))) for side in (~of_reference, of_reference)
    )
    numbers, texts = content.run(ours, theirs)
    try:
        plain = plain_numbers(numbers)
    except InputError as error:
        return Answer(failure=f"the contrast failed: {error}")
    key = slice_key(())
    return Answer(
        {key: {COUNT: float(ours.table.num_rows), **plain}}, None, {key: texts} if texts else {}
    )


def _sample(content: Contrast, rows: pa.Table) -> SampleRows:
    ordered = rows.sort_by([(name, "ascending") for name in ORDER]).combine_chunks()
    units = np.asarray(ordered.column(UNIT).to_numpy(), np.int64)
    return SampleRows(ordered.select(list(content.columns)), units)
