"""The answer to a query, from a row for each slice; whoever has found the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.core.vocabulary import SliceSet, plain_numbers
from engine.errors import InputError
from engine.kinds import COUNT, SLICE, Query
from engine.planning import EvaluationPlan
from engine.store.answers import Answer


def check_size(rows: int, plan: EvaluationPlan, slice_set: SliceSet) -> None:
    """Refuses too many slices, and none where there must be some.

    Raises:
        InputError: for these.
    """
    if rows > plan.max_slices:
        raise InputError(f"it gave more rows than max_slices ({plan.max_slices:,})")
    if not rows and slice_set.where is None:
        raise InputError("it gave no row, expected one for each slice")


def slice_answer(keys: Sequence[str], columns: Mapping[str, Sequence[Any]], query: Query) -> Answer:
    """The numbers and texts of slices, by their keys.

    Raises:
        InputError: when they are not a row for each slice.
    """
    if len(set(keys)) < len(keys):
        raise InputError(
            f"it gave {len(keys):,} rows for {len(set(keys)):,} slices, expected one for each "
            f"(GROUP BY {SLICE})"
        )
    slices, texts = {}, {}
    for key, values in zip(keys, zip(*columns.values(), strict=True), strict=True):
        named = dict(zip(columns, values, strict=True))
        texts[key] = {name: named.pop(name) for name in query.text_columns}
        slices[key] = plain_numbers(named)
        if slices[key][COUNT] is None:
            raise InputError(f"its column {COUNT!r} is null, expected the rows of the slice")
    return Answer(slices, None, texts if query.text_columns and slices else {})
