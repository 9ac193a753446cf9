"""Which columns a lattice has, and where each is cut, from what is known of the rows beforehand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from engine.core.slice_names import interval_texts, slice_of, value_text
from engine.core.vocabulary import Dimension, Slice, SliceSet
from engine.kinds.discover.lattice import Axis, Conditions
from engine.kinds.finds import DISCOVERED
from engine.kinds.setting import ColumnValues, Setting

# The most values of a column that are looked at, and into how many bins numbers are cut.
MOST_VALUES, BINS = 8, 5
_FLAT = r"(tinyint|smallint|int|bigint|float|double|decimal.*|boolean|(string|varchar|char)\b.*)"


def is_cut(kind: str) -> bool:
    """Whether a column of this type has values or bins."""
    return re.fullmatch(_FLAT, kind) is not None


def usual_columns(setting: Setting) -> list[str]:
    """All columns that say something of a row: not its label, weight, key, cluster or query."""
    label = setting.columns.label
    return [name for name in setting.plain_columns if name != label and is_cut(setting.types[name])]


def axis_of(column: str, values: ColumnValues, min_share: float) -> Axis | None:
    """The axis of a column, from its frequent values or quantiles; None where it has none.

    Values that fewer rows have than a slice may have are no slices. Bins are cut at quantiles, with
    six digits, so that what a slice is called says exactly which rows it has.
    """
    weights = [weight for _, weight in values]
    if len(values) > 1 and set(weights) == {1.0}:
        edges = _edges([float(value) for value, _ in values])
        return Axis(column, edges=edges) if edges else None
    frequent = sorted(
        ((weight, value) for value, weight in values if weight >= min_share),
        key=lambda one: (-one[0], str(one[1])),
    )[:MOST_VALUES]
    named = sorted((value for _, value in frequent), key=_order)
    return Axis(column, tuple(named)) if named else None


def _edges(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Where equal parts of the rows end; of few values each but the least begins a bin."""
    distinct = sorted({float(f"{value:.6g}") for value in quantiles})
    if len(distinct) <= BINS:
        return tuple(distinct[1:])
    step = len(quantiles) / BINS
    cuts = {float(f"{quantiles[int(step * part)]:.6g}") for part in range(1, BINS)}
    return tuple(sorted(cut for cut in cuts if cut > distinct[0]))


def _order(value: Any) -> tuple[bool, float, str]:
    is_text = isinstance(value, str)
    return is_text, 0.0 if is_text else float(value), str(value)


def dump_axes(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Axes as plain data."""
    return [
        {"column": axis.column, "values": list(axis.values)}
        if axis.edges is None
        else {"column": axis.column, "edges": list(axis.edges)}
        for axis in axes
    ]


def load_axes(data: Sequence[dict[str, Any]]) -> tuple[Axis, ...]:
    """The axes that `dump_axes` wrote."""
    return tuple(
        Axis(one["column"], tuple(one.get("values", ())), _tuple(one.get("edges"))) for one in data
    )


def _tuple(edges: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if edges is None else tuple(edges)


def slice_at(axes: Sequence[Axis], conditions: Conditions) -> Slice:
    """The slice of the rows at some places, under the name that it has everywhere."""
    chosen = [(axes[axis], place) for axis, place in conditions]
    dimensions = tuple(Dimension(axis.column, axis.edges) for axis, _ in chosen)
    values = tuple(_text(axis, place) for axis, place in chosen)
    return slice_of(SliceSet(DISCOVERED, DISCOVERED, dimensions), values)


def _text(axis: Axis, place: int) -> str | None:
    if place == axis.size - 1:
        return None
    return (
        value_text(axis.values[place]) if axis.edges is None else interval_texts(axis.edges)[place]
    )
