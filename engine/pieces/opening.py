"""Opens data files where they lie: on this machine's disks, or in an object store."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from engine.core.object_store import in_object_store
from engine.errors import EvalMatrixError, StoreError
from engine.pieces.object_files import is_object_there, object_error_words, object_mark, open_object


class UnreadableError(EvalMatrixError):
    """A worker cannot read a file, or not as Spark would: the rows are Spark's to read."""


class DamagedFileError(UnreadableError):
    """A file is gone, or is not what was written."""


class UnreachableError(UnreadableError, StoreError):
    """The object store in which a file lies does not answer, or refuses."""


def open_parquet(path: str) -> pq.ParquetFile:
    """Opens a Parquet file, whose old timestamps are read as Spark reads them.

    Raises:
        FileNotFoundError: where it is gone.
        UnreachableError: where its object store cannot be reached, or refuses.
        OSError: where it cannot be opened otherwise.
        pyarrow.ArrowException: where it is no Parquet file.
    """
    if not in_object_store(path):
        return pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
    try:
        # Of a row group what is wanted is fetched in few large parts.
        return pq.ParquetFile(open_object(path), coerce_int96_timestamp_unit="us", pre_buffer=True)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreachable(path, error) from error


def unreachable(path: str, error: OSError) -> UnreachableError:
    """Says of a file of an object store why it cannot be read."""
    return UnreachableError(f"the object store of {path} {object_error_words(error)}")


def is_file_there(path: str) -> bool:
    """Whether a file is there; where nobody can tell it is taken for there."""
    return is_object_there(path) if in_object_store(path) else Path(path).is_file()


def file_mark(path: str) -> str:
    """What tells a file from another one under its name: its size and its time; "" of none.

    Where two processes see the same mark they see the same file.
    """
    if in_object_store(path):
        return object_mark(path)
    try:
        stat = Path(path).stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"
