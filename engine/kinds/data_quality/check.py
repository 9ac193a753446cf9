"""What a check of the data is: its key in the suite, what it asks, what it measures."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from engine.core.registry import did_you_mean
from engine.core.vocabulary import Condition, MetricValue
from engine.kinds.arrow_rows import Finder
from engine.kinds.estimates import SliceEstimates
from engine.kinds.questions import Query, figure
from engine.kinds.setting import Context, Setting
from engine.metrics import Metric, Slices
from engine.states import ColumnFamily
from engine.statistics import Several, Share

ALL = "all"
FEATURES = "features"

# What a query of a check gives beside `n`: the rows that break it, and the sum over groups of rows
# that break it together of the square of their number.
BAD, SQUARES = "bad", "squares"

_NOT_IN_ARROW = ("variant", "interval", "geometry", "geography", "object")
_COMPLEX = ("array", "map", "struct", "binary", "void", *_NOT_IN_ARROW)
_FLOATS = ("float", "double")
_NUMBERS = ("tinyint", "smallint", "int", "bigint", *_FLOATS, "decimal")
_TEXTS = ("string", "varchar", "char")
_TIMES = ("timestamp", "timestamp_ntz")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a test asks of one check.

    `value` is what stands under the check's key in the suite, as plain data. `facts` are what of
    the dataset it rests on; there are none before the test is expanded.
    """

    value: Any
    facts: Mapping[str, Any] = field(default_factory=dict)


class Check(ABC):
    """A check: the rows that break it are counted, unless it measures something of its own.

    Attributes:
        key: its key under `data_quality`.
        figure: what results call what it measures.
        description: the sentence of the JSON Schema.
        field: the type of what stands under its key.
        is_share: whether it measures a share of rows, which `max_share` limits; else its limits
            stand under its key.
        finds_rows: whether it tells which rows are bad, so that their keys can be shown.
        whole_only: whether it is on `overall` alone where a test has that among its slices.
    """

    key: ClassVar[str]
    figure: ClassVar[str]
    description: ClassVar[str]
    field: ClassVar[Any]
    is_share: ClassVar[bool] = True
    finds_rows: ClassVar[bool] = True
    whole_only: ClassVar[bool] = False

    @abstractmethod
    def split(self, value: Any, setting: Setting) -> list[Asked]:
        """What one entry of a suite asks, one for each test."""

    @abstractmethod
    def label(self, asked: Asked) -> str:
        """What stands in parentheses behind its key in names of tests; "" for nothing."""

    def subject(self, asked: Asked) -> str:
        """The columns that it is about, as the report says them."""
        return self.label(asked)

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        """Why it makes no sense for the dataset, before the scan."""
        return iter(())

    def families(self, asked: Asked) -> Sequence[ColumnFamily]:
        """The states of columns that it is measured from."""
        return ()

    def query(self, asked: Asked, setting: Setting) -> Query | None:
        """What it asks of the rows, where no sums of batches can tell."""
        return None

    def finder(self, asked: Asked, setting: Setting) -> Finder | None:
        """What finds its bad rows among rows in Arrow; None where it does not find single rows."""
        return None

    def bad_rows(self, asked: Asked, setting: Setting) -> Query | None:
        """Its bad rows by their keys, as `engine.kinds.data_quality.keys` asks for them.

        None where it does not find single rows.
        """
        return None

    def conditions(self, asked: Asked) -> tuple[Condition, ...]:
        """The limits under its own key, of one that measures no share."""
        return ()

    def name(self, asked: Asked) -> str:
        """What it measures, with its columns."""
        label = self.label(asked)
        return f"{self.figure}({label})" if label else self.figure

    def metric(self, asked: Asked) -> Metric:
        """What it measures, of states or of its query's answers."""
        return figure(self.name(asked), higher_is_better=False, bounds=(0.0, 1.0), intervals=True)

    def estimate(self, asked: Asked, on: Slices, context: Context) -> SliceEstimates:
        """The figures on slices; by default the shares that its query counted."""
        return shares_of(on, context.level)


def title_of(check: Check, asked: Asked) -> str:
    """A check with its columns: `not_null(age)`."""
    label = check.label(asked)
    return f"{check.key}({label})" if label else check.key


def shares_of(on: Slices, level: float) -> SliceEstimates:
    """The shares of rows that a query counted, with intervals that know which rows go together.

    Rows that break a check come in groups (the rows of one value), so a group is what is drawn:
    with a share p of n rows and groups of sizes c, the variance is the sum of (c (1 - p))^2 over
    the groups and of p^2 over the other rows, by n^2. As many independent rows as give this
    variance are the effective ones (Kish), and the interval is the binomial's of them.
    """
    n, bad, squares = (
        np.array([answer[name] or 0.0 for answer in on.answers], np.float64)
        for name in ("n", BAD, SQUARES)
    )
    places = np.flatnonzero(n > 0)
    share = np.divide(bad, n, out=np.zeros(len(n)), where=n > 0)
    together = squares * (1 - share) ** 2 + (n - bad) * share**2
    alone = n * share * (1 - share)
    # Where no row or each breaks it nothing is known of groups.
    effect = np.divide(together, alone, out=np.ones(len(n)), where=alone > 0)
    trials = n / np.maximum(effect, 1.0)
    known = Share((share * trials)[places], trials[places])
    spread = Several(len(n), ((places, known),) if places.size else ())
    low, high = spread.interval(level)
    values = [
        MetricValue(None, "empty")
        if not rows
        else MetricValue(part, None, 0.0, least, most, count_text(broken, rows))
        for part, least, most, broken, rows in zip(
            *(column.tolist() for column in (share, low, high, bad, n)), strict=True
        )
    ]
    return SliceEstimates.of_values(values, spread)


def count_text(bad: float, n: float) -> str:
    """`30 of 1,500 rows`."""
    return f"{bad:,.0f} of {n:,.0f} row{'' if n == 1 else 's'}"


def with_counts(estimates: SliceEstimates, on: Slices) -> SliceEstimates:
    """Shares of rows, each with how many rows it is."""
    values = [
        value if value.value is None else replace(value, detail=count_text(value.value * n, n))
        for value, n in zip(estimates.values, on.n.tolist(), strict=True)
    ]
    return replace(estimates, values=values)


def digest(*parts: Any) -> str:
    """A short name of what a state depends on."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def column_label(columns: Sequence[str]) -> str:
    return ",".join(columns)


def missing_columns(columns: Iterable[str], setting: Setting) -> Iterator[str]:
    """The columns that the dataset lacks."""
    for column in dict.fromkeys(columns):
        if column not in setting.types:
            hint = did_you_mean(column, setting.types)
            yield f"the dataset has no column {column!r}{hint}"


def family_of(kind: str) -> str:
    """`numbers`, `text`, `boolean`, `date`, `timestamp` or `other`: of a type as Spark has it."""
    base = base_type(kind)
    if base in _NUMBERS:
        return "numbers"
    if base in _TEXTS:
        return "text"
    if base in _TIMES:
        return "timestamp"
    return base if base in ("boolean", "date") else "other"


def base_type(kind: str) -> str:
    """`decimal(10,2)` and `string collate UTF8_LCASE` without what they say more."""
    return kind.partition("(")[0].partition("<")[0].partition(" ")[0]


def is_float(kind: str) -> bool:
    """Whether a column may have NaN."""
    return kind in _FLOATS


def complex_columns(columns: Iterable[str], setting: Setting, what: str) -> Iterator[str]:
    """Columns that are there and whose values have parts, which a check does not look into."""
    for column in dict.fromkeys(columns):
        kind = setting.types.get(column)
        if kind is not None and base_type(kind) in _COMPLEX:
            yield (
                f"{what} {column!r}, which is {kind}; expected columns of numbers, text, truth "
                "values, dates or timestamps"
            )


def readable_columns(setting: Setting) -> list[str]:
    """Every column that Arrow can take."""
    return [name for name, kind in setting.types.items() if base_type(kind) not in _NOT_IN_ARROW]


def all_columns(setting: Setting) -> list[str]:
    """Every column whose values have no parts."""
    return [name for name, kind in setting.types.items() if base_type(kind) not in _COMPLEX]
