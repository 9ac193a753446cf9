"""A court with three versions of a model, the first of them the champion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.registry import Registry
from tests.fixtures.verdicts import Court


@pytest.fixture
def court(sqlite_registry: Registry, tmp_path: Path) -> Callable[..., Court]:
    """Makes a court with versions 1 to 3, without aliases."""

    def make(**more: Any) -> Court:
        made = Court(sqlite_registry, tmp_path, **more)
        for number in (1, 2, 3):
            sqlite_registry.register(made.model, f"model {number}")
        return made

    return make


@pytest.fixture
def here(court: Callable[..., Court]) -> Court:
    """A court whose version 1 is the champion, and version 2 challenges it."""
    made = court()
    made.registry.set("claims", "champion", "1")
    made.registry.set("claims", "challenger", "2")
    return made
