"""What the columns of a table are like: how many nulls, how many values, which, between what ends.

By Spark some aggregations, whatever the number of columns; no row comes to the driver. This process
tells the same of tables on its disks (`arrow_table_profile.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.data.columns import is_number
from engine.data.source import Source
from engine.spark.api import F, T
from engine.spark.tables import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType


MOST_VALUES = 40
"""Of columns with more values than so many the values are not listed."""
MOST_KEYS = 8
"""So many columns that identify a row are told, the first ones."""
# A sketch of 512 registers is 5 % off: of five times that a column may be a key. Of few values it
# tells no more than 42 for 40.
_NEARLY_UNIQUE = 0.75
_MAYBE_FEW = 48
COUNTED = frozenset({"number", "whole", "text", "boolean"})
"""The kinds of columns whose different values are counted."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column of a table.

    `kind` is number, whole, text, boolean, time or other; `nulls` counts NaN too; `distinct` is
    about how many values there are, nulls left out, exact where `values` lists them with their
    rows and where `is_unique`; of times and others it is 0. `least` and `greatest` are of finite
    numbers.
    """

    name: str
    type: str
    kind: str
    rows: int
    nulls: int = 0
    distinct: int = 0
    least: float | None = None
    greatest: float | None = None
    values: tuple[tuple[Any, int], ...] = ()
    is_unique: bool = False

    @property
    def is_number(self) -> bool:
        return self.kind in ("number", "whole")

    @property
    def count_text(self) -> str:
        """How many values there are, in words: counted alike whoever looked at them."""
        return f"more than {MOST_VALUES}" if self.distinct > MOST_VALUES else str(self.distinct)

    @property
    def levels(self) -> tuple[Any, ...]:
        """The values, where they are few."""
        return tuple(value for value, _ in self.values)


@dataclass(frozen=True, slots=True)
class TableProfile:
    """The columns of a table, in its order, by their names."""

    rows: int
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spread:
    """How far numbers lie from one for all: from their mean, and from their median."""

    deviation: float
    absolute: float


def profile_by_spark(source: Source) -> TableProfile:
    """Looks at all columns of a table's version."""
    frame = source.frame()
    kinds = {part.name: part.dataType for part in frame.schema.fields}
    sums = [F.count(F.lit(1)).alias("rows")]
    for place, (name, kind) in enumerate(kinds.items()):
        sums += _sums(_clean(name, kind), kind, place)
    stats = frame.agg(*sums).collect()[0].asDict()
    rows = int(stats["rows"])
    columns = {
        name: _profile(name, kind, stats, place) for place, (name, kind) in enumerate(kinds.items())
    }
    columns |= _with_values(frame, columns)
    columns |= _with_keys(frame, columns)
    return TableProfile(rows, {name: columns[name] for name in kinds})


def spread_by_spark(source: Source, name: str) -> Spread:
    """How far a column's finite numbers lie from their mean, and from their median."""
    frame = source.frame()
    number = F.col(column(name)).cast("double")
    value = F.when(F.abs(number) < float("inf"), number)
    first = frame.agg(F.stddev_pop(value).alias("sd"), F.percentile(value, 0.5).alias("m"))
    row = first.collect()[0]
    middle = row["m"] or 0.0
    (far,) = frame.agg(F.avg(F.abs(value - F.lit(middle))).alias("far")).collect()[0]
    return Spread(float(row["sd"] or 0.0), float(far or 0.0))


def _clean(name: str, kind: DataType) -> Column:
    """A column in which NaN is null, and zeros have no sign."""
    value = F.col(column(name))
    if not isinstance(kind, T.FloatType | T.DoubleType):
        return value
    return F.when(~F.isnan(value), (value + F.lit(0.0)).cast(kind))


def _sums(value: Column, kind: DataType, place: int) -> list[Column]:
    sums = [F.count(value).alias(f"there_{place}")]
    if kind_word(kind.simpleString()) in COUNTED:
        sums.append(F.approx_count_distinct(value).alias(f"distinct_{place}"))
    if isinstance(kind, T.NumericType):
        number = value.cast("double")
        finite = F.when(F.abs(number) < float("inf"), number)
        sums += [F.min(finite).alias(f"least_{place}"), F.max(finite).alias(f"greatest_{place}")]
    return sums


def _profile(name: str, kind: DataType, stats: Mapping[str, Any], place: int) -> ColumnProfile:
    rows = int(stats["rows"])
    return ColumnProfile(
        name,
        kind.simpleString(),
        kind_word(kind.simpleString()),
        rows,
        rows - int(stats[f"there_{place}"]),
        # The count is a sketch's, which may be above all there are.
        min(int(stats.get(f"distinct_{place}") or 0), rows),
        stats.get(f"least_{place}"),
        stats.get(f"greatest_{place}"),
    )


def kind_word(kind: str) -> str:
    """The kind of a column, by its type as Spark writes it."""
    if kind in ("tinyint", "smallint", "int", "bigint"):
        return "whole"
    if is_number(kind):
        return "number"
    if kind == "boolean":
        return kind
    if kind.split("(")[0].split(" ")[0] in ("string", "char", "varchar"):
        return "text"
    return "time" if kind in ("date", "timestamp", "timestamp_ntz") else "other"


def _with_values(
    frame: DataFrame, columns: Mapping[str, ColumnProfile]
) -> dict[str, ColumnProfile]:
    """The columns of few values with these."""
    few = [profile for profile in columns.values() if 0 < profile.distinct <= _MAYBE_FEW]
    if not few:
        return {}
    types = {part.name: part.dataType for part in frame.schema.fields}
    cells = [
        F.struct(
            F.lit(place).alias("c"),
            _clean(profile.name, types[profile.name]).cast("string").alias("v"),
        )
        for place, profile in enumerate(few)
    ]
    long = frame.select(F.explode(F.array(*cells)).alias("cell")).select("cell.c", "cell.v")
    counted = long.where(F.col("v").isNotNull()).groupBy("c", "v").agg(F.count("*").alias("n"))
    listed: dict[str, list[tuple[Any, int]]] = {}
    for row in counted.limit(len(few) * 2 * MOST_VALUES).collect():
        profile = few[row["c"]]
        listed.setdefault(profile.name, []).append((_read(row["v"], profile), int(row["n"])))
    return {name: with_values(columns[name], values) for name, values in listed.items()}


def with_values(profile: ColumnProfile, values: Sequence[tuple[Any, int]]) -> ColumnProfile:
    """A column with its values and their rows, where these are few."""
    listed = tuple(sorted(values, key=_order)) if len(values) <= MOST_VALUES else ()
    return replace(profile, distinct=len(values), values=listed)


def _read(text: str, profile: ColumnProfile) -> Any:
    """A value that was cast to text, as its column has it."""
    if profile.kind == "whole":
        return int(text)
    if profile.kind == "number":
        return shortest(text) if profile.type == "float" else float(text)
    return text == "true" if profile.kind == "boolean" else text


def shortest(number: Any) -> float:
    """The number of the fewest digits that is the same in 32 bits."""
    return float(str(np.float32(number)))


def _order(entry: tuple[Any, int]) -> tuple[str, Any]:
    return type(entry[0]).__name__, entry[0]


def _with_keys(frame: DataFrame, columns: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
    """The columns that may be keys, in which different values are counted, not estimated."""
    near = near_keys(columns)
    counted: dict[str, ColumnProfile] = {}
    # Some at a time: Spark hands on a row for each count.
    while near and sum(profile.is_unique for profile in counted.values()) < MOST_KEYS:
        some, near = near[:MOST_KEYS], near[MOST_KEYS:]
        sums = [F.count_distinct(F.col(column(profile.name))) for profile in some]
        (row,) = frame.agg(
            *[count.alias(f"n{place}") for place, count in enumerate(sums)]
        ).collect()
        for place, profile in enumerate(some):
            counted[profile.name] = replace(profile, distinct=int(row[f"n{place}"]))
            mark_unique(counted, profile.name)
    return counted


def near_keys(columns: Mapping[str, ColumnProfile]) -> list[ColumnProfile]:
    """The columns that may identify a row, by about how many values they have."""
    return [
        profile
        for profile in columns.values()
        if profile.kind in ("whole", "text")
        and profile.rows > 0
        and profile.nulls == 0
        and profile.distinct >= _NEARLY_UNIQUE * profile.rows
    ]


def mark_unique(counted: dict[str, ColumnProfile], name: str) -> None:
    """Says that a column identifies a row, where it does and few others before it do."""
    others = sum(profile.is_unique for profile in counted.values())
    profile = counted[name]
    unique = profile.distinct == profile.rows and others < MOST_KEYS
    counted[name] = replace(profile, is_unique=unique)
