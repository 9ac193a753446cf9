"""Processes of this machine that work for the local executor, as many as it has cores."""

from __future__ import annotations

import atexit
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.core.child import ChildEndedError, ChildProcess, core_count
from engine.errors import WorkerDiedError
from engine.execution.local_worker import COMMAND, LocalTask

_spare: list[ChildProcess] = []


def begin_worker() -> None:
    """Starts a process early, beside other work: it imports what a scan takes; a pool takes it."""
    if not _spare:
        _spare.append(ChildProcess(COMMAND))


def drop_worker() -> None:
    """Ends a process that was started early, and is not wanted after all."""
    while _spare:
        _spare.pop().close()


atexit.register(drop_worker)


class LocalPool:
    """Processes that are started when there is something to do, and ended with the block.

    `folder` is for the files that go between them.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or core_count()
        self._place = tempfile.TemporaryDirectory(prefix="evalmatrix-states-")
        self.folder = Path(self._place.name)
        self._idle: list[ChildProcess] = []
        self._all: set[ChildProcess] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, tasks: Sequence[LocalTask]) -> Iterator[tuple[LocalTask, str]]:
        """Does tasks, and gives each with its answer as soon as it is done, in any order.

        Raises:
            WorkerDiedError: when a process has ended over a task.
            EvalMatrixError: what a task raised.
        """
        waiting: queue.SimpleQueue[LocalTask] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        answers: queue.SimpleQueue[tuple[LocalTask | None, Any]] = queue.SimpleQueue()
        for _ in range(min(self.count, len(tasks))):
            threading.Thread(target=self._serve, args=(waiting, answers), daemon=True).start()
        for _ in tasks:
            task_done, answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            assert task_done is not None, "an answer is of a task"
            yield task_done, answer

    def _serve(self, waiting: Any, answers: Any) -> None:
        """Gives one process after the other of the tasks that wait."""
        process = None
        try:
            process = self._take()
            while not self._is_closed:
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    break
                answers.put((task, process.ask(task)))
            with self._lock:
                self._idle.append(process)
        except ChildEndedError as ended:
            if process is not None:
                process.close()
            answers.put((None, WorkerDiedError(f"a worker died: {ended}")))
        except BaseException as error:
            answers.put((None, error))

    def _take(self) -> ChildProcess:
        with self._lock:
            if self._is_closed:
                raise ChildEndedError("nobody waits for it any more")
            if self._idle:
                return self._idle.pop()
            process = _spare.pop() if _spare else ChildProcess(COMMAND)
            self._all.add(process)
            return process

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        self._is_closed = True
        with self._lock:
            for process in self._all:
                process.close()
        self._place.cleanup()
