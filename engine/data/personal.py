"""Columns that look personal, by a small sample of a version: what is warned of.

A thousand values of each column are looked at, of the first files that come, without Spark; what
was found is kept for the version. No value is told, kept or logged: shares alone are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.core.paths import is_folder, local_path
from engine.data.kept_profiles import digest_of, kept_file
from engine.data.personal_signs import checkers, is_personal_name, look_like
from engine.data.source import Source, pin_table
from engine.delta.local_table import LocalTable
from engine.spark import tables
from engine.spark.lazy_session import LazySession

# Goes up when the same values are taken for something else.
PERSONAL_VERSION = 1
SAMPLE_ROWS = 1_000
_LONGEST = 2_000
# Spark's names of the types whose values are looked at; of others the name is.
_LOOKED_AT = frozenset({"string", "bigint", "int"})


@dataclass(frozen=True, slots=True)
class Look:
    """What a column looks like: a share of so many values, or by its name alone."""

    column: str
    what: str = ""
    share: float = 0.0
    values: int = 0

    def __str__(self) -> str:
        say = f"say `sensitive: [{self.column}]` or `public: [{self.column}]`"
        if not self.values:
            return f"column `{self.column}` looks personal by its name; {say}"
        share = f"{self.share:.0%}" if self.share >= 0.01 else "under 1%"
        looks = f"{share} of {self.values:,} values look like {self.what}"
        return f"column `{self.column}`: {looks}; {say}"


@dataclass(frozen=True, slots=True)
class Looks:
    """The columns that look personal; `is_first` where the version was not looked at before."""

    columns: tuple[Look, ...] = ()
    is_first: bool = False

    def without(self, quiet: Iterable[str]) -> Looks:
        """Those of which a suite says nothing."""
        names = set(quiet)
        return Looks(tuple(x for x in self.columns if x.column not in names), self.is_first)


def find_personal(store: Store | None, source: Source) -> Looks:
    """The columns of a version that look personal, as they are kept, or found now.

    A table that is not on this machine is not looked at, nor one that delta-rs cannot read: what
    is wrong with it tells whoever reads it.

    Args:
        store: where what was found is kept; None keeps nothing.
        source: the version.
    """
    path = None if source.catalog else local_path(source.table)
    if path is None or not source.session.shares_disk:
        return Looks()
    about = ["personal", PERSONAL_VERSION, source.table, source.table_id, source.version,
             source.timestamp.isoformat(), checkers()]  # fmt: skip
    file = None if store is None else kept_file(store, digest_of(about))
    looks = None if file is None else _read(read_kept(file))
    if looks is not None:
        return Looks(looks)
    names = [name for name, kind in source.schema if kind in _LOOKED_AT]
    try:
        looking = look_at(_sample(path, names, source.version), source.columns)
    except Exception:
        return Looks()
    if file is not None:
        keep(file, [asdict(look) for look in looking])
    return Looks(tuple(looking), is_first=True)


def look_at_table(
    session: LazySession, table: str, version: int, store: Store | None = None
) -> Looks:
    """The columns that look personal of a version of a table; nothing of one elsewhere.

    Args:
        session: is asked for nothing but whether it is of this machine.
        table: a path; of a URI or a catalog's table nothing is looked at.
        version: its number.
        store: where what was found is kept; None keeps nothing.
    """
    path = None if tables.is_catalog_name(table) else local_path(table)
    if path is None or not is_folder(path) or not session.shares_disk:
        return Looks()
    return find_personal(store, pin_table(session, str(path), version))


def _sample(path: Path, names: Sequence[str], version: int) -> pa.Table:
    return LocalTable(path).head(names, SAMPLE_ROWS, version) if names else pa.table({})


def _read(kept: Any) -> tuple[Look, ...] | None:
    try:
        return None if kept is None else tuple(Look(**item) for item in kept)
    except TypeError:
        return None


def look_at(rows: pa.Table, columns: Sequence[str]) -> list[Look]:
    """The columns that look personal: by values, where the rows have them, else by their names."""
    looks = []
    for name in columns:
        values = _texts(rows[name]) if name in rows.column_names else []
        is_text = bool(values) and pa.types.is_string(rows[name].type)
        seen = look_like(values, is_text=is_text) if values else None
        if seen is not None:
            looks.append(Look(name, *seen))
        elif is_personal_name(name):
            looks.append(Look(name))
    return looks


def _texts(column: pa.ChunkedArray) -> list[str]:
    values = (str(value)[:_LONGEST] for value in column.drop_null().to_pylist())
    return [value for value in values if value.strip()]
