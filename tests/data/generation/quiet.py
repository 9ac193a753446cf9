"""Progress that nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def show_nothing(text: str, rows: int) -> Iterator[Callable[[int], None]]:
    yield lambda more: None
