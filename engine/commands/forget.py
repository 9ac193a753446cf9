"""`evalmatrix forget`: rows' kept predictions, erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.commands.redacted import redacted
from engine.commands.stored_runs import open_store
from engine.core.locations import DEFAULT_STORE
from engine.store import predictions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@redacted()
def forget(
    keys: Sequence[str], *, store: str = DEFAULT_STORE, spark: SparkSession | None = None
) -> int:
    """Erases the kept predictions of rows by their keys, from old files too; gives how many.

    Args:
        keys: `column=value` (joined by commas where the key has several columns), a JSON object,
            or the value alone where the key has one column.
        store: the store's root.
        spark: the session to use.

    Raises:
        InputError: when nothing is kept, or a key is not written so.
    """
    return predictions.forget(keys, table=open_store(store, spark)["predictions"])
