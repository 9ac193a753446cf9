"""One writer at a time for a Delta table on a local disk, whichever process it is in.

Delta commits by making the next file of the table's log, and on a local file system it looks
whether the file is there and then renames its own over it: two processes that do so at the same
moment both succeed, and one of the two commits is gone. An object store, a catalog and HDFS settle
that themselves. Here a file beside the table is locked (flock(2)) for as long as a commit takes;
the system frees it when a process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import StoreError

log = logging.getLogger("evalmatrix")

PATIENCE = 3600.0
"""Seconds after which waiting for another writer is given up."""

_POLL = 0.02
_TELL_AFTER = 2.0


@contextmanager
def sole_writer(folder: Path | None, *, patience: float = PATIENCE) -> Iterator[None]:
    """Keeps other processes and threads from committing to a table while the block runs.

    Where nothing can be locked (no local folder, a file system that is read-only or knows no
    locks) the block runs as it is: a write says better than a lock what is wrong there.

    Args:
        folder: the table's own folder, which need not exist yet.
        patience: seconds to wait for another writer.

    Raises:
        StoreError: when another writer took longer.
    """
    file = _opened(folder)
    if folder is None or file is None:
        yield
        return
    try:
        _lock(file, folder, patience)
        yield
    finally:
        os.close(file)


def _opened(folder: Path | None) -> int | None:
    """The open file to lock for a table; it stays there, since removing it would let two in."""
    if folder is None:
        return None
    place = folder.parent / ".locks"
    try:
        place.mkdir(parents=True, exist_ok=True)
        return os.open(place / f"{folder.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def _lock(file: int, folder: Path, patience: float) -> None:
    started = time.monotonic()
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            waited = time.monotonic() - started
        except OSError:  # a file system without locks
            return
        if waited > patience:
            raise StoreError(
                f"the table {str(folder)!r} could not be written: {_holder(file)} has been writing "
                f"it for {waited:,.0f} s; what other runs wrote is safe; end that process if it "
                "hangs"
            )
        if waited > _TELL_AFTER and not told:
            log.info("waiting for %s, which writes %s", _holder(file), folder)
            told = True
        time.sleep(_POLL)
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)


def _holder(file: int) -> str:
    number = os.pread(file, 20, 0).decode("ascii", "replace")
    return f"the process {number}" if number.isdigit() else "another process"
