"""What one scan has to do, and what it holds while it does it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa

from engine.core.redaction import redacted_message
from engine.core.vocabulary import ModelVersion
from engine.execution.kernel.joint_groups import JointGroups
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
    ColumnBatch,
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

F = TypeVar("F", bound=AnyFamily | PairFamily)

# Where the sums of joint groups stand, beside those of the slice sets by their numbers.
JOINT = -1


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

    @property
    def shared_count(self) -> int:
        """How many families are wanted on more than one slice set."""
        return len(_find_repeated(self.families)) + len(_find_repeated(self.pairs))

    def sum_rows(
        self,
        families: Sequence[Sequence[AnyFamily | PairFamily]],
        scored: tuple[Ints, Scored | Pair | ColumnBatch],
        every: Rows,
    ) -> None:
        """Adds the states of rows, and of what is known of them, to those of all slice sets.

        What several sets want is added up once, by the joint groups where there are such.
        """
        rows, known = scored
        placed = every.placed
        whole = len(rows) == len(every.weight)
        shared: dict[str, AnyFamily | PairFamily] = {}
        if placed.joint is not None:
            shared = _find_repeated(families)
            groups = placed.joint if whole else placed.joint[rows]
            self._sum(JOINT, shared.values(), known, (groups, placed.n_joint))
        place = np.full(len(every.weight), -1, np.int64)
        place[rows] = np.arange(len(rows))
        for number, (of_set, size) in enumerate(zip(placed.sets, placed.sizes, strict=True)):
            own = [family for family in families[number] if family.key not in shared]
            if not own:
                continue
            batch, groups = known, of_set.groups
            if of_set.rows is not None:
                at = place[of_set.rows]
                batch, groups = known.at(at[at >= 0]), groups[at >= 0]
            elif not whole:
                groups = groups[rows]
            self._sum(number, own, batch, (groups, size))

    def _sum(
        self,
        number: int,
        families: Iterable[AnyFamily | PairFamily],
        batch: Scored | Pair | ColumnBatch,
        groups: tuple[Ints, int],
    ) -> None:
        """Adds the states of a batch whose rows have groups, and how many groups there are."""
        for family in families:
            if family.key in self.failures:
                continue
            try:
                # A family of pairs gets a pair: both come from one call.
                self.add(number, family.key, family.of(batch, *groups))  # type: ignore[arg-type]
            except (Exception, SystemExit) as error:  # a user's loss costs its own metrics
                self.failures[family.key] = redacted_message(error)

    def spread(self, joint: JointGroups, sizes: Sequence[int]) -> None:
        """Gives the states of joint groups to the slices of all sets, once and for all."""
        for number, (own, beside) in enumerate(zip(self.families, self.pairs, strict=True)):
            for family in (*own, *beside):
                held = self.sums.get((JOINT, family.key))
                if held is not None:
                    self.add(number, family.key, joint.sum_slices(held, number, sizes[number]))
        for key in [key for key in self.sums if key[0] == JOINT]:
            del self.sums[key]

    def states(
        self, set_number: int, n_groups: int, joint: JointGroups | None
    ) -> Iterator[tuple[str, States]]:
        """The states of all slices of a set by family, of nothing that failed."""
        if self.counted[set_number]:
            zero = Sums(np.zeros((n_groups, BUCKETS, len(ROW_COLUMNS))))
            yield ROWS, _pad(self.sums.get((set_number, ROWS)), zero)
        families: list[AnyFamily | PairFamily] = list(self.families[set_number])
        for family in [*families, *self.pairs[set_number]]:
            if not self.failures.keys() & {"", family.key}:
                held = self.sums.get((set_number, family.key))
                of_all = self.sums.get((JOINT, family.key))
                if of_all is not None and joint is not None:
                    held = joint.sum_slices(of_all, set_number, n_groups)
                yield family.key, _pad(held, family.zero(n_groups))


def _find_repeated(families: Sequence[Sequence[F]]) -> dict[str, F]:
    """The families that more than one set wants, by their keys."""
    times = Counter(family.key for of_set in families for family in of_set)
    return {family.key: family for of_set in families for family in of_set if times[family.key] > 1}


def _pad(held: States | None, zero: States) -> States:
    """The sums of a family, zero for slices that it has not met."""
    return zero if held is None else held if held.n_groups == zero.n_groups else held.merge(zero)


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
class PlacedRows:
    """Where the rows of a batch lie.

    Attributes:
        sets: the rows in each slice set, and their slices.
        sizes: how many slices each set has so far.
        joint: int64 [row], the joint group of each row; None where there are none.
        n_joint: how many joint groups there are so far.
    """

    sets: Sequence[Placed]
    sizes: Sequence[int]
    joint: Ints | None
    n_joint: int


@dataclass(frozen=True, slots=True)
class Rows:
    """What is the same for every model: the rows of a batch, and where they lie."""

    truth: Truth
    weight: Floats
    bucket: Ints
    labelled: Bools
    placed: PlacedRows
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
