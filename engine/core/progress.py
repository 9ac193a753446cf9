"""How a long step tells what goes on, whoever shows it: a terminal, a log, a test."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Progress(Protocol):
    """Takes the steps of a run; `engine.commands.progress` shows them on standard error."""

    def say(self, text: str) -> None:
        """One step, in a line."""

    def show_scan(self, spark: Any, text: str, rows: int) -> AbstractContextManager[None]:
        """Shows a scan's rows and seconds while the block runs."""

    def show_local_scan(
        self, text: str, rows: int
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Shows a scan by processes of this machine; what it gives is told of rows as they end."""
