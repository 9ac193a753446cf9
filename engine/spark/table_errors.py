"""What Spark raises, in a user's words: what happened, to which file, what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from engine.core.disk_errors import DiskError, Kind, disk_error_of
from engine.delta.messages import advice
from engine.errors import DataError, EvalMatrixError, StoreError
from engine.spark.api import spark_errors
from engine.spark.error_messages import first_line, quotes_data, without_values

_UNCOMPUTABLE = re.compile(
    r"\[(DIVIDE_BY_ZERO|CAST_INVALID_INPUT|CAST_OVERFLOW|ARITHMETIC_OVERFLOW|INVALID_ARRAY_INDEX"
    r"[A-Z_]*|INVALID_FRACTION_OF_SECOND|CANNOT_PARSE_TIMESTAMP|USER_RAISED_EXCEPTION)[A-Z_.]*\]"
)
# Who only reads needs no room but for this.
_FREE = "free the disk of Spark's temporary files, or set TMPDIR to a folder of another one"
_OURS = re.compile(r"engine\.errors\.(?:DataError|InputError): (.+)")


@contextmanager
def reading(table: str, *, spares: bool = False) -> Iterator[None]:
    """Says in a user's words why a table of the store cannot be read in the block.

    Args:
        table: the table.
        spares: whether it only spares what can be computed anew.

    Raises:
        StoreError: when it cannot be read.
    """
    try:
        yield
    except EvalMatrixError:
        raise
    except Exception as error:
        if not quotes_data(error):
            raise
        fault = disk_error_of(error)
        told, do = fault or first_line(error), _advice(fault, spares)
        raise StoreError(f"the store's table {table!r} cannot be read: {told}; {do}") from error


def _advice(fault: DiskError | None, spares: bool) -> str:
    """What to do about a table of the store that cannot be read."""
    if fault is not None and fault.kind is Kind.NO_ROOM:
        return f"{_FREE}; nothing was changed"
    return advice(fault, spares=spares)


def unwritten(table: str, error: Exception) -> EvalMatrixError:
    """An error met while a table was written, in a user's words."""
    if isinstance(error, EvalMatrixError):
        return error
    fault = disk_error_of(error)
    if fault is not None and fault.kind is Kind.NO_ROOM:
        told = "No space left on device, its own or that of Spark's temporary files"
    else:
        told = first_line(error)
    return StoreError(
        f"the table {table!r} could not be written: {told}; what other runs and evaluations wrote "
        "is safe"
    )


def read_error(error: Exception, dataset: str, *, under_way: bool = False) -> EvalMatrixError:
    """A Spark error met while reading a dataset, in a user's words.

    Args:
        error: what Spark raised.
        dataset: the dataset, as it is told.
        under_way: whether a run has begun to evaluate it, so that the suite was right.
    """
    if isinstance(error, EvalMatrixError):
        return error
    text = str(error)
    ours = _OURS.search(text)
    if ours:
        return DataError(ours.group(1).strip())
    uncomputable = _UNCOMPUTABLE.search(text)
    if uncomputable:
        # Only the error's name: the whole of it can quote a value of the data.
        return DataError(
            f"{dataset}: a `where` cannot be computed for some row ({uncomputable[1]}); expected "
            "one that is defined for every row, for example with try_divide or try_cast"
        )
    fault = disk_error_of(error)
    if fault is not None and fault.kind is Kind.GONE:
        what = f"{dataset}: data files of this version are gone, most likely removed by VACUUM"
        return _missing_files_error(what, _place(fault, error), under_way)
    if fault is not None and fault.kind is Kind.DAMAGED:
        return StoreError(
            f"{dataset}: a data file is damaged ({_place(fault, error)}); restore it, or evaluate "
            "a version of the dataset without it"
        )
    if fault is not None and fault.kind is Kind.NO_ROOM:
        return StoreError(f"{dataset} could not be read: {fault}; {_FREE}")
    return StoreError(f"{dataset} could not be read: {first_line(error)}")


def _place(fault: DiskError, error: Exception) -> str:
    """Which file it is, where that is told."""
    return without_values(fault.file) if fault.file else first_line(error)


def _missing_files_error(what: str, place: str, under_way: bool) -> EvalMatrixError:
    if under_way:
        return StoreError(
            f"{what} while the run went on ({place}); restore them, or evaluate a newer version in "
            "another run"
        )
    return DataError(f"{what}; evaluate a newer version, or restore the files ({place})")


def reads_data(error: BaseException | None, table: str) -> bool:
    """Whether an error met while a table was written is of the rows that were read for it."""
    fault = disk_error_of(error)
    if fault is None:
        return isinstance(error, spark_errors())
    if fault.kind in (Kind.NO_ROOM, Kind.READ_ONLY):
        return False
    return fault.file is None or not fault.file.startswith(table.rstrip("/") + "/")
