"""Rows of all kinds of columns that hang together, for tests of generation."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa


def mixed_rows(rows: int = 6000, seed: int = 1) -> pa.Table:
    """Floats, whole numbers, texts, truth values, dates, times and decimals, with nulls."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    b = 0.8 * a + 0.6 * rng.normal(size=rows)
    label = (a + rng.normal(size=rows) > 0.3).astype(np.int64)
    names = np.array(["south", "north", "east", "west"])
    region = names[np.searchsorted([-0.8, 0.1, 1.2], b + 0.5 * rng.normal(size=rows))]
    days = rng.integers(0, 900, rows)
    missing = rng.random(rows) < 0.1 + 0.3 * (a > 1)
    start = dt.datetime(2024, 1, 1)
    columns = {
        "id": pa.array(np.arange(rows) + 1000),
        "amount": pa.array(np.round(np.exp(a), 2), mask=missing),
        "height": pa.array(b.astype(np.float32)),
        "visits": pa.array(rng.poisson(np.exp(0.5 * a + 1)).astype(np.int32)),
        "region": pa.array(region, mask=rng.random(rows) < 0.05),
        "vip": pa.array(a + rng.normal(size=rows) > 1.5),
        "day": pa.array([start.date() + dt.timedelta(days=int(day)) for day in days]),
        "time": pa.array(
            [start + dt.timedelta(hours=int(day)) for day in days], pa.timestamp("us")
        ),
        "price": pa.array(
            [Decimal(int(x)).scaleb(-2) for x in np.exp(b) * 1000], pa.decimal128(12, 2)
        ),
        "none": pa.nulls(rows, pa.string()),
        "same": pa.array(["x"] * rows),
        "label": pa.array(label),
    }
    return pa.table(columns)


def frame_of(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame
