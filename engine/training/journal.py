"""What is finished of a search, on disk: a process that is killed loses the folds it was at.

A line of JSON for each (candidate, fold), written and synced before the next is told of. Its key is
the digest of all that decides the result, so that another search of the same model takes from here
what it has in common with an earlier one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.errors import StoreError
from engine.training.tasks import FoldScore, FoldTask


class Journal:
    """The finished tasks of a file; None for a search that keeps nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._scores: dict[str, FoldScore] = {}
        text = ""
        if file is not None:
            with suppress(FileNotFoundError):
                text = file.read_text(encoding="utf-8", errors="replace")
        # What was cut off in the middle of a line is done again.
        self._is_cut = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            with suppress(ValueError, KeyError, TypeError):
                record = json.loads(line)
                self._scores[record["key"]] = FoldScore(**record["score"])

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def is_kept(self) -> bool:
        """Whether it is on disk."""
        return self._file is not None

    def find(self, key: str) -> FoldScore | None:
        """The result of a task that is finished."""
        return self._scores.get(key)

    def add(self, task: FoldTask, score: FoldScore) -> None:
        """Keeps a result, on disk when this returns; one whose process was lost is tried again.

        Raises:
            StoreError: when the file cannot be written.
        """
        if score.lost:
            return
        self._scores[task.key] = score
        if self._file is None:
            return
        record = {"key": task.key, "candidate": task.candidate, "fold": task.fold}
        line = json.dumps({**record, "score": _plain(asdict(score))}, default=repr) + "\n"
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(("\n" if self._is_cut else "") + line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(
                f"{str(self._file)!r} cannot be written: {error.strerror or error}; what is in it "
                "is safe; free it, and the same command goes on"
            ) from error
        self._is_cut = False


def _plain(score: dict[str, Any]) -> Mapping[str, Any]:
    return {**score, "values": dict(score["values"])}
