"""What a user sees while a run goes on: live on a terminal, lines in a notebook, else a log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from engine.core.json_log import is_json
from engine.sinks import format as fmt
from engine.spark.internals import job_description, task_progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


log = logging.getLogger("evalmatrix")

_POLL_SECONDS = 0.3


class Reporter:
    """Says what is going on, on standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

    @property
    def is_live(self) -> bool:
        """Whether somebody looks on, for whom bars are drawn."""
        return self.console.is_terminal and not is_json()

    def say(self, text: str) -> None:
        """One step, in a line."""
        text = fmt.log_line(text)
        if self.is_live:
            self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim]", end=" ", highlight=False)
            self.console.print(text, markup=False, highlight=False)
        elif self.console.is_jupyter and not log.hasHandlers():
            # Nobody has set up a log in a notebook, and who waits wants to know for what.
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
            sys.stderr.flush()
        else:
            log.info(text)

    @contextmanager
    def show_scan(self, spark: SparkSession, text: str, rows: int) -> Iterator[None]:
        """Shows a scan's rows and seconds while the block runs."""
        text = fmt.log_line(text)
        started = time.monotonic()
        with job_description(spark, text):
            if self.is_live:
                with self._bar(spark, text, rows):
                    yield
            else:
                log.info("%s: scanning %s rows", text, f"{rows:,}")
                yield
        self.say(f"{text}: {rows:,} rows scanned in {time.monotonic() - started:.1f} s")

    @contextmanager
    def show_local_scan(self, text: str, rows: int) -> Iterator[Callable[[int], None]]:
        """Shows a scan by processes of this machine, which tell how many rows are done."""
        text = fmt.log_line(text)
        started = time.monotonic()
        if self.is_live:
            with self.show_rows(f"{text}: scanning", rows) as advance:
                yield advance
        else:
            log.info("%s: scanning %s rows", text, f"{rows:,}")
            yield lambda more: None
        self.say(f"{text}: {rows:,} rows scanned in {time.monotonic() - started:.1f} s")

    @contextmanager
    def show_rows(self, text: str, rows: int) -> Iterator[Callable[[int], None]]:
        """Shows how many of so many rows are there; what it gives is told of some more."""
        text = fmt.log_line(text)
        if not self.is_live:
            log.info("%s: %s rows", text, f"{rows:,}")
            yield lambda more: None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(text, total=rows)
            yield lambda more: bar.update(task, advance=more)

    @contextmanager
    def _bar(self, spark: SparkSession, text: str, rows: int) -> Iterator[None]:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of about {task.total:,.0f} rows"),
            TimeElapsedColumn(),
        )
        done = threading.Event()
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(text, total=rows)

            def poll() -> None:
                while not done.wait(_POLL_SECONDS):
                    progress = task_progress(spark)
                    if progress is not None:
                        bar.update(task, completed=rows * progress[0] / progress[1])

            thread = threading.Thread(target=poll, daemon=True)
            thread.start()
            try:
                yield
            finally:
                done.set()
                thread.join()
