"""The states of one model on slices, all with an axis of slices: a single one is a batch of one.

What numpy costs for each call is paid once for a hundred slices. Views are made with the axis, and
for functions without it (`Metric.many`) of one slice alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from engine.core.vocabulary import RowCounts
from engine.states import (
    BUCKETS,
    ROW_COLUMNS,
    Floats,
    RankPairsView,
    ScoreBlock,
    ScoreHistogram,
    ScoresView,
    States,
    Sums,
    ValuesView,
    score_blocks,
    view,
    view_of_groups,
)

T = TypeVar("T")

# Views that have a single replicate, that of all rows, and another view for the others.
HISTOGRAMS = ScoresView | ValuesView | RankPairsView


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the rows came: with weights or without, alone or in clusters of about some size."""

    weighted: bool = False
    clustered: bool = False
    rows_per_cluster: float = 1.0


@dataclass(frozen=True, slots=True)
class RowsOf:
    """The rows of slices: their counts, and the weight in each bucket, [slice, bucket]."""

    counts: Sequence[RowCounts]
    buckets: Floats

    @classmethod
    def of(cls, rows: Sums) -> RowsOf:
        """Those that the states `rows` count, a group for each slice."""
        sums = rows.values.sum(axis=1)
        place = {name: at for at, name in enumerate(ROW_COLUMNS)}
        columns = ("n", "weight", "null_labels", "bad_scores", "unknown_labels")
        listed = [sums[:, place[name]].tolist() for name in columns]
        counts = [
            RowCounts(int(n), weight, int(null), int(bad), int(unknown))
            for n, weight, null, bad, unknown in zip(*listed, strict=True)
        ]
        return cls(counts, rows.values[:, :, place["weight"]])

    def some(self, first: int, last: int) -> RowsOf:
        """Those of the slices from `first` to before `last`."""
        return RowsOf(self.counts[first:last], self.buckets[first:last])


class Slices:
    """All the states of one model on slices, with what is read from them made once.

    `families` has the states by the key of their family, whose group `first` is the first slice;
    `baseline` has the same slices, and so has `reference`, where there is one: those of another
    dataset. `trivial` are those of the models that are fitted on that, by their kinds. `rival` are
    those of the baseline behind the variant that these are behind, beside its own as it is.
    `has_probabilities` is False of scores that rank rows and are nothing else. `answers` are the
    numbers that a query or a probe found, for each slice, by name, `texts` the texts of a query
    that has some; `failure` is why it found none.
    """

    def __init__(
        self,
        rows: RowsOf,
        families: Mapping[str, States],
        *,
        sampling: Sampling,
        baseline: Slices | None = None,
        first: int = 0,
    ) -> None:
        self._rows = rows
        self.families = families
        self.sampling = sampling
        self.baseline = baseline
        self.reference: Slices | None = None
        self.rival: Slices | None = None
        self.trivial: Mapping[str, Slices] = {}
        self.has_probabilities = True
        self.answers: Sequence[Mapping[str, float | None]] = ()
        self.texts: Sequence[Mapping[str, str | None]] = ()
        self.failure: str | None = None
        self.first = first
        self._made: dict[Hashable, Any] = {}

    @property
    def counts(self) -> Sequence[RowCounts]:
        """The rows of each slice."""
        return self._rows.counts

    @property
    def buckets(self) -> Floats:
        """The weight of the rows in each bucket: [slice, bucket]."""
        return self._rows.buckets

    def __len__(self) -> int:
        return len(self.counts)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `make`, computed once for these slices."""
        if key not in self._made:
            self._made[key] = make()
        value: T = self._made[key]
        return value

    def forget_views(self) -> None:
        """Frees what the metrics read; their figures stay."""
        for key in [key for key in self._made if isinstance(key, tuple) and key[0] == "view"]:
            del self._made[key]

    @cached_property
    def n(self) -> Floats:
        """The labelled rows of each slice."""
        return np.array([rows.n for rows in self.counts], np.float64)

    @cached_property
    def weight(self) -> Floats:
        """The weight of the rows of each slice."""
        return np.array([rows.weight_sum for rows in self.counts], np.float64)

    @cached_property
    def reasons(self) -> list[str | None]:
        """Why no metric has a value, for each slice."""
        return [lacking_rows(rows) for rows in self.counts]

    @cached_property
    def slices(self) -> Sequence[Slices]:
        """Each slice by itself, beside that of the baseline."""
        others = [None] * len(self) if self.baseline is None else self.baseline.slices
        return [self.some(at, at + 1, other) for at, other in enumerate(others)]

    def some(self, first: int, last: int, baseline: Slices | None = None) -> Slices:
        """The slices from `first` to before `last`, beside those of a baseline."""
        some = Slices(
            self._rows.some(first, last),
            self.families,
            sampling=self.sampling,
            baseline=baseline,
            first=self.first + first,
        )
        some.reference = None if self.reference is None else self.reference.some(first, last)
        if self.rival is not None:
            clean = self.rival.baseline
            clean = None if clean is None else clean.some(first, last)
            some.rival = self.rival.some(first, last, clean)
        some.trivial = {kind: other.some(first, last) for kind, other in self.trivial.items()}
        some.has_probabilities = self.has_probabilities
        some.answers, some.failure = self.answers[first:last], self.failure
        some.texts = self.texts[first:last]
        return some

    def view(self, key: str) -> Any:
        """The view of the family `key`, with an axis of slices."""
        return self.once(("view", key), lambda: view_of_groups(self.families[key], *self._place))

    def score_blocks(self, key: str) -> list[ScoreBlock]:
        """The views of the family `key` of score histograms, each of some of the slices."""
        histogram = self.families[key]
        assert isinstance(histogram, ScoreHistogram), "a score histogram was asked for"
        return self.once(("view", key), lambda: list(score_blocks(histogram, *self._place)))

    def view_at(self, key: str, at: int) -> Any:
        """The view of the family `key` on one slice, without an axis of slices."""
        return self.once(("view", key, at), lambda: view(self.families[key].take(self.first + at)))

    def replicates_view_at(self, key: str, at: int) -> Any:
        """The same with all replicates, which the view of a histogram does not have."""
        one = self.view_at(key, at)
        if not isinstance(one, HISTOGRAMS):
            return one
        return self.once(("view", key, at, "left out"), one.with_replicates)

    @property
    def _place(self) -> tuple[int, int]:
        return self.first, self.first + len(self)


class SliceStates(Slices):
    """The states of one model on a single slice: `Slices` of one, from its counts and states.

    `buckets` is the weight of the rows in each bucket, None where nobody asks for intervals;
    `baseline` has one slice too.
    """

    def __init__(
        self,
        rows: RowCounts,
        states: Mapping[str, States],
        *,
        buckets: Floats | None = None,
        sampling: Sampling = Sampling(),
        baseline: Slices | None = None,
    ) -> None:
        sizes = np.ones(BUCKETS) if buckets is None else buckets
        super().__init__(RowsOf([rows], sizes[None]), states, sampling=sampling, baseline=baseline)


def lacking_rows(rows: RowCounts) -> str | None:
    """Why no metric has a value on a slice with these rows."""
    if rows.n == rows.unknown_labels:
        return "empty"
    if rows.bad_scores:
        return "nan_input"
    return "zero_weight" if rows.weight_sum == 0 else None
