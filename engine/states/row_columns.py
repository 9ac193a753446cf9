"""Other columns of a batch's rows, for losses that say which of them they read."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError

Column = NDArray[Any]

F = TypeVar("F")


class UndeclaredColumn(InputError):
    """A loss reads a column that its metric does not name."""


@dataclass(frozen=True, slots=True, eq=False)
class RowColumns:
    """Columns of some rows by name, `columns[name]`: arrays [row] that are made when first read.

    They cannot be written to: one array serves all losses and slices.

    Attributes:
        names: the columns there are.
        make: gives a column's array.
    """

    names: tuple[str, ...]
    make: Callable[[str], Column]
    _cache: dict[str, Column] = field(default_factory=dict, repr=False)
    _derived: dict[Hashable, Column] = field(default_factory=dict, repr=False)
    _whole: tuple[RowColumns, NDArray[np.int64]] | None = field(default=None, repr=False)

    def __getitem__(self, name: str) -> Column:
        if name not in self.names:
            raise UndeclaredColumn(
                f"the loss reads the column {name!r}, and its metric has the columns "
                f"{list(self.names)}; expected it in `needs_columns`"
            )
        if name not in self._cache:
            column = self.make(name).view()
            column.flags.writeable = False
            self._cache[name] = column
        return self._cache[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def derive(self, key: Hashable, function: Callable[[RowColumns], Column]) -> Column:
        """What a function makes of the columns row by row: of the whole batch, once for all of it.

        `key` says all that the array [row] depends on beside the rows.
        """
        if key not in self._derived:
            if self._whole is None:
                column = function(self)
            else:
                whole, rows = self._whole
                column = whole.derive(key, function)[rows]
            self._derived[key] = column
        return self._derived[key]

    def at(self, rows: NDArray[np.int64]) -> RowColumns:
        """The columns of these rows."""
        if not self.names:
            return self
        return RowColumns(self.names, lambda name: self[name][rows], _whole=(self, rows))

    def only(self, names: tuple[str, ...]) -> Self:
        """The columns of these names alone, of the same arrays."""
        return self if names == self.names else replace(self, names=names)


def _no_column(name: str) -> Column:
    raise KeyError(name)


NO_COLUMNS = RowColumns((), _no_column)


def column_tuple(needs_columns: object, who: str) -> tuple[str, ...]:
    """The names in `needs_columns`, each once.

    Raises:
        InputError: for anything but a list or tuple of names.
    """
    names = needs_columns if isinstance(needs_columns, (list, tuple)) else None
    if names is None or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"{who}: found needs_columns={needs_columns!r}, expected a tuple of columns' names "
            'such as ("amount",)'
        )
    return tuple(dict.fromkeys(names))


def add_columns(family: F, columns: tuple[str, ...]) -> F:
    """A family of losses that has these columns as well; others read none, and are as they are."""
    own = getattr(family, "columns", None)
    if own is None or not hasattr(family, "function") or set(columns) <= set(own):
        return family
    every = tuple(dict.fromkeys([*own, *columns]))
    return replace(family, columns=every)  # type: ignore[type-var]


def key_part(columns: tuple[str, ...]) -> str:
    """What a family's key says of the columns that it reads; nothing where there are none."""
    return "" if not columns else f" of {','.join(map(repr, columns))}"
