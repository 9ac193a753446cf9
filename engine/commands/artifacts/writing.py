"""Files are written, each at once, and none where one of them would replace another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError, StoreError

_PROGRAM = 0o755
_PLAIN = 0o644


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was written, or was there with the same content."""

    path: Path
    is_new: bool


def write_files(folder: Path, files: Mapping[str, str], *, force: bool) -> list[WrittenFile]:
    """Writes files below a folder; those that are there and say the same stay as they are.

    Raises:
        InputError: when a file is there that says something else, and `force` is false; nothing
            was written.
        StoreError: when the folder cannot be written.
    """
    try:
        same = {name: _content(folder / name) == text.encode() for name, text in files.items()}
        others = [name for name in files if not same[name] and os.path.lexists(folder / name)]
        if others and not force:
            raise InputError(
                f"{len(others)} of {len(files)} files are there and say something else, the first "
                f"{str(folder / others[0])!r}; nothing was written; choose another --out, or "
                "--force to replace them"
            )
        for name, text in files.items():
            if not same[name]:
                _write(folder / name, text)
    except OSError as error:
        raise StoreError(
            f"{str(folder)!r} cannot be written: {error.strerror or error}; choose another --out"
        ) from error
    return [WrittenFile(folder / name, not same[name]) for name in files]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _write(path: Path, text: str) -> None:
    """Writes a file at once: whoever reads it meanwhile has the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        Path(name).chmod(_PROGRAM if text.startswith("#!") else _PLAIN)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
