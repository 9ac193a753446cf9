"""Judging by processes of this machine, where an evaluation has many cells."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine.core.child import core_count
from engine.core.vocabulary import Cell
from engine.errors import WorkerDiedError
from engine.evaluation.cells import Judge
from engine.evaluation.shares import SLICES_AT_ONCE, CellCodec
from engine.execution.local_pool import LocalPool
from engine.execution.local_worker import JudgeFiles, JudgeShare
from engine.states.rows import StateRow


class SpreadJudging:
    """Blocks that are handed over are judged by as many processes as there are cores.

    They are started when cells are asked for, and end with `opened`, which has their pool; what one
    does not live to judge is judged here.
    """

    def __init__(self, opened: ExitStack) -> None:
        self._open = opened
        self._pool: LocalPool | None = None
        self._judge: Judge | None = None
        self._tasks: list[JudgeShare] = []

    def add(self, judge: Judge, rows: Sequence[StateRow], slices: int) -> None:
        """Keeps the states of a block for the processes."""
        if self._pool is None:
            self._pool = self._open.enter_context(LocalPool())
            self._judge = judge
            (self._pool.folder / "judge.pickle").write_bytes(pickle.dumps(judge))
        folder, number = self._pool.folder, len(self._tasks)
        file = folder / f"block-{number}.pickle"
        file.write_bytes(pickle.dumps(list(rows), protocol=pickle.HIGHEST_PROTOCOL))
        for first in range(0, slices, SLICES_AT_ONCE):
            target = folder / f"cells-{number}-{first}.pickle"
            last = min(first + SLICES_AT_ONCE, slices)
            files = JudgeFiles(str(folder / "judge.pickle"), str(file), str(target))
            self._tasks.append(JudgeShare(files, first, last))

    def cells(self) -> Iterator[Sequence[Cell]]:
        """The cells of all blocks that were handed over, in any order."""
        if self._pool is None or self._judge is None:
            return
        codec, left = CellCodec(self._judge.plan), list(self._tasks)
        try:
            for task, file in self._pool.run(self._tasks):
                assert isinstance(task, JudgeShare), "nothing else was asked"
                yield _take(codec, file)
                left.remove(task)
        except WorkerDiedError:
            for task in left:
                yield _take(codec, task.run())


@contextmanager
def spread_judging() -> Iterator[SpreadJudging | None]:
    """Processes of this machine that judge; None where it has one core."""
    with ExitStack() as opened:
        yield SpreadJudging(opened) if core_count() > 1 else None


def _take(codec: CellCodec, file: str) -> Sequence[Cell]:
    cells = codec.decode(Path(file).read_bytes())
    Path(file).unlink()
    return cells
