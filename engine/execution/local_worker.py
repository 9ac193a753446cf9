"""What a process of this machine runs: scans of shares of pieces, merges of states, verdicts.

States go from one to the other in files of Arrow's, which are read where they lie. Nothing here
knows Spark.
"""

from __future__ import annotations

import pickle
import signal
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from engine.core.child import end_with_parent
from engine.core.redaction import redacted_message
from engine.errors import EvalMatrixError, StoreError
from engine.evaluation.cells import Judge
from engine.evaluation.shares import CellCodec, SharedBlock
from engine.execution.kernel.contrasts import CONTRAST_SCHEMA, ContrastTask, contrast
from engine.execution.kernel.merge import merge_named
from engine.execution.kernel.model_task import Work
from engine.execution.kernel.probes import PROBED_SCHEMA, probe
from engine.execution.kernel.scan import scan
from engine.execution.query_shares import QueryShares
from engine.kinds import load_extensions
from engine.models import describe_model
from engine.models.artifact import Artifact
from engine.models.flavors.base import Description
from engine.models.isolation.limits import die_first
from engine.pieces.pieces import Piece
from engine.pieces.scanning import PieceReader
from engine.planning.plan import EvaluationPlan
from engine.states.rows import MERGED_SCHEMA, STATE_KEY, STATE_SCHEMA, StateRow
from engine.store.kept_index import KeptScores
from engine.store.prediction_rows import PREDICTED

COMMAND = "import sys; from engine.execution.local_worker import main; main(int(sys.argv[1]))"
MERGED_ROWS = 256


class LocalTask(Protocol):
    """Something to do, which is sent to a process."""

    def run(self) -> str:
        """Does it, and tells the file in which its states are."""


@dataclass(frozen=True, slots=True)
class DescribeModel:
    """Opens a model, which stays open for scans, and asks it what it returns."""

    artifact: Artifact
    content: str

    def run(self) -> Description:
        return describe_model(self.artifact, self.content)


@dataclass(frozen=True, slots=True)
class ScanWork:
    """What the scans of all shares have in common; it is written once for all processes.

    `kept` are predictions that the rows are given. With `queries` shares are of these.
    """

    plan: EvaluationPlan
    shares: Sequence[Sequence[Piece]]
    reader: PieceReader
    work: Work
    folder: str
    kept: KeptScores | None = None
    queries: QueryShares | None = None

    def scan(self, batches: Iterable[pa.RecordBatch], file: str, number: int) -> str:
        """Writes the states of a share's rows, and meanwhile how many are done."""
        batches = _count_rows(batches, rows_done_file(file, number))
        if self.kept is not None:
            batches = self.kept.join(batches)
        states = scan(batches, self.plan, self.work, number)
        target = Path(self.folder) / f"states-{Path(file).stem}-{number}.arrow"
        return write_batches(target, states, STATE_SCHEMA)


@dataclass(frozen=True, slots=True)
class ScanShare:
    """The scan of one share, by its number, of the work that is pickled in a file."""

    file: str
    number: int

    def run(self) -> str:
        common = _read_work(self.file)
        batches = common.reader.batches(common.shares[self.number])
        return common.scan(batches, self.file, self.number)


@dataclass(frozen=True, slots=True)
class SpreadShare:
    """Puts the rows of one share of pieces into files by their queries; answers with the folder."""

    file: str
    number: int

    def run(self) -> str:
        common = _read_work(self.file)
        assert common.queries is not None, "the rows of a query come together"
        folder = Path(common.folder) / f"queries-{Path(self.file).stem}-{self.number}"
        common.queries.spread(common.reader.batches(common.shares[self.number]), folder)
        return str(folder)


@dataclass(frozen=True, slots=True)
class ScanQueries:
    """The scan of one share of the queries, of rows that were put into folders."""

    file: str
    number: int
    folders: Sequence[str]

    def run(self) -> str:
        common = _read_work(self.file)
        assert common.queries is not None, "the rows of a query come together"
        rows = common.queries.read(self.folders, self.number)
        return common.scan(rows, self.file, self.number)


@dataclass(frozen=True, slots=True)
class MergeShare:
    """The sums of the states in some files, of the keys of which the hash is a number."""

    files: Sequence[str]
    number: int
    count: int
    names: Mapping[tuple[int, str, str], str | None]
    blocks: Mapping[str, int]
    target: str

    def run(self) -> str:
        rows = pa.concat_tables([self._own(read_batches(file)) for file in self.files])
        ordered = rows.sort_by([(name, "ascending") for name in STATE_KEY])
        batches = ordered.to_batches(max_chunksize=MERGED_ROWS)
        merged = merge_named(batches, self.names, self.blocks)
        return write_batches(Path(self.target), merged, MERGED_SCHEMA)

    def _own(self, rows: pa.Table) -> pa.Table:
        rows = rows.filter(pc.not_equal(rows["family"], PREDICTED))
        keys = zip(*(rows[name].to_pylist() for name in STATE_KEY), strict=True)
        places = [n for n, key in enumerate(keys) if _hash(key) % self.count == self.number]
        return rows.take(pa.array(places, pa.int64()))


@dataclass(frozen=True, slots=True)
class AskShare:
    """A contrast, or the probes of a model, that are pickled in a file beside their sample."""

    file: str
    sample: str
    target: str

    def run(self) -> str:
        task = pickle.loads(Path(self.file).read_bytes())
        batches = read_batches(self.sample).to_batches()
        if isinstance(task, ContrastTask):
            return write_batches(Path(self.target), contrast(batches, task), CONTRAST_SCHEMA)
        return write_batches(Path(self.target), probe(batches, task), PROBED_SCHEMA)


@dataclass(frozen=True, slots=True)
class JudgeFiles:
    """Where the judge and the states of a block are pickled, and where their cells go."""

    judge: str
    block: str
    target: str


@dataclass(frozen=True, slots=True)
class JudgeShare:
    """The cells of the slices of a block from `first` to before `last`."""

    files: JudgeFiles
    first: int
    last: int

    def run(self) -> str:
        block, set_name = _read_block(self.files.judge, self.files.block)
        cells = block.cells(set_name, self.first, self.last)
        Path(self.files.target).write_bytes(CellCodec(block.judge.plan).encode(cells))
        return self.files.target


@lru_cache(maxsize=1)
def _read_judge(file: str) -> Judge:
    judge: Judge = pickle.loads(Path(file).read_bytes())
    load_extensions(judge.plan.plugins)
    return judge


@lru_cache(maxsize=1)
def _read_block(judge: str, file: str) -> tuple[SharedBlock, str]:
    """The states of a block, and the name of its slice set."""
    rows: list[StateRow] = pickle.loads(Path(file).read_bytes())
    return SharedBlock.of(_read_judge(judge), rows), rows[0].slice_set


def rows_done_file(file: str, number: int) -> Path:
    """Where the scan of a share says how many of its rows are done."""
    return Path(file).with_suffix(f".{number}.rows")


def _count_rows(batches: Iterable[pa.RecordBatch], file: Path) -> Iterator[pa.RecordBatch]:
    done = 0
    with file.open("wb", buffering=0) as told:
        for batch in batches:
            yield batch
            done += batch.num_rows
            told.seek(0)
            told.write(b"%d" % done)


def _hash(key: tuple[Any, ...]) -> int:
    return zlib.crc32(repr(key).encode())


@lru_cache(maxsize=1)
def _read_work(file: str) -> ScanWork:
    work: ScanWork = pickle.loads(Path(file).read_bytes())
    return work


def write_batches(file: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> str:
    """Writes batches into a file of Arrow's, and gives its path."""
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
    return str(file)


def read_batches(file: str) -> pa.Table:
    """The rows of such a file, which are read where they lie."""
    return pa.ipc.open_file(pa.memory_map(file)).read_all()


def predicted_rows(files: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The rows of predictions among those of scans."""
    for file in files:
        rows = read_batches(file)
        yield from rows.filter(pc.equal(rows["family"], PREDICTED)).to_batches()


def main(descriptor: int) -> None:
    """Answers the process that has started this one, until it hangs up or is gone.

    Args:
        descriptor: of the connection over which tasks come.
    """
    # Ctrl-C is for who started this; a terminal sends it to all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    die_first()
    warnings.simplefilter("ignore")
    with Connection(descriptor) as connection:
        while True:
            try:
                task: LocalTask | DescribeModel = connection.recv()
            except (EOFError, OSError):
                return
            connection.send(_answer(task))


def _answer(task: LocalTask | DescribeModel) -> str | Description | Exception:
    """The file that a task has written, or what a model says of itself, or what was raised."""
    try:
        return task.run()
    except EvalMatrixError as error:
        return error
    except Exception as error:
        return StoreError(redacted_message(error))
