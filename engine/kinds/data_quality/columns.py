"""Checks that add up: their rows are counted in the scan that is made anyway."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from engine.core.vocabulary import Condition, MetricValue, TaskKind
from engine.kinds.arrow_rows import Finder
from engine.kinds.data_quality import fields, sql, values
from engine.kinds.data_quality.arrow_checks import marks
from engine.kinds.data_quality.check import (
    ALL,
    Asked,
    Check,
    column_label,
    digest,
    family_of,
    readable_columns,
    with_counts,
)
from engine.kinds.data_quality.limits import value_mistake
from engine.kinds.estimates import SliceEstimates, estimate_metric
from engine.kinds.questions import Mark, Query, figure
from engine.kinds.setting import Context, Setting
from engine.metrics import Metric, Slices, share_of
from engine.states import ColumnFamily, ColumnMean, column_nulls
from engine.states.columns import RowNumber


class ColumnCheck(Check):
    """A check of the values of single columns, whose bad rows are counted in the scan."""

    @abstractmethod
    def family(self, asked: Asked, column: str) -> ColumnFamily:
        """The state that counts the rows whose value of a column breaks it."""

    @abstractmethod
    def columns(self, asked: Asked) -> list[str]:
        """The columns that it is about; of a test that is expanded one."""

    def label(self, asked: Asked) -> str:
        return column_label(self.columns(asked))

    def families(self, asked: Asked) -> Sequence[ColumnFamily]:
        return [self.family(asked, column) for column in self.columns(asked)]

    def bad_rows(self, asked: Asked, setting: Setting) -> Query:
        (family,) = self.families(asked)
        assert isinstance(family, ColumnMean), "it counts rows"
        key = setting.columns.key
        mark = Mark(family.column, family.name, family.function)
        return Query(sql.bad_marked(key), tuple(dict.fromkeys([*key, family.column])), mark)

    def finder(self, asked: Asked, setting: Setting) -> Finder:
        (family,) = self.families(asked)
        assert isinstance(family, ColumnMean), "it counts rows"
        return partial(marks, mark=Mark(family.column, family.name, family.function))

    def metric(self, asked: Asked) -> Metric:
        return Metric(
            self.name(asked),
            frozenset(TaskKind),
            lambda problem: tuple(self.families(asked)),  # type: ignore[arg-type]
            share_of,
            higher_is_better=False,
            bounds=(0.0, 1.0),
            many=True,
        )

    def estimate(self, asked: Asked, on: Slices, context: Context) -> SliceEstimates:
        metric = self.metric(asked)
        estimates = estimate_metric(metric, context.problem, on, level=context.level, alone=True)
        return with_counts(estimates, on)


class NotNull(ColumnCheck):
    """Columns that have a value in every row; NaN is none."""

    key = "not_null"
    figure = "null_share"
    description = "Columns that should have a value in every row, or all."
    field = fields.ColumnsOrAll

    def split(self, value: Any, setting: Setting) -> list[Asked]:
        columns = readable_columns(setting) if value == ALL else value
        return [Asked([column]) for column in columns]

    def columns(self, asked: Asked) -> list[str]:
        return [] if asked.value == ALL else list(asked.value)

    def label(self, asked: Asked) -> str:
        return ALL if asked.value == ALL else super().label(asked)

    def family(self, asked: Asked, column: str) -> ColumnFamily:
        return column_nulls(column)


class ValueCheck(ColumnCheck):
    """A check of values that says for each column what they should be.

    What it counts depends on the column's type as well, which is one of its facts.

    Attributes:
        reads_marks: whether a text such as `NA` in a column of numbers is what it looks for, so
            that CSV files with one are not refused for its sake.
    """

    reads_marks: ClassVar[bool] = True

    @abstractmethod
    def function(self, wanted: Any) -> RowNumber:
        """Gives 1 for each row whose value is not what is wanted."""

    def value_misfits(self, kind: str, wanted: Any) -> Iterator[str]:
        """What is wrong with what is wanted of a column of a type: `found ..., expected ...`."""
        return iter(())

    def split(self, value: Mapping[str, Any], setting: Setting) -> list[Asked]:
        return [
            Asked({column: wanted}, {"type": setting.types.get(column, "")})
            for column, wanted in value.items()
        ]

    def columns(self, asked: Asked) -> list[str]:
        return list(asked.value)

    def families(self, asked: Asked) -> Sequence[ColumnFamily]:
        # Before it is expanded only who looks for marks in files of numbers asks for them.
        return [] if self.reads_marks and not asked.facts else super().families(asked)

    def family(self, asked: Asked, column: str) -> ColumnFamily:
        wanted = asked.value[column]
        name = f"{self.key} {digest(wanted, asked.facts.get('type', ''))}"
        return ColumnMean(column, name, self.function(wanted))

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        for column, wanted in asked.value.items():
            kind = setting.types.get(column)
            for text in () if kind is None else self.value_misfits(kind, wanted):
                yield f"{self.key} of the column {column!r}, which is {kind}: {text}"


class Range(ValueCheck):
    """Numbers, dates or timestamps that lie between two ends, which belong to what is good."""

    key = "range"
    figure = "out_of_range_share"
    description = "By column, the least and the greatest value: [0, 120]; null is no limit."
    field = fields.Ranges
    reads_marks = False

    def function(self, wanted: Any) -> RowNumber:
        return values.outside(*wanted)

    def value_misfits(self, kind: str, wanted: Any) -> Iterator[str]:
        if family_of(kind) not in ("numbers", "date", "timestamp"):
            yield f"found the ends {wanted}, expected a column of numbers, dates or timestamps"
            return
        for end in wanted:
            exact = value_mistake(kind, end) if end is not None else None
            # A limit of whole numbers may lie between two of them.
            if exact is not None and exact != "whole numbers":
                yield f"found the end {end!r}, expected {exact}"


class Allowed(ValueCheck):
    """Values that are among those of a list, as they are written there."""

    key = "allowed"
    figure = "not_allowed_share"
    description = "By column, the values that it may have: [DE, FR]."
    field = fields.Lists

    def function(self, wanted: Any) -> RowNumber:
        return values.not_among(wanted)

    def value_misfits(self, kind: str, wanted: Any) -> Iterator[str]:
        if family_of(kind) == "other":
            yield "expected a column of numbers, text, truth values, dates or timestamps"
            return
        for value in wanted:
            mistake = value_mistake(kind, value)
            if mistake is not None:
                yield f"found the value {value!r}, expected {mistake}"
                return


class Pattern(ValueCheck):
    """Texts that match a regular expression as a whole."""

    key = "pattern"
    figure = "no_match_share"
    description = "By column, the regular expression that each text should match as a whole."
    field = fields.Patterns

    def function(self, wanted: Any) -> RowNumber:
        return values.not_like(wanted)

    def value_misfits(self, kind: str, wanted: Any) -> Iterator[str]:
        if family_of(kind) != "text":
            yield "expected a column of text"


class TypeOf(ValueCheck):
    """Values that can be read as ones of a type."""

    key = "type"
    figure = "wrong_type_share"
    description = "By column, the type that its values can be read as: integer, number, ..."
    field = fields.Types

    def function(self, wanted: Any) -> RowNumber:
        return values.not_of_type(wanted)

    def value_misfits(self, kind: str, wanted: Any) -> Iterator[str]:
        if family_of(kind) == "other":
            yield "expected a column of numbers, text, truth values, dates or timestamps"


class RowCount(Check):
    """How many rows there are."""

    key = "row_count"
    figure = "row_count"
    description = "The least and the greatest number of rows: [1000, null]; null is no limit."
    field = fields.Counts
    is_share = False
    finds_rows = False

    def split(self, value: Any, setting: Setting) -> list[Asked]:
        return [Asked(value, {"column": setting.columns.label})]

    def label(self, asked: Asked) -> str:
        return ""

    def subject(self, asked: Asked) -> str:
        return "rows"

    def families(self, asked: Asked) -> Sequence[ColumnFamily]:
        # Rows are counted beside any state of the data.
        column = asked.facts.get("column")
        return [] if column is None else [column_nulls(column)]

    def conditions(self, asked: Asked) -> tuple[Condition, ...]:
        return limit_conditions(*asked.value)

    def metric(self, asked: Asked) -> Metric:
        return figure(self.name(asked), bounds=(0.0, float("inf")), any_rows=True)

    def estimate(self, asked: Asked, on: Slices, context: Context) -> SliceEstimates:
        return SliceEstimates.of_values([MetricValue(float(rows.n)) for rows in on.counts])


def limit_conditions(low: Any, high: Any) -> tuple[Condition, ...]:
    """What two ends demand, of which one may be None."""
    if low is not None and high is not None:
        return (Condition("between", float(low), upper=float(high)),)
    return (Condition("max", float(high)) if low is None else Condition("min", float(low)),)
