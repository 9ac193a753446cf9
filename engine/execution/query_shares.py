"""The rows of a query brought together without Spark: by a hash of the query, in files.

Who reads pieces puts each row into the file of its share; then each share is read by itself, with
the rows of a query one after the other. So no more than a share is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.execution.kernel.batches import CHUNK_ROWS, chunks, query_codes
from engine.pieces.row_hash import hash_rows
from engine.states import Ints


@dataclass(frozen=True, slots=True)
class QueryShares:
    """Into how many shares queries go, and of which chunk of all queries they are.

    `chunk` is its number and how many there are; the rows of other chunks are left out.
    """

    column: str
    count: int
    chunk: tuple[int, int] = (0, 1)

    def numbers(self, queries: pa.Array) -> Ints:
        """The share of each row; -1 for those of other chunks."""
        hashes = hash_rows([queries], len(queries)).view(np.uint64)
        number, every = (np.uint64(part) for part in self.chunk)
        shares = ((hashes // every) % np.uint64(self.count)).astype(np.int64)
        return np.where(hashes % every == number, shares, -1)

    def spread(self, batches: Iterable[pa.RecordBatch], folder: Path) -> None:
        """Writes rows into files of a folder, which is made: one for each share that has any."""
        folder.mkdir()
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        sinks: dict[int, pa.OSFile] = {}
        writers: dict[int, pa.RecordBatchFileWriter] = {}
        try:
            for batch in chunks(batches):
                numbers = self.numbers(batch.column(self.column))
                for number in np.unique(numbers[numbers >= 0]).tolist():
                    if number not in writers:
                        sinks[number] = pa.OSFile(str(_file(folder, number)), "wb")
                        writers[number] = pa.ipc.new_file(
                            sinks[number], batch.schema, options=options
                        )
                    writers[number].write_batch(batch.filter(pa.array(numbers == number)))
        finally:
            for closing in (*writers.values(), *sinks.values()):
                closing.close()

    def read(self, folders: Sequence[str], number: int) -> Iterator[pa.RecordBatch]:
        """The rows of a share that lie in some folders, those of a query together."""
        files = [_file(Path(folder), number) for folder in folders]
        parts = [pa.ipc.open_file(str(file)).read_all() for file in files if file.exists()]
        if not parts:
            return
        rows = pa.concat_tables(parts)
        codes = query_codes(rows[self.column].combine_chunks())
        order = pa.array(np.argsort(codes, kind="stable"))
        for start in range(0, len(order), CHUNK_ROWS):
            yield from rows.take(order.slice(start, CHUNK_ROWS)).combine_chunks().to_batches()


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.arrow"
