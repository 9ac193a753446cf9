"""One writer at a time for a Delta table on a local disk, and one process at a time for a run.

Delta commits by making the next file of the table's log, and on a local file system it looks
whether the file is there and then renames its own over it: two processes that do so at the same
moment both succeed, and one of the two commits is gone. A catalog and HDFS settle that themselves;
in an object store puts are conditional, and leases stand for the other locks
(`engine.delta.leases`). Here a file beside the table is locked (flock(2)) for as long as a commit
takes; the system frees it when a process ends, however it ends. MLflow's SQLite file, and a run on
its way to MLflow, have one writer at a time in the same way; and a run is its process's own, so
that nobody starts it a second time meanwhile.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import InputError, StoreError

log = logging.getLogger("evalmatrix")

PATIENCE = 3600.0
"""Seconds after which waiting for another writer is given up."""

_POLL = 0.02
_TELL_AFTER = 2.0


@contextmanager
def sole_writer(
    folder: Path | None, *, patience: float = PATIENCE, doing: str = ""
) -> Iterator[None]:
    """Keeps other processes and threads from committing to a table while the block runs.

    Where nothing can be locked (no local folder, a file system that is read-only or knows no
    locks) the block runs as it is: a write says better than a lock what is wrong there.

    Args:
        folder: the table's own folder, which need not exist yet.
        patience: seconds to wait for another writer.
        doing: what who has the lock does, for who waits; by default he writes the table.

    Raises:
        StoreError: when another writer took longer.
    """
    file = None if folder is None else _open_lock(folder.parent, folder.name)
    if folder is None or file is None:
        yield
        return
    try:
        _wait(file, folder, patience, doing or f"writes {folder}")
        yield
    finally:
        os.close(file)


@contextmanager
def sole_process(store: Path | None, run_id: str) -> Iterator[None]:
    """Makes a run this block's own, where that can be locked.

    Args:
        store: the store's local folder, if it has one.
        run_id: the run, which need not have begun.

    Raises:
        InputError: when the run goes on in another process, or elsewhere in this one.
    """
    name = f"run-{run_id}"
    file = None if store is None else _open_lock(store, name)
    if store is None or file is None:
        yield
        return
    try:
        if not _try_lock(file):
            raise InputError(
                f"the run {run_id!r} is going on in {_holder(file)}; wait for its end, or choose "
                "another id"
            )
        try:
            yield
        finally:
            # Else there would be one for each run there ever was. Two that open it just now may
            # both get in; each write of a run is made once in any case.
            with suppress(OSError):
                _place(store, name).unlink()
    finally:
        os.close(file)


def run_holder(store: Path | None, run_id: str) -> str | None:
    """Where a run goes on, in words; None where it does not, or nothing tells."""
    place = None if store is None else _place(store, f"run-{run_id}")
    if place is None or not place.exists():
        return None
    try:
        file = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(file)
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(file)
    return None


def _place(folder: Path, name: str) -> Path:
    return folder / ".locks" / f"{name}.lock"


def _open_lock(folder: Path, name: str) -> int | None:
    """The open file to lock; a table's stays there, since removing it would let two in."""
    place = _place(folder, name)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None


def _try_lock(file: int) -> bool:
    """Locks an open file and says in it by which process; False where another one has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    with suppress(OSError):  # a full disk
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
    return True


def _wait(file: int, folder: Path, patience: float, doing: str) -> None:
    started = time.monotonic()
    told = False
    while not _try_lock(file):
        waited = time.monotonic() - started
        if waited > patience:
            raise StoreError(
                f"{str(folder)!r} could not be written: {_holder(file)} has been writing it for "
                f"{waited:,.0f} s; what other runs wrote is safe; end that process if it hangs"
            )
        if waited > _TELL_AFTER and not told:
            log.info("waiting for %s, which %s", _holder(file), doing)
            told = True
        time.sleep(_POLL)


def _holder(file: int) -> str:
    number = os.pread(file, 20, 0).decode("ascii", "replace")
    return f"the process {number}" if number.isdigit() else "another process"
