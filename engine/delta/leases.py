"""One holder at a time of a name in an object store, where no file can be locked.

A lease is the log of a small Delta table without rows, of which each commit says who has it: to
take it, to keep it and to give it back is a commit each, and the store refuses the second of two
commits of one version. A lease that is not kept any longer ends by itself, after a while; one whose
process is gone from this very machine ends at once.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deltalake import CommitProperties, DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.schema import PrimitiveType
from pyarrow.fs import FileInfo, FileSelector, PyFileSystem

from engine.delta.messages import unwritten
from engine.delta.object_look import commit_note
from engine.delta.object_store import patiently, storage_options
from engine.errors import StoreError

log = logging.getLogger("evalmatrix")

LEASE_SECONDS = 120.0
"""How long after it was kept last a lease ends, by the clocks of the machines."""

_KEEP_SECONDS = 20.0
_POLL_SECONDS = 0.5
_TELL_AFTER = 2.0
_NOTE = "evalmatrix.lease"
_SCHEMA = Schema([Field("lease", PrimitiveType("string"))])
# Of what is older than a day nobody needs to know who held it.
_PROPERTIES = {
    "delta.logRetentionDuration": "interval 1 days",
    "delta.checkpointInterval": "100",
}


def _space() -> str:
    """What tells the process numbers of one machine, or container, from those of others."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _began(process: int) -> str | None:
    """When a process of this machine began, in the kernel's ticks; None where there is none."""
    try:
        # The name of the program may have spaces and brackets in it.
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if state == "Z" else fields[18]
    except (OSError, IndexError):
        return None


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lease, and until when; `until` is 0 of one that was given back."""

    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    space: str = field(default_factory=_space)
    began: str | None = field(default_factory=lambda: _began(os.getpid()))
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    until: float = 0.0

    def has_ended(self) -> bool:
        """Whether the lease is nobody's any longer."""
        if self.until <= time.time():
            return True
        is_here = bool(self.space) and (self.host, self.space) == (socket.gethostname(), _space())
        return is_here and _began(self.process) != self.began

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" of {self.host}"
        return f"the process {self.process}{where}"


class Lease:
    """A name in an object store that one holder at a time has.

    Args:
        place: the URI of the lease's own log.

    Raises:
        StoreError: by each method, when the store cannot be read or written.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._options = storage_options(place)
        self._own = Holder()

    def holder(self) -> Holder | None:
        """Who has it now; None where nobody has."""
        table = self._open()
        holder = None if table is None else _holder_of(table)
        return None if holder is None or holder.has_ended() else holder

    def take(self) -> Holder | None:
        """Takes it, or keeps it; gives who else has it, None where it is ours now."""
        try:
            return patiently(self._take)
        except Exception as error:
            raise unwritten(self.place, error) from error

    def give_back(self) -> None:
        """Lets others have it at once."""
        table = self._open()
        if table is not None and self._is_ours(_holder_of(table)):
            with suppress(CommitFailedError):
                self._commit(table, 0.0)

    def _take(self) -> Holder | None:
        while True:
            table = self._open()
            holder = None if table is None else _holder_of(table)
            if holder is not None and not (self._is_ours(holder) or holder.has_ended()):
                return holder
            try:
                self._commit(table, time.time() + LEASE_SECONDS)
            except (CommitFailedError, DeltaError) as error:
                # Another one's commit came first, or our own, of which no answer came.
                log.debug("%s: %s", self.place, error)
                time.sleep(0.05)
                if self._open() is None:
                    raise
                continue
            return None

    def _is_ours(self, holder: Holder | None) -> bool:
        return holder is not None and holder.mark == self._own.mark

    def _open(self) -> DeltaTable | None:
        try:
            return patiently(lambda: DeltaTable(self.place, storage_options=self._options))
        except TableNotFoundError:
            return None
        except Exception as error:
            raise unwritten(self.place, error) from error

    def _commit(self, table: DeltaTable | None, until: float) -> None:
        note = json.dumps({**asdict(self._own), "until": until})
        # Not tried again on the next version: by then another one may have it.
        said = CommitProperties(custom_metadata={_NOTE: note}, max_commit_retries=0)
        if table is None:
            DeltaTable.create(
                self.place,
                _SCHEMA,
                mode="error",
                configuration=dict(_PROPERTIES),
                storage_options=self._options,
                commit_properties=said,
            )
        else:
            table.create_write_transaction([], "append", _SCHEMA, commit_properties=said)


def _holder_of(table: DeltaTable) -> Holder | None:
    """Who this version's commit says has the lease."""
    said = commit_note(table).get(_NOTE)
    try:
        note: dict[str, Any] = json.loads(str(said))
        return Holder(**note)
    except (ValueError, TypeError):  # another program leaves no word
        return None


def remove_leases(folder: str, prefix: str, since: dt.datetime) -> int:
    """Removes the leases of a folder that nobody has taken or kept for long.

    Args:
        folder: the URI that they lie in.
        prefix: how the names of those begin that may go.
        since: when one must have been used last to stay.

    Returns:
        How many there were.
    """
    files = PyFileSystem(DeltaStorageHandler(folder, storage_options(folder)))
    logs: dict[str, list[FileInfo]] = {}
    for about in files.get_file_info(FileSelector("", allow_not_found=True, recursive=True)):
        if about.is_file and about.path.startswith(prefix):
            logs.setdefault(about.path.partition("/")[0], []).append(about)
    old = [log for log in logs.values() if all(file.mtime < since for file in log)]
    for log in old:
        # The first ones last: what is left of a log that is cut off here is none.
        for file in sorted(log, key=lambda file: file.path, reverse=True):
            files.delete_file(file.path)
    return len(old)


@contextmanager
def hold(lease: Lease) -> Iterator[None]:
    """Keeps a lease that was taken while the block runs, and gives it back."""
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(_KEEP_SECONDS):
            try:
                other = lease.take()
            except StoreError as error:
                log.warning("the lease %s could not be kept: %s", lease.place, error)
                continue
            if other is not None:
                log.warning("the lease %s has gone to %s", lease.place, other)
                return

    keeper = threading.Thread(target=keep, name="keeping a lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join(5)
        # Else it ends by itself.
        with suppress(Exception):
            lease.give_back()


@contextmanager
def sole_holder(place: str, *, patience: float, doing: str) -> Iterator[None]:
    """Lets no other process that asks for the same lease into its block meanwhile.

    Args:
        place: the lease's place.
        patience: seconds to wait for another holder.
        doing: what who has it does, for who waits.

    Raises:
        StoreError: when another holder took longer.
    """
    lease = Lease(place)
    started, told = time.monotonic(), False
    while (other := lease.take()) is not None:
        waited = time.monotonic() - started
        if waited > patience:
            raise StoreError(
                f"{place!r} is held by {other}, for which {waited:,.0f} s were waited; what other "
                "runs wrote is safe; end that process if it hangs"
            )
        if waited > _TELL_AFTER and not told:
            log.info("waiting for %s, which %s", other, doing or f"has {place}")
            told = True
        time.sleep(_POLL_SECONDS)
    with hold(lease):
        yield
