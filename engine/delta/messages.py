"""What delta-rs raises, in a user's words: what happened, to which table, what to do next."""

from __future__ import annotations

import re

from engine.core.disk_errors import DiskError, Kind, disk_error_of
from engine.core.object_store import in_object_store
from engine.delta.object_store import object_store_words
from engine.errors import EvalMatrixError, StoreError

MAX_TEXT = 300
_UNKNOWN = re.compile(
    r"[Uu]nsupported|not supported|requires (?:table )?feature|(?:[Rr]eader|[Ww]riter) features"
    r"|Operation not permitted|Function not implemented|cross-device"
)


class NeedsSpark(EvalMatrixError):
    """delta-rs cannot take this table, or not on this disk: Spark may."""


# What delta-rs takes for a URI's encoding, or for a part of one: it writes elsewhere, or panics.
_ODD = re.compile(r"[%\[\]\\^|\x00-\x1f\x7f]")


def is_plain(path: object) -> bool:
    """Whether delta-rs takes a path for what it is."""
    return _ODD.search(str(path)) is None


def check_path(path: object) -> None:
    """Raises NeedsSpark for a path that delta-rs would take for another one."""
    if odd := _ODD.search(str(path)):
        raise NeedsSpark(f"{path} has {odd[0]!r} in it")


def is_unsupported(error: BaseException) -> bool:
    """Whether delta-rs lacks what a table or its disk needs, so that another reader may do."""
    return bool(_UNKNOWN.search(str(error)))


def text_of(error: BaseException) -> str:
    """The first line of what delta-rs says, or what went wrong in an object store.

    Below the first line is its own stack.
    """
    if words := object_store_words(error):
        return f"the object store {words}"
    line = (str(error).strip().splitlines() or [""])[0]
    return line[:MAX_TEXT] or type(error).__name__


def unreadable(table: str, error: Exception, *, spares: bool = False) -> EvalMatrixError:
    """Why a table of the store cannot be read.

    Args:
        table: the table.
        error: what was raised.
        spares: whether it only spares what can be computed anew.
    """
    if isinstance(error, EvalMatrixError):
        return error
    if in_object_store(table) and (words := object_store_words(error)):
        return StoreError(f"the store's table {table!r} cannot be read: the object store {words}")
    fault = disk_error_of(error)
    told = fault or text_of(error)
    return StoreError(
        f"the store's table {table!r} cannot be read: {told}; {advice(fault, spares=spares)}"
    )


def advice(fault: DiskError | None, *, spares: bool) -> str:
    """What to do about a table of the store that cannot be read."""
    if fault is not None and fault.kind is Kind.READ_ONLY:
        return "allow this user to read it; nothing was changed"
    if spares:
        return (
            "restore it, or move the whole folder away: what it spares is computed anew, and "
            "results, and reports that are written, do not need it"
        )
    return "restore it from a copy; nothing was changed"


def unwritten(table: str, error: Exception) -> EvalMatrixError:
    """Why a table could not be written."""
    if isinstance(error, EvalMatrixError):
        return error
    fault = disk_error_of(error)
    full = fault is not None and fault.kind is Kind.NO_ROOM
    told = "No space left on device" if full else text_of(error)
    return StoreError(
        f"the table {table!r} could not be written: {told}; what other runs and evaluations wrote "
        "is safe"
    )
