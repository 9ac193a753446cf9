"""Rankings by labels of several grades: an exponential gain, and from which grade on is relevant.

`ndcg_exp` and `dcg_exp` are `ndcg` and `dcg` with the gain 2^relevance - 1 (Burges et al. 2005), as
LightGBM has it, and XGBoost with its parameter `ndcg_exp_gain`. A name that ends in
`_relevance_<label>` is the metric before it with that label and those above it as relevant, the
others as not (trec_eval's `-l`). All else is as in `ranking`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from engine.metrics.base import METRICS, Metric
from engine.metrics.ranking import ALL, AT_K, UNIT, dcg, ndcg, query_metric, r_precision
from engine.states import Floats, Queries


def with_exponential_gain(queries: Queries) -> Queries:
    """The queries with 2^relevance - 1 as the relevance of each document."""
    return replace(queries, relevance=np.exp2(queries.relevance) - 1)


def ndcg_exp(k: int, queries: Queries) -> Floats:
    """The exponential gain in shares of that of the best order (Burges et al. 2005)."""
    return ndcg(k, with_exponential_gain(queries))


def dcg_exp(k: int, queries: Queries) -> Floats:
    """The exponential gain of the first k places, each divided by the log of its place."""
    return dcg(k, with_exponential_gain(queries))


def with_relevance_from(least: float, queries: Queries) -> Queries:
    """The queries with the relevance 1 from a label on, else 0."""
    return replace(queries, relevance=np.asarray(queries.relevance >= least, np.float64))


def whole_exponential_share(queries: Queries) -> Floats:
    """The exponential gain of all places in shares of that of the best order."""
    return ndcg_exp(ALL, queries)


def whole_exponential_gain(queries: Queries) -> Floats:
    """The exponential gain of all places."""
    return dcg_exp(ALL, queries)


_EXPONENTIAL: dict[str, tuple[Callable[[int, Queries], Floats], tuple[float, float], str]] = {
    "ndcg_exp": (
        ndcg_exp,
        UNIT,
        "The mean over queries of the normalised exponential gain of the first {k} places.",
    ),
    "dcg_exp": (
        dcg_exp,
        (0.0, np.inf),
        "The mean over queries of the discounted exponential gain of the first {k} places.",
    ),
}


def _exponential_at(name: str, k: str) -> Metric:
    function, bounds, summary = _EXPONENTIAL[name]
    places = min(int(k), ALL)

    def of_queries(queries: Queries) -> Floats:
        return function(places, queries)

    return query_metric(f"{name}_at_{k}", of_queries, summary.format(k=k), bounds)


def _from_relevance(name: str, least: str, k: str | None = None) -> Metric:
    """The metric `<name>_relevance_<label>` or `<name>_at_<k>_relevance_<label>`."""
    plain = METRICS.get(name if k is None else f"{name}_at_{k}")
    places = ALL if k is None else min(int(k), ALL)
    lowest = float(least)

    def of_queries(queries: Queries) -> Floats:
        binary = with_relevance_from(lowest, queries)
        return r_precision(binary) if name == "r_precision" else AT_K[name][0](places, binary)

    summary = f"{plain.summary.removesuffix('.')}, relevant from the label {least} on."
    entry = query_metric(f"{plain.name}_relevance_{least}", of_queries, summary)
    return replace(entry, function=plain.function)


# Any label above 0: 2, 0.5.
_LABEL = r"(?P<least>(?=[0-9.]*[1-9])[0-9]+(?:\.[0-9]+)?)"
_PLACES = r"_at_(?P<k>[1-9][0-9]*)"


def _register_relevance() -> None:
    """Registers the names that say from which label on a document is relevant."""
    for name, places in (
        ("mrr", f"(?:{_PLACES})?"),
        ("map", f"(?:{_PLACES})?"),
        ("r_precision", ""),
        ("precision", _PLACES),
        ("recall", _PLACES),
        ("hit_rate", _PLACES),
    ):
        METRICS.add_pattern(f"{name}{places}_relevance_{_LABEL}", partial(_from_relevance, name))


def _register_exponential() -> None:
    """Registers the metrics of exponential gain."""
    for name, whole, alias, summary in (
        (
            "ndcg_exp",
            whole_exponential_share,
            "ndcg_burges",
            "The mean over queries of the normalised discounted gain 2^relevance - 1.",
        ),
        (
            "dcg_exp",
            whole_exponential_gain,
            "dcg_burges",
            "The mean over queries of the discounted gain 2^relevance - 1.",
        ),
    ):
        bounds = _EXPONENTIAL[name][1]
        METRICS.add(name, query_metric(name, whole, summary, bounds), aliases=[alias])
        METRICS.add_pattern(rf"{name}_at_(?P<k>[1-9][0-9]*)", partial(_exponential_at, name))


_register_exponential()
_register_relevance()
