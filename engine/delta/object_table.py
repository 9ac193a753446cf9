"""A Delta table in an object store: no lock, since the store itself refuses a second commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from engine.core.object_store import in_object_store
from engine.delta.data_files import DataFile
from engine.delta.local_table import WRITABLE, LocalTable
from engine.delta.messages import is_plain
from engine.delta.object_store import patiently, storage_options

T = TypeVar("T")


class ObjectTable(LocalTable):
    """A table at a URI, which need not be there yet.

    Each commit is one put that fails where there is such an object. Of two writers of one version
    one succeeds; the other looks again, and writes the next one. What was looked at for a write and
    what is written to are one version, else another writer's commit could come between.
    """

    def __init__(self, uri: str) -> None:
        self.place = uri
        self.options = storage_options(uri)

    def erase_history(self) -> bool:
        """Removes the files of all versions but the newest; the log keeps what it says of them."""
        self.vacuum(0)
        return False

    def add_files(
        self,
        files: Sequence[DataFile],
        schema: pa.Schema,
        *,
        token: str,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Makes Parquet files that lie in the table's folder a part of it, in one commit.

        Args:
            files: the files, by paths from the table's folder.
            schema: their columns; those that the table lacks are added to it.
            token: names this append for good.
            properties: table properties of a new table.

        Raises:
            StoreError: when the table cannot be written.
        """
        actions: list[AddAction | RemoveAction] = [
            AddAction(file.path, file.size, {}, file.modified_ms, True, file.statistics)
            for file in files
        ]
        # Without rows, it makes the table, or adds columns to it.
        self.append_once(schema.empty_table(), token=f"columns of {token}", properties=properties)

        def add() -> None:
            table = DeltaTable(self.place, storage_options=self.options)
            if table.transaction_version(token) is not None:
                return
            once = CommitProperties(app_transactions=[Transaction(token, 1)])
            table.create_write_transaction(
                actions, "append", table.schema(), commit_properties=once
            )

        self._commit(add)

    def _make(
        self, schema: pa.Schema, configuration: Mapping[str, str | None]
    ) -> DeltaTable | None:
        """A new table without rows, or that which another writer has made just now."""
        try:
            return DeltaTable.create(
                self.place,
                Schema.from_arrow(schema),
                mode="error",
                configuration=dict(configuration),
                storage_options=self.options,
                # Else it would be made anew, in the version after another writer's first one.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except (CommitFailedError, DeltaError):
            if not self.exists():
                raise
            return self._open(WRITABLE)

    def _ask(self, action: Callable[[], T]) -> T:
        return patiently(action)

    def _alone(self) -> AbstractContextManager[None]:
        return nullcontext()

    def _check_commit(self, version: int) -> None:
        """An object is there as a whole, or not at all."""


def table_at(path: str | Path) -> LocalTable | None:
    """The table at a place, by delta-rs; None where it would take the place for another one."""
    if not is_plain(path):
        return None
    return ObjectTable(str(path)) if in_object_store(path) else LocalTable(path)
