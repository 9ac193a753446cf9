"""Predicates over Arrow batches, evaluated as Spark does: three truth values, NaN above all.

An expression is a tree of plain values, so that it goes to the workers as it is; what it may hold,
and of which types, is settled where it is parsed (`predicates.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.pieces.functions import FUNCTIONS, to_type


@dataclass(frozen=True, slots=True)
class Expression:
    """An operation on others, on a column (its name in `value`) or on a literal.

    `type` is the type of what comes out. Operands of a comparison are of one type.
    """

    operation: str
    type: pa.DataType
    operands: tuple[Expression, ...] = ()
    value: Any = None


def columns_of(expression: Expression | None) -> Iterator[str]:
    """The columns that an expression reads; none where there is no expression."""
    waiting = [] if expression is None else [expression]
    while waiting:
        one = waiting.pop()
        if one.operation == "column":
            yield str(one.value)
        waiting += one.operands


def evaluate(expression: Expression, batch: pa.RecordBatch) -> pa.Array | pa.Scalar:
    """What an expression is of each row of a batch; null where it is unknown."""
    if expression.operation == "column":
        return batch.column(expression.value)
    if expression.operation == "literal":
        return pa.scalar(expression.value, expression.type)
    values = [evaluate(operand, batch) for operand in expression.operands]
    if expression.operation == "cast":
        # A whole number that no double has is rounded, as Java does it.
        return pc.cast(values[0], expression.type, safe=not pa.types.is_floating(expression.type))
    if expression.operation == "like":
        return pc.match_like(values[0], expression.value)
    if expression.operation == "to type":
        return to_type(values[0], expression.type)
    if expression.operation in FUNCTIONS:
        more = () if expression.value is None else (expression.value,)
        return FUNCTIONS[expression.operation](*values, *more)
    return _OPERATIONS[expression.operation](*values)


def matches(expression: Expression, batch: pa.RecordBatch) -> pa.Array:
    """Whether each row fulfils a predicate: true, false or null."""
    result = evaluate(expression, batch)
    return pa.repeat(result, batch.num_rows) if isinstance(result, pa.Scalar) else result


def _is_floating(left: Any) -> bool:
    return bool(pa.types.is_floating(left.type))


def _equal(left: Any, right: Any) -> Any:
    same = pc.equal(left, right)
    if not _is_floating(left):
        return same
    return pc.or_kleene(same, pc.and_(pc.is_nan(left), pc.is_nan(right)))


def _less(left: Any, right: Any) -> Any:
    """Whether one is below another; NaN is equal to itself and above all others."""
    less = pc.less(left, right)
    if not _is_floating(left):
        return less
    return pc.or_kleene(less, pc.and_(pc.invert(pc.is_nan(left)), pc.is_nan(right)))


def _at_most(left: Any, right: Any) -> Any:
    return pc.or_kleene(_less(left, right), _equal(left, right))


def _same(left: Any, right: Any) -> Any:
    """Whether two values are equal, or both null: never null itself."""
    both = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(both, pc.fill_null(_equal(left, right), False))


_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "and": pc.and_kleene,
    "or": pc.or_kleene,
    "not": pc.invert,
    "=": _equal,
    "<": _less,
    "<=": _at_most,
    "<=>": _same,
    "is null": pc.is_null,
    "is nan": lambda value: pc.fill_null(pc.is_nan(value), False),
    "+": pc.add_checked,
    "-": pc.subtract_checked,
    "*": pc.multiply_checked,
    "/": pc.divide,
    "negate": pc.negate_checked,
}
