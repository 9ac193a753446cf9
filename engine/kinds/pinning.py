"""A test with all of it that depends on the data, as it stands in a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.vocabulary import ModelTest
from engine.errors import InputError
from engine.kinds.base import kind_of
from engine.kinds.setting import Bins, ColumnValues, Ranges


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


def pin_bins(
    tests: Sequence[ModelTest], bins: Mapping[str, Bins]
) -> tuple[tuple[ModelTest, ...], tuple[ModelTest, ...]]:
    """The tests with the bins of columns of which they ask them, and those that have none.

    Raises:
        InputError: for columns that were named and cannot be binned, all of them at once.
    """
    pinned, left_out, mistakes = [], [], []
    for test in tests:
        try:
            own = kind_of(test).pin_bins(test, bins)
        except InputError as error:
            mistakes.append(str(error))
            continue
        if own is None:
            left_out.append(test)
        else:
            pinned.append(own)
    if mistakes:
        raise InputError("\n".join(mistakes))
    return tuple(pinned), tuple(left_out)


def known_bins(before: Sequence[ModelTest], after: Sequence[ModelTest]) -> dict[str, Bins]:
    """What tests of an earlier plan know of bins, for others on the same data.

    A column that a test of the same name was not pinned for has none.
    """
    bins: dict[str, Bins] = {}
    for test in before:
        for column, known in kind_of(test).known_bins(test).items():
            bins[column] = {**bins.get(column, {}), **known}
    families = {test.family for test in before if test.family}
    for test in after:
        if test.family in families:
            for column in kind_of(test).bins(test):
                bins.setdefault(column, {})
    return bins
