"""What values a column has, for tests that put one in the place of another.

Those that at least one in a thousand rows has, the 100 most frequent at most, with their shares; of
numbers that are not nearly all among these, 20 quantiles. Both are rounded, so that a night's few
new rows mostly leave them as they are, and with them what is kept of yesterday's variants. Of large
tables half a million rows say so, those that a hash of the key chooses: the same whatever the
partitions, and in bounded memory, which quantiles of all rows are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.kinds import ALL_COLUMNS, ColumnValues, kind_of
from engine.spark.api import F, T, sql
from engine.spark.tables import column
from engine.suite import Evaluation

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType


VALUES = "values of "

MOST, RAREST = 100, 0.001
# The share of the rows whose values must be frequent ones, where quantiles can stand for them.
NEARLY_ALL = 0.95
QUANTILES = 20
# Of about so many rows the values are those of all.
SAMPLE_ROWS = 500_000
# Steps of a share in a doubling, and of the spread between values.
STEPS, PARTS = 4, 8

Frequent = list[tuple[Any, int, int]]


def asked_values(evaluation: Evaluation) -> list[str]:
    """The columns whose values tests ask for."""
    names = {name for test in evaluation.tests for name in kind_of(test).values(test)}
    # Nothing is kept of those: that they are asked for is refused when the tests are looked at.
    return sorted(names - set(evaluation.dataset.sensitive))


def collect_values(
    frame: DataFrame, evaluation: Evaluation, rows: int = 0
) -> dict[str, ColumnValues]:
    """The values of columns of a known type, by `VALUES` and the name; two jobs at most.

    `rows` is how many there are, where that is known.
    """
    types = {field.name: field.dataType for field in frame.schema.fields}
    names = asked_columns(evaluation, list(types))
    if not names:
        return {}
    listed = [name for name in names if _is_listed(types.get(name))]
    numbers = [
        name for name in names if isinstance(types.get(name), T.IntegralType | T.FractionalType)
    ]
    if rows >= 2 * SAMPLE_ROWS:
        frame = _sample(frame, [*evaluation.dataset.key, *listed, *numbers], rows)
    frequent = frequent_values(frame, listed)
    quantiles = _quantiles(frame, numbers)
    chosen: dict[str, ColumnValues] = {}
    for name in dict.fromkeys([*listed, *numbers]):
        whole = isinstance(types[name], T.IntegralType)
        values = choose_values(frequent.get(name, []), quantiles.get(name, ()), whole=whole)
        chosen[f"{VALUES}{name}"] = [
            [_read(value, types[name]), weight] for value, weight in values
        ]
    return chosen


def _sample(frame: DataFrame, names: Sequence[str], rows: int) -> DataFrame:
    """About `SAMPLE_ROWS` rows, by a hash of their key and of the columns that are asked for."""
    types = {field.name: field.dataType for field in frame.schema.fields}
    hashed = [
        F.col(column(name))
        for name in dict.fromkeys(names)
        if isinstance(types.get(name), T.AtomicType) and not isinstance(types[name], T.VariantType)
    ]
    every = F.lit(rows // SAMPLE_ROWS)
    return frame.where(F.pmod(F.xxhash64(*hashed), every) == 0) if hashed else frame


def asked_columns(evaluation: Evaluation, every: Sequence[str]) -> list[str]:
    """The columns that are asked for, where all are asked for those that have no other role."""
    names = asked_values(evaluation)
    if ALL_COLUMNS not in names:
        return names
    dataset = evaluation.dataset
    roles = (dataset.label, dataset.weight, dataset.cluster, dataset.query)
    others = {*roles, *dataset.key, *dataset.sensitive}
    return sorted({*names, *(name for name in every if name not in others)} - {ALL_COLUMNS})


def _is_listed(kind: DataType | None) -> bool:
    return isinstance(kind, T.StringType | T.BooleanType | T.IntegralType)


def _read(value: Any, kind: DataType) -> Any:
    """A value that was cast to text, of the column's type."""
    if isinstance(kind, T.IntegralType):
        return int(value)
    return value == "true" if isinstance(kind, T.BooleanType) else value


def frequent_values(frame: DataFrame, names: Sequence[str]) -> dict[str, Frequent]:
    """The frequent values of columns as texts, with their rows and those of all values."""
    if not names:
        return {}
    cells = [
        F.struct(F.lit(place).alias("c"), F.col(column(name)).cast("string").alias("v"))
        for place, name in enumerate(names)
    ]
    long = frame.select(F.explode(F.array(*cells)).alias("cell")).select("cell.c", "cell.v")
    counted = long.where(F.col("v").isNotNull()).groupBy("c", "v").agg(F.count("*").alias("n"))
    of_column = sql.Window.partitionBy("c")
    ranked = counted.select(
        "c", "v", "n",
        F.sum("n").over(of_column).alias("all"),
        F.row_number().over(of_column.orderBy(F.desc("n"), "v")).alias("place"),
    )  # fmt: skip
    rows = ranked.where((F.col("place") <= MOST) & (F.col("n") >= RAREST * F.col("all"))).collect()
    frequent: dict[str, Frequent] = {}
    for row in rows:
        frequent.setdefault(names[row["c"]], []).append((row["v"], row["n"], row["all"]))
    return frequent


def _quantiles(frame: DataFrame, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """The middles of equal parts of the finite numbers in columns."""
    if not names:
        return {}
    shares = F.array(*[F.lit((part + 0.5) / QUANTILES) for part in range(QUANTILES)])

    def quantiles(name: str) -> Column:
        value = F.col(column(name)).cast("double")
        return F.percentile(F.when(F.abs(value) < float("inf"), value), shares)

    (row,) = frame.agg(*[quantiles(name).alias(f"q{n}") for n, name in enumerate(names)]).collect()
    return {name: tuple(row[f"q{n}"] or ()) for n, name in enumerate(names)}


def choose_values(
    frequent: Iterable[tuple[Any, int, int]], quantiles: Sequence[float], *, whole: bool
) -> ColumnValues:
    """Values with their weights: the frequent ones, or quantiles where those stand for more."""
    frequent = sorted(frequent, key=lambda value: str(value[0]))
    share = sum(rows / every for _, rows, every in frequent)
    if not quantiles or share >= NEARLY_ALL:
        return [[value, _step(rows / every)] for value, rows, every in frequent]
    return [[int(value) if whole else value, 1.0] for value in round_quantiles(quantiles, whole)]


def _step(share: float) -> float:
    return float(f"{2 ** (round(STEPS * math.log2(share)) / STEPS):.4g}")


def round_quantiles(quantiles: Sequence[float], whole: bool = False) -> list[float]:
    """Quantiles to a grid of 1, 2 or 5 times a power of ten, about an eighth of their spread."""
    middle = len(quantiles) // 4
    spread = (quantiles[-1 - middle] - quantiles[middle]) or (quantiles[-1] - quantiles[0])
    if not spread or not math.isfinite(spread):
        return list(quantiles)
    rough = spread / PARTS
    power = 10.0 ** math.floor(math.log10(rough))
    grid = power * max(step for step in (1, 2, 5) if step * power <= rough * (1 + 1e-9))
    grid = max(grid, 1.0) if whole else grid
    return [float(f"{round(value / grid) * grid:.12g}") for value in quantiles]


def known_values(stats: Mapping[str, Any]) -> dict[str, ColumnValues]:
    """The values by column, of what is known of rows."""
    return {
        name.removeprefix(VALUES): values
        for name, values in stats.items()
        if name.startswith(VALUES)
    }
