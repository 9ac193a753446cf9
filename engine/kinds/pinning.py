"""A test with all of it that depends on the data, as it stands in a plan."""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.vocabulary import ModelTest
from engine.kinds.base import kind_of
from engine.kinds.setting import ColumnValues, Ranges


def pin_test(
    test: ModelTest,
    spreads: Mapping[str, float | None],
    values: Mapping[str, ColumnValues],
    ranges: Ranges | None = None,
) -> ModelTest:
    """A test with the spreads, values and ranges of the columns of which it asks them."""
    kind = kind_of(test)
    pinned = kind.pin_values(kind.pin(test, spreads), values)
    return kind.pin_ranges(pinned, ranges or {})
