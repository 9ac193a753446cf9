"""Whether a store can be reached, looked at before anything is begun."""

from __future__ import annotations

from engine.core.locations import Store
from engine.delta.object_look import check_object_store


def check_store(store: Store) -> None:
    """Looks at an object store, and makes the local folder of a store's files.

    Raises:
        InputError: for the URI of an object store that is none.
        StoreError: when the store is out of reach, refuses the credentials, or cannot be written.
    """
    if store.in_object_store:
        check_object_store(store.root)
    store.check_writable()
