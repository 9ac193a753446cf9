"""Where a registered model is looked for: in a store and its registry, or in those of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.outcome import tracking_uri as tracking_uri_of
from engine.commands.stored_runs import open_store
from engine.errors import InputError
from engine.models.registry import Registry
from engine.planning.model_finder import short_waits
from engine.planning.suites import read_suite
from engine.store.tables import StoreTables
from engine.suite import Suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A store with its tables, the registry, and the suite that named them, if one did."""

    tables: StoreTables
    registry: Registry
    suite: Suite | None = None


def find_place(
    suite: str | Path | Mapping[str, Any] | None,
    overrides: Sequence[str],
    store: str,
    tracking_uri: str | None,
    spark: SparkSession | None,
) -> ModelPlace:
    """The place that a suite names, or that is named without one; a tracking URI goes over both.

    Raises:
        InputError: when the suite is wrong, there is no such store, or there are overrides and no
            suite that they are over.
    """
    loaded = None if suite is None else read_suite(suite, tuple(overrides))
    if overrides and loaded is None:
        raise InputError("found overrides and no suite that they are over; name one by --suite")
    tables = open_store(store if loaded is None else loaded.store, spark)
    place = tables.store.tracking_uri if loaded is None else tracking_uri_of(loaded, tables.store)
    short_waits()
    return ModelPlace(tables, Registry(tracking_uri or place), loaded)
