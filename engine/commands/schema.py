"""`evalmatrix schema`: the JSON Schema of the suite file."""

from __future__ import annotations

from typing import Any

from engine.kinds import load_extensions
from engine.suite import schema as suite_schema


def schema() -> dict[str, Any]:
    """Gives the JSON Schema of the suite file, with the kinds of tests that are installed."""
    load_extensions()
    return suite_schema()
