"""The bins of a reference's columns, found in its rows once and kept for its version.

The frequent values of columns are those of all rows. Quantiles of numbers, dates and times are
those of half a million rows at most, by Greenwald and Khanna's summary in bounded memory: they
depend on the order of the rows, and are no figures. They choose the bins, which are kept and stand
in the plan; what is counted over them is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.data.arrow_bins import SAMPLE_ROWS, SEED, bins_here
from engine.data.column_values import frequent_values
from engine.data.kept_profiles import digest_of, kept_file
from engine.data.source import Source
from engine.data.table_rows import either_way
from engine.kinds import Bins
from engine.kinds.drift import PARTS, bins_of_numbers, bins_of_values
from engine.spark import table_errors
from engine.spark.api import F, T
from engine.spark.tables import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType


# Goes up when the same rows are given other bins.
BINS_VERSION = 1
# Ranks of quantiles are off by one in so many rows.
ACCURACY = 4_000


def reference_bins(
    store: Store, source: Source, name: str, digest: str, columns: Iterable[str]
) -> dict[str, Bins]:
    """The bins of columns, found in a reference or kept of it; nothing of one that has none.

    Args:
        store: where they are kept.
        source: the reference, pinned to a version.
        name: what it is called.
        digest: that of its version, and of what else is known of it.
        columns: those whose bins are asked for.
    """
    names = sorted(set(columns))
    file = kept_file(store, digest_of(["bins", BINS_VERSION, digest, names]))
    kept = read_kept(file)
    if isinstance(kept, dict) and kept.get("columns") == names:
        return dict(kept["bins"])
    try:
        bins = either_way(
            source.session,
            lambda: bins_here(source.rows_here(), names),
            lambda: collect_bins(source.frame(), names),
        )
    except Exception as error:
        raise table_errors.read_error(error, f"reference {name!r}") from error
    keep(file, {"columns": names, "bins": bins})
    return bins


def collect_bins(frame: DataFrame, names: Sequence[str]) -> dict[str, Bins]:
    """The bins of columns of a frame; nothing of one that has none."""
    types = {field.name: field.dataType for field in frame.schema.fields}
    listed = [name for name in names if isinstance(types.get(name), T.StringType | T.BooleanType)]
    frequent = frequent_values(frame, listed)
    bins: dict[str, Bins] = {name: {} for name in names}
    for name in listed:
        values: list[tuple[Any, int, int]] = list(frequent.get(name, []))
        if isinstance(types[name], T.BooleanType):
            values = [(text == "true", rows, every) for text, rows, every in values]
        if values or _is_null(frame, name):
            bins[name] = bins_of_values(values)
    return bins | _bins_of_numbers(frame, names, types)


def _is_null(frame: DataFrame, name: str) -> bool:
    """Whether a column has no value at all."""
    return not frame.where(F.col(column(name)).isNotNull()).head(1)


def _bins_of_numbers(
    frame: DataFrame, names: Sequence[str], types: Mapping[str, DataType]
) -> dict[str, Bins]:
    shares = [part / PARTS for part in range(1, PARTS)]
    numbers: dict[str, Column] = {}
    for name in names:
        number = _number(F.col(column(name)), types.get(name))
        if number is not None:
            numbers[name] = F.when(F.abs(number) < float("inf"), number)
    if not numbers:
        return {}
    whole = _collect(frame, numbers, [F.count, F.min, F.max, F.stddev_samp])
    rows = max(figures[0] for figures in whole.values())
    sample = frame if rows <= SAMPLE_ROWS else frame.sample(SAMPLE_ROWS / rows, SEED)
    inner = _collect(sample, numbers, [lambda x: F.percentile_approx(x, shares, ACCURACY)])
    bins = {}
    for name, (_, least, most, deviation) in whole.items():
        cuts = [] if least is None else [least, *(inner[name][0] or ()), most]
        bins[name] = bins_of_numbers(cuts, deviation)
    return bins


def _collect(
    frame: DataFrame, numbers: Mapping[str, Column], figures: Sequence[Callable[[Column], Column]]
) -> dict[str, list[Any]]:
    """Some figures of each column of numbers, in one job."""
    sums = [
        figure(number).alias(f"c{place}_{at}")
        for place, number in enumerate(numbers.values())
        for at, figure in enumerate(figures)
    ]
    (row,) = frame.agg(*sums).collect()
    return {
        name: [row[f"c{place}_{at}"] for at in range(len(figures))]
        for place, name in enumerate(numbers)
    }


def _number(value: Column, kind: DataType | None) -> Column | None:
    """A column as the numbers that states make of it: days of dates, microseconds of times."""
    if isinstance(kind, T.NumericType):
        return value.cast("double")
    if isinstance(kind, T.DateType):
        return F.unix_date(value).cast("double")
    if isinstance(kind, T.TimestampType | T.TimestampNTZType):
        return F.unix_micros(value.cast("timestamp")).cast("double")
    return None
