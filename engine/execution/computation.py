"""A run whose states are computed: what the parts of its execution share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.core.background import BackgroundWriter
from engine.core.progress import Progress
from engine.core.stopwatch import Stopwatch
from engine.spark.lazy_session import LazySession
from engine.store.tables import StoreTables
from engine.suite import CHECKPOINT_ROWS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class Computation:
    """A run whose states are computed: where they lie, and how it tells.

    Without `reuse`, what other runs have left is not looked at. A scan of more than
    `checkpoint_rows` rows writes its states in chunks. What nothing waits for is written `beside`;
    `clock` takes the time of its steps, and `roads` has how the rows of evaluations reach workers.
    """

    tables: StoreTables
    suite: str
    run_id: str
    tell: Progress
    beside: BackgroundWriter
    reuse: bool = True
    checkpoint_rows: int = CHECKPOINT_ROWS
    clock: Stopwatch = field(default_factory=Stopwatch)
    roads: dict[str, str] = field(default_factory=dict)

    @property
    def session(self) -> LazySession:
        return self.tables.session

    @property
    def spark(self) -> SparkSession:
        """The session, which is started where there is none: rows must be read."""
        return self.session.get()
