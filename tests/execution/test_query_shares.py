"""Rows whose queries come together in files: each row once, each query in one place."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.execution.query_shares import QueryShares

QUERIES: dict[str, tuple[list[Any], pa.DataType]] = {
    "whole": ([0, 1, -1, 2**62, None], pa.int64()),
    "text": (["", "a", "ä", "😀", None], pa.string()),
    "number": ([0.0, -0.0, 1.5, float("nan"), float("inf"), None], pa.float64()),
    "truth": ([True, False, None], pa.bool_()),
    "day": ([dt.date(1, 1, 1), dt.date(2026, 1, 1), None], pa.date32()),
    "money": ([Decimal("1.50"), Decimal("0.00"), None], pa.decimal128(12, 2)),
}


def known(value: Any) -> str:
    """What tells a query: zeros have no sign, and NaN is equal to itself."""
    return repr(value + 0.0 if isinstance(value, float) else value)


@pytest.mark.parametrize("kind", QUERIES)
@pytest.mark.parametrize(("count", "chunks"), [(1, 1), (3, 1), (4, 3)])
def test_each_row_is_read_once_and_each_query_in_one_place(
    tmp_path: Path, kind: str, count: int, chunks: int
) -> None:
    draw = random.Random(f"{kind}{count}")
    values, dtype = QUERIES[kind]
    queries = [draw.choice(values) for _ in range(300)]
    rows = pa.record_batch({"q": pa.array(queries, dtype), "id": pa.array(range(300))})
    places: Counter[str] = Counter()
    seen: list[int] = []
    for chunk in range(chunks):
        shares = QueryShares("q", count, (chunk, chunks))
        folders = []
        for number, start in enumerate(range(0, 300, 100)):
            folder = tmp_path / f"{chunk}-{number}"
            shares.spread([rows.slice(start, 60), rows.slice(start + 60, 40)], folder)
            folders.append(str(folder))
        for number in range(count):
            found = [row for part in shares.read(folders, number) for row in part.to_pylist()]
            assert all(known(queries[row["id"]]) == known(row["q"]) for row in found)
            seen += [row["id"] for row in found]
            places.update(name for name, _ in groupby(found, lambda row: known(row["q"])))
    assert sorted(seen) == list(range(300))
    assert set(places.values()) == {1} and len(places) == len({known(value) for value in values})
