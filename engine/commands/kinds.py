"""`evalmatrix kinds`: what a test of a suite can ask, from the registry of kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.kinds import KINDS, Kind, KindFile, load_extensions


@dataclass(frozen=True, slots=True)
class KindHelp:
    """A kind of test: what it asks, and the keys that its tests have, with what they mean."""

    name: str
    line: str
    keys: Mapping[str, str]
    common: Mapping[str, str]

    def data(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"name": self.name, "asks": self.line, "keys": {**self.keys, **self.common}}

    def __str__(self) -> str:
        own = [f"  {key}: {text}" for key, text in self.keys.items()]
        common = [f"  {key}: {text}" for key, text in self.common.items()]
        return "\n".join([f"{self.name}: {self.line}", *own, "as in all kinds:", *common])


def list_kinds(name: str | None = None) -> list[KindHelp]:
    """Lists the kinds of tests that a suite can have, a line each; or all keys of one.

    Args:
        name: one kind, with its keys and what they mean.

    Raises:
        InputError: when no kind is called so.
    """
    load_extensions()
    kinds = list(KINDS) if name is None else [KINDS.get(name)]
    return sorted(map(_help, kinds), key=lambda kind: kind.name)


def _help(kind: Kind) -> KindHelp:
    fields = {key: entry.description or "" for key, entry in kind.file().model_fields.items()}
    common = KindFile.model_fields
    return KindHelp(
        kind.key,
        kind.description,
        {key: text for key, text in fields.items() if key not in common},
        {key: text for key, text in fields.items() if key in common},
    )
