"""Conditions that made rows meet: of these rows, those that do are kept, and more are drawn."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engine.core.registry import did_you_mean
from engine.data.generation.marginals import is_number
from engine.errors import DataError

Value = bool | int | float | str | dt.datetime | dt.date


class Range(BaseModel):
    """From `min` to `max`, both included; one of them may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    min: Value | None = None
    max: Value | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Range:
        if self.min is None and self.max is None:
            raise ValueError("expected `min`, `max` or both")
        return self


ConditionField = Range | Annotated[list[Value], Field(min_length=1)] | Value | None
"""A range, one of several values, a value, or null."""


def check_given(given: Mapping[str, Any], schema: pa.Schema) -> None:
    """Refuses conditions on columns that are not made, or that do not fit their types.

    Raises:
        DataError: all of them.
    """
    wrong = []
    for name, condition in given.items():
        if name not in schema.names:
            wrong.append(f"no column {name!r}{did_you_mean(name, schema.names)}")
            continue
        kind = schema.field(name).type
        wrong += [
            f"{name!r} is {kind}, found the value {value!r}"
            for value in _values(condition)
            if not _fits(value, kind)
        ]
    if wrong:
        raise DataError(f"given: {'; '.join(wrong)}")


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Whether a value is one of a type, as YAML has it: Arrow takes 3.5 for a date."""
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        fits = isinstance(value, dt.date) or (isinstance(value, str) and _is_iso(value))
    elif pa.types.is_boolean(kind):
        fits = isinstance(value, bool)
    elif is_number(kind):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, str)
    if not fits:
        return False
    try:
        typed_scalar(value, kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
    return True


def _is_iso(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def typed_scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    """A value in the type of its column; dates and times may be ISO texts."""
    if isinstance(value, str) and (pa.types.is_date(kind) or pa.types.is_timestamp(kind)):
        value = dt.datetime.fromisoformat(value)
    if pa.types.is_date(kind) and isinstance(value, dt.datetime):
        value = value.date()
    return pa.scalar(value, kind)


def _values(condition: Any) -> list[Any]:
    if isinstance(condition, Range):
        return [value for value in (condition.min, condition.max) if value is not None]
    return condition if isinstance(condition, list) else [] if condition is None else [condition]


def meets(rows: pa.Table, given: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """[row]: which rows meet all the conditions; null meets null alone."""
    passes = np.ones(rows.num_rows, bool)
    for name, condition in given.items():
        column = rows.column(name).combine_chunks()
        passes &= pc.fill_null(_meets(column, condition), False).to_numpy(zero_copy_only=False)
    return passes


def _meets(column: pa.Array, condition: Any) -> pa.Array:
    if condition is None:
        return column.is_null()
    if isinstance(condition, Range):
        ends = [(pc.greater_equal, condition.min), (pc.less_equal, condition.max)]
        parts = [
            compare(column, typed_scalar(end, column.type))
            for compare, end in ends
            if end is not None
        ]
        return parts[0] if len(parts) == 1 else pc.and_kleene(*parts)
    values = condition if isinstance(condition, list) else [condition]
    known = [typed_scalar(value, column.type).as_py() for value in values]
    return pc.is_in(column, value_set=pa.array(known, column.type))


def text_of(given: Mapping[str, Any]) -> str:
    """Conditions in words."""
    return " and ".join(f"{name} {_text(condition)}" for name, condition in given.items())


def _text(condition: Any) -> str:
    if isinstance(condition, Range):
        if condition.min is None:
            return f"<= {condition.max}"
        return (
            f">= {condition.min}"
            if condition.max is None
            else f"from {condition.min} to {condition.max}"
        )
    if isinstance(condition, list):
        return f"in {condition}"
    return "is null" if condition is None else f"= {condition!r}"


__all__ = ["ConditionField", "Range", "check_given", "meets", "text_of"]
