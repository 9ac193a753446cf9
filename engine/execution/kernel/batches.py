"""Batches of the size that is worth the work: small ones put together, large ones cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.planning.slices import plain_column
from engine.states import Ints

CHUNK_ROWS = 131_072
CHUNK_BYTES = 64 * 2**20


def chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Puts small batches together and cuts large ones, within `CHUNK_ROWS` and `CHUNK_BYTES`.

    A chunk is worth the arrays that are made for it, and no larger than a worker should hold. A
    single row may be larger than the limit.
    """
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in chain.from_iterable(map(_cut, batches)):
        if held and (rows + batch.num_rows > CHUNK_ROWS or size + batch.nbytes > CHUNK_BYTES):
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if held:
        yield pa.concat_batches(held)


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in pieces that are small enough for a chunk, as far as its rows are about alike."""
    pieces = max(-(-batch.num_rows // CHUNK_ROWS), -(-batch.nbytes // CHUNK_BYTES), 1)
    step = max(-(-batch.num_rows // pieces), 1)
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def whole_queries(batches: Iterable[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    """The same rows, cut between queries only; the rows of a query come one after the other.

    A batch is at least as large as the largest query; one without rows is left out.
    """
    # The last query so far, in the pieces that it came in: they are joined once, at its end.
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        values = plain_column(batch.column(column))
        if held:
            before = plain_column(held[-1].column(column)).slice(held[-1].num_rows - 1)
            values = pa.concat_arrays([before, values])
        codes = query_codes(values)
        others = np.flatnonzero(codes != codes[-1])
        if not len(others):
            held.append(batch)
            continue
        # With a row held, its code is the first: the place in the batch is one less.
        start = int(others[-1]) + (0 if held else 1)
        yield pa.concat_batches([*held, batch.slice(0, start)])
        held = [batch.slice(start)]
    if held:
        yield pa.concat_batches(held)


def query_codes(column: pa.Array) -> Ints:
    """A number for each row, the same for rows of one query; null is a query of its own.

    As for Spark, -0.0 and 0.0 are one query.
    """
    column = plain_column(column)
    if pa.types.is_floating(column.type):
        column = pc.add(column, pa.scalar(0.0, column.type))
    encoded = column.dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)
