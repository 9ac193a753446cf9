"""States of rankings: the moments of a number of each query, of which its rows are the documents.

Within a group the rows of one query are one unit of weight 1, whatever their weights; rows of
weight 0 are left out. A query is in the bucket of its rows, all of which must come in one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from engine.states.base import BUCKETS, Family, Floats, Ints, Scored
from engine.states.dense import Moments, moments_of
from engine.states.pairs import Pair, PairFamily


@dataclass(frozen=True, slots=True)
class Queries:
    """The documents of some queries, query after query, each from the highest score down.

    Documents of one score are tied; they form a block. All that is said of a document is an array
    of [documents]; `first` is of [queries].

    Attributes:
        relevance: what the label says, >= 0 where all is well.
        query: the place of the document's query, ascending.
        first: the place of each query's first document.
        block: the place of the document's block, ascending.
        ahead: how many documents of the query have a higher score.
        tied: how many documents the block has, this one included.
    """

    relevance: Floats
    query: Ints
    first: Ints
    block: Ints
    ahead: Ints
    tied: Ints

    def __len__(self) -> int:
        return len(self.first)

    @property
    def place(self) -> Ints:
        """The place of each document within its query, from 0; arbitrary within a block."""
        places: Ints = np.arange(len(self.query)) - self.first[self.query]
        return places

    @property
    def first_of_block(self) -> Ints:
        """The place of each block's first document."""
        return np.flatnonzero(np.diff(self.block, prepend=-1))

    def total(self, of_document: Floats) -> Floats:
        """The sum over each query's documents, [queries]."""
        sums: Floats = np.add.reduceat(of_document, self.first)
        return sums

    def by_block(self, of_document: Floats) -> Floats:
        """The sum over each document's block, [documents]."""
        sums: Floats = np.add.reduceat(of_document, self.first_of_block)
        return sums[self.block]

    def ideal(self) -> Queries:
        """The same documents in the order of their relevance, without ties."""
        order = np.lexsort((-self.relevance, self.query))
        every = np.arange(len(order))
        ones = np.ones(len(order), np.int64)
        return Queries(self.relevance[order], self.query, self.first, every, self.place, ones)


QueryFunction = Callable[[Queries], Floats]


def _starts(changed: np.ndarray) -> Ints:
    return np.flatnonzero(np.r_[True, changed])


Ranked = tuple[Queries, Ints, Ints]


def queries_of(batch: Scored, groups: Ints) -> Ranked:
    """The queries of each group with some document, and the group and the bucket of each of them.

    Queries come in the order of their group and their number. There must be a row of some weight.
    """
    # All metrics of a slice set share one sort. The groups are kept beside what was made of them,
    # so that no other array can get their identity.
    _, ranking = batch.once(("ranked", id(groups)), lambda: (groups, _make_queries(batch, groups)))
    return ranking


def _make_queries(batch: Scored, groups: Ints) -> Ranked:
    rows = batch.once("by query and score", lambda: _by_query_and_score(batch))
    # Stable, so that within a group the order stays.
    rows = rows[np.argsort(groups[rows], kind="stable")]
    assert batch.query is not None, "a ranking needs the query of each row"
    assert batch.scores is not None, "a ranking needs scores"
    group, number, score = groups[rows], batch.query[rows], batch.scores[rows]
    new_query = (group[1:] != group[:-1]) | (number[1:] != number[:-1])
    first = _starts(new_query)
    new_block = new_query | (score[1:] != score[:-1])
    first_of_block = _starts(new_block)
    query = np.r_[0, np.cumsum(new_query)]
    block = np.r_[0, np.cumsum(new_block)]
    sizes = np.diff(first_of_block, append=len(rows))
    queries = Queries(
        relevance=batch.truth[rows].astype(np.float64),
        query=query,
        first=first,
        block=block,
        ahead=first_of_block[block] - first[query],
        tied=sizes[block],
    )
    return queries, group[first], batch.bucket[rows[first]]


def _by_query_and_score(batch: Scored) -> Ints:
    """The rows that have weight: by query, and within it from the highest score down."""
    assert batch.query is not None, "a ranking needs the query of each row"
    assert batch.scores is not None, "a ranking needs scores"
    rows = np.flatnonzero(batch.weight > 0)
    return rows[np.lexsort((-batch.scores[rows], batch.query[rows]))]


def _numbers(function: QueryFunction, queries: Queries) -> Floats:
    numbers = np.asarray(function(queries), np.float64)
    if numbers.shape != (len(queries),):
        raise ValueError(
            f"a metric of queries gave an array of shape {numbers.shape}, expected one number for "
            f"each of {len(queries)} queries"
        )
    return numbers


def _moments(numbers: Floats, groups: Ints, bucket: Ints, n_groups: int) -> Moments:
    """The moments of a number of each query."""
    ones = np.ones(len(numbers))
    return moments_of(numbers, Scored(numbers, ones, bucket, unweighted=True), groups, n_groups)


def _nothing(n_groups: int) -> Moments:
    return Moments(np.zeros((n_groups, BUCKETS, 4)))


@dataclass(frozen=True, slots=True)
class QueryMean(Family):
    """The moments of a number of each query; as with `Mean`, the name tells functions apart."""

    name: str
    function: QueryFunction = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return f"query_mean({self.name})"

    def zero(self, n_groups: int = 0) -> Moments:
        return _nothing(n_groups)

    def of(self, batch: Scored, groups: Ints, n_groups: int) -> Moments:
        if not (batch.weight > 0).any():
            return _nothing(n_groups)
        queries, group, bucket = queries_of(batch, groups)
        return _moments(_numbers(self.function, queries), group, bucket, n_groups)


@dataclass(frozen=True, slots=True)
class PairedQueryMean(PairFamily):
    """The moments of the difference of each query's number, the candidate's less the baseline's."""

    name: str
    function: QueryFunction = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        return f"paired_query_mean({self.name})"

    def zero(self, n_groups: int = 0) -> Moments:
        return _nothing(n_groups)

    def of(self, batch: Pair, groups: Ints, n_groups: int) -> Moments:
        if not (batch.candidate.weight > 0).any():
            return _nothing(n_groups)
        # Both have the same rows, so the same queries in the same order.
        ours, group, bucket = queries_of(batch.candidate, groups)
        theirs, _, _ = queries_of(batch.baseline, groups)
        gained = _numbers(self.function, ours) - _numbers(self.function, theirs)
        return _moments(gained, group, bucket, n_groups)
