"""How the files of a dataset are read: what the suite says of their columns, what models want."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reading:
    """What is said of the columns of CSV files; of Parquet files nothing needs to be said.

    `columns` are types that the suite gives, `nulls` the texts that mean null in every column,
    `nulls_by_column` in one. `wanted` are the types that models' signatures give columns.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()
    nulls_by_column: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A text that is another one where other fields are null; "" where nothing is said."""
        if not self.nulls and not self.nulls_by_column:
            return ""
        by_column = {name: sorted(texts) for name, texts in self.nulls_by_column.items()}
        return json.dumps([sorted(self.nulls), by_column], sort_keys=True)

    def nulls_of(self, name: str) -> tuple[str, ...]:
        return (*self.nulls, *self.nulls_by_column.get(name, ()))


PLAIN = Reading()
