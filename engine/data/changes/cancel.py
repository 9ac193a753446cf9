"""Rows that came and rows that went are weighed against each other, and counted, in one job."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from engine.errors import DataError
from engine.spark.api import F, sql

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


# Values that Spark cannot group by, or that it takes for equal when they are not the same.
_UNGROUPED = re.compile(
    r"\bvariant\b|\bcollate\b|\binterval(?! (day|hour|minute|second|year|month))|"
    r"\bgeo(graphy|metry)\b"
)
_CAME, _GONE, _LEFT = "came", "gone", "left"


@dataclass(frozen=True, slots=True)
class Raw:
    """Rows read on both sides, some of which may cancel, and how many the log promises.

    `delta` is the growth of the table; `certain` says that exactly the files of the log are read.
    A count is None where the log does not tell.
    """

    came: tuple[DataFrame, ...]
    gone: tuple[DataFrame, ...]
    rows_came: int | None = None
    rows_gone: int | None = None
    delta: int | None = None
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """What is left of both sides; `kept` is what Spark keeps of it."""

    came: DataFrame | None
    gone: DataFrame | None
    rows_came: int
    rows_gone: int
    kept: DataFrame | None = None


def count(raw: Raw) -> Counted:
    """Cancels and counts the rows of both sides; without a job where the log says enough.

    Raises:
        DataError: when other rows were read than the log has.
    """
    if not raw.came and not raw.gone:
        return Counted(None, None, 0, 0)
    if raw.certain and raw.rows_came is not None and not raw.gone:
        return Counted(_existing_rows(raw.came), None, raw.rows_came, 0)
    if raw.certain and raw.rows_gone is not None and not raw.came:
        return Counted(None, _existing_rows(raw.gone), 0, raw.rows_gone)
    return _cancel_rows(raw)


def _existing_rows(frames: Sequence[DataFrame]) -> DataFrame:
    """The rows of files that are there: Spark Connect looks for them when it needs the schema."""
    rows = _union(frames)
    if not rows.schema:
        raise DataError("the evaluation reads no columns")
    return rows


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    return reduce(sql.DataFrame.unionAll, frames)


def _cancel_rows(raw: Raw) -> Counted:
    first = (*raw.came, *raw.gone)[0]
    fields = [f"c{place}" for place in range(len(first.columns))]
    weighed = _union(
        [
            _mark_side(frame, fields, weight)
            for frames, weight in ((raw.came, 1), (raw.gone, -1))
            for frame in frames
        ]
    )
    kinds = [field.dataType.simpleString() for field in first.schema.fields]
    if raw.came and raw.gone and not any(map(_UNGROUPED.search, kinds)):
        weighed = weighed.groupBy(*fields).agg(F.sum(_CAME).alias(_CAME), F.sum(_GONE).alias(_GONE))
    weighed = weighed.withColumn(_LEFT, F.col(_CAME) - F.col(_GONE))
    kept = weighed.persist()
    try:
        sums = kept.agg(
            _total(F.col(_CAME)),
            _total(F.col(_GONE)),
            _total(F.greatest(F.col(_LEFT), F.lit(0))),
            _total(F.greatest(-F.col(_LEFT), F.lit(0))),
        ).collect()[0]
        read_came, read_gone, rows_came, rows_gone = map(int, sums)
        _check(raw, read_came, read_gone)
    except BaseException:
        kept.unpersist()
        raise
    names = first.columns
    return Counted(
        _rows(kept, fields, F.col(_LEFT)).toDF(*names) if rows_came else None,
        _rows(kept, fields, -F.col(_LEFT)).toDF(*names) if rows_gone else None,
        rows_came,
        rows_gone,
        kept,
    )


def _mark_side(frame: DataFrame, fields: Sequence[str], weight: int) -> DataFrame:
    """The rows with plain names, and 1 in the column of their side."""
    return frame.toDF(*fields).select(
        *fields,
        F.lit(int(weight > 0)).cast("long").alias(_CAME),
        F.lit(int(weight < 0)).cast("long").alias(_GONE),
    )


def _total(value: Column) -> Column:
    return F.coalesce(F.sum(value), F.lit(0))


def _rows(kept: DataFrame, fields: Sequence[str], times: Column) -> DataFrame:
    """Each row as many times as it is left."""
    return (
        kept.where(times > 0)
        .select(*fields, F.explode(F.array_repeat(F.lit(1), times.cast("int"))))
        .drop("col")
    )


def _check(raw: Raw, came: int, gone: int) -> None:
    """Refuses rows that the log does not speak of, and a lack of rows that it does."""
    expected = ((raw.rows_came, came), (raw.rows_gone, gone), (raw.delta, came - gone))
    for promised, actual in expected:
        if promised is not None and promised != actual:
            raise DataError(
                f"the log of the table has {promised} rows for the files that changed, and "
                f"{actual} were read"
            )
