"""What is known of one file, kept in the store's cache: its content never changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.json_cache import keep, read_kept
from engine.data.files.listing import File

# Goes up when the same file is looked at otherwise.
FACTS_VERSION = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """A file's rows, and its columns in order: of CSV what was seen in each, else its type.

    `wide` are the columns of whole numbers of which some, or it is not known which, have no equal
    number among the doubles.
    """

    rows: int
    seen: tuple[tuple[str, int], ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    wide: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name, _ in (*self.seen, *self.types))


def known_facts(
    folder: Path | None,
    files: Sequence[File],
    reading: str,
    look: Callable[[Sequence[File]], Sequence[Facts]],
) -> dict[File, Facts]:
    """What is known of each file; `look` is asked about those that are new, all at once.

    Args:
        folder: where facts are kept; None keeps none.
        files: the files.
        reading: how they are read, as far as the facts depend on it.
        look: finds the facts of files.
    """
    known: dict[File, Facts] = {}
    for file in files:
        facts = None if folder is None else _find(_place(folder, file, reading))
        if facts is not None:
            known[file] = facts
    new = [file for file in files if file not in known]
    for file, facts in zip(new, look(new) if new else (), strict=True):
        known[file] = facts
        if folder is not None:
            keep(_place(folder, file, reading), _plain(facts))
    return known


def _place(folder: Path, file: File, reading: str) -> Path:
    # A name is not looked at, but an object store tells no digest of the content.
    about = [FACTS_VERSION, file.content, file.path if "://" in file.path else "", reading]
    return folder / f"{hashlib.sha256(json.dumps(about).encode()).hexdigest()}.json"


def _plain(facts: Facts) -> dict[str, Any]:
    return {
        "rows": facts.rows,
        "seen": [list(pair) for pair in facts.seen],
        "types": [list(pair) for pair in facts.types],
        "wide": list(facts.wide),
    }


def _find(place: Path) -> Facts | None:
    """The facts that are kept at a place; None for a file that is not there or damaged."""
    values = read_kept(place)
    try:
        return Facts(
            int(values["rows"]),
            tuple((str(name), int(bits)) for name, bits in values["seen"]),
            tuple((str(name), str(kind)) for name, kind in values["types"]),
            tuple(map(str, values["wide"])),
        )
    except (KeyError, TypeError, ValueError):
        return None
