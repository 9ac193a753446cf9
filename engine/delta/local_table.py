"""A Delta table in a folder of this machine: its rows, and writes that happen once.

delta-rs does not skip a transaction of its own that it repeats, and of two writers at once one
fails: so each write looks for its token first, and both under the file lock that Spark's writes
take as well (`engine.core.locks`). What is other in an object store is in `object_table.py`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from engine.core.locks import sole_writer
from engine.delta.arrow_types import plain_type
from engine.delta.filters import Filter, matching_rows, may_hold, to_sql
from engine.delta.messages import NeedsSpark, check_path, is_unsupported, unwritten

T = TypeVar("T")

# With these, delta-rs reads exactly what Spark would, by `scan()`.
_READABLE = frozenset({"columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint"})
WRITABLE = frozenset({"appendOnly", "invariants", "timestampNtz"})
_ATTEMPTS = 8
_NOTE = "userMetadata"
# Commits, checkpoints and their checksums, which Spark writes beside them.
_COMMIT_FILE = re.compile(r"\.?(\d{20})\.(json|crc|checkpoint\b.*|\d{20}\.compacted\.json)(\.crc)?")


class LocalTable:
    """A table at a path, which need not be there yet.

    Raises:
        NeedsSpark: by every method, where delta-rs cannot take the table or its disk.
    """

    # What delta-rs is told beside the path.
    options: dict[str, str] | None = None

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.place = str(self.path)

    def exists(self) -> bool:
        """Whether there is such a table."""
        check_path(self.place)
        return self._ask(lambda: DeltaTable.is_deltatable(self.place, self.options))

    def columns(self) -> list[str]:
        """The names of its columns."""
        return [field.name for field in self._open(_READABLE).schema().fields]

    def rows(self, columns: Sequence[str] | None = None, where: Sequence[Filter] = ()) -> pa.Table:
        """The rows that pass, in no order; of `columns` those that the table has."""
        return self._ask(lambda: self._rows(self._open(_READABLE), columns, where))

    def _rows(
        self, table: DeltaTable, columns: Sequence[str] | None, where: Sequence[Filter]
    ) -> pa.Table:
        names = [field.name for field in table.schema().fields]
        chosen = names if columns is None else [name for name in columns if name in names]
        if any(name not in names for name, _, _ in where):
            raise ValueError(f"a filter of {self.place} names a column that it lacks: {where}")
        read = list(dict.fromkeys([*chosen, *(name for name, _, _ in where)]))
        # Not `pa.table`, which imports pandas to see whether it is given a frame of it.
        scan = table.scan(columns=read, predicate=to_sql(where))
        rows = pa.RecordBatchReader.from_stream(scan).read_all()
        # Once more here, so that no dialect of SQL decides which rows these are.
        return matching_rows(plain_types(rows), where).select(chosen)

    def head(self, columns: Sequence[str], rows: int, version: int | None = None) -> pa.Table:
        """Some rows of a version, the first that come; of its files no more is read than needed."""
        table = self._open(_READABLE)
        if version is not None:
            table.load_as_version(version)
        batches, count = [], 0
        with pa.RecordBatchReader.from_stream(table.scan(columns=list(columns))) as reader:
            schema = reader.schema
            for batch in reader:
                batches.append(batch)
                count += batch.num_rows
                if count >= rows:
                    break
        return plain_types(pa.Table.from_batches(batches, schema).slice(0, rows))

    def size(self) -> tuple[int, int]:
        """How many files its newest version has, and their bytes."""
        sizes = pa.table(self._open(_READABLE).get_add_actions())["size_bytes"].to_pylist()
        return len(sizes), sum(sizes)

    def bytes_of(self, where: Sequence[Filter]) -> int:
        """About how many bytes the files have in which rows that pass may be."""
        actions = pa.table(self._open(_READABLE).get_add_actions(flatten=True))
        rows = actions.to_pylist()
        return sum(row["size_bytes"] for row in rows if all(may_hold(row, item) for item in where))

    def append_once(
        self, rows: pa.Table, *, token: str, properties: Mapping[str, str] | None = None
    ) -> None:
        """Appends rows unless an append with the same token has been made.

        Args:
            rows: the rows; columns that the table lacks are added to it.
            token: names this append for good.
            properties: table properties of a new table.

        Raises:
            StoreError: when the table cannot be written.
        """

        def append() -> None:
            configuration: dict[str, str | None] = dict(properties or {})
            schema_mode: Literal["merge"] | None = None
            is_there = self.exists()
            table = self._open(WRITABLE) if is_there else self._make(rows.schema, configuration)
            if table is not None:
                if table.transaction_version(token) is not None:
                    return
                known = {field.name for field in table.schema().fields}
                configuration = {}
                schema_mode = None if known == set(rows.column_names) else "merge"
            # What was looked at is what is written to: no other append of this token is between.
            write_deltalake(
                self.place if table is None else table,
                rows,
                mode="append",
                schema_mode=schema_mode,
                configuration=configuration or None,
                commit_properties=CommitProperties(app_transactions=[Transaction(token, 1)]),
                storage_options=self.options,
            )

        self._commit(append)

    def append_stream_once(self, rows: Callable[[], pa.RecordBatchReader], *, token: str) -> None:
        """The same of a stream of the table's own columns; the history shows the token.

        Raises:
            StoreError: when the table cannot be written.
        """

        def append() -> None:
            table = self._open(WRITABLE) if self.exists() else None
            if table is not None and table.transaction_version(token) is not None:
                return
            known = CommitProperties({_NOTE: token}, app_transactions=[Transaction(token, 1)])
            place, options = self.place if table is None else table, self.options
            write_deltalake(
                place, rows(), mode="append", commit_properties=known, storage_options=options
            )

        self._commit(append)

    def note(self) -> str | None:
        """What the newest commit says of itself (Delta's `userMetadata`)."""
        (newest,) = self._open(_READABLE).history(1)
        said = newest.get(_NOTE)
        return None if said is None else str(said)

    def overwrite(
        self, rows: Callable[[], pa.RecordBatchReader], *, note: str | None = None
    ) -> int:
        """Puts other rows in the place of all that the table has, and other columns.

        Args:
            rows: gives them, from the first on each time.
            note: what the commit says of itself.

        Returns:
            The version that has them: others may write right after.

        Raises:
            StoreError: when the table cannot be written.
        """

        def overwrite() -> int:
            if self.exists():
                self._open(WRITABLE)
            said = None if note is None else CommitProperties(custom_metadata={_NOTE: note})
            write_deltalake(
                self.place,
                rows(),
                mode="overwrite",
                schema_mode="overwrite",
                commit_properties=said,
                storage_options=self.options,
            )
            return DeltaTable(self.place, storage_options=self.options).version()

        return self._commit(overwrite)

    def write_parts(
        self,
        rows: pa.RecordBatchReader,
        part: str,
        *,
        gone: Sequence[str] | None,
        note: str | None = None,
    ) -> None:
        """Writes rows to a table that is cut by a column, in one commit.

        The caller is the table's sole writer (`engine.core.locks`).

        Args:
            rows: the rows, with that column.
            part: the column.
            gone: values of it whose rows go, and all that `rows` have, where any go; None makes
                the table anew, with the rows' columns.
            note: what the commit says of itself.
        """
        if self.exists():
            self._open(WRITABLE)
        said = None if note is None else CommitProperties(custom_metadata={_NOTE: note})
        if gone is not None and not gone:
            write_deltalake(self.place, rows, mode="append", commit_properties=said)
            return
        write_deltalake(
            self.place,
            rows,
            mode="overwrite",
            partition_by=[part],
            schema_mode="overwrite" if gone is None else None,
            predicate=None if gone is None else to_sql([(part, "in", list(gone))]),
            commit_properties=said,
        )

    def update(self, where: Sequence[Filter], values: Mapping[str, Any]) -> None:
        """Sets columns of the rows that pass to one value each, but not those that choose them."""
        if chosen := {name for name, _, _ in where} & values.keys():
            raise ValueError(f"columns that choose rows cannot be set: {sorted(chosen)}")

        def update() -> None:
            table = self._open(WRITABLE)
            rows = self._rows(table, None, where)
            if not rows.num_rows:
                return
            for name, value in values.items():
                place = rows.column_names.index(name)
                field = rows.schema.field(place)
                item = list(value.items()) if isinstance(value, Mapping) else value
                column = pa.array([item] * rows.num_rows, field.type)
                rows = rows.set_column(place, field, column)
            write_deltalake(table, rows, mode="overwrite", predicate=to_sql(where))

        self._commit(update)

    def delete(self, where: Sequence[Filter]) -> None:
        """Deletes the rows that pass."""
        self._commit(lambda: self._open(WRITABLE).delete(to_sql(where)))

    def delete_like(self, rows: pa.Table) -> None:
        """Deletes the rows that have the values of one of `rows`; nulls are alike."""
        names = rows.column_names
        same = " AND ".join(f'(t."{name}" IS NOT DISTINCT FROM s."{name}")' for name in names)
        alike = rows.group_by(names).aggregate([])

        def delete() -> None:
            table = self._open(WRITABLE)
            merger = table.merge(alike, same, source_alias="s", target_alias="t")
            merger.when_matched_delete().execute()

        if rows.num_rows:
            self._commit(delete)

    def compact(self) -> None:
        """Puts small files together; the rows stay as they are."""
        self._commit(lambda: self._open(WRITABLE).optimize.compact())

    def vacuum(self, hours: float | None = None) -> None:
        """Removes files that no version of the last `hours` needs; None: the table's retention."""

        def vacuum() -> None:
            table = self._open(WRITABLE)
            table.vacuum(
                # Whole hours, and never less than was asked for.
                None if hours is None else -int(-hours // 1),
                dry_run=False,
                enforce_retention_duration=hours is None,
                full=True,
            )

        self._commit(vacuum)

    def revise(self, where: Sequence[Filter], change: Callable[[pa.Table], pa.Table]) -> None:
        """Puts what `change` makes of the rows that pass in their place, in one commit."""

        def revise() -> None:
            table = self._open(WRITABLE)
            rows = self._rows(table, None, where)
            if rows.num_rows:
                write_deltalake(table, change(rows), mode="overwrite", predicate=to_sql(where))

        self._commit(revise)

    def erase_history(self) -> bool:
        """Removes all versions but the newest: their files, and what the log says of these.

        A commit has the least and the greatest values of its files, also of those that are gone.

        Returns:
            Whether the log tells nothing of them any more.
        """
        self.vacuum(0)

        def erase() -> None:
            table = self._open(WRITABLE)
            table.create_checkpoint()
            newest = table.version()
            for file in (self.path / "_delta_log").iterdir():
                commit = _COMMIT_FILE.fullmatch(file.name)
                if commit is not None and int(commit[1]) < newest:
                    file.unlink(missing_ok=True)

        self._commit(erase)
        return True

    def _open(self, features: frozenset[str]) -> DeltaTable:
        check_path(self.place)
        try:
            table = self._ask(lambda: DeltaTable(self.place, storage_options=self.options))
            protocol = table.protocol()
        except Exception as error:
            if is_unsupported(error):
                raise NeedsSpark(str(error)) from error
            raise
        needed = protocol.reader_features or ()
        if features is WRITABLE:
            needed = [*needed, *(protocol.writer_features or ())]
        if unknown := set(needed) - features:
            raise NeedsSpark(f"{self.place} has the features {sorted(unknown)}")
        self._check_commit(table.version())
        return table

    def _check_commit(self, version: int) -> None:
        """Refuses a log that ends with an empty file, which delta-rs takes for a commit."""
        file = self.path / "_delta_log" / f"{version:020d}.json"
        if file.exists() and file.stat().st_size == 0:
            raise OSError(f"the commit {file} is half written: corrupt")

    def _make(
        self, schema: pa.Schema, configuration: Mapping[str, str | None]
    ) -> DeltaTable | None:
        """A new table without rows; None where whoever writes the first ones makes it."""
        return None

    def _ask(self, action: Callable[[], T]) -> T:
        """Asks delta-rs for something, as often as the place of the table takes."""
        return action()

    def _alone(self) -> AbstractContextManager[None]:
        """Keeps other writers of the table out while the block commits."""
        return sole_writer(self.path)

    def _commit(self, action: Callable[[], T]) -> T:
        """Runs a write alone, and again where a writer without the lock came between."""
        check_path(self.place)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._alone():
                    return self._ask(action)
            except NeedsSpark:
                raise
            except Exception as error:
                if is_unsupported(error):
                    raise NeedsSpark(str(error)) from error
                if attempt == _ATTEMPTS or not isinstance(error, CommitFailedError):
                    raise unwritten(self.place, error) from error
                time.sleep(random.uniform(0, 0.2 * 2**attempt))
        raise AssertionError("unreachable")


def plain_types(rows: pa.Table) -> pa.Table:
    """Rows with `string` and `binary` where delta-rs has views of them."""
    schema = pa.schema([pa.field(field.name, plain_type(field.type)) for field in rows.schema])
    return rows.cast(schema)
