"""What one scan has to do, and what it holds while it does it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import ModelVersion
from engine.execution.kernel.parsing import Predicted, Truth
from engine.models import UNWATCHED, Guard, Load, Prediction
from engine.planning import AnyFamily, Subject
from engine.planning.scan_columns import KEY_COLUMN, kept_column
from engine.planning.slices import Placed
from engine.states import (
    BUCKETS,
    NO_COLUMNS,
    ROW_COLUMNS,
    Bools,
    Floats,
    Ints,
    Pair,
    PairFamily,
    RowColumns,
    RowFlags,
    Scored,
    States,
    Sums,
    rows_of,
)
from engine.states.rows import ROWS
from engine.store.prediction_rows import known_rows, pack, together, unpack_prediction


@dataclass(frozen=True, slots=True)
class Work:
    """What one scan of an evaluation makes.

    `wanted` are the states to make, by model, slice set and family; None means all that the
    evaluation needs. `blocks` says into how many parts the states of a slice set go, where it is
    more than one. A `sign` of -1 is for rows that are no longer there. `guard` says how the models
    are watched.
    """

    wanted: frozenset[tuple[int, str, str]] | None = None
    blocks: Mapping[str, int] = field(default_factory=dict)
    sign: int = 1
    guard: Guard = UNWATCHED

    def wants(self, model: int, slice_set: str, family: str) -> bool:
        return self.wanted is None or (model, slice_set, family) in self.wanted


@dataclass(slots=True)
class ModelTask:
    """One subject in one worker task: its states so far, predictions to keep, what failed.

    `failures` has the reason by the family that could not be made; the key "" is the model itself.
    `notes` counts predictions that were clipped or cannot be used.
    """

    subject: Subject
    families: tuple[tuple[AnyFamily, ...], ...]
    pairs: tuple[tuple[PairFamily, ...], ...]
    counted: tuple[bool, ...]
    keeps: bool = False
    kept: list[bytes] = field(default_factory=list)
    sums: dict[tuple[int, str], States] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    predictions: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, set_number: int, family: str, states: States) -> None:
        key = (set_number, family)
        held = self.sums.get(key)
        self.sums[key] = states if held is None else held.merge(states)

    @property
    def number(self) -> int:
        """The number of what it is about."""
        return self.subject.number

    @property
    def model(self) -> ModelVersion:
        """Its model, which all have but the data."""
        assert self.subject.model is not None, "the data predict nothing"
        return self.subject.model

    @property
    def makes_states(self) -> bool:
        """Whether anything of it is wanted."""
        return self.keeps or any(map(any, (self.families, self.pairs, self.counted)))

    @property
    def has_pairs(self) -> bool:
        """Whether it makes states beside what it is compared with."""
        return any(self.pairs)

    @property
    def reads_changes(self) -> bool:
        """Whether a state of it asks which rows its variant changed."""
        return any(family.reads_changes for families in self.pairs for family in families)

    def predict(self, batch: pa.RecordBatch, load: Load) -> Prediction:
        """The predictions for a batch: those that are kept, and the model's own for the others.

        Raises:
            Exception: whatever the model raises, or what `load` does.
        """
        known = None if self.subject.variant is not None else known_rows(batch, self.number)
        if known is None or not known.any():
            return self._fresh(batch, load)
        kept = batch.column(kept_column(self.number)).filter(pa.array(known))
        prediction = unpack_prediction(kept, self.model)
        if known.all():
            return prediction
        return together(known, prediction, self._fresh(batch.filter(pa.array(~known)), load))

    def _fresh(self, batch: pa.RecordBatch, load: Load) -> Prediction:
        predictor = load(self.model)
        started, cpu = time.perf_counter(), time.process_time()
        prediction = predictor.predict(batch)
        self.seconds += time.perf_counter() - started
        self.cpu_seconds += time.process_time() - cpu
        self.predictions += batch.num_rows * self.model.calls
        if self.keeps:
            self.kept.append(pack(batch.column(KEY_COLUMN), prediction))
        return prediction

    def states(self, set_number: int, n_groups: int) -> Iterator[tuple[str, States]]:
        """The states of all slices of a set by family, of nothing that failed."""
        if self.counted[set_number]:
            zero = Sums(np.zeros((n_groups, BUCKETS, len(ROW_COLUMNS))))
            yield ROWS, self._pad(set_number, ROWS, zero)
        families: list[AnyFamily | PairFamily] = list(self.families[set_number])
        for family in [*families, *self.pairs[set_number]]:
            if not self.failures.keys() & {"", family.key}:
                zeros = family.zero(n_groups)
                yield family.key, self._pad(set_number, family.key, zeros)

    def _pad(self, set_number: int, family: str, zero: States) -> States:
        """The sums of a family, zero for slices that it has not met."""
        held = self.sums.get((set_number, family))
        return (
            zero if held is None else held if held.n_groups == zero.n_groups else held.merge(zero)
        )


@dataclass(frozen=True, slots=True)
class Usable:
    """The rows of a batch for which a model has a prediction, and these.

    `changed` says of which rows a variant changed the input, where that is asked for.
    """

    rows: Ints
    scored: Scored
    changed: Bools | None = None

    def beside(self, baseline: Usable) -> tuple[Ints, Pair]:
        """The rows that the baseline has predictions for as well, and both predictions."""
        if np.array_equal(self.rows, baseline.rows):
            return self.rows, Pair(baseline.scored, self.scored, self.changed)
        rows, ours, theirs = np.intersect1d(
            self.rows, baseline.rows, assume_unique=True, return_indices=True
        )
        changed = None if self.changed is None else self.changed[ours]
        return rows, Pair(baseline.scored.at(theirs), self.scored.at(ours), changed)


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
    columns: RowColumns = NO_COLUMNS

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

    def scored_rows(self, rows: Ints, predicted: Predicted) -> Scored:
        """The rows with their predictions, of which those of `of.good` are left."""
        every = len(rows) == len(self.weight)
        good = slice(None) if predicted.good.all() else predicted.good
        return Scored(
            self.truth.values if every else self.truth.values[rows],
            self.weight if every else self.weight[rows],
            self.bucket if every else self.bucket[rows],
            None if predicted.scores is None else predicted.scores[good],
            None if predicted.classes is None else predicted.classes[good],
            self.unweighted,
            None if self.query is None else self.query[rows],
            self.columns if every else self.columns.at(rows),
        )
