"""The profile of a version from that of an older one, where rows were only appended since.

What is counted adds up, and labels unite, so only the rows that came are looked at. Quantiles, the
frequent values of columns and numbers of clusters do not add up: a dataset of which these are asked
is looked at as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from engine.data.arrow_profile import aggregate_here
from engine.data.changes.appended import appended_files, appended_paths
from engine.data.changes.delta_log import CannotTell
from engine.data.changes.files import rows_of_files
from engine.data.column_values import asked_values
from engine.data.profile import MOMENTS, RANGE, Stats, aggregate, quantile_cuts
from engine.data.source import Source
from engine.data.stored_scores import OUTSIDE, UNEVEN
from engine.spark.api import spark_errors
from engine.suite import Evaluation

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_SUMS = ("rows", "labelled", "bad_weights", "odd")
_LEAST = ("shortest",)


def updated_stats(
    spark: SparkSession,
    table: str,
    versions: tuple[int, int],
    evaluation: Evaluation,
    before: Stats,
) -> Stats | None:
    """What is known of the rows at the second version, from what was of those at the first.

    None where rows went or were rewritten since, or where what is asked does not add up.
    """
    if not adds_up(evaluation):
        return None
    try:
        added = appended_files(spark, table, versions)
        if added is None:
            return None
        layout, came = added
        if not came:
            return before
        return add_stats(before, aggregate(rows_of_files(layout, came, versions[1]), evaluation))
    except spark_errors(CannotTell):
        return None


def updated_here(
    source: Source, version: int, evaluation: Evaluation, before: Stats
) -> Stats | None:
    """The same of a table on this machine, without Spark.

    Args:
        source: the table at its new version.
        version: the older one.
        evaluation: what is asked of its rows.
        before: what is known of those at the older version.

    Raises:
        NotThisWay: where only Spark can tell.
        UnreadableError: for a file that cannot be read here.
    """
    if not adds_up(evaluation):
        return None
    rows = source.rows_here()
    try:
        paths = appended_paths(source.place_here(), (version, source.version))
    except CannotTell:
        return None
    if not paths:
        return None if paths is None else before
    came = rows.of_files(paths)
    return add_stats(before, aggregate_here(came, evaluation))


def adds_up(evaluation: Evaluation) -> bool:
    """Whether all that is asked of a dataset can be told of two parts of it."""
    dataset = evaluation.dataset
    whole = dataset.cluster is not None or dataset.query is not None
    return not (whole or quantile_cuts(evaluation.slices) or asked_values(evaluation))


def add_stats(one: Stats, other: Stats) -> dict[str, Any]:
    """What is known of two parts of a dataset together; numbers of values are at least so many."""
    return {name: _add(name, one[name], other[name]) for name in one}


def _add(name: str, one: Any, other: Any) -> Any:
    if name == "labels":
        # Labels that are equal have one type: they are of one column.
        return list(dict.fromkeys([*one, *other]))
    if name.startswith(MOMENTS):
        return _add_moments(one, other)
    if name.startswith(RANGE):
        return _unite(one, other)
    if one is None or other is None:
        return other if one is None else one
    if name.startswith((OUTSIDE, UNEVEN)):
        return one + other
    rules: Mapping[str, Callable[[Any, Any], Any]] = {
        **dict.fromkeys(_SUMS, lambda a, b: a + b),
        **dict.fromkeys(_LEAST, min),
    }
    return rules.get(name, max)(one, other)


def _unite(one: list[Any], other: list[Any]) -> list[Any]:
    """The least and the greatest of two parts, null in one that has no number."""
    if one[0] is None or other[0] is None:
        return other if one[0] is None else one
    return [min(one[0], other[0]), max(one[1], other[1])]


def _add_moments(one: list[Any], other: list[Any]) -> list[Any]:
    """Counts, means and squares around them, added by the formula of Chan, Golub and LeVeque."""
    if not one[0] or not other[0]:
        return one if one[0] else other
    count = one[0] + other[0]
    gap = other[1] - one[1]
    mean = one[1] + gap * other[0] / count
    return [count, mean, one[2] + other[2] + gap * gap * one[0] * other[0] / count]
