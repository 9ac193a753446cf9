"""Suites as commands read them: from a file or from the store, with the metrics that exist."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.kinds import load_extensions
from engine.metrics import METRICS
from engine.planning import metric_mistake
from engine.suite import Suite, load_suite


def read_suite(path: str | Path | Mapping[str, Any], overrides: tuple[str, ...] = ()) -> Suite:
    """Reads a suite, from a file or as a mapping, with all that can be checked without its data.

    Raises:
        SuiteError: with all the mistakes, metrics that do not exist or do not fit included.
    """
    load_extensions()
    return load_suite(
        path,
        overrides=overrides,
        known_metrics=metric_mistake,
        canonical=METRICS.canonical,
        load_plugin=_load_plugin,
    )


def stored_suite(text: str, overrides: Sequence[str] = ()) -> Suite:
    """The suite of a run, as the store keeps it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "suite.yml"
        path.write_text(text, encoding="utf-8")
        return read_suite(path, tuple(overrides))


def _load_plugin(module: str) -> str | None:
    try:
        load_extensions([module])
    except InputError as error:
        return str(error)
    return None
