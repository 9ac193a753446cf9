"""Small files that spare work: whoever cannot read or write one does the work again."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


def read_kept(file: Path) -> Any:
    """What a file holds, which is marked as looked at; None where it is not there or is damaged."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    with suppress(OSError):  # of another user, or on a disk that is read-only
        os.utime(file)
    return values


def keep(file: Path, values: Any) -> None:
    """Writes a file as a whole, where the disk takes it and JSON has such values."""
    begun = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        text = json.dumps(values)
        file.parent.mkdir(parents=True, exist_ok=True)
        begun.write_text(text, encoding="utf-8")
        begun.replace(file)
    except (OSError, TypeError):
        with suppress(OSError):
            begun.unlink(missing_ok=True)
