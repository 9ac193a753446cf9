"""The folds of a search as tasks of Spark: one row, and one partition, for each (candidate, fold).

The work, which has the data, goes once to each worker, as models do; a task is a few hundred bytes.
Some jobs run beside each other, so that what is finished is known while others go on.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped]
import pandas as pd

from engine.errors import ModelError, StoreError
from engine.execution.shipping import pack_folder
from engine.spark.api import spark_errors
from engine.spark.error_messages import first_line
from engine.spark.internals import runs_here
from engine.training.spread import WORK_FILE, answer_task
from engine.training.tasks import FoldScore, FoldTask, FoldWork

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# What is finished is kept job by job: so many of them share the tasks.
_JOBS = 64
_DIED = re.compile("Python worker exited unexpectedly|ExecutorLostFailure")
_ENDED = "its process on a worker of Spark ended, of the model or because memory ran out"
_SCHEMA = "number long, answer binary"


class SparkWorkers:
    """Spark's workers, with the work shipped to them."""

    def __init__(self, spark: SparkSession, work: FoldWork) -> None:
        self._spark = spark
        self._is_stopped = False
        content = cloudpickle.dumps(work)
        self._name = f"evalmatrix-folds-{hashlib.sha256(content).hexdigest()[:40]}"
        self._folder = Path(tempfile.mkdtemp(prefix="evalmatrix-shipping-"))
        place = self._folder / self._name
        place.mkdir()
        (place / WORK_FILE).write_bytes(content)
        self._place = str(place)
        if not runs_here(spark):
            archive = pack_folder(place, self._folder / f"{self._name}.zip")
            try:
                spark.addArtifacts(f"{archive}#{self._name}", archive=True)
            except spark_errors(OSError) as error:
                raise StoreError(
                    f"the training data could not be shipped to the workers: {first_line(error)}"
                ) from error

    def run(self, tasks: Sequence[FoldTask]) -> Iterator[tuple[FoldTask, FoldScore]]:
        """Does tasks, and gives them as their jobs end.

        Raises:
            ModelError: what is wrong with all of them alike.
        """
        if not tasks:
            return
        size = -(-len(tasks) // _JOBS)
        parts = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        self._is_stopped = False
        pool = ThreadPoolExecutor(len(parts), thread_name_prefix="folds")
        try:
            for future in as_completed([pool.submit(self._do, part) for part in parts]):
                yield from future.result()
        finally:
            # Who is stopped does not wait for the jobs: they are cancelled by whoever stops.
            self._is_stopped = True
            pool.shutdown(wait=False, cancel_futures=True)

    def _do(self, tasks: Sequence[FoldTask]) -> list[tuple[FoldTask, FoldScore]]:
        """One job; where it fails because a worker died, its tasks are done one by one."""
        function = _function(self._place, self._name, [pickle.dumps(task) for task in tasks])
        frame = self._spark.range(0, len(tasks), 1, len(tasks))
        try:
            answers = frame.mapInPandas(function, _SCHEMA).collect()
        except Exception as error:  # py4j's own, where a worker's process has ended
            if self._is_stopped:
                return []
            if not _DIED.search(str(error)):
                raise StoreError(
                    f"Spark could not fit the folds: {first_line(error)}; those that are finished "
                    "are kept, and the same command goes on"
                ) from error
            if len(tasks) > 1:
                return [done for task in tasks for done in self._do([task])]
            return [(tasks[0], FoldScore(error=_ENDED, lost=True))]
        return [(tasks[row.number], _read(bytes(row.answer))) for row in answers]

    def close(self) -> None:
        """Removes what was shipped from this machine's disk."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _read(answer: bytes) -> FoldScore:
    score, refusal = pickle.loads(answer)
    if refusal is not None:
        raise ModelError(refusal)
    assert isinstance(score, FoldScore), "there is a score where nothing is refused"
    return score


def _function(place: str, name: str, tasks: Sequence[bytes]) -> Callable[..., Any]:
    """What a partition does; the tasks of a job are in it, the data are not."""

    def do(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            for number in frame["id"].tolist():
                answer = answer_task(place, name, tasks[number])
                yield pd.DataFrame({"number": [number], "answer": [answer]})

    return do
