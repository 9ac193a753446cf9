"""The bins of a column, from its reference alone: plain data that stand in a plan.

A column of texts or truth values, or of few numbers, has its frequent values; others have the
deciles. For distances of distribution functions there are many edges: half by quantile, half where
the gaps between quantiles are wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kinds.setting import Bins
from engine.states import ColumnCategories, ColumnFamily, ColumnHistogram, ColumnSums

Floats = NDArray[np.float64]
# What is known of a column is `values`, or `edges`; of numbers `fine` edges and their `deviation`.


# Into how many equal parts the finite numbers of a column are cut.
PARTS = 1000
BINS = 10
# A column of which the frequent values are fewer of the rows is no column of categories.
COVERED = 0.5
# The most fine edges; a column of fewer values has each of them.
FINE = 256
# Parts that a value must fill to have a bin of its own, and the most values that have one.
HEAVY, HEAVIEST = 3, 32

VALUES, EDGES, FINE_EDGES, DEVIATION = "values", "edges", "fine", "deviation"


def bins_of_values(frequent: Sequence[tuple[Any, int, int]]) -> Bins:
    """The bins of texts or truth values: the frequent ones, each with its rows and those of all.

    Nothing where most rows have values that are rare.
    """
    if frequent and sum(rows for _, rows, _ in frequent) < COVERED * frequent[0][2]:
        return {}
    return {VALUES: sorted(value for value, _, _ in frequent)}


def bins_of_numbers(quantiles: Sequence[float], deviation: float | None) -> Bins:
    """The bins of numbers, from the least, the quantiles at equal steps, and the greatest."""
    cuts = np.asarray(quantiles, np.float64)
    distinct = np.unique(cuts)
    known: dict[str, Any] = {FINE_EDGES: fine_edges(cuts), DEVIATION: deviation}
    if len(distinct) <= BINS:
        return {**known, VALUES: distinct.tolist()}
    step = (len(cuts) - 1) // BINS
    return {**known, EDGES: np.unique(cuts[step:-1:step]).tolist()}


def fine_edges(cuts: Floats) -> list[float]:
    """The edges between which counts and sums bound distances of distribution functions."""
    if not len(cuts):
        return []
    distinct, parts = np.unique(cuts, return_counts=True)
    chosen = distinct
    if len(distinct) > FINE // 2:
        heaviest = np.argsort(-parts, kind="stable")[:HEAVIEST]
        heavy = distinct[heaviest[parts[heaviest] >= HEAVY]]
        half = FINE // 2 - len(heavy)
        by_rank = cuts[np.round(np.linspace(0, len(cuts) - 1, half)).astype(int)]
        # Where gaps are wide a crossing within a bin costs the most.
        far = np.concatenate([[0.0], np.cumsum(np.sqrt(np.diff(cuts)))])
        by_gap = np.interp(np.linspace(0, far[-1], half), far, cuts)
        chosen = np.unique(np.concatenate([by_rank, by_gap, heavy]))
    else:
        heavy = distinct
    # Between a value and the number after it there is that value alone.
    beyond = np.nextafter(np.append(heavy, chosen[-1]), np.inf)
    edges = np.unique(np.concatenate([chosen, beyond]))
    listed: list[float] = edges[np.isfinite(edges)].tolist()
    return listed


def bins_family(column: str, bins: Bins) -> ColumnFamily:
    """The counts of a column over its bins."""
    if VALUES in bins:
        return ColumnCategories(column, tuple(bins[VALUES]))
    return ColumnHistogram(column, tuple(bins.get(EDGES, ())))


def sums_family(column: str, bins: Bins) -> ColumnSums:
    """The counts and sums of a column between its fine edges."""
    return ColumnSums(column, tuple(bins.get(FINE_EDGES, ())))


def bin_names(bins: Bins, kind: str) -> list[str]:
    """What the bins of a column of this type are called, in the order of its family's counts."""
    if VALUES in bins:
        whole = kind in ("tinyint", "smallint", "int", "bigint")
        return [*(_value_text(value, whole) for value in bins[VALUES]), "other values", "null"]
    return [*range_names(edge_texts(bins[EDGES], kind)), "null", "NaN"]


def range_names(edges: Sequence[str]) -> list[str]:
    """What the bins between some edges are called, the open ones at both ends among them."""
    inner = [low if low == high else f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *inner, f"{edges[-1]} or more"]


def edge_texts(edges: Sequence[float], kind: str) -> list[str]:
    """Edges of a column of this type in words."""
    return [_edge_text(edge, kind) for edge in edges]


def short_texts(edges: Sequence[float], kind: str) -> list[str]:
    """The same with as few digits as tell them apart."""
    if kind != "date" and not kind.startswith("timestamp"):
        for digits in (3, 4, 5):
            texts = [f"{edge:.{digits}g}" for edge in edges]
            if len(set(texts)) == len(texts):
                return texts
    return edge_texts(edges, kind)


def equal_parts(fine: Floats) -> NDArray[np.int64]:
    """In which of `BINS` about equal parts of the rows each of some fine bins is."""
    total = fine.sum()
    # By where the middle of a bin's rows is: what has most of them is a part by itself.
    middle = (np.cumsum(fine) - fine / 2) / total if total else np.zeros(len(fine))
    return np.minimum((BINS * middle).astype(np.int64), BINS - 1)


def _value_text(value: Any, whole: bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value)
    return str(int(value)) if whole else f"{value:.6g}"


def _edge_text(edge: float, kind: str) -> str:
    if kind == "date":
        return str(np.datetime64(int(edge), "D"))
    if kind.startswith("timestamp"):
        return str(np.datetime64(int(edge), "us").astype("datetime64[s]"))
    return f"{edge:.6g}"
