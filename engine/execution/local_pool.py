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
from engine.errors import ModelError, WorkerDiedError
from engine.execution.local_worker import COMMAND, DescribeModel, LocalTask
from engine.models import Describe, describe_model
from engine.models.artifact import Artifact
from engine.models.flavors.base import Description
from engine.spark.lazy_session import LazySession

# Of processes that were started early: those that wait, and those that are asked of a model.
_spare: list[ChildProcess] = []
_asked: list[ChildProcess] = []
_early = threading.Lock()


def begin_worker() -> None:
    """Starts a process early, beside other work: it imports what a scan takes; a pool takes it."""
    with _early:
        if not _spare and not _asked:
            _spare.append(ChildProcess(COMMAND))


def drop_worker() -> None:
    """Ends a process that was started early, and is not wanted after all."""
    with _early:
        while _spare or _asked:
            (_spare or _asked).pop().close()


def describe_early(artifact: Artifact, content: str) -> Description:
    """Asks a model what it returns in a process that is started early, and then has it open.

    The scan's framework is imported once, beside other work, and not in this process.

    Raises:
        ModelError: when it cannot be loaded, or the process ends over it.
    """
    begin_worker()
    with _early:
        process = _take_spare()
        if process is not None:
            _asked.append(process)
    if process is None:
        return describe_model(artifact, content)
    try:
        answer = process.ask(DescribeModel(artifact, content))
    except ChildEndedError as ended:
        with _early:
            _forget(process)
        process.close()
        raise ModelError(
            f"the {artifact.flavor} model in {str(artifact.path)!r} cannot be loaded: {ended}"
        ) from None
    with _early:
        if _forget(process):
            _spare.append(process)
    if isinstance(answer, Exception):
        raise answer
    assert isinstance(answer, Description), "a model describes itself"
    return answer


def early_describer(session: LazySession) -> Describe:
    """How the models of a run are asked what they return: by who would scan their rows."""
    return describe_early if session.is_local or session.is_undecided else describe_model


def _take_spare() -> ChildProcess | None:
    return _spare.pop() if _spare else None


def _forget(process: ChildProcess) -> bool:
    """Takes a process from those that are asked; tells whether it was one, and nobody ended it."""
    if process not in _asked:
        return False
    _asked.remove(process)
    return True


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
            with _early:
                process = _take_spare()
            process = process or ChildProcess(COMMAND)
            self._all.add(process)
            return process

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        self._is_closed = True
        with self._lock:
            for process in self._all:
                process.close()
        self._place.cleanup()
