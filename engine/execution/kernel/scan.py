"""What a worker runs: batches of rows in, sums of states out.

Each batch is read once and cut into all the slice sets once; each model predicts once on it; all
the states come out of it together. Nothing here knows Spark: a scan is a function from an iterator
of Arrow batches to an iterator of Arrow batches, which tests run in one process as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TypeVar

import numpy as np
import pyarrow as pa

from engine.core.redaction import redacted_message
from engine.core.vocabulary import ModelVersion, SliceSet
from engine.execution.kernel.batches import chunks, query_codes, whole_queries
from engine.execution.kernel.merge import slices_by_block
from engine.execution.kernel.model_task import ModelTask, Rows, Usable, Work
from engine.execution.kernel.parsing import Predicted, read_prediction, read_truth, read_weight
from engine.metrics import METRICS
from engine.models import Limits, ModelStopped, Watch, load, loaded_count
from engine.planning import EvaluationPlan
from engine.planning.plan import refuse_many
from engine.planning.scan_columns import BUCKET_COLUMN
from engine.planning.slices import SliceIndex, Slicer, slice_key
from engine.states import Bools, Family, Ints, Pair, PairFamily, Scored, Sums
from engine.states.rows import (
    METER,
    PREDICTIONS,
    ROWS,
    Key,
    StateBytes,
    chance_row,
    failures_row,
    in_batches,
)
from engine.store.prediction_rows import PREDICTED

F = TypeVar("F", Family, PairFamily)


def scan(
    batches: Iterable[pa.RecordBatch],
    plan: EvaluationPlan,
    work: Work | None = None,
    partition: int = 0,
) -> Iterator[pa.RecordBatch]:
    """The states of a partition, a row for each model, slice set and family (`STATE_SCHEMA`).

    Raises:
        DataError: for a weight that cannot be, or more slices than the plan allows.
    """
    METRICS.load(plan.plugins)
    task = ScanTask(plan, work or Work(blocks=dict(plan.blocks)), partition)
    started = time.perf_counter()
    whole = plan.columns.query
    pieces = chunks(batches) if whole is None else whole_queries(chunks(batches), whole)
    with closing(task.watch):
        for chunk in pieces:
            task.add_batch(chunk)
            yield from in_batches(task.new_predictions())
    if task.rows:
        yield from in_batches(task.emit(time.perf_counter() - started))


class ScanTask:
    """The scan of one partition."""

    def __init__(self, plan: EvaluationPlan, work: Work, partition: int = 0) -> None:
        self.plan, self.work = plan, work
        self.watch = Watch(Limits(plan.timeout, plan.memory), work.guard, partition)
        self.sets = plan.scanned_sets
        self.slicer = Slicer(self.sets)
        tasks = [self._task(number, model) for number, model in enumerate(plan.models)]
        paired = any(map(any, (pairs for task in tasks for pairs in task.pairs)))
        # The others are compared with the baseline, so it goes first.
        tasks.sort(key=lambda task: task.number != plan.base)
        self.models = [
            task for task in tasks if task.predicts or (paired and task.number == plan.base)
        ]
        self.rows = self.batches = 0
        self.loads = loaded_count()

    def _task(self, number: int, model: ModelVersion) -> ModelTask:
        """What is to be made of one model."""
        plan = self.plan

        def wanted_families(slice_set: SliceSet, families: Iterable[F]) -> tuple[F, ...]:
            return tuple(f for f in families if self.work.wants(number, slice_set.name, f.key))

        return ModelTask(
            number,
            model,
            tuple(
                wanted_families(slice_set, plan.families(slice_set, model))
                for slice_set in self.sets
            ),
            tuple(
                wanted_families(slice_set, plan.pair_families(slice_set, model))
                for slice_set in self.sets
            ),
            tuple(self.work.wants(number, slice_set.name, ROWS) for slice_set in self.sets),
            # Of rows that are no longer there nothing is kept.
            plan.keep and self.work.sign > 0 and self.work.wants(number, "", PREDICTIONS),
        )

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Cuts, predicts and sums one batch."""
        self.rows += batch.num_rows
        self.batches += 1
        every = self._read(batch)
        usable = batch if every.labelled.all() else batch.filter(pa.array(every.labelled))
        none_bad = np.zeros(batch.num_rows, bool)
        counts = self._counts(every, none_bad)
        baseline: Usable | None = None
        for task in self.models:
            predicted = self._predict(task, usable)
            if predicted is None or predicted.good.all():
                bad, counted = none_bad, counts
            else:
                bad = none_bad.copy()
                bad[every.labelled] = ~predicted.good
                counted = self._counts(every, bad)
            for number, sums in enumerate(counted):
                if task.counted[number]:
                    task.add(number, ROWS, sums)
            rows = np.flatnonzero(every.labelled & ~bad)
            if predicted is None or not len(rows):
                continue
            ours = Usable(rows, every.scored_rows(rows, predicted))
            self._sum(task, task.families, (ours.rows, ours.scored), every)
            if task.number == self.plan.base:
                baseline = ours
            elif baseline is not None:
                self._sum(task, task.pairs, ours.beside(baseline), every)

    def new_predictions(self) -> Iterator[StateBytes]:
        """The predictions to keep of what was eaten last."""
        for task in self.models:
            for payload in task.kept:
                yield StateBytes(Key("", 0, task.number, PREDICTED), 1, (), payload)
            task.kept.clear()

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
            loading = self.watch.loader(load, task.number, self.batches)
            return read_prediction(task.predict(batch, loading), self.plan.problem)
        except ModelStopped as stopped:
            task.failures[""] = str(stopped)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # a model's own error costs its own cells only
            task.failures[""] = f"{redacted_message(error)}, on {self.watch.place(self.batches)}"
        return None

    def _sum(
        self,
        task: ModelTask,
        families: tuple[tuple[Family | PairFamily, ...], ...],
        scored: tuple[Ints, Scored | Pair],
        every: Rows,
    ) -> None:
        """Adds the states of rows, and of what is known of them, to those of all slice sets."""
        rows, known = scored
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
                    task.failures[family.key] = redacted_message(error)

    def emit(self, seconds: float) -> Iterator[StateBytes]:
        """The sums of the partition, as bytes by their key."""
        for task in self.models:
            meter = self._meter(task, seconds)
            yield StateBytes(Key("", 0, task.number, METER), 1, ("",), meter)
            if task.failures:
                yield failures_row(task.number, task.failures)
            if self.watch.doubts.get(task.number):
                yield chance_row(task.number, self.watch.doubts[task.number])
        for number, index in enumerate(self.slicer.indices):
            yield from self._emit_set(number, index)

    def _emit_set(self, number: int, index: SliceIndex) -> Iterator[StateBytes]:
        name = index.slice_set.name
        keys = [slice_key(values) for values in index.keys]
        for block, groups in slices_by_block(index, self.work.blocks.get(name, 1)):
            of_block = [keys[group] for group in groups]
            for task in self.models:
                for family, states in task.states(number, len(keys)):
                    part = states if len(groups) == len(keys) else states.select(groups)
                    key = Key(name, block, task.number, family)
                    yield StateBytes(key, self.work.sign, of_block, part.encode())

    def _meter(self, task: ModelTask, seconds: float) -> bytes:
        """What the scan cost (`METER_COLUMNS`); what is no model's own is the first one's."""
        own = [task.predictions, task.seconds]
        shared = [seconds, loaded_count() - self.loads, self.batches]
        if task is self.models[0]:
            values = [self.rows, *own, *shared]
        else:
            values = [0, *own, *(0 for _ in shared)]
        return Sums(np.array([[values]], np.float64)).encode()
