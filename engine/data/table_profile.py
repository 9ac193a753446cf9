"""What the columns of a table are like: how many nulls, how many values, which, between what ends.

Three aggregations at most, whatever the number of columns; no row comes to the driver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.data.source import Source
from engine.spark.api import F, T
from engine.spark.tables import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType


MOST_VALUES = 40
"""Of columns with more values than so many the values are not listed."""
# A count by a sketch is a few per cent off: from so many on a column may be a key.
_NEARLY_UNIQUE = 0.85
_MOST_KEYS = 8


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column of a table.

    `kind` is number, whole, text, boolean, time or other; `nulls` counts NaN too; `distinct` is
    about how many values there are, nulls left out, exact where `values` lists them with their rows
    and where `is_unique`. `least` and `greatest` are of finite numbers.
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


def profile_table(source: Source) -> TableProfile:
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


def spread_of(source: Source, name: str) -> Spread:
    """The standard deviation of a column of numbers, and the mean distance to its median."""
    frame = source.frame()
    value = F.col(column(name)).cast("double")
    first = frame.agg(F.stddev_pop(value).alias("sd"), F.percentile(value, 0.5).alias("m"))
    row = first.collect()[0]
    middle = row["m"] or 0.0
    (far,) = frame.agg(F.avg(F.abs(value - F.lit(middle))).alias("far")).collect()[0]
    return Spread(float(row["sd"] or 0.0), float(far or 0.0))


def _clean(name: str, kind: DataType) -> Column:
    """A column in which NaN is null."""
    value = F.col(column(name))
    return F.when(~F.isnan(value), value) if isinstance(kind, T.FractionalType) else value


def _is_plain(kind: DataType) -> bool:
    return isinstance(kind, T.AtomicType) and not isinstance(kind, T.VariantType)


def _sums(value: Column, kind: DataType, place: int) -> list[Column]:
    sums = [F.count(value).alias(f"there_{place}")]
    if _is_plain(kind):
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
        _kind_word(kind),
        rows,
        rows - int(stats[f"there_{place}"]),
        # The count is a sketch's, which may be above all there are.
        min(int(stats.get(f"distinct_{place}") or 0), rows),
        stats.get(f"least_{place}"),
        stats.get(f"greatest_{place}"),
    )


def _kind_word(kind: DataType) -> str:
    if isinstance(kind, T.IntegralType):
        return "whole"
    if isinstance(kind, T.NumericType):
        return "number"
    if isinstance(kind, T.StringType):
        return "text"
    if isinstance(kind, T.BooleanType):
        return "boolean"
    return (
        "time" if isinstance(kind, T.DateType | T.TimestampType | T.TimestampNTZType) else "other"
    )


def _with_values(
    frame: DataFrame, columns: Mapping[str, ColumnProfile]
) -> dict[str, ColumnProfile]:
    """The columns of few values with these."""
    few = [
        profile
        for profile in columns.values()
        if profile.kind != "other" and 0 < profile.distinct <= MOST_VALUES
    ]
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
    # A column that has many more than its sketch says stays one of many values.
    listed: dict[str, list[tuple[Any, int]]] = {}
    for row in counted.limit(len(few) * 2 * MOST_VALUES).collect():
        profile = few[row["c"]]
        listed.setdefault(profile.name, []).append((_read(row["v"], profile), int(row["n"])))
    return {
        name: replace(columns[name], distinct=len(values), values=tuple(sorted(values, key=_order)))
        for name, values in listed.items()
    }


def _read(text: str, profile: ColumnProfile) -> Any:
    """A value that was cast to text, as its column has it."""
    if profile.kind == "whole":
        return int(text)
    if profile.kind == "number":
        return float(text)
    return text == "true" if profile.kind == "boolean" else text


def _order(entry: tuple[Any, int]) -> tuple[str, Any]:
    return type(entry[0]).__name__, entry[0]


def _with_keys(frame: DataFrame, columns: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
    """The columns without nulls of which no two rows have the same value."""
    near = [
        profile
        for profile in columns.values()
        if profile.kind in ("whole", "text")
        and profile.rows > 0
        and profile.nulls == 0
        and profile.distinct >= _NEARLY_UNIQUE * profile.rows
    ][:_MOST_KEYS]
    if not near:
        return {}
    counts = [F.count_distinct(F.col(column(profile.name))) for profile in near]
    (row,) = frame.agg(*[count.alias(f"n{place}") for place, count in enumerate(counts)]).collect()
    return {
        profile.name: replace(
            profile, distinct=int(row[f"n{place}"]), is_unique=row[f"n{place}"] == profile.rows
        )
        for place, profile in enumerate(near)
    }


def unique_columns(table: TableProfile) -> Sequence[str]:
    """The columns that identify a row, in the table's order."""
    return [profile.name for profile in table.columns.values() if profile.is_unique]
