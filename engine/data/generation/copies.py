"""Whether a made row is one of the source's: by a hash of all that both have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NULL = np.uint64(0x9E3779B97F4A7C15)


def hash_rows(rows: pa.Table) -> Hashes:
    """[row]: 64 bits of all values in their order; null is a value, -0 is 0, NaN is NaN."""
    total = np.full(rows.num_rows, _NULL)
    for column in rows.columns:
        own = _bits(column.combine_chunks())
        total = _mix(total * _FACTORS[0] + _mix(own))
    return total


def _bits(column: pa.Array) -> Hashes:
    kind = column.type
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(kind):
        numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0
        bits = np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    elif pa.types.is_integer(kind) or pa.types.is_temporal(kind) or pa.types.is_boolean(kind):
        if pa.types.is_date32(kind):
            column = column.cast(pa.int32())
        whole = column.cast(pa.int64()).fill_null(0)
        bits = np.asarray(whole.to_numpy(zero_copy_only=False).view(np.uint64))
    else:
        bits = _hash_objects(column)
    return np.asarray(np.where(nulls, _NULL, bits), np.uint64)


def _hash_objects(column: pa.Array) -> Hashes:
    if pa.types.is_nested(column.type) or pa.types.is_decimal(column.type):
        texts: Any = np.array([repr(value) for value in column.to_pylist()], object)
        return np.asarray(pd.util.hash_array(texts), np.uint64)
    coded = column.dictionary_encode()
    values = np.array(coded.dictionary.to_pylist(), object)
    hashes = pd.util.hash_array(values) if len(values) else np.zeros(1, np.uint64)
    places = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    chosen: Hashes = np.asarray(hashes, np.uint64)[places]
    return chosen


def _mix(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * _FACTORS[0]
    values = (values ^ (values >> np.uint64(27))) * _FACTORS[1]
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed


class CopyCount:
    """Counts the made rows that equal a row of the source in all columns but the key."""

    def __init__(self, source: pa.Table, key: str | None) -> None:
        self.names = [name for name in source.column_names if name != key]
        self._known = np.unique(hash_rows(source.select(self.names)))
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Looks at some rows."""
        self.rows += self.count(batch)

    def count(self, batch: pa.RecordBatch) -> int:
        """How many of some rows the source has."""
        table = pa.Table.from_batches([batch])
        hashes = hash_rows(table.select(self.names))
        places = np.searchsorted(self._known, hashes)
        places = np.minimum(places, len(self._known) - 1)
        return int((self._known[places] == hashes).sum())


def repeated_share(source: pa.Table, key: str | None) -> float:
    """The share of one half of the source's rows that the other half has too."""
    names = [name for name in source.column_names if name != key]
    half = source.num_rows // 2
    if not half:
        return 0.0
    hashes = hash_rows(source.select(names))
    hashes = hashes[np.random.default_rng(20_261_130).permutation(len(hashes))]
    return float(np.isin(hashes[:half], hashes[half:]).mean())
