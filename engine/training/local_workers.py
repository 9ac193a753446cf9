"""Workers that are processes of this machine: each is started once, and given the data once.

A process that dies of a fold costs that fold; another takes its place.
"""

from __future__ import annotations

import os
import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cloudpickle  # type: ignore[import-untyped]

from engine.core.child import ChildEndedError, ChildProcess
from engine.errors import InputError, ModelError
from engine.training.tasks import FoldScore, FoldTask, FoldWork
from engine.training.worker import COMMAND, REFUSED


class Workers(Protocol):
    """Who does tasks: processes of this machine, or Spark."""

    def run(self, tasks: Sequence[FoldTask]) -> Iterator[tuple[FoldTask, FoldScore]]:
        """Does tasks, and gives each as soon as it is done, in any order."""

    def close(self) -> None:
        """Ends them."""


class LocalWorkers:
    """Some processes; as many of them are started as there are tasks at a time.

    Args:
        work: what the tasks have in common; is written once, and read once by each process.
        count: of processes.
    """

    def __init__(self, work: FoldWork, count: int) -> None:
        if count < 1:
            raise InputError(f"workers is {count}, expected 1 or more, or 'spark'")
        self._folder = tempfile.TemporaryDirectory(prefix="evalmatrix-folds-")
        self._file = Path(self._folder.name) / "work.pkl"
        self._file.write_bytes(cloudpickle.dumps(work))
        self._idle: list[FoldProcess] = []
        self._all: set[FoldProcess] = set()
        self._count = count
        self._gpus = visible_gpus()
        self._is_closed = False

    def run(self, tasks: Sequence[FoldTask]) -> Iterator[tuple[FoldTask, FoldScore]]:
        """Does tasks.

        Raises:
            ModelError: what is wrong with all of them alike.
        """
        waiting: queue.SimpleQueue[FoldTask] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for number in range(min(self._count, len(tasks))):
            arguments = (number, waiting, answers)
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()
        for _ in tasks:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            yield answer

    def _serve(self, number: int, waiting: Any, answers: Any) -> None:
        """Gives one process after the other of the tasks that wait."""
        process = None
        try:
            while not self._is_closed:
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    break
                process = process or self._take(number)
                score = process.ask(task)
                if score.lost:
                    self._all.discard(process)
                    process.close()
                    process = None
                answers.put((task, score))
        except BaseException as error:
            answers.put(error)
        finally:
            if process is not None:
                self._idle.append(process)

    def _take(self, number: int) -> FoldProcess:
        """A process that is there and has nothing to do, or a new one."""
        return self._idle.pop() if self._idle else self._start(number)

    def _start(self, number: int) -> FoldProcess:
        process = FoldProcess(
            self._file, self._gpus[number % len(self._gpus)] if self._gpus else None
        )
        self._all.add(process)
        return process

    def close(self) -> None:
        """Ends the processes, whatever they are at."""
        self._is_closed = True
        for process in list(self._all):
            process.close()
        self._folder.cleanup()


class FoldProcess:
    """A process that does one task after the other."""

    def __init__(self, file: Path, gpu: str | None) -> None:
        more = {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}
        self._child = ChildProcess(COMMAND, [str(file)], more)

    def ask(self, task: FoldTask) -> FoldScore:
        """Has a task done; a process that ends over it is a result.

        Raises:
            ModelError: what is wrong with all tasks alike.
        """
        try:
            kind, answer = self._child.ask(task)
        except ChildEndedError as ended:
            return FoldScore(error=str(ended), lost=True)
        if kind == REFUSED:
            raise ModelError(answer)
        score: FoldScore = answer
        return score

    def close(self) -> None:
        """Ends it, whatever it is at."""
        self._child.close()


def visible_gpus() -> list[str]:
    """The GPUs of this machine that a process may use, as CUDA_VISIBLE_DEVICES names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    cards = Path("/proc/driver/nvidia/gpus")
    count = len(list(cards.iterdir())) if cards.is_dir() else 0
    return [str(number) for number in range(count)]
