"""Who may do what in a store now: one process at a time for a run, and for what must take turns.

In a folder of this machine a file is locked (`engine.core.locks`); in an object store a lease is
taken (`engine.delta.leases`). In a catalog neither can be had, and only each write is made once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from engine.core import locks
from engine.core.locations import Store
from engine.delta.leases import Lease, hold, remove_leases, sole_holder
from engine.errors import InputError

_FOLDER = ".locks"


def turn(
    store: Store, name: str, *, patience: float = locks.PATIENCE, doing: str = ""
) -> AbstractContextManager[None]:
    """Lets no other process into a block of the same name of this store meanwhile.

    Args:
        store: the store.
        name: what is done in turns.
        patience: seconds to wait for another one.
        doing: what who has the turn does, for who waits.

    Raises:
        StoreError: when another one took longer.
    """
    if store.local is not None:
        return locks.sole_writer(store.local / name, patience=patience, doing=doing)
    if store.in_object_store:
        return sole_holder(_lease(store, name), patience=patience, doing=doing)
    return nullcontext()


@contextmanager
def sole_run(store: Store, run_id: str) -> Iterator[None]:
    """Makes a run this block's own, where that can be had.

    Args:
        store: the store.
        run_id: the run, which need not have begun.

    Raises:
        InputError: when the run goes on in another process, or elsewhere in this one.
        StoreError: when an object store cannot be written.
    """
    if not store.in_object_store:
        with locks.sole_process(store.local, run_id):
            yield
        return
    lease = Lease(_lease(store, f"run-{run_id}"))
    other = lease.take()
    if other is not None:
        raise InputError(
            f"the run {run_id!r} is going on in {other}; wait for its end, or choose another id"
        )
    with hold(lease):
        yield


def run_holder(store: Store, run_id: str) -> str | None:
    """Where a run goes on, in words; None where it does not, or nothing tells."""
    if not store.in_object_store:
        return locks.run_holder(store.local, run_id)
    holder = Lease(_lease(store, f"run-{run_id}")).holder()
    return None if holder is None else str(holder)


def forget_runs(store: Store, since: dt.datetime) -> None:
    """Removes what leases of runs have left that ended before; a lock of a file leaves nothing."""
    if store.in_object_store:
        remove_leases(f"{store.root.rstrip('/')}/{_FOLDER}", "run-", since)


def _lease(store: Store, name: str) -> str:
    return f"{store.root.rstrip('/')}/{_FOLDER}/{name}"
