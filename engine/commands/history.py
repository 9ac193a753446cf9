"""`evalmatrix history`: the story of a registered model."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.model_place import find_place
from engine.commands.redacted import redacted
from engine.core.locations import DEFAULT_STORE
from engine.lifecycle.story import History, tell_story
from engine.models.registry import ModelName

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def history(
    model: str,
    *,
    suite: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    tracking_uri: str | None = None,
    spark: SparkSession | None = None,
) -> History:
    """Tells the story of a registered model: evaluations, verdicts, promotions, what is served now.

    Args:
        model: the registered model: NAME for all its versions, NAME/VERSION or NAME@ALIAS for one.
        suite: a suite, whose store and tracking server are looked at.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        store: the store's root, where no suite is given.
        tracking_uri: the tracking server; default: the suite's, or the one in the store.
        spark: the session to use.

    Raises:
        InputError: when there is no such store, or neither it nor the registry knows the model.
        StoreError: when a table cannot be read.
    """
    name = ModelName.parse(model)
    place = find_place(suite, overrides, store, tracking_uri, spark)
    with tempfile.TemporaryDirectory(prefix="evalmatrix-history-") as folder:
        return tell_story(place.tables, place.registry, name, Path(folder))
