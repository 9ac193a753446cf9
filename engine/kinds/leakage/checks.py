"""What is looked for: rows, keys and entities in both, dates out of order, a target in disguise.

Each check is a query of the rows beside those of the reference, the training data. Rows are matched
by their values, not by a hash of them: Spark's hashes skip null, so that (null, 1) and (1, null)
would be one row.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from engine.core.vocabulary import TaskKind
from engine.kinds.arrow_rows import Figures, Here, SlicedRows
from engine.kinds.leakage.arrow_checks import count_leaks, rows_in_both, rows_not_younger
from engine.kinds.leakage.arrow_target import Cutting, target_powers
from engine.kinds.questions import COUNT, SLICE, Query, column_sql
from engine.kinds.setting import Setting

LEAKED = "leaked"
# What a column alone can say, from 0 (nothing) to 1, under names p0, p1, ...
POWER = "p"
# Where a numeric column of many values is cut, as shares of the reference's rows: finer at both
# ends, where the few lie that a rare label is about.
_TAIL = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
CUTS = (*_TAIL, *(part / 20 for part in range(2, 19)), *(1 - share for share in reversed(_TAIL)))
# About so many rows say where: those of which a hash is divisible, on any partitioning the same.
CUT_ROWS = 100_000
# A column of no more values is taken value by value.
FEW = 64

_NUMBERS = "tinyint|smallint|int|bigint|float|double|decimal.*"
_VALUES = rf"{_NUMBERS}|boolean|date|timestamp.*|(string|varchar|char)\b.*"
_TIMES = r"date|timestamp.*"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a test asks: the task and the columns, a column of its own, how near is near."""

    setting: Setting
    column: str | None = None
    near: float | None = None

    @property
    def inputs(self) -> list[str]:
        """The columns that have values and no other role, stored predictions left out too."""
        columns = self.setting.columns
        others = {columns.label, columns.weight, columns.cluster, columns.query, *columns.key}
        others |= self.setting.stored_columns
        types = self.setting.types
        return [name for name in types if name not in others and re.fullmatch(_VALUES, types[name])]

    def are_times(self, name: str) -> bool:
        return re.fullmatch(_TIMES, self.setting.types.get(name, "")) is not None

    def are_numbers(self, name: str) -> bool:
        return re.fullmatch(_NUMBERS, self.setting.types.get(name, "")) is not None


class LeakageCheck(ABC):
    """One way in which test data leak.

    Attributes:
        key: what stands under `leakage`.
        description: what is counted, in a line.
        metric: what its cells are called.
        counts: whether it counts rows; else it is a share of what could be known.
    """

    key: ClassVar[str]
    description: ClassVar[str]
    metric: ClassVar[str]
    counts: ClassVar[bool] = True

    def misfits(self, asked: Asked) -> Iterator[str]:
        """Why the check makes no sense here."""
        return iter(())

    @abstractmethod
    def columns(self, asked: Asked) -> Sequence[str]:
        """The columns that it reads, which both datasets must have."""

    @abstractmethod
    def text(self, asked: Asked) -> str:
        """The query: a row for each slice with `n`, and what was found of it."""

    def query(self, asked: Asked) -> Query:
        return Query(self.text(asked), tuple(self.columns(asked)), here=self.here(asked))

    def here(self, asked: Asked) -> Here | None:
        """What its query finds, of rows in Arrow; None where only Spark can tell it."""
        return None


def _lacks_inputs(asked: Asked) -> Iterator[str]:
    if not asked.inputs:
        yield "the dataset has no column of numbers, text, dates or truth values to look at"


class _InBoth(LeakageCheck):
    """Rows of which some columns have values that a row of the reference has."""

    # Whether a row counts whose columns are all null.
    takes_nulls: ClassVar[bool] = False

    def text(self, asked: Asked) -> str:
        names = [column_sql(name) for name in self.columns(asked)]
        same = " AND ".join(f"r.{name} <=> t.{name}" for name in names)
        known = "TRUE" if self.takes_nulls else " OR ".join(f"{name} IS NOT NULL" for name in names)
        listed = ", ".join(names)
        return f"""
            SELECT r.{SLICE}, count(*) AS {COUNT}, count(t.hit) AS {LEAKED}
            FROM {{rows}} r
            LEFT JOIN (
                SELECT DISTINCT {listed}, 1 AS hit FROM {{reference}} WHERE {known}
            ) t ON {same}
            GROUP BY r.{SLICE}
        """

    def here(self, asked: Asked) -> Here | None:
        columns, nulls = self.columns(asked), self.takes_nulls

        def count(rows: SlicedRows, beside: Mapping[str, SlicedRows]) -> Figures:
            places = rows_in_both(rows, beside, columns, nulls=nulls)
            return count_leaks(rows, places, LEAKED)

        return count


class Rows(_InBoth):
    """Rows that stand in the reference with all their inputs and their label."""

    key = "rows"
    description = "rows that are in both with all their inputs and their label"
    metric = "leaked_rows"
    takes_nulls = True

    def columns(self, asked: Asked) -> Sequence[str]:
        return [*asked.inputs, asked.setting.columns.label]

    def misfits(self, asked: Asked) -> Iterator[str]:
        return _lacks_inputs(asked)


class Keys(_InBoth):
    """Rows whose key is that of a row of the reference; a key that is all null is none."""

    key = "keys"
    description = "rows whose key is in both"
    metric = "leaked_keys"

    def columns(self, asked: Asked) -> Sequence[str]:
        return asked.setting.columns.key

    def misfits(self, asked: Asked) -> Iterator[str]:
        if not asked.setting.columns.key:
            yield "the dataset says no `key`; expected the columns that tell a row from others"


class Entities(_InBoth):
    """Rows of a customer, a patient, a page, that the reference has rows of as well."""

    key = "entities"
    description = "rows whose cluster is in both"
    metric = "leaked_entities"

    def columns(self, asked: Asked) -> Sequence[str]:
        cluster = asked.setting.columns.cluster or asked.setting.columns.query
        return [] if cluster is None else [cluster]

    def misfits(self, asked: Asked) -> Iterator[str]:
        if not self.columns(asked):
            yield "the dataset says no `cluster`; expected the column whose rows belong together"


class Dates(LeakageCheck):
    """Rows that are not younger than all of the reference; rows without a date do not count."""

    key = "dates"
    description = "rows dated before the reference's newest, or like it"
    metric = "leaked_dates"

    def columns(self, asked: Asked) -> Sequence[str]:
        return [] if asked.column is None else [asked.column]

    def misfits(self, asked: Asked) -> Iterator[str]:
        if asked.column is None:
            yield "it names no `column`; expected that of the rows' dates"
        elif asked.column in asked.setting.types and not asked.are_times(asked.column):
            kind = asked.setting.types[asked.column]
            yield f"the column {asked.column!r} is {kind}; expected dates or timestamps"

    def text(self, asked: Asked) -> str:
        name = column_sql(str(asked.column))
        return f"""
            SELECT r.{SLICE}, count(*) AS {COUNT}, count_if(r.{name} <= t.newest) AS {LEAKED}
            FROM {{rows}} r CROSS JOIN (SELECT max({name}) AS newest FROM {{reference}}) t
            GROUP BY r.{SLICE}
        """

    def here(self, asked: Asked) -> Here:
        column = str(asked.column)

        def count(rows: SlicedRows, beside: Mapping[str, SlicedRows]) -> Figures:
            return count_leaks(rows, rows_not_younger(rows, beside, column), LEAKED)

        return count


class Target(LeakageCheck):
    """What a single column says of the label, learned on the reference and asked of the rows.

    Of each value, or part of a numeric column, the reference's most frequent label (mean target) is
    what the column says. Of classes it is the share of the rows that the majority has wrong and the
    column right, (right - majority) / (n - majority); of numbers the share of the variance that it
    explains. A column of other values in each row, as a key, says nothing of rows that it has not
    seen.
    """

    key = "target"
    description = "what the best single column says of the label"
    metric = "target_power"
    counts = False

    def columns(self, asked: Asked) -> Sequence[str]:
        return [*asked.inputs, asked.setting.columns.label]

    def misfits(self, asked: Asked) -> Iterator[str]:
        yield from _lacks_inputs(asked)
        task = asked.setting.problem.task
        if task not in (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION):
            yield f"it is of a label or a number for each row; the task is {task.value}"

    def text(self, asked: Asked) -> str:
        label = column_sql(asked.setting.columns.label)
        classes = asked.setting.problem.task is not TaskKind.REGRESSION
        y = f"cast({label} AS STRING)" if classes else f"cast({label} AS DOUBLE)"
        where = f"{label} IS NOT NULL" if classes else f"abs(cast({label} AS DOUBLE)) < 'Infinity'"
        places = range(len(asked.inputs))
        parts = [_part_sql(name, n, asked) for n, name in enumerate(asked.inputs)]
        array = f"array({', '.join(parts)})"
        numbers = [n for n, name in enumerate(asked.inputs) if asked.are_numbers(name)]
        cuts = [_cuts_sql(asked.inputs[n], n) for n in numbers] or ["count(*) AS none"]
        hashed = ", ".join(column_sql(name) for name in asked.inputs)
        powers = ", ".join(
            f"max(CASE WHEN place = {n} THEN power END) AS {POWER}{n}" for n in places
        )
        learn = "max_by(y, struct(times, y))" if classes else "sum(y * times) / sum(times)"
        counted = "SELECT place, part, y, count(*) AS times FROM learned GROUP BY place, part, y"
        power = _POWER_OF_CLASSES if classes else _POWER_OF_NUMBERS
        return f"""
            WITH size AS (SELECT greatest(count(*) DIV {CUT_ROWS}, 1) AS every FROM {{reference}}),
            cuts AS (
                SELECT {", ".join(cuts)} FROM {{reference}} CROSS JOIN size
                WHERE pmod(xxhash64({hashed}), every) = 0
            ),
            learned AS (
                SELECT y, place, part FROM (
                    SELECT {y} AS y, {array} AS parts
                    FROM {{reference}} CROSS JOIN cuts WHERE {where}
                ) LATERAL VIEW posexplode(parts) AS place, part
            ),
            said AS (SELECT place, part, {learn} AS says FROM ({counted}) GROUP BY place, part),
            usual AS (
                SELECT place, {learn} AS says FROM (
                    SELECT place, y, count(*) AS times FROM learned GROUP BY place, y
                ) GROUP BY place
            ),
            asked AS (
                SELECT {SLICE}, y, place, part FROM (
                    SELECT {SLICE}, {y} AS y, {array} AS parts
                    FROM {{rows}} CROSS JOIN cuts WHERE {where}
                ) LATERAL VIEW posexplode(parts) AS place, part
            ),
            judged AS (
                SELECT a.{SLICE}, a.place, count(*) AS labelled, {power} AS power
                FROM asked a JOIN usual u ON a.place = u.place
                LEFT JOIN said s ON a.place = s.place AND a.part = s.part
                GROUP BY a.{SLICE}, a.place
            ),
            counts AS (SELECT {SLICE}, count(*) AS {COUNT} FROM {{rows}} GROUP BY {SLICE})
            SELECT c.{SLICE}, max(c.{COUNT}) AS {COUNT}, max(labelled) AS labelled, {powers}
            FROM counts c LEFT JOIN judged j ON c.{SLICE} <=> j.{SLICE} GROUP BY c.{SLICE}
        """

    def here(self, asked: Asked) -> Here:
        # As they stand in the text.
        shares = [float(f"{share:.4f}") for share in CUTS]
        are_classes = asked.setting.problem.task is not TaskKind.REGRESSION
        return partial(
            target_powers,
            columns=asked.inputs,
            label=(asked.setting.columns.label, are_classes),
            cutting=Cutting(shares, CUT_ROWS, FEW),
        )


_POWER_OF_CLASSES = """
    (count_if(a.y = coalesce(s.says, u.says)) - count_if(a.y = u.says))
    / nullif(count(*) - count_if(a.y = u.says), 0)
"""
_POWER_OF_NUMBERS = """
    1 - sum(power(a.y - coalesce(s.says, u.says), 2)) / nullif(sum(power(a.y - u.says, 2)), 0)
"""


def _cuts_sql(name: str, place: int) -> str:
    """Where a numeric column is cut, and whether it has few values."""
    number = f"cast({column_sql(name)} AS DOUBLE)"
    finite = f"CASE WHEN abs({number}) < 'Infinity' THEN {number} END"
    shares = ", ".join(f"{share:.4f}D" for share in CUTS)
    few = f"approx_count_distinct({column_sql(name)}) <= {FEW}"
    return f"percentile({finite}, array({shares})) AS c{place}, {few} AS few{place}"


def _part_sql(name: str, place: int, asked: Asked) -> str:
    """A value as it is looked up: as a text, of many numbers how many cuts lie below it."""
    text = f"coalesce(cast({column_sql(name)} AS STRING), '<null>')"
    if not asked.are_numbers(name):
        return text
    number = f"cast({column_sql(name)} AS DOUBLE)"
    below = " + ".join(f"int({number} > c{place}[{cut}])" for cut in range(len(CUTS)))
    is_itself = f"few{place} OR c{place} IS NULL OR NOT abs({number}) < 'Infinity'"
    return f"CASE WHEN {is_itself} THEN {text} ELSE coalesce(cast({below} AS STRING), {text}) END"


CHECKS: dict[str, LeakageCheck] = {
    check.key: check for check in (Rows(), Keys(), Entities(), Dates(), Target())
}
