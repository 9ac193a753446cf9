"""What a worker runs: batches of rows in, sums of states out.

Each batch is read once and cut into all the slice sets once; each model predicts once on it; all
the states come out of it together. Nothing here knows Spark: a scan is a function from an iterator
of Arrow batches to an iterator of Arrow batches, which tests run in one process as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import DataError
from engine.metrics import METRICS, Problem
from engine.models import Prediction, Predictor, load, loaded_count
from engine.matrix import EvaluationPlan, label_codes, same_label
from engine.slices import Placed, Slicer, slice_key
from engine.states import (
    BUCKETS,
    Bools,
    Family,
    Floats,
    Ints,
    RowFlags,
    Scored,
    States,
    Sums,
    decode,
    rows_of,
)
from engine.vocabulary import ModelVersion, TaskKind

BUCKET_COLUMN = "__bucket"
CHUNK_ROWS = 131_072
CHUNK_BYTES = 64 * 2**20

ROWS = "rows"
METER = "meter"
FAILURE = "failure"
METER_COLUMNS = ("rows", "predictions", "predict_seconds", "scan_seconds", "loads", "batches")

STATE_SCHEMA = pa.schema(
    [
        ("model", pa.int32()),
        ("slice_set", pa.string()),
        ("slice_key", pa.string()),
        ("family", pa.string()),
        ("payload", pa.binary()),
    ]
)
STATE_KEY = ("slice_set", "slice_key", "model", "family")

Key = tuple[str, str, int, str]


def chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Puts small batches together, so that each is worth the arrays that are made for it."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
    if rows:
        yield pa.concat_batches(held)


def scan(batches: Iterable[pa.RecordBatch], plan: EvaluationPlan) -> Iterator[pa.RecordBatch]:
    """The states of a partition, one row for each model, slice and family (`STATE_SCHEMA`)."""
    METRICS.load(plan.plugins)
    task = ScanTask(plan)
    started = time.perf_counter()
    for chunk in chunks(batches):
        task.eat(chunk)
    yield from task.emit(time.perf_counter() - started)


@dataclass(slots=True)
class ModelTask:
    """One model in one worker task: its states so far, and what failed.

    `failures` has the reason by the family that could not be made; the key "" is the model itself.
    """

    number: int
    model: ModelVersion
    families: tuple[tuple[Family, ...], ...]
    sums: dict[tuple[int, str], States] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    predictions: int = 0
    seconds: float = 0.0

    def add(self, set_number: int, family: str, states: States) -> None:
        key = (set_number, family)
        held = self.sums.get(key)
        self.sums[key] = states if held is None else held.merge(states)


@dataclass(frozen=True, slots=True)
class Truth:
    """Labels of a batch as the metrics read them, and which of them cannot be read."""

    values: Ints | Floats
    null: Bools
    unknown: Bools


class ScanTask:
    """The scan of one partition."""

    def __init__(self, plan: EvaluationPlan) -> None:
        self.plan = plan
        self.slicer = Slicer(plan.slice_sets)
        self.models = [
            ModelTask(number, model, tuple(plan.families(each, model) for each in plan.slice_sets))
            for number, model in enumerate(plan.models)
        ]
        self.rows = self.batches = 0
        self.loads = loaded_count()

    def eat(self, batch: pa.RecordBatch) -> None:
        """Cuts, predicts and sums one batch."""
        self.rows += batch.num_rows
        self.batches += 1
        truth = read_truth(batch.column(self.plan.columns.label), self.plan.problem)
        weight = read_weight(batch, self.plan.columns.weight)
        bucket = batch.column(BUCKET_COLUMN).to_numpy(zero_copy_only=False).astype(np.int64)
        placed = self.slicer.place(batch)
        self._guard_slices()
        labelled = ~(truth.null | truth.unknown)
        usable = batch if labelled.all() else batch.filter(pa.array(labelled))
        every = _Rows(truth, weight, bucket, labelled, placed)
        for task in self.models:
            try:
                scores, predicted, good = self._predict(task, usable)
            except Exception as error:  # a model's own error costs its own cells only
                task.failures[""] = f"{type(error).__name__}: {error}"
                good = np.zeros(usable.num_rows, bool)
                scores = predicted = None
            if "" in task.failures:
                self._count(task, every, np.zeros(len(labelled), bool))
                continue
            bad = np.zeros(len(labelled), bool)
            bad[labelled] = ~good
            self._count(task, every, bad)
            rows = np.flatnonzero(labelled)[good]
            if len(rows):
                scored = Scored(
                    truth.values[rows],
                    weight[rows],
                    bucket[rows],
                    None if scores is None else scores[good],
                    None if predicted is None else predicted[good],
                    self.plan.columns.weight is None,
                )
                self._sum(task, scored, rows, every)

    def _guard_slices(self) -> None:
        for index in self.slicer.indices:
            if len(index.keys) > self.plan.max_slices:
                raise DataError(
                    f"evaluation {self.plan.name!r}: slices by {index.slice_set.name!r} are more "
                    f"than max_slices ({self.plan.max_slices}); slice by fewer values, or raise it"
                )

    def _predict(
        self, task: ModelTask, batch: pa.RecordBatch
    ) -> tuple[Floats | None, Ints | None, Bools]:
        """Scores, predicted classes, and which rows have usable ones."""
        if "" in task.failures or batch.num_rows == 0:
            return None, None, np.zeros(batch.num_rows, bool)
        predictor: Predictor = load(task.model)
        started = time.perf_counter()
        prediction = predictor.predict(batch)
        task.seconds += time.perf_counter() - started
        task.predictions += batch.num_rows
        return read_prediction(prediction, self.plan.problem)

    def _count(self, task: ModelTask, every: _Rows, bad: Bools) -> None:
        flags = RowFlags(every.truth.null, bad, every.truth.unknown)
        for number, placed in enumerate(every.placed):
            n_groups = len(self.slicer.indices[number].keys)
            task.add(number, ROWS, every.counts(placed, flags, n_groups))

    def _sum(self, task: ModelTask, scored: Scored, rows: Ints, every: _Rows) -> None:
        whole = len(rows) == len(every.weight)
        place = np.full(len(every.weight), -1, np.int64)
        place[rows] = np.arange(len(rows))
        for number, placed in enumerate(every.placed):
            n_groups = len(self.slicer.indices[number].keys)
            batch, groups = scored, placed.groups
            if placed.rows is not None:
                at = place[placed.rows]
                batch, groups = scored.at(at[at >= 0]), groups[at >= 0]
            elif not whole:
                groups = groups[rows]
            for family in task.families[number]:
                if family.key in task.failures:
                    continue
                try:
                    task.add(number, family.key, family.of(batch, groups, n_groups))
                except Exception as error:  # a user's own loss costs its own metrics only
                    task.failures[family.key] = f"{type(error).__name__}: {error}"

    def emit(self, seconds: float) -> Iterator[pa.RecordBatch]:
        """The sums of the partition, as rows of bytes."""
        loads = loaded_count() - self.loads
        for task in self.models:
            meter = (
                (self.rows, task.predictions, task.seconds, 0.0, 0, 0)
                if task.number
                else (self.rows, task.predictions, task.seconds, seconds, loads, self.batches)
            )
            rows: list[tuple[Key, bytes]] = [(("", "", task.number, METER), _meter(meter))]
            for family, reason in task.failures.items():
                rows.append((("", family, task.number, FAILURE), reason.encode()))
            for (number, family), states in task.sums.items():
                index = self.slicer.indices[number]
                rows.extend(
                    (
                        (index.slice_set.name, slice_key(index.keys[group]), task.number, family),
                        states.take(group).encode(),
                    )
                    for group in range(states.n_groups)
                )
            yield to_batch(rows)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is the same for every model: all rows of a batch, with those that no metric can use."""

    truth: Truth
    weight: Floats
    bucket: Ints
    labelled: Bools
    placed: list[Placed]

    def counts(self, placed: Placed, flags: RowFlags, n_groups: int) -> Sums:
        cells = placed.groups * BUCKETS
        if placed.rows is None:
            return rows_of(self.weight, flags, cells + self.bucket, n_groups)
        at = placed.rows
        flags = RowFlags(flags.null_label[at], flags.bad_score[at], flags.unknown_label[at])
        return rows_of(self.weight[at], flags, cells + self.bucket[at], n_groups)


def _meter(values: tuple[float, ...]) -> bytes:
    return Sums(np.array([[values]], np.float64)).encode()


def to_batch(rows: list[tuple[Key, bytes]]) -> pa.RecordBatch:
    """Rows of states as an Arrow batch of `STATE_SCHEMA`."""
    columns = [
        pa.array([key[2] for key, _ in rows], pa.int32()),
        pa.array([key[0] for key, _ in rows], pa.string()),
        pa.array([key[1] for key, _ in rows], pa.string()),
        pa.array([key[3] for key, _ in rows], pa.string()),
        pa.array([payload for _, payload in rows], pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=STATE_SCHEMA)


def merge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Adds the states of one key; the rows come sorted by `STATE_KEY`, so one is held at a time."""
    held: Key | None = None
    payload = b""
    state: States | None = None
    out: list[tuple[Key, bytes]] = []
    for key, each in _keyed(batches):
        if key == held:
            if key[3] == FAILURE:
                payload = min(payload, each)
            else:
                state = (decode(payload) if state is None else state).merge(decode(each))
            continue
        if held is not None:
            out.append((held, payload if state is None else state.encode()))
        held, payload, state = key, each, None
        if len(out) >= 1024:
            yield to_batch(out)
            out = []
    if held is not None:
        out.append((held, payload if state is None else state.encode()))
    yield to_batch(out)


def _keyed(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Key, bytes]]:
    for batch in batches:
        models, sets, slices, families, payloads = (
            batch.column(name).to_pylist()
            for name in ("model", "slice_set", "slice_key", "family", "payload")
        )
        keys = zip(sets, slices, models, families, strict=True)
        yield from zip(keys, payloads, strict=True)


def read_truth(column: pa.Array, problem: Problem) -> Truth:
    """Labels as class indices or targets; null and NaN are no labels, infinity no target."""
    null = column.is_null().to_numpy(zero_copy_only=False)
    if problem.task is TaskKind.REGRESSION:
        values = pc.fill_null(pc.cast(column, pa.float64(), safe=False), 0.0)
        target = values.to_numpy(zero_copy_only=False)
        null = null | np.isnan(target)
        return Truth(np.where(null, 0.0, target), null, np.isinf(target))
    codes = label_codes(problem)
    encoded = pc.dictionary_encode(column)
    labels = encoded.dictionary.to_pylist()
    table = np.array([_code(label, codes) for label in labels] or [-1], np.int64)
    indices = pc.fill_null(encoded.indices, 0).to_numpy(zero_copy_only=False)
    truth = table[indices]
    null = null | (truth == -2)
    return Truth(np.where(truth < 0, 0, truth), null, (truth == -1) & ~null)


def _code(label: bool | int | float | str, codes: Mapping[str, int]) -> int:
    """The class index of a label; -1 for an unknown one, -2 for NaN, which is no label."""
    return -2 if label != label else codes.get(same_label(label), -1)


def read_weight(batch: pa.RecordBatch, column: str | None) -> Floats:
    """The weights of the rows, 1 without a weight column.

    Raises:
        DataError: for a weight that is null, NaN, infinite or negative.
    """
    if column is None:
        return np.ones(batch.num_rows)
    values = pc.cast(batch.column(column), pa.float64(), safe=False)
    weight = values.to_numpy(zero_copy_only=False).astype(np.float64)
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise DataError(f"the weight column {column!r} holds null, NaN, infinite or negative ones")
    return weight


def read_prediction(
    prediction: Prediction, problem: Problem
) -> tuple[Floats | None, Ints | None, Bools]:
    """Scores, predicted classes, and the rows whose scores are finite and are probabilities."""
    if prediction.labels is not None:
        return None, prediction.labels, prediction.labels >= 0
    scores = prediction.scores
    assert scores is not None, "a prediction has scores or labels"
    if problem.task is TaskKind.REGRESSION:
        return scores, None, np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(scores).all(axis=1) & ((scores >= 0) & (scores <= 1)).all(axis=1)
        good &= np.abs(scores.sum(axis=1) - 1.0) < 1e-3
    return scores, np.where(good, np.argmax(scores, axis=1), 0), good
