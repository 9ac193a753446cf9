"""Reads a slice's `where` as an expression over Arrow, where it is one of those that are known.

Known are comparisons of numbers, of texts, of truth values, of days and of times with their like;
AND, OR, NOT, IN, BETWEEN, IS [NOT] NULL, <=>, LIKE, isnan, + - * / % of numbers, and some functions
and casts (`calls.py`). These come out as Spark has them in its ANSI mode. All else is Spark's own
to read: an odd type, another function, a text that would have to be cast.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import reduce

import pyarrow as pa
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from engine.pieces import NotThisWay
from engine.pieces.calls import read_call
from engine.pieces.expressions import Expression
from engine.pieces.number_types import WHOLE, as_numbers

# What Spark replaces, or reads in texts as a mark of another character.
_ODD = re.compile(r"[\\${]|--|/\*|\b(var)?char\s*\(", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?")
_LONG = 2**63
_INT = 2**31
_BOOL = pa.bool_()

_COMPARISONS: Mapping[type[exp.Expr], tuple[str, bool, bool]] = {
    # The operation, whether the sides are exchanged, whether the answer is turned round.
    exp.EQ: ("=", False, False),
    exp.NEQ: ("=", False, True),
    exp.LT: ("<", False, False),
    exp.GT: ("<", True, False),
    exp.LTE: ("<=", False, False),
    exp.GTE: ("<=", True, False),
    exp.NullSafeEQ: ("<=>", False, False),
}
_ARITHMETIC: Mapping[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
}


def parse_predicate(where: str, types: Mapping[str, pa.DataType]) -> Expression:
    """A predicate of Spark's SQL as an expression over the columns of a table.

    Args:
        where: the predicate.
        types: the types of the table's columns, of those that have a plain one.

    Raises:
        NotThisWay: for what only Spark reads.
    """
    if _ODD.search(where):
        raise NotThisWay(f"where: {where!r} has a character that Spark reads by rules of its own")
    try:
        tree = sqlglot.parse_one(where, dialect="spark")
    except (SqlglotError, RecursionError) as error:
        raise NotThisWay(f"where: {where!r} is read by Spark only") from error
    try:
        return _Reader(types).predicate(tree)
    except (NotThisWay, RecursionError) as error:
        raise NotThisWay(f"where: {where!r} is read by Spark only: {error}") from error


class _Reader:
    """Reads trees of sqlglot over the columns of a table."""

    def __init__(self, types: Mapping[str, pa.DataType]) -> None:
        self.types = types
        self.names: dict[str, list[str]] = {}
        for name in types:
            self.names.setdefault(name.lower(), []).append(name)

    def predicate(self, tree: exp.Expr) -> Expression:
        """What is true, false or null of a row."""
        if isinstance(tree, exp.Paren):
            return self.predicate(tree.this)
        if isinstance(tree, exp.And | exp.Or):
            word = "and" if isinstance(tree, exp.And) else "or"
            sides = (self.predicate(tree.this), self.predicate(tree.expression))
            return Expression(word, _BOOL, sides)
        if isinstance(tree, exp.Not):
            return _negation(self.predicate(tree.this))
        if type(tree) in _COMPARISONS:
            return self._comparison(tree)
        if isinstance(tree, exp.In):
            return self._among(tree)
        if isinstance(tree, exp.Between):
            return self._between(tree)
        if isinstance(tree, exp.Is):
            return self._is(tree)
        if isinstance(tree, exp.Like):
            return self._like(tree)
        if isinstance(tree, exp.IsNan):
            return self._nan(tree)
        value = self.value(tree)
        if value.type != _BOOL:
            raise NotThisWay(f"{tree.sql('spark')} is no predicate")
        return value

    def _comparison(self, tree: exp.Expr) -> Expression:
        operation, exchanged, turned = _COMPARISONS[type(tree)]
        left, right = _alike(self.value(tree.this), self.value(tree.expression))
        sides = (right, left) if exchanged else (left, right)
        compared = Expression(operation, _BOOL, sides)
        return _negation(compared) if turned else compared

    def _among(self, tree: exp.In) -> Expression:
        choices = tree.expressions
        if not choices or any(tree.args.get(key) for key in ("query", "unnest", "field")):
            raise NotThisWay("IN of something else than values")
        if not all(isinstance(_plain(choice), exp.Literal) for choice in choices):
            raise NotThisWay("IN of something else than values")
        value = self.value(tree.this)
        pairs = (_alike(value, self.value(choice)) for choice in choices)
        sides = [Expression("=", _BOOL, pair) for pair in pairs]
        if len({side.operands[0].type for side in sides}) > 1:
            # Spark compares all of them in one type.
            raise NotThisWay("IN of values of several types")
        return reduce(lambda one, other: Expression("or", _BOOL, (one, other)), sides)

    def _between(self, tree: exp.Between) -> Expression:
        if tree.args.get("symmetric"):
            raise NotThisWay("BETWEEN SYMMETRIC")
        value = self.value(tree.this)
        low = _alike(self.value(tree.args["low"]), value)
        high = _alike(value, self.value(tree.args["high"]))
        sides = (Expression("<=", _BOOL, low), Expression("<=", _BOOL, high))
        return Expression("and", _BOOL, sides)

    def _is(self, tree: exp.Is) -> Expression:
        if not isinstance(tree.expression, exp.Null):
            raise NotThisWay("IS of something else than NULL")
        return Expression("is null", _BOOL, (self.value(tree.this),))

    def _like(self, tree: exp.Like) -> Expression:
        value, pattern = self.value(tree.this), tree.expression
        if tree.args.get("negate"):
            raise NotThisWay("a LIKE of another kind")
        if value.type != pa.string() or not isinstance(pattern, exp.Literal):
            raise NotThisWay("LIKE of something else than a text and a pattern")
        return Expression("like", _BOOL, (value,), pattern.this)

    def _nan(self, tree: exp.IsNan) -> Expression:
        value = self.value(tree.this)
        if not pa.types.is_floating(value.type):
            raise NotThisWay("isnan of something else than a floating-point number")
        return Expression("is nan", _BOOL, (value,))

    def value(self, tree: exp.Expr) -> Expression:
        """What has a value of each row: a column, a literal, a sum of such."""
        if isinstance(tree, exp.Paren):
            return self.value(tree.this)
        if isinstance(tree, exp.Column):
            return self._column(tree)
        if isinstance(tree, exp.Boolean):
            return Expression("literal", _BOOL, value=bool(tree.this))
        if isinstance(tree, exp.Literal):
            return _literal(tree)
        if isinstance(tree, exp.Neg):
            return _negative(self.value(tree.this))
        if isinstance(tree, exp.Cast) and isinstance(tree.this, exp.Literal):
            return _marked_literal(tree)
        call = read_call(tree, self.value)
        if call is not None:
            return call
        if type(tree) in _ARITHMETIC:
            left, right = self.value(tree.this), self.value(tree.expression)
            return _calculation(_ARITHMETIC[type(tree)], left, right)
        raise NotThisWay(f"{tree.sql('spark')} is nothing that is known here")

    def _column(self, tree: exp.Column) -> Expression:
        if tree.table or not isinstance(tree.this, exp.Identifier):
            raise NotThisWay(f"{tree.sql('spark')} is a part of a column")
        alike = self.names.get(tree.name.lower(), [])
        if len(alike) != 1:
            raise NotThisWay(f"{tree.name!r} is no column of a plain type, or several")
        return Expression("column", self.types[alike[0]], value=alike[0])


def _plain(tree: exp.Expr) -> exp.Expr:
    """A literal behind a minus or parentheses."""
    while isinstance(tree, exp.Neg | exp.Paren):
        tree = tree.this
    return tree.this if isinstance(tree, exp.Cast) else tree


def _negation(value: Expression) -> Expression:
    return Expression("not", _BOOL, (value,))


def _literal(tree: exp.Literal) -> Expression:
    """A text or a number; a number with a point is a decimal, one with an exponent a double."""
    text = str(tree.this)
    if tree.is_string:
        return Expression("literal", pa.string(), value=text)
    if re.fullmatch(r"\d+", text):
        number = int(text)
        if number >= _LONG:
            raise NotThisWay(f"the number {text}")
        return Expression("literal", pa.int32() if number < _INT else pa.int64(), value=number)
    if re.fullmatch(r"\d*\.\d+|\d+\.", text):
        return Expression("literal", _decimal_type(Decimal(text)), value=Decimal(text))
    if re.fullmatch(r"(\d+\.?\d*|\.\d+)[eE][+-]?\d+", text):
        return Expression("literal", pa.float64(), value=float(text))
    raise NotThisWay(f"the literal {text}")


def _decimal_type(number: Decimal) -> pa.DataType:
    exponent = number.as_tuple().exponent
    scale = max(-int(exponent), 0)
    digits = max(len(number.as_tuple().digits), scale)
    if digits > 38:
        raise NotThisWay(f"the number {number}")
    return pa.decimal128(max(digits, 1), scale)


def _negative(value: Expression) -> Expression:
    if value.operation == "literal" and isinstance(value.value, int | float | Decimal):
        return Expression("literal", value.type, value=-value.value)
    if value.type in (*WHOLE, pa.float64()):
        return Expression("negate", value.type, (value,))
    raise NotThisWay("a minus of something else than a number")


def _marked_literal(tree: exp.Cast) -> Expression:
    """A literal with its type before it: DATE '2026-01-31', TIMESTAMP '2026-01-31 12:00:00'."""
    if not tree.this.is_string or isinstance(tree, exp.TryCast):
        raise NotThisWay("a cast")
    text = str(tree.this.this)
    if tree.to.this is exp.DataType.Type.DATE:
        return Expression("literal", pa.date32(), value=_day(text))
    raise NotThisWay("a cast")


def _day(text: str) -> dt.date:
    try:
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise NotThisWay(f"the day {text!r}")


def _time(text: str, kind: pa.TimestampType) -> dt.datetime:
    """A time in UTC, as a session in UTC reads it."""
    if kind.tz not in (None, "UTC", "Etc/UTC"):
        raise NotThisWay(f"a time in {kind.tz}")
    try:
        if _DAY.fullmatch(text) or _TIME.fullmatch(text):
            moment = dt.datetime.fromisoformat(text)
            return moment if kind.tz is None else moment.replace(tzinfo=dt.UTC)
    except ValueError:
        pass
    raise NotThisWay(f"the time {text!r}")


def _alike(left: Expression, right: Expression) -> tuple[Expression, Expression]:
    """Two values in the type in which Spark compares them."""
    if left.operation == "literal" and right.operation != "literal":
        other, one = _alike(right, left)
        return one, other
    if left.operation == "literal":
        raise NotThisWay("a comparison of two literals")
    if left.type == right.type and not pa.types.is_decimal(left.type):
        return left, right
    kind, literal = left.type, right.operation == "literal"
    if literal and right.type == pa.string():
        text = str(right.value)
        if kind == pa.date32():
            return left, Expression("literal", kind, value=_day(text))
        if pa.types.is_timestamp(kind):
            return left, Expression("literal", kind, value=_time(text, kind))
    return as_numbers(left, right)


def _calculation(operation: str, left: Expression, right: Expression) -> Expression:
    """A sum, a difference, a product or a quotient: of doubles, or of whole numbers of one type."""
    if not any(one.operation != "literal" for one in (left, right)):
        raise NotThisWay("a calculation of literals")
    doubles = pa.float64() in (left.type, right.type)
    if operation == "/":
        if not doubles or right.operation != "literal" or not float(right.value):
            # By zero it is an error, of whole numbers a double, of decimals another decimal.
            raise NotThisWay("a quotient by something else than a number that stands there")
        return Expression("/", pa.float64(), as_numbers(left, right))
    if doubles:
        return Expression(operation, pa.float64(), as_numbers(left, right))
    if left.type in WHOLE and right.type in WHOLE:
        sides = as_numbers(left, right)
        return Expression(operation, sides[0].type, sides)
    raise NotThisWay(f"a calculation of {left.type} and {right.type}")
