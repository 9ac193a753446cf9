"""What a worker of Spark does of a search: it reads the work once, and does tasks one by one.

Where Spark gave the task GPUs, the fold is fitted in a process of its own that sees these alone: a
worker's Python is kept for later tasks, and a framework stays with the GPU that it began with.
"""

from __future__ import annotations

import pickle
import sys
from functools import lru_cache
from pathlib import Path

from engine.errors import InputError
from engine.models.flavors.device import task_gpu
from engine.training.local_workers import FoldProcess
from engine.training.tasks import FoldScore, FoldTask, FoldWork, run_task
from engine.training.worker import load_work

WORK_FILE = "work.pkl"


def answer_task(place: str, name: str, message: bytes) -> bytes:
    """Does a pickled task, and pickles its score and None, or None and what is wrong with all.

    Args:
        place: the folder of the work, where this worker is on the driver's machine.
        name: the folder's name, where Spark has unpacked it.
        message: the task.
    """
    task: FoldTask = pickle.loads(message)
    try:
        return pickle.dumps((_do(_find(place, name), task), None))
    except InputError as error:
        return pickle.dumps((None, str(error)))


def _do(file: Path, task: FoldTask) -> FoldScore:
    gpus = task_gpu()
    if not gpus:
        return run_task(_load(file), task)
    process = FoldProcess(file, ",".join(gpus))
    try:
        return process.ask(task)
    finally:
        process.close()


@lru_cache(maxsize=1)
def _load(file: Path) -> FoldWork:
    """The work of one search: the next one takes its place."""
    return load_work(file)


def _find(place: str, name: str) -> Path:
    """The file of the work on this machine.

    Raises:
        InputError: where it is not.
    """
    for folder in (Path(place), *(Path(path, name) for path in (".", *sys.path))):
        if (folder / WORK_FILE).is_file():
            return (folder / WORK_FILE).absolute()
    raise InputError(f"the training data are not on this worker: the driver has shipped {name}")
