"""Tests of the table: what was so in each row, in the range and the values that are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from engine.commands.authoring.figures import figure_of, number, round_down, round_up, zero_bound
from engine.commands.authoring.slices import MOST_LEVELS
from engine.commands.authoring.trial import DRIFT, drift_columns, shares_key
from engine.commands.authoring.wishes import Draft, Situation
from engine.core.vocabulary import Cell
from engine.data.table_profile import ColumnProfile

DATA, TRAINING = "The data", "Beside the training data"
# Limits of drift that are usual, and how far above what was seen they must be.
_DRIFT_LIMITS = (0.1, 0.2, 0.3, 0.5)
_DRIFT_SLACK = 1.5
# Values that fewer rows than so many have say nothing of what others may have.
_LEAST_ROWS = 20
# Of rows beyond twice the range that was seen, more than so many are a break and no outliers.
_FAR_SHARE = 0.01


def add_data_tests(draft: Draft, situation: Situation, cells: Sequence[Cell]) -> None:
    """Adds data quality, and what is measured of the data beside the training data."""
    rows = situation.rows + (situation.training.rows if situation.training else 0)
    _add_key(draft, situation)
    _add_nulls(draft, situation, rows)
    _add_ranges(draft, situation, rows)
    _add_levels(draft, situation, rows)
    if situation.training is None:
        draft.omit(
            "drift, overfit, leakage and trivial models: they need the training data (--reference)"
        )
        return
    _add_drift(draft, situation, cells)
    _add_leaks(draft, situation, cells)


def _both(situation: Situation, name: str) -> list[ColumnProfile]:
    """A column of the table, and of the training data where that has it too."""
    tables = [situation.table, situation.training]
    return [table.columns[name] for table in tables if table and name in table.columns]


def _add_key(draft: Draft, situation: Situation) -> None:
    key = list(situation.roles.key)
    if not key:
        draft.omit("unique: no column has a value of its own in each row")
        return
    unique = key if len(key) == 1 else [key]
    test = {"data_quality": {"unique": unique, "not_null": key}, "max_share": 0}
    rows = f"{situation.rows:,} rows"
    draft.add(DATA, {**test, "slices": ["overall"]}, f"no key twice in {rows}, each has one")


def _add_nulls(draft: Draft, situation: Situation, rows: int) -> None:
    """Columns without a null, in the table and in the training data."""
    wanted = dict.fromkeys((*situation.features, situation.roles.label))
    sensitive = set(situation.wishes.sensitive)
    full = [
        name
        for name in wanted
        if name not in sensitive and not any(one.nulls for one in _both(situation, name))
    ]
    some = [name for name in wanted if name not in full and name not in sensitive]
    if full:
        test = {"data_quality": {"not_null": full}, "max_share": zero_bound(rows)}
        why = f"0 of {rows:,} rows have a null in {_columns(full)}, which allows {_share(rows)}"
        draft.add(DATA, {**test, "slices": ["overall"]}, why)
    if some:
        counts = ", ".join(
            f"{name} {sum(one.nulls for one in _both(situation, name)):,}" for name in some[:8]
        )
        draft.omit(f"not_null of {_columns(some)}: nulls are there ({counts})")


def _share(rows: int) -> str:
    return f"{number(100 * zero_bound(rows), 2)} %"


def _columns(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} columns"


def _data_columns(situation: Situation) -> list[str]:
    """The features; of stored predictions, which read no columns, all that may be shown."""
    shown = set(situation.shown_columns)
    return [
        name
        for name in (situation.features or situation.table.columns)
        if name in shown and name != situation.roles.label
    ]


def _add_ranges(draft: Draft, situation: Situation, rows: int) -> None:
    """Numbers within what was seen, widened by half of it to either side."""
    ranges: dict[str, list[float]] = {}
    for name in _data_columns(situation):
        ends = [
            (one.least, one.greatest)
            for one in _both(situation, name)
            if one.is_number and one.least is not None and one.greatest is not None
        ]
        if ends and not _are_codes(_both(situation, name)):
            whole = situation.table.columns[name].kind == "whole"
            ranges[name] = _widen(min(e[0] for e in ends), max(e[1] for e in ends), whole=whole)
    if not ranges or rows < _LEAST_ROWS:
        return
    share = max(zero_bound(rows), _FAR_SHARE)
    test: dict[str, Any] = {"data_quality": {"range": ranges}, "max_share": share}
    why = (
        f"what {rows:,} rows have, and half as far again to either side: where more than "
        f"{number(100 * share, 2)} % lie beyond, it is another column or another unit"
    )
    draft.add(DATA, {**test, "slices": ["overall"]}, why)


def _are_codes(columns: Sequence[ColumnProfile]) -> bool:
    """Whether the few values of a column are all there are, as far as the rows tell.

    The share of values that nobody has seen is about that of those seen once (Good and Turing).
    """
    rows: dict[Any, int] = {}
    for column in columns:
        if column.kind not in ("text", "whole") or not 0 < len(column.values) <= MOST_LEVELS:
            return False
        for value, count in column.values:
            rows[value] = rows.get(value, 0) + count
    return len(rows) <= MOST_LEVELS and min(rows.values()) > 1


def _widen(low: float, high: float, *, whole: bool) -> list[float]:
    """A range with half of itself on either side, which crosses 0 only where some number does."""
    slack = (high - low) / 2 or abs(low) or 1.0
    ends = [round_down(low - slack), round_up(high + slack)]
    if low >= 0:
        ends[0] = max(ends[0], 0.0)
    if high <= 0:
        ends[1] = min(ends[1], 0.0)
    return [int(end) if whole or end == int(end) else end for end in ends]


def _add_levels(draft: Draft, situation: Situation, rows: int) -> None:
    """Columns of few values, which have no other ones."""
    allowed: dict[str, list[Any]] = {}
    for name in _data_columns(situation):
        columns = _both(situation, name)
        if _are_codes(columns):
            allowed[name] = _union(columns)
    if not allowed or rows < _LEAST_ROWS:
        return
    test = {"data_quality": {"allowed": allowed}, "max_share": zero_bound(rows)}
    why = f"the values of {rows:,} rows; no other one allows {_share(rows)}"
    draft.add(DATA, {**test, "slices": ["overall"], "severity": "warn"}, why)


def _union(columns: Iterable[ColumnProfile]) -> list[Any]:
    return sorted({value for column in columns for value in column.levels})


def _add_drift(draft: Draft, situation: Situation, cells: Sequence[Cell]) -> None:
    """A usual limit that lies well above what the intervals reach without an alarm."""
    assert situation.training is not None, "drift is from the training data"
    _add_distance(draft, "drift", [c for c in cells if c.test.kind == "drift"], situation)
    own = [
        cell
        for cell in cells
        if cell.test.kind == "prediction_drift" and cell.model.name == situation.champion
    ]
    _add_distance(draft, "prediction_drift", own, situation)


def _add_distance(draft: Draft, key: str, cells: Sequence[Cell], situation: Situation) -> None:
    assert situation.training is not None
    figures = [figure for cell in cells if (figure := figure_of(cell)) is not None]
    if not figures:
        if cells:
            draft.omit(f"{key}: no interval ({cells[0].reason})")
        return
    reach = max(figure.value + figure.above for figure in figures)
    sizes = f"{situation.rows:,} rows beside {situation.training.rows:,}"
    limit = next((limit for limit in _DRIFT_LIMITS if limit >= _DRIFT_SLACK * reach), None)
    if limit is None:
        draft.omit(
            f"{key}: {DRIFT} may be {number(reach, 2)} already by {sizes}, too much for a limit"
        )
        return
    columns = {"columns": drift_columns(situation)} if key == "drift" else {}
    test = {key: DRIFT, **columns, "max": limit, "slices": ["overall"], "severity": "warn"}
    why = f"at most {number(reach, 2)} by the intervals of {sizes}"
    draft.add(TRAINING, test, why)


def _add_leaks(draft: Draft, situation: Situation, cells: Sequence[Cell]) -> None:
    """Rows and keys of the training data, where none are there now."""
    for what, severity in (("keys", {}), ("rows", {"severity": "warn"})):
        if what == "keys" and not shares_key(situation):
            continue
        own = [c for c in cells if c.test.kind == "leakage" and c.test.name.endswith(what)]
        overall = [cell for cell in own if cell.slice.set_name == "overall"]
        if not overall:
            continue
        value = overall[0].measured.value
        if value == 0:
            test = {"leakage": what, "max_rows": 0, "slices": ["overall"], **severity}
            why = f"0 of {situation.rows:,} rows are in the training data"
            draft.add(TRAINING, test, why)
        else:
            count = "an unknown number" if value is None else f"{value:,.0f}"
            draft.omit(
                f"leakage of {what}: {count} of {situation.rows:,} rows are in the training data; "
                "look at them first"
            )
