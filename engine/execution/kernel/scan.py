"""What a worker runs: batches of rows in, sums of states out.

Each batch is read once and cut into all the slice sets once; each model predicts once on it; all
the states come out of it together. Nothing here knows Spark: a scan is a function from an iterator
of Arrow batches to an iterator of Arrow batches, which tests run in one process as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, starmap
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.core.redaction import redacted_message
from engine.core.resources import cpu_seconds, forget_peak, peak_bytes
from engine.core.vocabulary import SliceSet, Variant
from engine.execution.kernel.batches import chunks, query_codes, whole_queries
from engine.execution.kernel.joint_groups import JointGroups
from engine.execution.kernel.merge import slices_by_block
from engine.execution.kernel.model_task import ModelTask, PlacedRows, Rows, Usable, Work
from engine.execution.kernel.parsing import (
    Predicted,
    read_column,
    read_prediction,
    read_truth,
    read_weight,
)
from engine.execution.kernel.worst_case import changes_of, worst_case
from engine.kinds import load_extensions
from engine.kinds.perturbations import perturb
from engine.models import Limits, ModelStopped, Watch, load, loaded_count
from engine.planning import AnyFamily, EvaluationPlan, Subject
from engine.planning.plan import refuse_many
from engine.planning.scan_columns import BUCKET_COLUMN, ROW_COLUMN
from engine.planning.slices import SliceIndex, Slicer, slice_key
from engine.states import (
    BUCKETS,
    ROW_COLUMNS,
    Bools,
    ColumnBatch,
    ColumnFamily,
    Ints,
    PairFamily,
    RowColumns,
    Sums,
)
from engine.states.codec import loose_planes
from engine.states.rows import (
    METER,
    PREDICTIONS,
    ROWS,
    Key,
    StateBytes,
    chance_row,
    failures_row,
    in_batches,
    notes_row,
    resources_row,
)
from engine.store.prediction_rows import PREDICTED

F = TypeVar("F", AnyFamily, PairFamily)


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
    load_extensions(plan.plugins)
    task = ScanTask(plan, work or Work(blocks=dict(plan.blocks)), partition)
    forget_peak()
    started, cpu = time.perf_counter(), cpu_seconds() or 0.0
    whole = plan.columns.query
    pieces = chunks(batches) if whole is None else whole_queries(chunks(batches), whole)
    with closing(task.watch):
        for chunk in pieces:
            task.add_batch(chunk)
            yield from in_batches(task.new_predictions())
    if task.rows:
        took = {"worker_cpu_seconds": (cpu_seconds() or 0.0) - cpu}
        if (peak := peak_bytes()) is not None:
            took["worker_peak_bytes"] = peak
        yield from in_batches(task.emit(time.perf_counter() - started, took))


def _loss_columns(tasks: Sequence[ModelTask]) -> tuple[str, ...]:
    """The columns that the losses of some tasks read, beside labels and predictions."""
    families = chain.from_iterable(chain(*task.families, *task.pairs) for task in tasks)
    names = (getattr(family, "columns", ()) for family in families)
    return tuple(dict.fromkeys(chain.from_iterable(names)))


class ScanTask:
    """The scan of one partition."""

    def __init__(self, plan: EvaluationPlan, work: Work, partition: int = 0) -> None:
        self.plan, self.work = plan, work
        self.watch = Watch(Limits(plan.timeout, plan.memory), work.guard, partition)
        self.sets = plan.scanned_sets
        self.slicer = Slicer(self.sets)
        subjects = plan.subjects
        tasks = [self._task(subject) for subject in subjects]
        compared = {task.subject.reference for task in tasks if task.has_pairs}
        self.held = {
            number for task in tasks if task.makes_states for number in task.subject.members
        }
        # What others are compared with goes first: the baseline, then the models as they are, and
        # last what is made of the predictions of others.
        tasks.sort(
            key=lambda task: (
                task.number != plan.base,
                not task.subject.is_clean,
                bool(task.subject.members),
            )
        )
        self.models = [
            task
            for task in tasks
            if task.subject.model
            and (task.makes_states or task.number in compared or task.number in self.held)
        ]
        self.data = [task for task in tasks if not task.subject.model and task.makes_states]
        self.compared = compared
        self.read_names = _loss_columns(self.models)
        # Of a query's rows those in two groups are no sum of the two.
        shared = sum(task.shared_count for task in self.tasks)
        numbers = shared * BUCKETS * max(len(ROW_COLUMNS), plan.problem.n_classes)
        self.joint = JointGroups(numbers) if shared and plan.columns.query is None else None
        self.rows = self.batches = 0
        self.loads = loaded_count()

    @property
    def tasks(self) -> list[ModelTask]:
        """What states are made of: the models and their variants, then the data."""
        return [*self.models, *self.data]

    def _task(self, subject: Subject) -> ModelTask:
        """What is to be made of one subject."""
        plan, number = self.plan, subject.number

        def wanted_families(slice_set: SliceSet, families: Iterable[F]) -> tuple[F, ...]:
            return tuple(f for f in families if self.work.wants(number, slice_set.name, f.key))

        families = [plan.families(slice_set, subject) for slice_set in self.sets]
        pairs = [plan.pair_families(slice_set, subject) for slice_set in self.sets]
        return ModelTask(
            subject,
            tuple(starmap(wanted_families, zip(self.sets, families, strict=True))),
            tuple(starmap(wanted_families, zip(self.sets, pairs, strict=True))),
            tuple(
                self._counts_rows(subject, slice_set, (*own, *beside))
                for slice_set, own, beside in zip(self.sets, families, pairs, strict=True)
            ),
            # Of rows that are no longer there nothing is kept.
            plan.keep
            and subject.is_clean
            and self.work.sign > 0
            and self.work.wants(number, "", PREDICTIONS),
        )

    def _counts_rows(
        self, subject: Subject, slice_set: SliceSet, families: Sequence[object]
    ) -> bool:
        """Whether the rows of a subject are counted on a slice set: where it has states at all."""
        if not (families or (subject.is_clean and self.plan.tests_models)):
            return False
        return self.work.wants(subject.number, slice_set.name, ROWS)

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Cuts, predicts and sums one batch."""
        self.rows += batch.num_rows
        self.batches += 1
        every = self._read(batch)
        usable = batch if every.labelled.all() else batch.filter(pa.array(every.labelled))
        none_bad = np.zeros(batch.num_rows, bool)
        self._add_columns(batch, every)
        if not self.models:
            return
        counts = self._counts(every, none_bad)
        references: dict[int | None, Usable] = {}
        variants: dict[Variant, pa.RecordBatch] = {}
        held: dict[int, Predicted] = {}
        truth = every.truth.values[every.labelled]
        for task in self.models:
            worst = None
            if task.subject.members:
                predicted, worst = self._worst_case(task, held, truth)
            else:
                predicted = self._predict(task, usable, variants)
            if predicted is not None and task.number in self.held:
                held[task.number] = predicted
            if predicted is not None and predicted.notes and self.work.sign > 0:
                task.notes.update(predicted.notes)
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
            changed = None
            if task.reads_changes and task.subject.variant is not None:
                changed = changes_of(task.subject.variant, usable, variants, worst)[predicted.good]
            ours = Usable(rows, every.scored_rows(rows, predicted), changed)
            task.sum_rows(task.families, (ours.rows, ours.scored), every)
            if task.number in self.compared:
                references[task.number] = ours
            reference = task.subject.reference
            if reference in references:
                task.sum_rows(task.pairs, ours.beside(references[reference]), every)

    def _add_columns(self, batch: pa.RecordBatch, every: Rows) -> None:
        """Sums the states of columns, of all rows whether they have a label or not."""
        for task in self.data:
            # Of a slice set's rows all columns are copied: the models' are not asked for.
            asked = chain.from_iterable(task.families)
            read = {family.column for family in asked if isinstance(family, ColumnFamily)}
            columns = ColumnBatch(batch.select(sorted(read)), every.bucket)
            rows = np.arange(batch.num_rows)
            for number, (placed, index) in enumerate(
                zip(every.placed.sets, self.slicer.indices, strict=True)
            ):
                if task.counted[number]:
                    here = columns if placed.rows is None else columns.at(placed.rows)
                    task.add(number, ROWS, here.count(placed.groups, len(index.keys)))
            task.sum_rows(task.families, (rows, columns), every)

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
        placed = self._place(batch)
        labelled = ~(truth.null | truth.unknown)
        query = None if columns.query is None else query_codes(batch.column(columns.query))
        others = RowColumns(self.read_names, lambda name: read_column(batch.column(name)))
        return Rows(truth, weight, bucket, labelled, placed, columns.weight is None, query, others)

    def _place(self, batch: pa.RecordBatch) -> PlacedRows:
        """Where the rows of a batch lie in each set, and in all of them together."""
        placed = self.slicer.place(batch)
        sizes = [len(index.keys) for index in self.slicer.indices]
        for index, size in zip(self.slicer.indices, sizes, strict=True):
            refuse_many(self.plan, index.slice_set.name, size)
        joint = None
        if self.joint is not None:
            joint = self.joint.place(placed, sizes, batch.num_rows)
            if joint is None:
                for task in self.tasks:
                    task.spread(self.joint, sizes)
                self.joint = None
        count = 0 if self.joint is None else self.joint.n_groups
        return PlacedRows(placed, sizes, joint, count)

    def _counts(self, every: Rows, bad: Bools) -> list[Sums]:
        return [
            every.counts(placed, bad, len(index.keys))
            for placed, index in zip(every.placed.sets, self.slicer.indices, strict=True)
        ]

    def _predict(
        self, task: ModelTask, batch: pa.RecordBatch, variants: dict[Variant, pa.RecordBatch]
    ) -> Predicted | None:
        """The predictions for a batch; None from a model that failed, on this batch or before.

        `variants` has the batch as it is behind each variant that was made of it.
        """
        if "" in task.failures or batch.num_rows == 0:
            return None
        try:
            loading = self.watch.loader(load, task.number, self.batches)
            batch = self._behind(task.subject.variant, batch, variants)
            prediction = task.predict(batch, loading)
            adds_up = not task.model.squashed
            return read_prediction(prediction, self.plan.problem, adds_up=adds_up)
        except ModelStopped as stopped:
            task.failures[""] = str(stopped)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # a model's own error costs its own cells only
            # That it is not opened has to do with no batch.
            place = "" if task.model.refusal else f", on {self.watch.place(self.batches)}"
            task.failures[""] = f"{redacted_message(error)}{place}"
        return None

    def _worst_case(
        self, task: ModelTask, held: Mapping[int, Predicted], truth: NDArray[Any]
    ) -> tuple[Predicted | None, Ints | None]:
        """The worst of the predictions that make a subject, and which it is of each row."""
        for other in self.models:
            if other.number in task.subject.members and "" in other.failures:
                behind = other.subject.variant
                where = "" if behind is None else f"behind {behind.name}: "
                task.failures.setdefault("", where + other.failures[""])
        if "" in task.failures or not held:
            return None, None
        return worst_case([held[number] for number in task.subject.members], truth)

    def _behind(
        self,
        variant: Variant | None,
        batch: pa.RecordBatch,
        variants: dict[Variant, pa.RecordBatch],
    ) -> pa.RecordBatch:
        """A batch behind a variant, which is made of it once for all models."""
        if variant is None:
            return batch
        if variant not in variants:
            rows = batch.column(ROW_COLUMN).to_numpy(zero_copy_only=False)
            variants[variant] = perturb(batch, rows.astype(np.int64, copy=False), variant)
        return variants[variant]

    def emit(self, seconds: float, took: Mapping[str, float]) -> Iterator[StateBytes]:
        """The sums of the partition, as bytes by their key.

        `took` is what the worker took of its machine meanwhile, which is noted with the first.
        """
        for task in self.tasks:
            meter = self._meter(task, seconds)
            yield StateBytes(Key("", 0, task.number, METER), 1, ("",), meter)
            shared = took if task is self.tasks[0] else {}
            yield resources_row(task.number, {"predict_cpu_seconds": task.cpu_seconds, **shared})
            if task.failures:
                yield failures_row(task.number, task.failures)
            if task.notes:
                yield notes_row(task.number, task.notes)
            if self.watch.doubts.get(task.number):
                yield chance_row(task.number, self.watch.doubts[task.number])
        for number, index in enumerate(self.slicer.indices):
            yield from self._emit_set(number, index)

    def _emit_set(self, number: int, index: SliceIndex) -> Iterator[StateBytes]:
        name = index.slice_set.name
        keys = [slice_key(values) for values in index.keys]
        for block, groups in slices_by_block(index, self.work.blocks.get(name, 1)):
            of_block = [keys[group] for group in groups]
            for task in self.tasks:
                for family, states in task.states(number, len(keys), self.joint):
                    part = states if len(groups) == len(keys) else states.select(groups)
                    key = Key(name, block, task.number, family)
                    with loose_planes():
                        payload = part.encode()
                    yield StateBytes(key, self.work.sign, of_block, payload)

    def _meter(self, task: ModelTask, seconds: float) -> bytes:
        """What the scan cost (`METER_COLUMNS`); what is no model's own is the first one's."""
        own = [task.predictions, task.seconds]
        shared = [seconds, loaded_count() - self.loads, self.batches]
        if task is self.tasks[0]:
            values = [self.rows, *own, *shared]
        else:
            values = [0, *own, *(0 for _ in shared)]
        return Sums(np.array([[values]], np.float64)).encode()
