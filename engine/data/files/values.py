"""What the texts of a CSV column look like, as bits that add up over rows and files.

A text is of one class; a column has a bit for each class that one of its texts is of. The classes
are told by patterns that Python and Java read alike: Spark asks them of the rows, Python of the
names of folders. Numbers and times may stand between blanks.
"""

from __future__ import annotations

import re
from enum import IntFlag
from typing import TYPE_CHECKING

from engine.spark.api import F

if TYPE_CHECKING:
    from pyspark.sql import Column


class Seen(IntFlag):
    """The classes of texts."""

    INT = 1
    LONG = 2
    BIG = 4
    DOUBLE = 8
    ZEROS = 16
    BOOLEAN = 32
    DATE = 64
    TIMESTAMP = 128
    MARK = 256
    TEXT = 512


NOTHING = Seen(0)
WHOLE = Seen.INT | Seen.LONG | Seen.BIG
NUMBERS = WHOLE | Seen.DOUBLE

MARKS = ("NA", "N/A", "n/a", "na", "N.A.", "n.a.", "#N/A", "#NA", "<NA>", "NULL", "null", "Null",
         "(null)", "None", "none", "nil", "NaT", "\\N", "-", "--", "---", "?", ".", "missing",
         "Missing", "MISSING", "unknown", "#NULL!", "#VALUE!", "#DIV/0!")  # fmt: skip
"""What other programs write for a missing value. `NaN` is none of them: it is a number."""

_BLANK = "[ \\t]*"
FIRST = "^[ \\t]*[-+.0-9nNiItTfF]"
WHOLE_NUMBER = "[+-]?(0|[1-9][0-9]*)"
LEADING_ZERO = "[+-]?0[0-9]+(\\.[0-9]*)?([eE][+-]?[0-9]+)?"
"""`01067` and `1067` are two values, and so are `00` and `0`; `0.5` is a number."""
NUMBER = (
    "[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?"
    "|[nN][aA][nN]|[+-]?[iI][nN][fF]([iI][nN][iI][tT][yY])?"
)
BOOLEAN = "[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]"
DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
TIMESTAMP = (
    f"{DATE}[ T][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\\.[0-9]{{1,6}}0*)?)?"
    "( ?(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?))?"
)


def class_of(value: Column) -> Column:
    """The bit of a text's class, 0 for null."""

    def is_like(pattern: str) -> Column:
        # `$` would find an end before the last line break.
        return value.rlike(f"^{_BLANK}({pattern}){_BLANK}\\z")

    def fits(kind: str) -> Column:
        return value.try_cast(kind).isNotNull()

    mark = F.when(F.trim(value).isin(*MARKS), F.lit(Seen.MARK.value))
    return (
        F.when(value.isNull(), F.lit(0))
        # Most texts are told from values by their first letter.
        .when(~value.rlike(FIRST), mark.otherwise(F.lit(Seen.TEXT.value)))
        .when(
            is_like(WHOLE_NUMBER),
            F.when(fits("int"), F.lit(Seen.INT.value))
            .when(fits("bigint"), F.lit(Seen.LONG.value))
            .when(fits("decimal(38,0)"), F.lit(Seen.BIG.value))
            .otherwise(F.lit(Seen.TEXT.value)),
        )
        .when(is_like(LEADING_ZERO), F.lit(Seen.ZEROS.value))
        .when(is_like(NUMBER), F.lit(Seen.DOUBLE.value))
        .when(is_like(BOOLEAN), F.lit(Seen.BOOLEAN.value))
        .when(is_like(DATE) & fits("date"), F.lit(Seen.DATE.value))
        .when(is_like(TIMESTAMP) & fits("timestamp"), F.lit(Seen.TIMESTAMP.value))
        .otherwise(mark.otherwise(F.lit(Seen.TEXT.value)))
    )


def text_class(text: str | None) -> Seen:
    """The class of one text, as `class_of`, but that dates are not looked up in a calendar."""
    if text is None:
        return NOTHING
    for pattern, seen in _CLASSES:
        if re.fullmatch(f"{_BLANK}({pattern}){_BLANK}", text):
            return _by_size(int(text)) if seen is Seen.INT else seen
    return Seen.MARK if text.strip(" ") in MARKS else Seen.TEXT


_CLASSES = (
    (WHOLE_NUMBER, Seen.INT),
    (LEADING_ZERO, Seen.ZEROS),
    (NUMBER, Seen.DOUBLE),
    (BOOLEAN, Seen.BOOLEAN),
    (DATE, Seen.DATE),
    (TIMESTAMP, Seen.TIMESTAMP),
)


def _by_size(number: int) -> Seen:
    if -(2**31) <= number < 2**31:
        return Seen.INT
    if -(2**63) <= number < 2**63:
        return Seen.LONG
    return Seen.BIG if abs(number) < 10**38 else Seen.TEXT


def guess(seen: Seen) -> str:
    """The type of a column of which nothing is said, from all that was seen in it.

    Whole numbers, numbers, booleans, dates and times where all of its texts are such; text where
    any is not, or has a leading zero, and where nothing was seen.
    """
    if not seen or seen & (Seen.TEXT | Seen.ZEROS | Seen.MARK):
        return "string"
    if not seen & ~NUMBERS:
        if seen & Seen.DOUBLE:
            return "double"
        if seen & Seen.BIG:
            return "decimal(38,0)"
        return "bigint" if seen & Seen.LONG else "int"
    if seen == Seen.BOOLEAN:
        return "boolean"
    if not seen & ~(Seen.DATE | Seen.TIMESTAMP):
        return "timestamp" if seen & Seen.TIMESTAMP else "date"
    return "string"


def guess_without_marks(seen: Seen) -> str | None:
    """The type of a column but for marks of missing values; None where there are no marks."""
    kind = guess(seen & ~Seen.MARK)
    return kind if seen & Seen.MARK and kind != "string" else None


_FITS = {
    "boolean": Seen.BOOLEAN | Seen.INT,
    "date": Seen.DATE,
    "timestamp": Seen.DATE | Seen.TIMESTAMP,
    "timestamp_ntz": Seen.DATE | Seen.TIMESTAMP,
    "tinyint": Seen.INT | Seen.ZEROS,
    "smallint": Seen.INT | Seen.ZEROS,
    "int": Seen.INT | Seen.ZEROS,
    "bigint": Seen.INT | Seen.LONG | Seen.ZEROS,
}


def misfits(seen: Seen, kind: str) -> Seen:
    """The classes of texts that are no values of a type."""
    if kind == "string":
        return NOTHING
    return seen & ~_FITS.get(kind, NUMBERS | Seen.ZEROS)
