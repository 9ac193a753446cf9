"""What one look at the label and slice columns tells of rows, without Spark (see `profile.py`).

It is the same dictionary as Spark's aggregation gives. Numbers of values are counted where Spark
estimates them, up to two million; all other figures are equal, sums of squares but for their last
digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.core.vocabulary import TaskKind
from engine.data.arrow_numbers import DistinctValues, Moments
from engine.data.arrow_values import values_here
from engine.data.columns import is_number
from engine.data.profile import (
    MOMENTS,
    RANGE,
    Stats,
    asked_ranges,
    asked_spreads,
    by_columns,
    group_columns,
    quantile_cuts,
    unit_columns,
)
from engine.data.stored_scores import ScoreColumns, probability_columns
from engine.data.table_rows import TableRows
from engine.pieces import NotThisWay
from engine.pieces.numbers import are_null, doubles, percentiles
from engine.pieces.row_hash import hash_rows, is_hashable
from engine.suite import Evaluation

# As many different labels as are kept; beyond so many there is something else in the column.
MOST_LABELS = 1_000_000
_MOST_PAIRS = 1 << 24
_GATHERED = 1 << 20


class Sum(Protocol):
    """What is found out of one column, or some, batch after batch."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes the rows of a batch."""

    def stats(self) -> Stats:
        """What is known of all rows that were taken."""


def aggregate_here(rows: TableRows, evaluation: Evaluation) -> Stats:
    """What is known of rows, as `profile.aggregate` tells it.

    Raises:
        NotThisWay: where only Spark can tell it.
        UnreadableError: for a file that cannot be read here.
    """
    sums, names = _sums(rows, evaluation)
    cuts = {name for name, _ in quantile_cuts(evaluation.slices)}
    for batch in rows.batches(names, held=len(cuts)):
        for one in sums:
            one.add(batch)
    stats = {name: value for one in sums for name, value in one.stats().items()}
    return {**stats, **values_here(rows, evaluation, int(stats["rows"]))}


def _sums(rows: TableRows, evaluation: Evaluation) -> tuple[list[Sum], list[str]]:
    """What is found out, and the columns that it is found out of."""
    dataset = evaluation.dataset
    sums: list[Sum] = [_Rows(dataset.label)]
    names = [dataset.label]

    def ask(columns: Iterable[str], make: Callable[[int, str], Sum]) -> None:
        for place, name in enumerate(columns):
            names.append(name)
            sums.append(make(place, name))

    if dataset.task in (TaskKind.BINARY, TaskKind.MULTICLASS):
        sums.append(_Labels(dataset.label))
    elif dataset.task is TaskKind.MULTILABEL:
        sums.append(_Arrays(dataset.label))
    if dataset.weight is not None:
        ask([dataset.weight], lambda _, name: _Weights(name))
    ask(
        unit_columns(evaluation),
        lambda n, name: _Values(name, units=f"units_{n}", nulls=f"null_{n}"),
    )
    ask(group_columns(evaluation), lambda n, name: _Values(name, groups=f"group_{n}"))
    ask(by_columns(evaluation), lambda n, name: _Values(name, units=f"by_{n}"))
    numbers: dict[str, _Numbers] = {}
    for place, (name, parts) in enumerate(quantile_cuts(evaluation.slices)):
        numbers.setdefault(name, _Numbers(name)).cuts[f"cut_{place}"] = parts
    ask(numbers, lambda _, name: numbers[name])
    ask(_of_numbers(rows, asked_ranges(evaluation)), lambda _, name: _Range(name))
    ask(_of_numbers(rows, asked_spreads(evaluation)), lambda _, name: _Moments(name))
    for scores in probability_columns(evaluation):
        names += scores.names
        sums.append(_Faults(scores, dataset.label))
    return sums, list(dict.fromkeys(names))


def _of_numbers(rows: TableRows, names: Sequence[str]) -> list[str]:
    """Those that are numbers; what others there are is told when the tests are looked at."""
    known = rows.listing.columns
    return [
        name for name in names if name in rows.columns and name in known
        and is_number(known[name].type)
    ]  # fmt: skip


class _Rows:
    """How many rows there are, and how many have a label."""

    def __init__(self, label: str) -> None:
        self._label, self._rows, self._labelled = label, 0, 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._rows += batch.num_rows
        self._labelled += batch.num_rows - batch.column(self._label).null_count

    def stats(self) -> Stats:
        return {"rows": self._rows, "labelled": self._labelled}


class _Labels:
    """The different labels, as Python has them."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._known: pa.Array | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        labels = pc.unique(batch.column(self._label)).drop_null()
        if pa.types.is_floating(labels.type):
            # One zero, as Spark's set has it.
            labels = pc.add(labels, pa.scalar(0.0, labels.type))
        if self._known is not None:
            labels = pa.concat_arrays([self._known, labels])
        labels = pc.unique(labels)
        if len(labels) > MOST_LABELS:
            raise NotThisWay(f"there are more than {MOST_LABELS:,} labels")
        self._known = labels

    def stats(self) -> Stats:
        try:
            return {"labels": [] if self._known is None else self._known.to_pylist()}
        except ValueError as error:  # bytes that are no text
            raise NotThisWay("labels are texts that Python does not have") from error


class _Arrays:
    """How long the arrays of a multilabel task are, and how many hold anything but 0 and 1."""

    def __init__(self, label: str) -> None:
        self._label, self._odd = label, 0
        self._sizes: list[int] = []

    def add(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self._label)
        if not pa.types.is_list(column.type):
            raise NotThisWay(f"arrays are asked of a column of {column.type}")
        ends = pc.min_max(pc.list_value_length(column)).as_py()
        self._sizes += [size for size in ends.values() if size is not None]
        entries = doubles(pc.list_flatten(column))
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        self._odd += len(np.unique(parents[(entries != 0.0) & (entries != 1.0)]))

    def stats(self) -> Stats:
        sizes = self._sizes
        ends = (min(sizes), max(sizes)) if sizes else (None, None)
        return {"shortest": ends[0], "longest": ends[1], "odd": self._odd}


class _Weights:
    """How many weights cannot be."""

    def __init__(self, name: str) -> None:
        self._name, self._bad = name, 0

    def add(self, batch: pa.RecordBatch) -> None:
        weights = doubles(batch.column(self._name))
        self._bad += int((~((weights >= 0) & (weights < np.inf))).sum())

    def stats(self) -> Stats:
        return {"bad_weights": self._bad}


class _Values:
    """How many different values a column has, and how many nulls, by the names that are given.

    In `groups` null is a value of its own.
    """

    def __init__(self, name: str, *, units: str = "", nulls: str = "", groups: str = "") -> None:
        self._name, self._as = name, {"units": units, "nulls": nulls, "groups": groups}
        self._distinct, self._nulls, self._rows = DistinctValues(), 0, 0

    def add(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self._name)
        self._rows += len(column)
        self._nulls += column.null_count
        self._distinct.add(column)

    def stats(self) -> Stats:
        units = self._distinct.count()
        groups = units + (self._nulls > 0) if self._rows else None
        told = {"units": units, "nulls": self._nulls, "groups": groups}
        return {name: told[what] for what, name in self._as.items() if name}


class _Numbers:
    """The quantiles of a column at which rows are cut; `cuts` has into how many parts, by name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.cuts: dict[str, int] = {}
        self._numbers: list[NDArray[np.float64]] = []

    def add(self, batch: pa.RecordBatch) -> None:
        numbers = doubles(batch.column(self._name))
        self._numbers.append(numbers[~np.isnan(numbers)])

    def stats(self) -> Stats:
        numbers = np.concatenate(self._numbers) if self._numbers else np.zeros(0)
        return {
            name: percentiles(numbers, [part / parts for part in range(1, parts)])
            for name, parts in self.cuts.items()
        }


class _Range:
    """The least and the greatest finite number of a column."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ends: list[float] = []

    def add(self, batch: pa.RecordBatch) -> None:
        numbers = _finite(batch.column(self._name))
        if len(numbers):
            self._ends = [
                min([float(numbers.min()), *self._ends[:1]]),
                max([float(numbers.max()), *self._ends[1:]]),
            ]

    def stats(self) -> Stats:
        return {f"{RANGE}{self._name}": self._ends or [None, None]}


class _Moments:
    """How many finite numbers a column has, their mean and the sum of squares around it."""

    def __init__(self, name: str) -> None:
        self._name, self._moments = name, Moments()

    def add(self, batch: pa.RecordBatch) -> None:
        self._moments.add(_finite(batch.column(self._name)))

    def stats(self) -> Stats:
        return {f"{MOMENTS}{self._name}": list(self._moments.sums)}


def _finite(column: pa.Array) -> NDArray[np.float64]:
    numbers = doubles(column)
    return numbers[np.isfinite(numbers)]


class _Faults:
    """How many rows with a label have a score that is no probability (`ScoreColumns.faults`)."""

    def __init__(self, scores: ScoreColumns, label: str) -> None:
        self._scores, self._label = scores, label
        self._outside, self._uneven = 0, 0

    def add(self, batch: pa.RecordBatch) -> None:
        labelled = ~are_null(batch.column(self._label))
        columns = [doubles(batch.column(name)) for name in self._scores.names]
        outside, uneven = self._scores.faults_of(columns)
        self._outside += int((labelled & outside).sum())
        self._uneven += int((labelled & ~outside & uneven).sum())

    def stats(self) -> Stats:
        return self._scores.counts(self._outside, self._uneven)


def torn_queries_here(rows: TableRows, evaluation: Evaluation) -> int:
    """How many queries have rows in several clusters.

    Raises:
        NotThisWay: where only Spark can tell it.
        UnreadableError: for a file that cannot be read here.
    """
    names = [str(evaluation.dataset.query), str(evaluation.dataset.cluster)]
    pairs: pa.Table | None = None
    for part in _pair_hashes(rows, names):
        pairs = part if pairs is None else _different(pa.concat_tables([pairs, part]))
    if pairs is None:
        return 0
    clusters = pairs.group_by("query", use_threads=False).aggregate([([], "count_all")])
    return int(pc.sum(pc.greater(clusters["count_all"], 1)).as_py() or 0)


def _pair_hashes(rows: TableRows, names: Sequence[str]) -> Iterator[pa.Table]:
    """The different pairs of a query and its cluster in some rows, by their hashes."""
    waiting: list[pa.Table] = []
    for batch in rows.batches(names):
        columns = [batch.column(name) for name in names]
        if not all(is_hashable(column.type) for column in columns):
            raise NotThisWay("queries or clusters are no plain values")
        hashes = [pa.array(hash_rows([column], batch.num_rows)) for column in columns]
        waiting.append(_different(pa.table(hashes, ["query", "cluster"])))
        if sum(part.num_rows for part in waiting) > _GATHERED:
            yield _different(pa.concat_tables(waiting))
            waiting = []
    if waiting:
        yield _different(pa.concat_tables(waiting))


def _different(pairs: pa.Table) -> pa.Table:
    if pairs.num_rows > _MOST_PAIRS:
        raise NotThisWay(f"there are more than {_MOST_PAIRS:,} queries")
    return pairs.group_by(["query", "cluster"], use_threads=False).aggregate([])
