"""The states of many slices at once, and the metrics of all of them in one go.

What numpy costs for each call is paid once for a hundred slices. A metric whose function takes an
axis of slices (`Metric.many`) is computed so; any other slice by slice, and both give `Figured`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from engine.core.vocabulary import RowCounts
from engine.metrics.base import Metric, Problem, Sampling, SliceStates, lacking_rows
from engine.metrics.inference.batch_views import ScoreBlock, score_blocks, view_of_many
from engine.metrics.inference.values import Figured, add_slice_axis, gather_bases
from engine.states import BUCKETS, ROW_COLUMNS, Floats, Ints, ScoreHistogram, States, Sums

T = TypeVar("T")


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
    """All the states of one model on many slices, with what is read from them made once.

    `families` has the states by the key of their family, whose group `first` is the first slice;
    `baseline` has the same slices.
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
        self.rows = rows
        self.families = families
        self.sampling = sampling
        self.baseline = baseline
        self.first = first
        # What a slice by itself has made already is used again.
        self._alone = False
        self._made: dict[Hashable, Any] = {}

    @classmethod
    def one(cls, states: SliceStates, baseline: Slices | None = None) -> Slices:
        """A single slice."""
        buckets = np.ones(BUCKETS) if states.buckets is None else states.buckets
        if baseline is None and states.baseline is not None:
            baseline = cls.one(states.baseline)
        rows = RowsOf([states.rows], buckets[None])
        slices = cls(rows, states.families, sampling=states.sampling, baseline=baseline)
        slices._made["slices"] = [states]
        slices._alone = True
        return slices

    @property
    def counts(self) -> Sequence[RowCounts]:
        """The rows of each slice."""
        return self.rows.counts

    @property
    def buckets(self) -> Floats:
        """The weight of the rows in each bucket: [slice, bucket]."""
        return self.rows.buckets

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

    def reasons_for(self, metric: Metric) -> Sequence[str | None]:
        """The same of a metric; one that compares two versions needs the baseline's rows too."""
        if not metric.against or self.baseline is None:
            return self.reasons
        bad = [rows.bad_scores > 0 for rows in self.baseline.counts]
        return ["nan_input" if x else reason for x, reason in zip(bad, self.reasons, strict=True)]

    @property
    def slices(self) -> Sequence[SliceStates]:
        """Each slice by itself."""
        return self.once("slices", lambda: [self._slice(at) for at in range(len(self))])

    def _slice(self, at: int) -> SliceStates:
        return SliceStates(
            self.counts[at],
            _OfOne(self.families, self.first + at),
            buckets=self.buckets[at],
            sampling=self.sampling,
            baseline=None if self.baseline is None else self.baseline.slices[at],
        )

    def some(self, first: int, last: int, baseline: Slices | None = None) -> Slices:
        """The slices from `first` to before `last`, beside those of a baseline."""
        if self._alone:
            return Slices.one(self.slices[0], baseline)
        return Slices(
            self.rows.some(first, last),
            self.families,
            sampling=self.sampling,
            baseline=baseline,
            first=self.first + first,
        )

    def view(self, key: str) -> Any:
        """The view of the family `key`, with an axis of slices."""
        return self.once(("view", key), lambda: view_of_many(self.families[key], *self._place))

    @property
    def _place(self) -> tuple[int, int]:
        return self.first, self.first + len(self)

    def figures(self, metric: Metric, problem: Problem) -> Figured:
        """A metric on all slices."""
        return self.once(("figured", metric.name), lambda: self._compute_figures(metric, problem))

    def _compute_figures(self, metric: Metric, problem: Problem) -> Figured:
        needed = metric.needs(problem)
        if not metric.many or metric.of_baseline is not None or self._alone:
            figured = self._one_by_one(metric, problem)
        elif any(isinstance(self.families[need.key], ScoreHistogram) for need in needed):
            figured = self._of_scores(metric, problem, needed)
        else:
            views = [self.view(family.key) for family in needed]
            figured = Figured.of(metric.of_views(problem, views))
        for at, reason in enumerate(self.reasons_for(metric)):
            if reason is not None:
                figured.reasons[at] = reason
                figured.values[at] = np.nan
                if figured.details is not None:
                    figured.details[at] = None
        return figured

    def _one_by_one(self, metric: Metric, problem: Problem) -> Figured:
        """By the metric's function on each slice."""
        parts = []
        lacking = self.reasons_for(metric)
        for at, states in enumerate(self.slices):
            if lacking[at] is None:
                measured = metric.measure(problem, states)
                reason = measured.reason()
                figured = Figured.of(add_slice_axis(measured))
                if metric.intervals and reason is None:
                    replicates = np.asarray(metric.replicates(problem, states), np.float64)[None]
                    figured = replace(figured, replicates=replicates)
                parts.append((np.array([at]), figured))
        return gather_bases(Figured.join(len(self), parts))

    def _of_scores(self, metric: Metric, problem: Problem, needed: Iterable[Any]) -> Figured:
        """From score histograms, of which some have a view of their own for the replicates."""
        (family,) = needed
        histogram = self.families[family.key]
        assert isinstance(histogram, ScoreHistogram), "a score histogram was asked for"
        blocks: list[ScoreBlock] = self.once(
            ("view", family.key), lambda: list(score_blocks(histogram, *self._place))
        )
        values: list[tuple[Ints, Figured]] = []
        spreading: list[tuple[Ints, Figured]] = []
        for block in blocks:
            part = (block.at, Figured.of(metric.of_views(problem, [block.view])))
            if block.has_values:
                values.append(part)
            else:
                spreading.append(part)
        figured = Figured.join(len(self), values)
        for at, coarse in spreading:
            figured.replicates[at] = coarse.replicates
        return gather_bases(figured)


class _OfOne(Mapping[str, States]):
    """The states of one group, each taken when it is asked for."""

    def __init__(self, families: Mapping[str, States], group: int) -> None:
        self._families, self._group = families, group

    def __getitem__(self, key: str) -> States:
        return self._families[key].take(self._group)

    def __iter__(self) -> Iterator[str]:
        return iter(self._families)

    def __len__(self) -> int:
        return len(self._families)

    def __contains__(self, key: object) -> bool:
        return key in self._families
