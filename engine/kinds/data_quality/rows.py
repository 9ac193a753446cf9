"""Checks that do not add up: each asks a query of the rows, whose answers are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from engine.core.vocabulary import Condition, MetricValue
from engine.kinds.arrow_rows import Finder, Here
from engine.kinds.data_quality import fields, sql
from engine.kinds.data_quality.arrow_checks import (
    conflicts,
    constants,
    count_bad,
    counts_before,
    exceptions,
    newest,
    repeats,
)
from engine.kinds.data_quality.check import (
    ALL,
    FEATURES,
    Asked,
    Check,
    all_columns,
    column_label,
    complex_columns,
    family_of,
)
from engine.kinds.data_quality.columns import limit_conditions
from engine.kinds.estimates import SliceEstimates
from engine.kinds.questions import Query, figure
from engine.kinds.setting import Context, Setting
from engine.metrics import Metric, Slices

_NO_CLOCK = "it is not known when the run began"
_NO_VERSION = "there is no version before, or it can no longer be read"
_NO_ROWS = "the version before has no such row"


class RowCheck(Check):
    """A check of rows beside others, which are found by a query."""

    @abstractmethod
    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        """The columns that its query reads."""

    @abstractmethod
    def text(self, asked: Asked, setting: Setting) -> str:
        """Its query in Spark SQL."""

    def query(self, asked: Asked, setting: Setting) -> Query:
        columns = tuple(dict.fromkeys(self.columns(asked, setting)))
        return Query(self.text(asked, setting), columns, here=self.here(asked, setting))

    def here(self, asked: Asked, setting: Setting) -> Here | None:
        """What its query finds, of rows in Arrow."""
        find = self.finder(asked, setting)
        return None if find is None else lambda rows, beside: count_bad(rows, find(rows))

    def bad_text(self, asked: Asked, setting: Setting) -> str | None:
        """The part of a query that gives its bad rows by their keys."""
        return None

    def bad_rows(self, asked: Asked, setting: Setting) -> Query | None:
        text, query = self.bad_text(asked, setting), self.query(asked, setting)
        if text is None:
            return None
        return Query(text, tuple(dict.fromkeys([*setting.columns.key, *query.columns])))

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        yield from complex_columns(self.columns(asked, setting), setting, f"{self.key} reads")


class Unique(RowCheck):
    """Keys that no two rows share; rows without one are no offence."""

    key = "unique"
    figure = "repeated_share"
    description = "Columns whose values no two rows should share; a list in it: together."
    field = fields.Keys

    def split(self, value: Any, setting: Setting) -> list[Asked]:
        return [Asked([key]) for key in value]

    def label(self, asked: Asked) -> str:
        keys = ((key,) if isinstance(key, str) else key for key in asked.value)
        return ",".join("+".join(key) for key in keys)

    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        return [
            name
            for key in asked.value
            for name in ([key] if isinstance(key, str) else key)
        ]  # fmt: skip

    def text(self, asked: Asked, setting: Setting) -> str:
        return sql.repeats(self.columns(asked, setting), setting.types, nulls=False)

    def bad_text(self, asked: Asked, setting: Setting) -> str:
        key = setting.columns.key
        return sql.bad_repeats(self.columns(asked, setting), setting.types, key, nulls=False)

    def finder(self, asked: Asked, setting: Setting) -> Finder:
        return partial(repeats, columns=self.columns(asked, setting), nulls=False)


class ManyColumns(RowCheck):
    """A check of some columns together, which one word may stand for."""

    def split(self, value: Any, setting: Setting) -> list[Asked]:
        return [Asked(value)]

    def label(self, asked: Asked) -> str:
        return asked.value if isinstance(asked.value, str) else column_label(asked.value)

    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        if asked.value == ALL:
            return list(setting.types)
        if asked.value == FEATURES:
            models = (model for model in setting.models if not model.is_stored)
            return list(dict.fromkeys(name for model in models for name in model.features))
        return list(asked.value)

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        yield from super().misfits(asked, setting)
        if not self.columns(asked, setting):
            yield f"found {self.key}: {asked.value} and no model with features; name the columns"

    def query(self, asked: Asked, setting: Setting) -> Query:
        # Of no columns there is nothing to ask, which `misfits` tells.
        return super().query(asked, setting) if self.columns(asked, setting) else _NOTHING


_NOTHING = Query("SELECT _slice, count(*) AS n FROM {rows} GROUP BY _slice", ())


class NoDuplicates(ManyColumns):
    """Rows that are equal to others in some columns, or in all; a null is a value like others."""

    key = "no_duplicates"
    figure = "duplicate_share"
    description = "Columns in which no two rows should be equal: all, features, or a list."
    field = fields.RowColumns

    def text(self, asked: Asked, setting: Setting) -> str:
        return sql.repeats(self.columns(asked, setting), setting.types, nulls=True)

    def bad_text(self, asked: Asked, setting: Setting) -> str:
        key = setting.columns.key
        return sql.bad_repeats(self.columns(asked, setting), setting.types, key, nulls=True)

    def finder(self, asked: Asked, setting: Setting) -> Finder:
        return partial(repeats, columns=self.columns(asked, setting), nulls=True)


class NoConflicts(ManyColumns):
    """Rows that are equal to others in some columns and have another label."""

    key = "no_conflicts"
    figure = "conflict_share"
    description = "Columns in which rows of different labels should differ: features, or a list."
    field = fields.ColumnsOrFeatures

    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        label = setting.columns.label
        return [name for name in super().columns(asked, setting) if name != label]

    def text(self, asked: Asked, setting: Setting) -> str:
        columns = self.columns(asked, setting)
        return sql.conflicts(columns, setting.columns.label, setting.types)

    def bad_text(self, asked: Asked, setting: Setting) -> str:
        columns, about = self.columns(asked, setting), setting.columns
        return sql.bad_conflicts(columns, setting.types, about.key, about.label)

    def finder(self, asked: Asked, setting: Setting) -> Finder:
        columns = self.columns(asked, setting)
        return partial(conflicts, columns=columns, label=setting.columns.label)

    def query(self, asked: Asked, setting: Setting) -> Query:
        query = super().query(asked, setting)
        return replace(query, columns=(*query.columns, setting.columns.label))

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        yield from super().misfits(asked, setting)
        yield from complex_columns([setting.columns.label], setting, f"{self.key} reads the label")


class NotConstant(RowCheck):
    """Columns that have more than one value; all columns of a test are one query."""

    key = "not_constant"
    figure = "constant_share"
    description = "Columns that should have more than one value, or all."
    field = fields.ColumnsOrAll
    finds_rows = False
    whole_only = True

    def split(self, value: Any, setting: Setting) -> list[Asked]:
        columns = all_columns(setting) if value == ALL else list(value)
        return [
            Asked([column], {"beside": columns, "place": place})
            for place, column in enumerate(columns)
        ]

    def label(self, asked: Asked) -> str:
        return ALL if asked.value == ALL else column_label(asked.value)

    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        return list(asked.facts.get("beside", ()))

    def text(self, asked: Asked, setting: Setting) -> str:
        return sql.constants(self.columns(asked, setting), setting.types)

    def here(self, asked: Asked, setting: Setting) -> Here:
        columns = self.columns(asked, setting)
        return lambda rows, beside: constants(rows, columns)

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        yield from complex_columns(asked.value, setting, f"{self.key} reads")

    def metric(self, asked: Asked) -> Metric:
        return figure(self.name(asked), higher_is_better=False, bounds=(0.0, 1.0))

    def estimate(self, asked: Asked, on: Slices, context: Context) -> SliceEstimates:
        flags = (answer[f"c{asked.facts['place']}"] for answer in on.answers)
        values = [
            MetricValue(flag, detail="one value, or none" if flag else "more than one value")
            for flag in flags
        ]
        return SliceEstimates.of_values(values)


class DeterminedBy(RowCheck):
    """A column whose value follows from that of others, as the city does from the postcode."""

    key = "determined_by"
    figure = "not_determined_share"
    description = "By column, the columns from whose values its own should follow: {city: zip}."
    field = fields.Sources

    def split(self, value: Mapping[str, Any], setting: Setting) -> list[Asked]:
        return [Asked({column: sources}) for column, sources in value.items()]

    def label(self, asked: Asked) -> str:
        return ",".join(asked.value)

    def subject(self, asked: Asked) -> str:
        return "; ".join(f"{name} by {','.join(by)}" for name, by in asked.value.items())

    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        return [
            name for column, sources in asked.value.items() for name in (*sources, column)
        ]  # fmt: skip

    def text(self, asked: Asked, setting: Setting) -> str:
        ((column, sources),) = asked.value.items()
        return sql.exceptions(sources, column, setting.types)

    def bad_text(self, asked: Asked, setting: Setting) -> str:
        ((column, sources),) = asked.value.items()
        return sql.bad_exceptions(sources, column, setting.types, setting.columns.key)

    def finder(self, asked: Asked, setting: Setting) -> Finder:
        ((column, sources),) = asked.value.items()
        return partial(exceptions, sources=sources, column=column)

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        yield from super().misfits(asked, setting)
        for column, sources in asked.value.items():
            if column in sources:
                yield f"found {column!r} among the columns that determine it, expected others"


class Freshness(RowCheck):
    """How old the newest value of a column of dates or timestamps is when the run begins."""

    key = "freshness"
    figure = "age_hours"
    description = "By column of dates or timestamps, how old the newest may be: 2 d, 36 h."
    field = fields.Ages
    is_share = False
    finds_rows = False

    def split(self, value: Mapping[str, str], setting: Setting) -> list[Asked]:
        return [Asked({column: age}) for column, age in value.items()]

    def label(self, asked: Asked) -> str:
        return column_label(list(asked.value))

    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        return list(asked.value)

    def text(self, asked: Asked, setting: Setting) -> str:
        (column,) = asked.value
        return sql.newest(column, setting.types)

    def here(self, asked: Asked, setting: Setting) -> Here:
        (column,) = asked.value
        return lambda rows, beside: newest(rows, column)

    def conditions(self, asked: Asked) -> tuple[Condition, ...]:
        (age,) = asked.value.values()
        return (Condition("max", fields.seconds_of(age) / 3600),)

    def misfits(self, asked: Asked, setting: Setting) -> Iterator[str]:
        for column in asked.value:
            kind = setting.types.get(column)
            if kind is not None and family_of(kind) not in ("date", "timestamp"):
                yield (
                    f"{self.key} of the column {column!r}, which is {kind}; expected dates or "
                    "timestamps"
                )

    def metric(self, asked: Asked) -> Metric:
        return figure(self.name(asked), higher_is_better=False, any_rows=True)

    def estimate(self, asked: Asked, on: Slices, context: Context) -> SliceEstimates:
        if context.started_at is None:
            return SliceEstimates.repeat_failure(len(on), _NO_CLOCK)
        now = context.started_at.timestamp()
        values = [
            MetricValue(None, "no row has a value of the column")
            if answer["seconds"] is None
            else MetricValue((now - answer["seconds"]) / 3600)
            for answer in on.answers
        ]
        return SliceEstimates.of_values(values)


class RowChange(RowCheck):
    """By how much the rows are more than in the version before, as a share of those."""

    key = "row_change"
    figure = "row_change"
    description = "The least and the greatest change of rows to the version before: [-0.1, 0.5]."
    field = fields.Changes
    is_share = False
    finds_rows = False

    def split(self, value: Any, setting: Setting) -> list[Asked]:
        return [Asked(value)]

    def label(self, asked: Asked) -> str:
        return ""

    def subject(self, asked: Asked) -> str:
        return "rows"

    def columns(self, asked: Asked, setting: Setting) -> list[str]:
        return []

    def text(self, asked: Asked, setting: Setting) -> str:
        return sql.counts_before()

    def here(self, asked: Asked, setting: Setting) -> Here:
        return counts_before

    def conditions(self, asked: Asked) -> tuple[Condition, ...]:
        return limit_conditions(*asked.value)

    def metric(self, asked: Asked) -> Metric:
        return figure(self.name(asked), bounds=(-1.0, np.inf), any_rows=True)

    def estimate(self, asked: Asked, on: Slices, context: Context) -> SliceEstimates:
        return SliceEstimates.of_values([_change(answer) for answer in on.answers])


def _change(answer: Mapping[str, float | None]) -> MetricValue:
    before, n = answer.get("before"), answer["n"]
    if before is None:
        return MetricValue(None, _NO_VERSION)
    if not before:
        return MetricValue(None, _NO_ROWS)
    assert n is not None, "the rows of a slice are a number"
    return MetricValue(n / before - 1, detail=f"{n:,.0f} rows, {before:,.0f} before")
