"""The distances that drift is measured by: what each is of, and within which range it lies."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distance:
    """A distance by its key in the suite; `most` is its greatest value.

    `of_order` says that it is of distribution functions, and so of numbers, dates and times alone.
    """

    key: str
    title: str
    most: float
    of_order: bool = False


DISTANCES = {
    distance.key: distance
    for distance in (
        Distance("psi", "population stability index", math.inf),
        Distance("js_distance", "Jensen-Shannon distance, base 2", 1.0),
        Distance("total_variation", "total variation", 1.0),
        Distance("hellinger", "Hellinger distance", 1.0),
        Distance("cramers_v", "Cramér's V", 1.0),
        Distance("ks", "Kolmogorov-Smirnov statistic", 1.0, of_order=True),
        Distance("wasserstein", "Wasserstein distance in reference sd", math.inf, of_order=True),
    )
}

_WHOLE = ("tinyint", "smallint", "int", "bigint")


def column_class(kind: str) -> str | None:
    """`number`, `time`, `boolean` or `text`, for a column's type as Spark writes it; else None."""
    if kind in (*_WHOLE, "float", "double") or kind.startswith("decimal("):
        return "number"
    if kind in ("date", "timestamp", "timestamp_ntz"):
        return "time"
    if kind == "boolean":
        return "boolean"
    return "text" if kind == "string" or kind.startswith(("varchar(", "char(")) else None


def fits(distance: Distance, kind: str) -> bool:
    """Whether a distance can be of a column of this type."""
    of_column = column_class(kind)
    if distance.of_order:
        return of_column in ("number", "time")
    return of_column is not None
