"""Who fits the folds of a search, as a caller says it, and what a terminal shows meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from engine.core.child import core_count
from engine.core.json_log import is_json
from engine.core.locations import Store
from engine.errors import InputError
from engine.spark.lazy_session import LazySession
from engine.training.cross_validation import OnProgress, no_progress
from engine.training.local_workers import LocalWorkers, Workers
from engine.training.tasks import FoldWork

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SPARK = "spark"


def read_workers(workers: int | str | None, spark: SparkSession | None) -> int | None:
    """How many processes fit; None where Spark does.

    Args:
        workers: a number, "spark", or None: Spark where a session is given, else all cores.
        spark: the caller's session.

    Raises:
        InputError: for anything else.
    """
    if workers is None:
        return None if spark is not None else core_count()
    text = str(workers)
    if text == SPARK:
        return None
    if not (text.isdecimal() and int(text) > 0) or isinstance(workers, bool):
        raise InputError(f"workers is {workers!r}, expected a number of 1 or more, or 'spark'")
    return int(text)


def worker_maker(
    workers: int | str | None, spark: SparkSession | None, store: Store | None = None
) -> Callable[[FoldWork], Workers]:
    """What makes the workers of a search."""
    count = read_workers(workers, spark)

    def make(work: FoldWork) -> Workers:
        if count is not None:
            return LocalWorkers(work, count)
        # All of PySpark, for those who ask for it.
        from engine.execution.fold_workers import SparkWorkers

        session = LazySession(spark, log_file=store.log_file if store else None)
        return SparkWorkers(session.get(), work)

    return make


@contextmanager
def fold_progress(text: str) -> Iterator[OnProgress]:
    """Shows on a terminal how many folds are fitted; elsewhere nothing."""
    console = Console(stderr=True)
    if not console.is_terminal or is_json():
        yield no_progress
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} folds"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda finished, total: bar.update(task, completed=finished, total=total)
