"""What a worker runs: batches of rows in, sums of states out.

Each batch is read once and cut into all the slice sets once; each model predicts once on it; all
the states come out of it together. Nothing here knows Spark: a scan is a function from an iterator
of Arrow batches to an iterator of Arrow batches, which tests run in one process as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from engine.errors import DataError
from engine.kernel.cutting import chunks, query_codes, whole_queries
from engine.kernel.merging import (
    FAILURE,
    STATE_KEY,
    STATE_SCHEMA,
    StateBytes,
    in_batches,
    merge,
    to_batch,
)
from engine.matrix import EvaluationPlan
from engine.metrics import METRICS
from engine.models import load, loaded_count
from engine.reading import Predicted, Truth, read_prediction, read_truth, read_weight
from engine.slices import Placed, Slicer, slice_key
from engine.states import (
    BUCKETS,
    Bools,
    Family,
    Floats,
    Ints,
    Pair,
    PairFamily,
    RowFlags,
    Scored,
    States,
    Sums,
    rows_of,
)
from engine.vocabulary import ModelVersion

__all__ = [
    "BUCKET_COLUMN",
    "FAILURE",
    "METER",
    "METER_COLUMNS",
    "ROWS",
    "STATE_KEY",
    "STATE_SCHEMA",
    "chunks",
    "load",
    "merge",
    "refuse_many",
    "scan",
    "to_batch",
]

BUCKET_COLUMN = "__bucket"

ROWS = "rows"
METER = "meter"
METER_COLUMNS = ("rows", "predictions", "predict_seconds", "scan_seconds", "loads", "batches")
MAX_MESSAGE = 500


def scan(batches: Iterable[pa.RecordBatch], plan: EvaluationPlan) -> Iterator[pa.RecordBatch]:
    """The states of a partition, one row for each model, slice and family (`STATE_SCHEMA`).

    Raises:
        DataError: for a weight that cannot be, or more slices than the plan allows.
    """
    METRICS.load(plan.plugins)
    task = ScanTask(plan)
    started = time.perf_counter()
    whole = plan.columns.query
    pieces = chunks(batches) if whole is None else whole_queries(chunks(batches), whole)
    for chunk in pieces:
        task.eat(chunk)
    if task.rows:
        yield from in_batches(task.emit(time.perf_counter() - started))


@dataclass(slots=True)
class ModelTask:
    """One model in one worker task: its states so far, and what failed.

    `failures` has the reason by the family that could not be made; the key "" is the model itself.
    """

    number: int
    model: ModelVersion
    families: tuple[tuple[Family, ...], ...]
    pairs: tuple[tuple[PairFamily, ...], ...] = ()
    sums: dict[tuple[int, str], States] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    predictions: int = 0
    seconds: float = 0.0

    def add(self, set_number: int, family: str, states: States) -> None:
        key = (set_number, family)
        held = self.sums.get(key)
        self.sums[key] = states if held is None else held.merge(states)

    def kept(self) -> Iterator[tuple[tuple[int, str], States]]:
        """The states that are whole: those of what failed are not."""
        for (set_number, family), states in self.sums.items():
            if family == ROWS or not self.failures.keys() & {"", family}:
                yield (set_number, family), states


@dataclass(frozen=True, slots=True)
class Usable:
    """The rows of a batch for which a model has a prediction, and these."""

    rows: Ints
    scored: Scored

    def beside(self, baseline: Usable) -> tuple[Ints, Pair]:
        """The rows that the baseline has predictions for as well, and both predictions."""
        if np.array_equal(self.rows, baseline.rows):
            return self.rows, Pair(baseline.scored, self.scored)
        rows, ours, theirs = np.intersect1d(
            self.rows, baseline.rows, assume_unique=True, return_indices=True
        )
        return rows, Pair(baseline.scored.at(theirs), self.scored.at(ours))


@dataclass(frozen=True, slots=True)
class Rows:
    """What is the same for every model: the rows of a batch, and where they lie."""

    truth: Truth
    weight: Floats
    bucket: Ints
    labelled: Bools
    placed: list[Placed]
    unweighted: bool
    query: Ints | None = None

    def counts(self, placed: Placed, bad: Bools, n_groups: int) -> Sums:
        """How many rows each slice has, and which of them no metric can use."""
        flags = RowFlags(self.truth.null, bad, self.truth.unknown)
        if placed.rows is None:
            cells = placed.groups * BUCKETS + self.bucket
            return rows_of(self.weight, flags, cells, n_groups)
        at = placed.rows
        cells = placed.groups * BUCKETS + self.bucket[at]
        flags = RowFlags(flags.null_label[at], flags.bad_score[at], flags.unknown_label[at])
        return rows_of(self.weight[at], flags, cells, n_groups)

    def scored(self, rows: Ints, of: Predicted) -> Scored:
        """The rows with their predictions, of which those of `of.good` are left."""
        every = len(rows) == len(self.weight)
        good = slice(None) if of.good.all() else of.good
        return Scored(
            self.truth.values if every else self.truth.values[rows],
            self.weight if every else self.weight[rows],
            self.bucket if every else self.bucket[rows],
            None if of.scores is None else of.scores[good],
            None if of.classes is None else of.classes[good],
            self.unweighted,
            None if self.query is None else self.query[rows],
        )


class ScanTask:
    """The scan of one partition."""

    def __init__(self, plan: EvaluationPlan) -> None:
        self.plan = plan
        self.slicer = Slicer(plan.scanned_sets)
        sets = plan.scanned_sets
        self.models = [
            ModelTask(
                number,
                model,
                tuple(plan.families(each, model) for each in sets),
                tuple(plan.pair_families(each, model) for each in sets),
            )
            for number, model in enumerate(plan.models)
        ]
        # The others are compared with the baseline, so it goes first.
        self.models.sort(key=lambda task: task.model.name != plan.baseline)
        self.rows = self.batches = 0
        self.loads = loaded_count()

    def eat(self, batch: pa.RecordBatch) -> None:
        """Cuts, predicts and sums one batch."""
        self.rows += batch.num_rows
        self.batches += 1
        every = self._read(batch)
        usable = batch if every.labelled.all() else batch.filter(pa.array(every.labelled))
        none_bad = np.zeros(batch.num_rows, bool)
        counts = self._counts(every, none_bad)
        baseline: Usable | None = None
        for task in self.models:
            of = self._predict(task, usable)
            if of is None or of.good.all():
                bad, counted = none_bad, counts
            else:
                bad = none_bad.copy()
                bad[every.labelled] = ~of.good
                counted = self._counts(every, bad)
            for number, sums in enumerate(counted):
                task.add(number, ROWS, sums)
            rows = np.flatnonzero(every.labelled & ~bad)
            if of is None or not len(rows):
                continue
            ours = Usable(rows, every.scored(rows, of))
            self._sum(task, task.families, (ours.rows, ours.scored), every)
            if task.model.name == self.plan.baseline:
                baseline = ours
            elif baseline is not None:
                self._sum(task, task.pairs, ours.beside(baseline), every)

    def _read(self, batch: pa.RecordBatch) -> Rows:
        columns = self.plan.columns
        truth = read_truth(batch.column(columns.label), self.plan.problem)
        weight = read_weight(batch, columns.weight)
        bucket = batch.column(BUCKET_COLUMN).to_numpy(zero_copy_only=False).astype(np.int64)
        placed = self.slicer.place(batch)
        for index in self.slicer.indices:
            refuse_many(self.plan, index.slice_set.name, len(index.keys))
        labelled = ~(truth.null | truth.unknown)
        query = None if columns.query is None else query_codes(batch.column(columns.query))
        return Rows(truth, weight, bucket, labelled, placed, columns.weight is None, query)

    def _counts(self, every: Rows, bad: Bools) -> list[Sums]:
        return [
            every.counts(placed, bad, len(index.keys))
            for placed, index in zip(every.placed, self.slicer.indices, strict=True)
        ]

    def _predict(self, task: ModelTask, batch: pa.RecordBatch) -> Predicted | None:
        """The predictions for a batch; None from a model that failed, on this batch or before."""
        if "" in task.failures or batch.num_rows == 0:
            return None
        try:
            predictor = load(task.model)
            started = time.perf_counter()
            prediction = predictor.predict(batch)
            task.seconds += time.perf_counter() - started
            task.predictions += batch.num_rows
            return read_prediction(prediction, self.plan.problem)
        except (Exception, SystemExit) as error:  # a model's own error costs its own cells only
            task.failures[""] = self._why(error, task.model)
            return None

    def _sum(
        self,
        task: ModelTask,
        families: tuple[tuple[Family | PairFamily, ...], ...],
        of: tuple[Ints, Scored | Pair],
        every: Rows,
    ) -> None:
        """Adds the states of rows, and of what is known of them, to those of all slice sets."""
        rows, known = of
        whole = len(rows) == len(every.weight)
        place = np.full(len(every.weight), -1, np.int64)
        place[rows] = np.arange(len(rows))
        for number, placed in enumerate(every.placed):
            if not families[number]:
                continue
            n_groups = len(self.slicer.indices[number].keys)
            batch, groups = known, placed.groups
            if placed.rows is not None:
                at = place[placed.rows]
                batch, groups = known.at(at[at >= 0]), groups[at >= 0]
            elif not whole:
                groups = groups[rows]
            for family in families[number]:
                if family.key in task.failures:
                    continue
                try:
                    # A family of pairs gets a pair: both come from one call.
                    states = family.of(batch, groups, n_groups)  # type: ignore[arg-type]
                    task.add(number, family.key, states)
                except (Exception, SystemExit) as error:  # a user's loss costs its own metrics
                    task.failures[family.key] = self._why(error, task.model)

    def _why(self, error: BaseException, model: ModelVersion) -> str:
        """An error in one line; without its message where that could hold a sensitive value."""
        kind = type(error).__name__
        columns = self.plan.columns
        if {columns.label, columns.weight, *model.features} & set(columns.sensitive):
            return f"{kind}, whose message is withheld because sensitive columns are read"
        message = " ".join(str(error).split())
        if len(message) > MAX_MESSAGE:
            message = f"{message[:MAX_MESSAGE]}..."
        return f"{kind}: {message}" if message else kind

    def emit(self, seconds: float) -> Iterator[StateBytes]:
        """The sums of the partition, as bytes by their key."""
        keys = [[slice_key(values) for values in index.keys] for index in self.slicer.indices]
        names = [index.slice_set.name for index in self.slicer.indices]
        for task in self.models:
            yield ("", "", task.number, METER), self._meter(task, seconds)
            for family, reason in task.failures.items():
                yield ("", family, task.number, FAILURE), reason.encode()
            for (number, family), states in task.kept():
                for group in range(states.n_groups):
                    key = (names[number], keys[number][group], task.number, family)
                    yield key, states.take(group).encode()

    def _meter(self, task: ModelTask, seconds: float) -> bytes:
        """What the scan cost (`METER_COLUMNS`); what is no model's own is the first one's."""
        own = (self.rows, task.predictions, task.seconds)
        shared = (seconds, loaded_count() - self.loads, self.batches)
        values = (*own, *(shared if task is self.models[0] else (0, 0, 0)))
        return Sums(np.array([[values]], np.float64)).encode()


def refuse_many(plan: EvaluationPlan, set_name: str, count: int) -> None:
    """Raises DataError when a slice set has more slices than the plan allows."""
    if count > plan.max_slices:
        raise DataError(
            f"evaluation {plan.name!r}: the slices by {set_name!r} are more than max_slices "
            f"({plan.max_slices:,}); slice by a column of fewer values, or raise max_slices"
        )
