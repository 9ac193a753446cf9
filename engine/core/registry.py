"""Names and the things they stand for, with aliases, patterns and entry points.

One registry serves metrics and losses: what evalmatrix ships registers itself with a decorator,
what a user adds does the same from a module named in the suite or from an entry point.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Generic, TypeVar

from engine.errors import InputError

T = TypeVar("T")
# Of each place: its name, which file it is, when it was changed.
PathState = tuple[tuple[str, int, int], ...]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, or None when none does."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not known: `; did you mean 'age'?`, or nothing."""
    close = nearest(name, known)
    return f"; did you mean {close!r}?" if close else ""


@lru_cache(maxsize=4)
def _installed_entries(path: PathState) -> Callable[..., EntryPoints]:
    """Selects the entry points of a group, after one look at all installed packages.

    `path` is where they were looked for: a worker asks for each partition of a scan, and a run for
    one group after the other.
    """
    return entry_points().select


def _path_state() -> PathState:
    """The places of modules, with what changes when a package is installed there."""
    return tuple((place, *_place_state(place or os.curdir)) for place in sys.path)


def _place_state(place: str) -> tuple[int, int]:
    try:
        status = Path(place).stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


@dataclass(slots=True)
class Registry(Generic[T]):
    """Things by name. `what` is the noun for messages, `group` the entry-point group."""

    what: str
    group: str
    _things: dict[str, T] = field(default_factory=dict)
    _aliases: dict[str, str] = field(default_factory=dict)
    _patterns: list[tuple[re.Pattern[str], Callable[..., T]]] = field(default_factory=list)
    # What patterns made. A name of theirs may hold a label of somebody's data, so it stands in no
    # list of names: the next suite of the process would be told it in a message.
    _made: dict[str, T] = field(default_factory=dict)
    _loaded: set[str] = field(default_factory=set)

    def add(self, name: str, thing: T, *, aliases: Iterable[str] = ()) -> T:
        """Registers `thing`; a second registration of a name is an InputError."""
        for key in (name, *aliases):
            if key in self._things or key in self._aliases:
                raise InputError(f"{self.what} {key!r} is registered already; choose another name")
        self._things[name] = thing
        self._aliases.update(dict.fromkeys(aliases, name))
        return thing

    def add_pattern(self, pattern: str, make: Callable[..., T]) -> None:
        """Registers all names that match `pattern`; its groups are the arguments of `make`."""
        # A name may hold a label of several lines.
        self._patterns.append((re.compile(pattern, re.DOTALL), make))

    def find(self, name: str) -> T | None:
        """The thing under `name`, an alias or a pattern; None when there is none."""
        name = self._aliases.get(name, name)
        if name in self._things:
            return self._things[name]
        if name not in self._made:
            for pattern, make in self._patterns:
                match = pattern.fullmatch(name)
                if match:
                    self._made[name] = make(**match.groupdict())
                    break
        return self._made.get(name)

    def get(self, name: str) -> T:
        """The thing under `name`.

        Raises:
            InputError: when nothing has that name; the nearest known one is named.
        """
        # Most are asked for by the name they were registered under, and for each of many cells.
        thing = self._things.get(name)
        if thing is None:
            thing = self.find(name)
        if thing is None:
            hint = did_you_mean(name, self.names(aliases=True))
            raise InputError(f"no {self.what} is called {name!r}{hint}")
        return thing

    def canonical(self, name: str) -> str:
        """The registered name behind an alias; other names are returned as they are."""
        return self._aliases.get(name, name)

    def aliases_of(self, name: str) -> list[str]:
        """The other names of what is registered as `name`, sorted."""
        return sorted(alias for alias, own in self._aliases.items() if own == name)

    def names(self, *, aliases: bool = False) -> list[str]:
        """All names that were registered, sorted; not those that patterns make."""
        return sorted([*self._things, *(self._aliases if aliases else ())])

    def patterns(self) -> list[str]:
        """The patterns of names, as they were registered."""
        return [pattern.pattern for pattern, _ in self._patterns]

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._things.values()))

    def load(self, modules: Iterable[str] = ()) -> None:
        """Imports the modules named and the entry points of the group, each once.

        Raises:
            InputError: when one of them cannot be imported.
        """
        for entry in _installed_entries(_path_state())(group=self.group):
            self._once(f"entry point {entry.name}", entry.load)
        for module in modules:
            self._once(f"module {module}", partial(importlib.import_module, module))

    def _once(self, name: str, load: Callable[[], object]) -> None:
        if name in self._loaded:
            return
        try:
            load()
        except (Exception, SystemExit) as error:
            raise InputError(
                f"the {name} of the group {self.group!r} could not be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        self._loaded.add(name)
