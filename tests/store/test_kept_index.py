"""Kept predictions, found by the keys of rows: what a dictionary of all of them says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.planning.scan_columns import KEY_COLUMN, kept_column
from engine.store import kept_index
from engine.store.kept_index import ROWS, KeptScores, build_index

Row = tuple[str, list[float] | None, int, int]

KEYS = st.sampled_from([f'{{"id":{n}}}' for n in range(9)] + ["{}", '{"t":"ä\\u0000"}', ""])
NUMBERS = st.lists(st.sampled_from([0.0, -0.0, 0.5, float("inf"), 1e-300]), max_size=3)
PREDICTED = st.tuples(KEYS, st.none() | NUMBERS, st.integers(0, 3), st.integers(0, 5))


def batches(rows: list[Row], size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), size):
        columns = [list(column) for column in zip(*rows[start : start + size], strict=True)]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, ROWS, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=ROWS)


def newest(rows: list[Row]) -> dict[str, Any]:
    held: dict[str, tuple[tuple[int, int], Any]] = {}
    for key, scores, place, at in rows:
        if key not in held or held[key][0] <= (place, at):
            held[key] = (place, at), scores
    return {key: scores for key, (_, scores) in held.items() if scores is not None}


def clash(columns: Any, rows: int) -> np.ndarray:
    """A hash of three values, of keys that are others."""
    (keys,) = columns
    return np.array([sum(map(ord, key)) % 3 - 1 for key in keys.to_pylist()], np.int64)


@pytest.mark.parametrize("clashes", [False, True])
@pytest.mark.parametrize("file_rows", [500_000, 4])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(PREDICTED, max_size=30, unique_by=lambda row: (row[0], *row[2:])),
    asked=st.lists(KEYS, max_size=12),
    size=st.integers(1, 30),
)
def test_the_newest_scores_of_each_key_are_found(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    asked: list[str],
    size: int,
    file_rows: int,
    clashes: bool,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_index, "FILE_ROWS", file_rows)
        if clashes:
            patch.setattr(kept_index, "hash_rows", clash)
        folder = tmp_path_factory.mktemp("index")
        index = build_index(batches(rows, size), folder, len(rows))
        assert len(index.files) == (1 if file_rows > 30 else 1 << (len(rows) // 4).bit_length())
        wanted = newest(rows)
        keys = pa.array(asked, pa.string())
        assert index.scores_of(keys).to_pylist() == [wanted.get(key) for key in asked]
        table = pa.record_batch({KEY_COLUMN: keys, "x": pa.array(range(len(asked)))})
        (joined,) = KeptScores(((2, index), (5, index))).join([table])
        assert joined.schema.names == [KEY_COLUMN, "x", kept_column(2), kept_column(5)]
        assert joined.column(3).to_pylist() == [wanted.get(key) for key in asked]


def test_many_are_found_in_several_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = kept_index.FILE_ROWS * 2 + 10
    keys = pa.array([f'{{"id":{n}}}' for n in rng.permutation(count).tolist()])
    numbers = rng.random(count)
    scores = pa.FixedSizeListArray.from_arrays(pa.array(numbers), 1).cast(kept_index.SCORES)
    zeros = pa.array(np.zeros(count, np.int64))
    whole = pa.record_batch([keys, scores, zeros, zeros], schema=ROWS)
    parts = [whole.slice(start, 60_000) for start in range(0, count, 60_000)]
    index = build_index(parts, tmp_path, count)
    assert len(index.files) == 4
    at = rng.integers(0, count, 20_000)
    found = index.scores_of(keys.take(pa.array(at)))
    assert found.null_count == 0 and (found.flatten().to_numpy() == numbers[at]).all()
    assert index.scores_of(pa.array(['{"id":-1}', "x"])).null_count == 2
