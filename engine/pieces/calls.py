"""Functions and casts within a predicate, of those that come out as Spark has them.

Each takes columns: what is made of literals alone Spark folds by rules of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
from sqlglot import exp

from engine.pieces import NotThisWay
from engine.pieces.expressions import Expression
from engine.pieces.number_types import WHOLE, as_numbers, convert

Read = Callable[[exp.Expr], Expression]

_TEXT, _INT, _BOOL = pa.string(), pa.int32(), pa.bool_()
_DOUBLE, _DAY = pa.float64(), pa.date32()
_UTC = (None, "UTC", "Etc/UTC")
_OF_TEXTS: Mapping[type[exp.Expr], tuple[str, pa.DataType]] = {
    exp.Lower: ("lower", _TEXT),
    exp.Upper: ("upper", _TEXT),
    exp.Length: ("length", _INT),
}
_OF_DAYS: Mapping[type[exp.Expr], str] = {
    exp.Year: "year",
    exp.Month: "month",
    exp.Day: "day",
    exp.DayOfMonth: "day",
    exp.DayOfWeek: "day of week",
}
_CASES = ("lower", "upper")
_TRIMS = {"": "trim", "BOTH": "trim", "LEADING": "trim left", "TRAILING": "trim right"}
_TYPES = {
    exp.DataType.Type.TINYINT: pa.int8(),
    exp.DataType.Type.SMALLINT: pa.int16(),
    exp.DataType.Type.INT: pa.int32(),
    exp.DataType.Type.BIGINT: pa.int64(),
    exp.DataType.Type.DOUBLE: _DOUBLE,
    exp.DataType.Type.TEXT: _TEXT,
    exp.DataType.Type.BOOLEAN: _BOOL,
    exp.DataType.Type.DATE: _DAY,
}


def read_call(tree: exp.Expr, read: Read) -> Expression | None:
    """A function or a cast; None for what is none of those that are known.

    Args:
        tree: what stands there.
        read: reads what it is applied to.

    Raises:
        NotThisWay: for operands of which only Spark knows the answer.
    """
    if type(tree) in _OF_TEXTS:
        operation, kind = _OF_TEXTS[type(tree)]
        text = _text(read(tree.this))
        if operation in _CASES and text.operation in _CASES:
            # Spark leaves the inner one out, also where it made two letters of one.
            (text,) = text.operands
        return Expression(operation, kind, (text,))
    if type(tree) in _OF_DAYS:
        inner = tree.this.this if isinstance(tree.this, exp.TsOrDsToDate) else tree.this
        return Expression(_OF_DAYS[type(tree)], _INT, (_day(read(inner)),))
    if isinstance(tree, exp.Trim):
        return _trim(tree, read)
    if isinstance(tree, exp.Substring):
        return _slice_text(tree, read)
    if isinstance(tree, exp.Concat | exp.DPipe):
        sides = tree.expressions or [tree.this, tree.expression]
        texts = _check_columns([read(side) for side in sides])
        if any(text.type != _TEXT for text in texts):
            raise NotThisWay("what is joined are not all texts")
        return Expression("join", _TEXT, texts)
    if isinstance(tree, exp.Mod):
        return _remainder(read(tree.this), read(tree.expression))
    if isinstance(tree, exp.Abs):
        (value,) = _check_columns([read(tree.this)])
        if value.type not in (*WHOLE, _DOUBLE):
            raise NotThisWay(f"abs of {value.type}")
        return Expression("abs", value.type, (value,))
    if isinstance(tree, exp.Coalesce):
        return _first_value([read(one) for one in (tree.this, *tree.expressions)])
    return _cast(tree, read) if isinstance(tree, exp.Cast) else None


def _check_columns(values: Sequence[Expression]) -> tuple[Expression, ...]:
    if all(value.operation == "literal" for value in values):
        raise NotThisWay("a function of literals")
    return tuple(values)


def _text(value: Expression) -> Expression:
    if value.type != _TEXT:
        raise NotThisWay(f"a function of texts is asked of {value.type}")
    return _check_columns([value])[0]


def _day(value: Expression) -> Expression:
    """A day, or that of a time in UTC."""
    kind = _check_columns([value])[0].type
    if kind == _DAY:
        return value
    if pa.types.is_timestamp(kind) and kind.tz in _UTC:
        return Expression("to day", _DAY, (value,))
    raise NotThisWay(f"a part of a day is asked of {kind}")


def _trim(tree: exp.Trim, read: Read) -> Expression:
    if tree.expression or tree.args.get("collation"):
        raise NotThisWay("a trim of other signs than blanks")
    operation = _TRIMS[str(tree.args.get("position") or "").upper()]
    return Expression(operation, _TEXT, (_text(read(tree.this)),))


def _slice_text(tree: exp.Substring, read: Read) -> Expression:
    numbers = [tree.args.get("start"), tree.args.get("length")]
    start, length = (None if one is None else _whole_literal(read(one)) for one in numbers)
    if start is None:
        raise NotThisWay("a substring without a place")
    return Expression("slice", _TEXT, (_text(read(tree.this)),), (start, length))


def _whole_literal(value: Expression) -> int:
    if value.operation != "literal" or value.type != _INT:
        raise NotThisWay("a place in a text that is no whole number")
    return int(value.value)


def _remainder(left: Expression, right: Expression) -> Expression:
    _check_columns([left, right])
    kinds = {left.type, right.type}
    if not kinds <= {*WHOLE, _DOUBLE}:
        raise NotThisWay(f"a remainder of {left.type} and {right.type}")
    sides = as_numbers(left, right)
    return Expression("%", sides[0].type, sides)


def _first_value(values: Sequence[Expression]) -> Expression:
    """The first that is not null."""
    _check_columns(values)
    kinds = {value.type for value in values}
    if len(values) < 2:
        raise NotThisWay("coalesce of one value")
    if len(kinds) == 1 and not pa.types.is_decimal(values[0].type):
        return Expression("coalesce", values[0].type, tuple(values))
    if not kinds <= {*WHOLE, _DOUBLE}:
        raise NotThisWay("coalesce of values of several types")
    kind = _DOUBLE if _DOUBLE in kinds else max(kinds, key=lambda one: one.bit_width)
    return Expression("coalesce", kind, tuple(convert(value, kind) for value in values))


def _cast(tree: exp.Cast, read: Read) -> Expression:
    kind = _TYPES.get(tree.to.this)
    if kind is None or tree.to.expressions or tree.args.get("safe") or tree.args.get("format"):
        raise NotThisWay("a cast of another kind")
    (value,) = _check_columns([read(tree.this)])
    own = value.type
    if own == kind:
        return value
    if kind == _DAY and pa.types.is_timestamp(own):
        return _day(value)
    numbers = (*WHOLE, _BOOL)
    exact = (
        (own in numbers and kind in (*numbers, _DOUBLE, _TEXT))
        or (own == _DOUBLE and kind in (_INT, pa.int64()))
        or (own == pa.float32() and kind == _DOUBLE)
        or (own == _DAY and kind == _TEXT)
    )
    if not exact:
        raise NotThisWay(f"a cast of {own} to {kind}")
    return Expression("to type", kind, (value,))
