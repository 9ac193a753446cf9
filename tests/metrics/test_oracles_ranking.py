"""Metrics of rankings against scikit-learn, and against loops over all orders of tied documents."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from engine.core.vocabulary import MetricValue, RowCounts, TaskKind
from engine.metrics import METRICS, Problem, SliceStates, comparison_of, spread_of
from engine.states import BUCKETS, Pair, Scored, decode

PROBLEM = Problem(TaskKind.RANKING)


@dataclass(frozen=True)
class QueryRows:
    """Documents of queries; the bucket is the query's."""

    truth: np.ndarray
    scores: np.ndarray
    query: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def bucket(self) -> np.ndarray:
        return self.query * 7 % BUCKETS

    def at(self, which: np.ndarray) -> QueryRows:
        return QueryRows(
            *(each[which] for each in (self.truth, self.scores, self.query)), self.weight[which]
        )

    def scored(self) -> Scored:
        return Scored(self.truth, self.weight, self.bucket, self.scores, query=self.query)

    def queries(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Relevance and score of the documents of each query."""
        some = self.weight > 0
        return [
            (self.truth[some & (self.query == q)], self.scores[some & (self.query == q)])
            for q in np.unique(self.query[some])
        ]


def make(seed: int, n: int, *, queries: int, levels: int, grades: int = 3) -> QueryRows:
    """Random documents, few levels of scores for many ties."""
    rng = np.random.default_rng(seed)
    return QueryRows(
        rng.integers(0, grades, n).astype(np.float64) * rng.integers(0, 2, n),
        rng.integers(0, levels, n) / levels - 0.3,
        rng.integers(0, queries, n),
        rng.choice([0.0, 1.0, 1.0, 2.5], n),
    )


def states_of(name: str, rows: QueryRows, parts: int = 3) -> SliceStates:
    """States made of whole queries in several batches, merged and sent as bytes."""
    states = {}
    batch = rows.scored()
    for family in METRICS.get(name).needs(PROBLEM):
        total = family.zero(1)
        for part in range(parts):
            of = np.flatnonzero(rows.query % parts == part)
            total = total.merge(family.of(batch.at(of), np.zeros(len(of), np.int64), 1))
        states[family.key] = decode(total.take(0).encode())
    counts = RowCounts(len(rows), float(rows.weight.sum()))
    return SliceStates(counts, states, buckets=np.bincount(rows.bucket, rows.weight, BUCKETS))


def measure(name: str, rows: QueryRows) -> MetricValue:
    return METRICS.get(name).value(PROBLEM, states_of(name, rows))


ByOrder = Callable[[np.ndarray], float]


def over_orders(of_order: ByOrder, truth: np.ndarray, scores: np.ndarray) -> float:
    """The mean of a figure over all orders in which no higher score comes later."""
    blocks = [truth[scores == score].tolist() for score in np.unique(scores)[::-1]]
    orders = itertools.product(*(itertools.permutations(block) for block in blocks))
    found = [of_order(np.array([t for block in order for t in block])) for order in orders]
    return float(np.mean(found))


def over_queries(of_order: ByOrder, rows: QueryRows) -> float | str:
    if (rows.truth < 0).any():
        return "negative"
    return float(np.mean([over_orders(of_order, *each) for each in rows.queries()]))


def precision(order: np.ndarray, k: int) -> float:
    return sum(1 for t in order[:k] if t > 0) / k


def recall(order: np.ndarray, k: int) -> float:
    relevant = (order > 0).sum()
    return (order[:k] > 0).sum() / relevant if relevant else 0.0


def average_precision(order: np.ndarray, k: int) -> float:
    relevant = int((order > 0).sum())
    if not relevant:
        return 0.0
    found = [precision(order, i + 1) for i in range(min(k, len(order))) if order[i] > 0]
    return sum(found) / min(relevant, k)


def reciprocal_rank(order: np.ndarray, k: int | None = None) -> float:
    return next((1 / (i + 1) for i, t in enumerate(order[:k]) if t > 0), 0.0)


def r_precision(order: np.ndarray) -> float:
    relevant = int((order > 0).sum())
    return precision(order, relevant) if relevant else 0.0


def hit(order: np.ndarray, k: int) -> float:
    return float((order[:k] > 0).any())


def at(of_order: Callable[[np.ndarray, int], float], rows: QueryRows, k: str) -> float | str:
    return over_queries(partial(of_order, k=int(k)), rows)


def ndcg(rows: QueryRows, k: str | None = None) -> float | str:
    if (rows.truth < 0).any():
        return "negative"
    found = []
    for truth, scores in rows.queries():
        if len(truth) == 1:  # scikit-learn refuses these
            found.append(float(truth[0] > 0))
        else:
            found.append(sk.ndcg_score([truth], [scores], k=None if k is None else int(k)))
    return float(np.mean(found))


def dcg(rows: QueryRows, k: str | None = None) -> float | str:
    if (rows.truth < 0).any():
        return "negative"
    found = []
    for truth, scores in rows.queries():
        if len(truth) == 1:  # scikit-learn refuses these
            found.append(float(truth[0]))
        else:
            found.append(sk.dcg_score([truth], [scores], k=None if k is None else int(k)))
    return float(np.mean(found))


def exponential(oracle: Callable[..., float | str], rows: QueryRows, k: str | None = None) -> Any:
    """The oracle with 2^relevance - 1 as the relevance."""
    if (rows.truth < 0).any():
        return "negative"
    return oracle(replace(rows, truth=2.0**rows.truth - 1), k)


def from_label(name: str, rows: QueryRows, least: str, k: str | None = None) -> float | str:
    """The oracle of labels that are 1 from one on."""
    if (rows.truth < 0).any():
        return "negative"
    binary = replace(rows, truth=(rows.truth >= float(least)).astype(float))
    if k is None:
        return ORACLES[name](binary)
    return at(BY_ORDER[name], binary, k)


BY_ORDER: dict[str, Callable[[np.ndarray, int], float]] = {
    "mrr": reciprocal_rank,
    "map": average_precision,
    "precision": precision,
    "recall": recall,
    "hit_rate": hit,
}

Oracle = Callable[[Any], float | str]

ORACLES: dict[str, Oracle] = {
    "ndcg": ndcg,
    "dcg": dcg,
    "mrr": partial(over_queries, reciprocal_rank),
    "map": partial(over_queries, partial(average_precision, k=10**9)),
    "r_precision": partial(over_queries, r_precision),
    "ndcg_exp": partial(exponential, ndcg),
    "dcg_exp": partial(exponential, dcg),
}

LABEL = r"(?P<least>(?=[0-9.]*[1-9])[0-9]+(?:\.[0-9]+)?)"
PLACES = r"_at_(?P<k>[1-9][0-9]*)"

PATTERNS: dict[str, Callable[..., float | str]] = {
    r"ndcg_at_(?P<k>[1-9][0-9]*)": ndcg,
    r"dcg_at_(?P<k>[1-9][0-9]*)": dcg,
    r"mrr_at_(?P<k>[1-9][0-9]*)": partial(at, reciprocal_rank),
    r"map_at_(?P<k>[1-9][0-9]*)": partial(at, average_precision),
    r"precision_at_(?P<k>[1-9][0-9]*)": partial(at, precision),
    r"recall_at_(?P<k>[1-9][0-9]*)": partial(at, recall),
    r"hit_rate_at_(?P<k>[1-9][0-9]*)": partial(at, hit),
    r"ndcg_exp_at_(?P<k>[1-9][0-9]*)": partial(exponential, ndcg),
    r"dcg_exp_at_(?P<k>[1-9][0-9]*)": partial(exponential, dcg),
    **{
        f"{name}{places}_relevance_{LABEL}": partial(from_label, name)
        for name, places in (
            *((name, f"(?:{PLACES})?") for name in ("mrr", "map")),
            ("r_precision", ""),
            *((name, PLACES) for name in ("precision", "recall", "hit_rate")),
        )
    },
}
AT_K = [
    f"{name}_at_{k}"
    for name in (*BY_ORDER, "ndcg", "dcg", "ndcg_exp", "dcg_exp")
    for k in (1, 3, 50)
]
FROM_LABEL = [
    *(f"{name}_at_3_relevance_2" for name in BY_ORDER),
    *(f"{name}_relevance_2" for name in ("mrr", "map", "r_precision")),
    "map_relevance_0.5",
    "precision_at_3_relevance_3",
]
NAMES = [*ORACLES, *AT_K, *FROM_LABEL]


def expected_of(name: str, rows: QueryRows) -> float | str:
    if name in ORACLES:
        return ORACLES[name](rows)
    found = ((re.fullmatch(pattern, name), one) for pattern, one in PATTERNS.items())
    return next(one(rows, **match.groupdict()) for match, one in found if match)


@pytest.mark.parametrize("name", NAMES)
def test_random_rankings_with_ties(name: str) -> None:
    for seed in range(8):
        rows = make(seed, 40, queries=12, levels=2 + seed)
        assert measure(name, rows).value == pytest.approx(expected_of(name, rows), rel=1e-9), seed


@pytest.mark.parametrize("name", NAMES)
def test_long_rankings_without_ties(name: str) -> None:
    rng = np.random.default_rng(3)
    n = 4000
    rows = QueryRows(
        rng.integers(0, 4, n) * 1.0, rng.permutation(n) * 1.0, rng.integers(0, 20, n), np.ones(n)
    )
    assert measure(name, rows).value == pytest.approx(expected_of(name, rows), rel=1e-9)


def test_one_long_block_of_ties_has_the_figures_of_chance() -> None:
    """Of 3000 documents of one score the order is random: 30 of them are relevant."""
    n = 3000
    rows = QueryRows(
        np.repeat([1.0, 0.0], [30, n - 30]), np.zeros(n), np.zeros(n, np.int64), np.ones(n)
    )
    assert measure("precision_at_10", rows).value == pytest.approx(0.01, rel=1e-12)
    assert measure("recall_at_10", rows).value == pytest.approx(10 / n, rel=1e-12)
    none = np.prod((n - 30 - np.arange(10)) / (n - np.arange(10)))
    assert measure("hit_rate_at_10", rows).value == pytest.approx(1 - none, rel=1e-9)
    # The first of r in n is at j with the probability r / (n - j) times that of none before it.
    places = np.arange(n - 29)
    none_before = np.r_[1.0, np.cumprod(1 - 30 / (n - places[:-1]))]
    expected = (none_before * 30 / (n - places) / (places + 1)).sum()
    assert measure("mrr", rows).value == pytest.approx(expected, rel=1e-9)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(0, 2),
            st.integers(0, 3),
            st.sampled_from([0.0, 1.0, 1.0, 0.5]),
        ),
        max_size=12,
    ),
    st.integers(1, 6),
)
def test_small_rankings(drawn: list[Any], k: int) -> None:
    truth, scores, query, weight = np.array(drawn, np.float64).reshape(-1, 4).T
    rows = QueryRows(truth, scores, query.astype(np.int64), weight)
    # Blocks of more than six have too many orders to go through.
    if any(max(np.unique(s, return_counts=True)[1]) > 6 for _, s in rows.queries()):
        return
    of_places = [f"{each.rsplit('_', 1)[0]}_{k}" for each in AT_K]
    for name in [*ORACLES, *FROM_LABEL, *of_places]:
        measured = measure(name, rows)
        if not (weight > 0).any():
            assert measured.reason == ("zero_weight" if len(rows) else "empty")
        else:
            assert measured.value == pytest.approx(expected_of(name, rows), rel=1e-9, abs=1e-12)


def test_the_first_label_is_the_metric_without_one() -> None:
    """A label is relevant above 0, which of whole labels is from 1 on."""
    rows = make(4, 60, queries=12, levels=4)
    for name in ("map", "mrr", "r_precision", "recall_at_2", "hit_rate_at_1", "precision_at_3"):
        assert measure(f"{name}_relevance_1", rows).value == measure(name, rows).value, name


def test_a_threshold_of_relevance_is_above_zero() -> None:
    for name in ("map_relevance_0", "map_relevance_0.0", "map_relevance_-1", "map_relevance_"):
        assert METRICS.find(name) is None, name
    for name in ("precision_relevance_2", "ndcg_relevance_2", "ndcg_at_3_relevance_2"):
        assert METRICS.find(name) is None, name


def test_exponential_gain_by_hand() -> None:
    """Labels 1, 3 and 0 in this order: (1 / 1 + 7 / log2 3) over (7 + 1 / log2 3)."""
    rows = QueryRows(
        np.array([1.0, 3.0, 0.0]), np.array([3.0, 2.0, 1.0]), np.zeros(3, np.int64), np.ones(3)
    )
    log = np.log2(3)
    assert measure("dcg_exp", rows).value == pytest.approx(1 + 7 / log)
    assert measure("ndcg_burges", rows).value == pytest.approx((1 + 7 / log) / (7 + 1 / log))
    assert measure("ndcg_exp_at_1", rows).value == pytest.approx(1 / 7)


@pytest.mark.parametrize("name", NAMES)
def test_a_replicate_is_the_metric_without_its_queries(name: str) -> None:
    rows = make(5, 60, queries=30, levels=4)
    replicates = METRICS.get(name).figures(PROBLEM, states_of(name, rows)).replicates[0]
    for b in range(BUCKETS):
        rest = rows.at(np.flatnonzero(rows.bucket != b))
        assert replicates[1 + b] == pytest.approx(expected_of(name, rest), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_groups_cut_queries(name: str) -> None:
    """A slice by what differs between documents has a part of each query."""
    rows = make(6, 60, queries=10, levels=4)
    groups = np.random.default_rng(0).integers(0, 4, len(rows))
    family = METRICS.get(name).needs(PROBLEM)[0]
    batch = rows.scored()
    # One batch serves many slice sets.
    whole = family.of(batch, np.zeros(len(rows), np.int64), 1)
    states = family.of(batch, groups, 5)
    assert states.values[..., 0].sum() > whole.values[..., 0].sum()
    for group in range(4):
        own = rows.at(np.flatnonzero(groups == group))
        alone = family.of(own.scored(), np.zeros(len(own), np.int64), 1)
        np.testing.assert_allclose(states.values[group], alone.values[0], rtol=1e-12, atol=1e-15)
    assert not states.values[4].any()


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_rows_and_the_numbers_of_queries_do_not_matter(name: str) -> None:
    rows = make(9, 200, queries=40, levels=3)
    order = np.random.default_rng(1).permutation(len(rows))
    batch = rows.scored()
    codes = np.random.default_rng(2).permutation(40) + 2**40
    renamed = replace(batch, query=codes[batch.query], _cache={})
    zeros = np.zeros(len(rows), np.int64)
    for family in METRICS.get(name).needs(PROBLEM):
        expected = family.of(batch, zeros, 1).values
        for other in (batch.at(order), renamed.at(order)):
            found = family.of(other, zeros, 1).values
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_relevance_below_zero_is_none(name: str) -> None:
    rows = make(1, 30, queries=5, levels=9)
    rows.truth[3], rows.weight[3] = -1.0, 1.0
    assert measure(name, rows).reason == "negative"
    rows.weight[3] = 0.0
    assert measure(name, rows).value is not None


def test_queries_without_relevant_documents_count_zero() -> None:
    rows = QueryRows(
        np.array([1.0, 0.0, 0.0, 0.0]),
        np.array([2.0, 1.0, 2.0, 1.0]),
        np.array([0, 0, 1, 1]),
        np.ones(4),
    )
    for name in NAMES:
        if not name.startswith("precision"):
            # Only from 2 on is nothing relevant.
            relevant = not name.endswith("relevance_2")
            assert measure(name, rows).value == 0.5 * relevant, name


def compared(name: str, rows: QueryRows, other: QueryRows) -> Any:
    metric = METRICS.get(name)
    (family,) = metric.paired(PROBLEM)
    zeros = np.zeros(len(rows), np.int64)
    pairs = family.of(Pair(other.scored(), rows.scored()), zeros, 1)
    own, base = states_of(name, rows), states_of(name, other)
    states = SliceStates(
        own.counts[0], {**own.families, family.key: pairs}, buckets=own.buckets[0], baseline=base
    )
    return comparison_of(metric, PROBLEM, states), spread_of(metric, PROBLEM, states)


@pytest.mark.parametrize("name", NAMES)
def test_versions_are_compared_query_by_query(name: str) -> None:
    rows = make(2, 300, queries=50, levels=7)
    other = replace(rows, scores=np.random.default_rng(0).permutation(rows.scores))
    comparison, _ = compared(name, rows, other)
    of_query = [
        [expected_of(name, each.at(np.flatnonzero(rows.query == q))) for q in np.unique(rows.query)]
        for each in (rows, other)
    ]
    gaps = np.subtract(*of_query)
    assert comparison.delta == pytest.approx(gaps.mean(), rel=1e-9, abs=1e-12)
    assert comparison.se_delta == pytest.approx(gaps.std(ddof=1) / len(gaps) ** 0.5, rel=1e-9)
    errors = [np.std(each, ddof=1) / len(gaps) ** 0.5 for each in of_query]
    # The spread of a share of hits is the binomial's.
    rel = 0.2 if name.startswith("hit_rate") else 1e-9
    assert list(comparison.errors()) == pytest.approx(errors, rel=rel)


def test_where_no_query_differs_the_interval_comes_from_their_number() -> None:
    n = 60
    rows = QueryRows(
        np.tile([1.0, 0.0], n), np.tile([2.0, 1.0], n), np.repeat(np.arange(n), 2), np.ones(2 * n)
    )
    for name in NAMES:
        measured, (comparison, spread) = measure(name, rows), compared(name, rows, rows)
        assert comparison.delta == 0.0
        assert comparison.spread.interval(0.95)[0] <= 0.0
        if not np.isfinite(METRICS.get(name).bounds[1]):
            # Nothing spreads, and nothing says how large a query's number may be.
            assert spread is None
            continue
        if measured.value == 1.0:
            # The binomial's mid-p for 60 of 60.
            assert spread.interval(0.95) == pytest.approx((0.05 ** (1 / 60), 1.0)), name
