"""The types in which Spark compares and adds up numbers, where Arrow has the same values."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa

from engine.pieces import NotThisWay
from engine.pieces.expressions import Expression

WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
# As many of the whole numbers a float has all of.
_FLOAT_WHOLE = 2**24


def as_numbers(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    kind = _wider(left, right)
    return convert(left, kind), convert(right, kind)


def _wider(left: Expression, right: Expression) -> pa.DataType:
    """The type in which Spark compares two numbers, where Arrow has the same values in it."""
    types = {left.type, right.type}
    if types <= set(WHOLE):
        return max(types, key=lambda kind: kind.bit_width)
    if pa.float64() in types or pa.float32() in types:
        for one in (left, right):
            in_column = pa.types.is_decimal(one.type) and one.operation != "literal"
            if in_column or not (is_number(one.type)):
                raise NotThisWay("a comparison of numbers of several types")
        whole = [one for one in (left, right) if one.type in WHOLE]
        if pa.float32() in types and not all(
            one.operation == "literal" and abs(one.value) < _FLOAT_WHOLE for one in whole
        ):
            raise NotThisWay("a comparison of a float with whole numbers")
        return pa.float64()
    if all(is_number(kind) for kind in types):
        return _common_decimal(left.type, right.type)
    raise NotThisWay(f"a comparison of {left.type} and {right.type}")


def is_number(kind: pa.DataType) -> bool:
    return kind in WHOLE or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _common_decimal(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """The decimal in which there are all the values of two types."""
    digits = [
        (kind.precision - kind.scale, kind.scale) if pa.types.is_decimal(kind) else (19, 0)
        for kind in (left, right)
    ]
    whole, scale = max(n for n, _ in digits), max(n for _, n in digits)
    if whole + scale > 38:
        raise NotThisWay("a comparison of decimals of too many digits")
    return pa.decimal128(whole + scale, scale)


def convert(value: Expression, kind: pa.DataType) -> Expression:
    if value.type == kind:
        return value
    if value.operation != "literal":
        return Expression("cast", kind, (value,))
    if pa.types.is_floating(kind):
        return Expression("literal", kind, value=float(value.value))
    number = Decimal(value.value) if pa.types.is_decimal(kind) else value.value
    return Expression("literal", kind, value=number)
