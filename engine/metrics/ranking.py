"""Metrics of rankings: each query has a number, and the metric is their mean.

A row is a document of a query, its label says how relevant it is, its prediction ranks it. The
unit is the query: each counts 1, whatever its size and the weights of its rows, so that intervals
are over queries. A row of weight 0 is no row.

Conventions, with the reference in brackets:

- A label above 0 is relevant (`graded_relevance` has metrics that say from which label on). A label
  below 0 leaves the metric undefined ("negative").
- Of documents with one score the order is not known. Every metric is its mean over all orders of
  those (McSherry and Najork 2008), so that the order of rows does not matter.
- ndcg: the gain is the relevance itself, the discount log2 of the place (scikit-learn's
  `ndcg_score`).
- precision at k divides by k, also where a query has fewer documents (trec_eval, Spark).
- recall at k divides by the number of relevant documents.
- average precision at k divides by that number or k, whichever is less (Spark).
- The reciprocal rank is 1 / place of the first relevant document.
- A query without relevant documents counts 0 in all of them, as in scikit-learn and trec_eval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from engine.metrics.base import METRICS, RANKING, Metric, Problem, share_of
from engine.metrics.basis import Averaged
from engine.metrics.values import Value
from engine.states import Bools, Floats, Ints, MomentsView, PairedQueryMean, Queries, QueryMean

UNIT = (0.0, 1.0)
# For metrics that look at all places.
ALL = np.iinfo(np.int64).max


def _relevant(queries: Queries) -> Floats:
    return np.asarray(queries.relevance > 0, np.float64)


def _shares(numerator: Floats, denominator: Floats) -> Floats:
    """Quotients of queries, 0 where there is nothing relevant to divide by."""
    zeros = np.zeros(len(numerator))
    shares: Floats = np.divide(numerator, denominator, out=zeros, where=denominator > 0)
    return shares


def _gain(k: int, queries: Queries) -> Floats:
    """The discounted cumulative gain of the first k places, [queries]."""
    longest = int((queries.ahead + queries.tied).max())
    discounts = 1 / np.log2(np.arange(longest) + 2)
    discounts[k:] = 0.0
    up_to = np.r_[0.0, np.cumsum(discounts)]
    average = (up_to[queries.ahead + queries.tied] - up_to[queries.ahead]) / queries.tied
    return queries.total(queries.relevance * average)


def ndcg(k: int, queries: Queries) -> Floats:
    """The gain in shares of that of the best order (Järvelin and Kekäläinen 2002)."""
    return _shares(_gain(k, queries), _gain(k, queries.ideal()))


def _hits(k: int, queries: Queries) -> Floats:
    """How many relevant documents are in the first k places, [queries]."""
    within = np.clip((k - queries.ahead) / queries.tied, 0.0, 1.0)
    return queries.total(_relevant(queries) * within)


def dcg(k: int, queries: Queries) -> Floats:
    """The gain of the first k places, each divided by the log of its place (the same)."""
    return _gain(k, queries)


def precision(k: int, queries: Queries) -> Floats:
    """The share of the first k places with relevant documents."""
    return _hits(k, queries) / k


def recall(k: int, queries: Queries) -> Floats:
    """The share of the relevant documents that are in the first k places."""
    return _shares(_hits(k, queries), queries.total(_relevant(queries)))


def r_precision(queries: Queries) -> Floats:
    """The precision in as many first places as there are relevant documents."""
    relevant = _relevant(queries)
    total = queries.total(relevant)
    places = total[queries.query]
    within = np.clip((places - queries.ahead) / queries.tied, 0.0, 1.0)
    return _shares(queries.total(relevant * within), total)


def _before(queries: Queries, of_document: Floats) -> Floats:
    """The sum over the documents of the query with a higher score, [documents]."""
    up_to = np.r_[0.0, np.cumsum(of_document)]
    start = queries.first[queries.query]
    before: Floats = up_to[start + queries.ahead] - up_to[start]
    return before


def average_precision(k: int, queries: Queries) -> Floats:
    """The mean of the precisions at the relevant documents in the first k places.

    At place j of a block a document is relevant with the probability r / t, and then so are, of
    the j before it, j (r - 1) / (t - 1) on average.
    """
    relevant = _relevant(queries)
    total, above = queries.by_block(relevant), _before(queries, relevant)
    place = queries.place
    within = place - queries.ahead
    others = within * (total - 1) / np.maximum(queries.tied - 1, 1)
    precisions = total / queries.tied * (above + 1 + others) / (place + 1)
    sums = queries.total(np.where(place < k, precisions, 0.0))
    return _shares(sums, np.minimum(queries.total(relevant), float(k)))


def _log_choices(longest: int) -> Callable[[Ints, Ints], Floats]:
    """The log of "n choose k" for n up to `longest`; minus infinity where k is above n."""
    logs = np.r_[0.0, np.cumsum(np.log(np.arange(1, longest + 1)))]

    def choose(n: Ints, k: Ints) -> Floats:
        inside = (k >= 0) & (k <= n)
        n, k = np.where(inside, n, 0), np.where(inside, k, 0)
        return np.where(inside, logs[n] - logs[k] - logs[n - k], -np.inf)

    return choose


def hit_rate(k: int, queries: Queries) -> Floats:
    """Whether a relevant document is in the first k places."""
    relevant = _relevant(queries)
    total = queries.by_block(relevant).astype(np.int64)
    drawn = np.clip(k - queries.ahead, 0, queries.tied)
    choose = _log_choices(int(queries.tied.max()))
    # That none of a block's relevant documents is among those drawn into the first places.
    none = np.exp(choose(queries.tied - total, drawn) - choose(queries.tied, drawn))
    chances = np.maximum.reduceat(np.where(relevant > 0, 1 - none, 0.0), queries.first)
    return np.maximum(chances, 0.0)


def reciprocal_rank(k: int, queries: Queries) -> Floats:
    """1 / the place of the first relevant document, 0 where it is not in the first k places."""
    relevant = _relevant(queries)
    total = queries.by_block(relevant).astype(np.int64)
    place = queries.place
    within = place - queries.ahead
    choose = _log_choices(int(queries.tied.max()))
    # That the first relevant document of the block is here: the others are behind it.
    here = np.exp(choose(queries.tied - 1 - within, total - 1) - choose(queries.tied, total))
    here = np.where((_before(queries, relevant) == 0) & (total > 0), here, 0.0)
    return queries.total(np.where(place < k, here / (place + 1), 0.0))


# A state is named by the module of its function: these are not partial functions.
def first_rank(queries: Queries) -> Floats:
    """1 / the place of the first relevant document, wherever it is."""
    return reciprocal_rank(ALL, queries)


def whole_precision(queries: Queries) -> Floats:
    """The mean of the precisions at all relevant documents."""
    return average_precision(ALL, queries)


def whole_gain(queries: Queries) -> Floats:
    """The gain of all places."""
    return dcg(ALL, queries)


def below_zero(queries: Queries) -> Floats:
    """1 where a document's relevance is below 0."""
    marks: Floats = np.maximum.reduceat(
        np.asarray(queries.relevance < 0, np.float64), queries.first
    )
    return marks


def _mean_of_queries(problem: Problem, numbers: MomentsView, negative: MomentsView) -> Value:
    # Where all queries have one number nothing spreads, and only how many there are says anything.
    spreads = numbers.weight[0] > 0 and numbers.m2[0] > 0
    return Value(
        numbers.mean,
        _reasons(numbers, negative),
        basis=Averaged(numbers) if spreads else None,
        support=float(numbers.weight[0]),
    )


def _share_of_queries(problem: Problem, numbers: MomentsView, negative: MomentsView) -> Value:
    return replace(share_of(problem, numbers), undefined=_reasons(numbers, negative))


def _reasons(numbers: MomentsView, negative: MomentsView) -> tuple[tuple[str, Bools], ...]:
    return (("zero_weight", numbers.weight == 0), ("negative", negative.mean > 0))


def query_metric(
    name: str,
    function: Callable[[Queries], Floats],
    summary: str,
    bounds: tuple[float, float] = UNIT,
) -> Metric:
    """The metric that is the mean of a number of each query, within bounds."""
    return Metric(
        name,
        RANKING,
        lambda problem: (QueryMean(name, function), QueryMean("below_zero", below_zero)),
        _mean_of_queries,
        needs_scores=True,
        bounds=bounds,
        summary=summary,
        paired=lambda problem: (PairedQueryMean(name, function),),
    )


AT_K: dict[str, tuple[Callable[[int, Queries], Floats], str]] = {
    "ndcg": (ndcg, "The mean over queries of the normalised gain of the first {k} places."),
    "dcg": (dcg, "The mean over queries of the discounted gain of the first {k} places."),
    "mrr": (
        reciprocal_rank,
        "The mean over queries of 1 / the place of the first relevant document of {k}.",
    ),
    "map": (average_precision, "The mean over queries of the average precision at {k}."),
    "precision": (precision, "The mean share of the first {k} places with relevant documents."),
    "recall": (
        recall,
        "The mean share of the relevant documents that are in the first {k} places.",
    ),
    "hit_rate": (
        hit_rate,
        "The share of queries with a relevant document in the first {k} places.",
    ),
}


def _at(name: str, k: str) -> Metric:
    function, summary = AT_K[name]
    of_queries = partial(function, min(int(k), ALL))
    bounds = (0.0, np.inf) if name == "dcg" else UNIT
    entry = query_metric(f"{name}_at_{k}", of_queries, summary.format(k=k), bounds)
    return replace(entry, function=_share_of_queries) if name == "hit_rate" else entry


def _register() -> None:
    for name in AT_K:
        METRICS.add_pattern(rf"{name}_at_(?P<k>[1-9][0-9]*)", partial(_at, name))
    gain = "The mean over queries of the normalised discounted cumulative gain."
    METRICS.add("ndcg", query_metric("ndcg", partial(ndcg, ALL), gain), aliases=["ndcg_score"])
    first = "The mean over queries of 1 / the place of the first relevant document."
    METRICS.add("mrr", query_metric("mrr", first_rank, first))
    every = "The mean over queries of the average precision."
    METRICS.add(
        "map",
        query_metric("map", whole_precision, every),
        aliases=["mean_average_precision"],
    )
    own = "The mean precision in as many first places as a query has relevant documents."
    METRICS.add("r_precision", query_metric("r_precision", r_precision, own))
    whole = "The mean over queries of the discounted cumulative gain, of no bound above."
    METRICS.add(
        "dcg",
        query_metric("dcg", whole_gain, whole, (0.0, np.inf)),
        aliases=["dcg_score"],
    )


_register()
