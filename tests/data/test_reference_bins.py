"""Bins of a reference, collected in Spark: in the units of states, for columns of all types."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.arrow_bins import bins_here
from engine.data.reference_bins import collect_bins
from engine.data.source import pin_table
from engine.spark.lazy_session import LazySession

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SCHEMA = (
    "`a.x` double, whole bigint, few int, money decimal(10,2), day date, seen timestamp, "
    "flag boolean, country string, free string, empty double, nothing string, tags array<int>"
)


def without_last_digits(bins: dict[str, Any]) -> dict[str, Any]:
    """Sums of squares come in another order."""
    return {
        name: {key: f"{value:.12g}" if isinstance(value, float) else value
               for key, value in known.items()}
        for name, known in bins.items()
    }  # fmt: skip


@pytest.mark.spark
def test_bins_of_columns_of_all_types(spark: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=2000)
    rows = [
        (
            float(v), n, n % 3, Decimal(n) / 100, START.date() + dt.timedelta(n),
            START + dt.timedelta(hours=n), n % 4 == 0, "DE" if n % 2 else "FR", f"text {n}",
            None, None, [n],
        )
        for n, v in enumerate(x)
    ] + [(float("inf"), *[None] * 11), (float("nan"), *[None] * 11)]  # fmt: skip
    frame = spark.createDataFrame(rows, SCHEMA)
    names = [*frame.columns, "lacking"]
    bins = collect_bins(frame, names)
    table = str(tmp_path / "table")
    writer = frame.repartition(3).write.format("delta")
    writer.option("delta.columnMapping.mode", "name").save(table)
    here = bins_here(pin_table(LazySession(spark), table, "latest").rows_here(), names)
    assert without_last_digits(here) == without_last_digits(bins)
    assert set(bins) == set(names)
    assert {name for name, known in bins.items() if not known} == {"free", "tags", "lacking"}
    assert bins["flag"] == {"values": [False, True]}
    assert bins["country"] == {"values": ["DE", "FR"]}
    assert bins["nothing"] == {"values": []}
    assert bins["empty"] == {"values": [], "fine": [], "deviation": None}
    assert bins["few"]["values"] == [0.0, 1.0, 2.0]
    assert len(bins["few"]["fine"]) == 6, "each value, and the number after it"
    deciles = np.quantile(x, np.arange(1, 10) / 10)
    assert bins["a.x"]["edges"] == pytest.approx(deciles, abs=0.02)
    assert bins["a.x"]["deviation"] == pytest.approx(np.std(x, ddof=1))
    assert bins["a.x"]["fine"][0] == x.min() and len(bins["a.x"]["fine"]) <= 257
    assert bins["money"]["edges"] == pytest.approx(2 * np.arange(1, 10), abs=0.02)
    days = (START.date() - dt.date(1970, 1, 1)).days
    assert bins["day"]["edges"] == pytest.approx(days + 200 * np.arange(1, 10), abs=2)
    micros = START.timestamp() * 1e6
    hours = (np.array(bins["seen"]["edges"]) - micros) / 3.6e9
    assert hours == pytest.approx(200 * np.arange(1, 10), abs=2)
