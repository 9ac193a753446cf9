"""A file of a table, as it is handed to a worker."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a table: where it lies, its rows, and what stands beside it in the log.

    Attributes:
        path: its path on this machine's disks, or its URI in an object store.
        rows: how many rows are in it, with those that are deleted.
        live: how many of them are not.
        partition: the values of the partition columns, each an array of one value.
        deleted: which rows are deleted, as `pack_mask` has it; None where none is.
        size: its bytes.
    """

    path: str
    rows: int
    live: int
    partition: Mapping[str, pa.Array]
    deleted: bytes | None = None
    size: int = 0


def pack_mask(kept: Any) -> bytes:
    """The rows of a file that are kept, a bit each, packed."""
    return zlib.compress(np.packbits(np.asarray(kept, bool)).tobytes(), 1)


def unpack_mask(packed: bytes, rows: int) -> Any:
    """Which rows of a file are kept, as truth values; those behind the mask's end are."""
    bits = np.unpackbits(np.frombuffer(zlib.decompress(packed), np.uint8))[:rows].astype(bool)
    return np.concatenate([bits, np.ones(rows - len(bits), bool)])
