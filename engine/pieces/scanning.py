"""Batches as a scan takes them, made of pieces: columns, predicates, buckets and keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from engine.pieces.expressions import Expression, matches
from engine.pieces.functions import describe_error
from engine.pieces.json_text import json_rows
from engine.pieces.opening import UnreadableError
from engine.pieces.pieces import Piece
from engine.pieces.reading import ReadColumn, read_pieces
from engine.pieces.row_hash import hash_rows
from engine.states import BUCKETS


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that is made of others: by a predicate, a hash, or as a text of them.

    `columns` are what a hash or a text is made of; `kind` is `predicate`, `bucket`, `row` or `key`.
    """

    kind: str
    columns: tuple[str, ...] = ()
    predicate: Expression | None = None


@dataclass(frozen=True, slots=True)
class PieceReader:
    """How a scan's batches come from pieces of a table.

    `names` are the columns that a batch has, in their order; those in `derived` are made of those
    that are read.
    """

    names: tuple[str, ...]
    read: tuple[ReadColumn, ...]
    derived: tuple[tuple[str, Derived], ...]

    def batches(self, pieces: Iterable[Piece]) -> Iterator[pa.RecordBatch]:
        """The rows of pieces, as the scan reads them.

        Raises:
            UnreadableError: for rows that only Spark can read, or tells what is wrong with.
        """
        recipes = dict(self.derived)
        for batch in read_pieces(pieces, self.read):
            try:
                columns = [
                    _derive(recipes[name], batch) if name in recipes else batch.column(name)
                    for name in self.names
                ]
            except pa.ArrowException as error:
                # A sum that is too large, for one: Spark says so in words of its own.
                raise UnreadableError(describe_error(error)) from error
            yield pa.RecordBatch.from_arrays(columns, names=list(self.names))


def _derive(derived: Derived, batch: pa.RecordBatch) -> pa.Array:
    if derived.predicate is not None:
        return matches(derived.predicate, batch)
    columns = {name: batch.column(name) for name in derived.columns}
    if derived.kind == "key":
        return json_rows(columns, batch.num_rows)
    hashes = hash_rows(columns.values(), batch.num_rows)
    if derived.kind == "row":
        return pa.array(hashes)
    return pa.array((hashes % BUCKETS).astype("int32"))
