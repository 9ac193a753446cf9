"""What a perturbation is: a change of a model's input, row by row, that a worker makes.

The change of a row depends on the row alone (by a hash of its key), on the perturbation and its
parameters, never on the batch it is in or on another row: so it is the same on any partitioning, in
a resumed run, and when a table's next version is brought up to date.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.core.registry import Registry
from engine.core.vocabulary import Variant
from engine.kinds.setting import Setting
from engine.states import Bools, Floats, Ints

SEVERITIES = (1, 2, 3, 4, 5)
# Types of columns, as Spark writes them.
NUMBERS = "tinyint|smallint|int|bigint|float|double"
TEXTS = r"(string|varchar|char)\b.*"
CATEGORIES = f"boolean|tinyint|smallint|int|bigint|{TEXTS}"
# Done to every row.
WHOLE = 0
# The key of the ranges in which numbers stay, beside a perturbation's own parameters.
WITHIN = "within"
NO_RANGES: Mapping[str, Sequence[float]] = {}


class Perturbation(ABC):
    """A change of a model's input.

    Attributes:
        key: its key under `robustness` in a suite.
        description: what it does, in a line.
        field: what stands under its key, as a type that pydantic reads.
        needs_spread: whether its strength is in units of a column's spread.
        is_graded: whether `robustness` has it, in five severities; others are a kind's own.
        needs_values: whether it draws from the values that a column has.
        stays_in_range: whether numbers that it changes stay between the least and the greatest of
            their column.
        keeps_answer: whether it may be done to all rows for `invariance`, as severity `WHOLE`.
    """

    key: ClassVar[str]
    description: ClassVar[str]
    field: ClassVar[Any]
    needs_spread: ClassVar[bool] = False
    is_graded: ClassVar[bool] = True
    needs_values: ClassVar[bool] = False
    keeps_answer: ClassVar[bool] = False
    stays_in_range: ClassVar[bool] = False

    @abstractmethod
    def columns(self, asked: Any) -> Sequence[str]:
        """The columns that it changes, of what stands under its key."""

    @abstractmethod
    def parameters(self, asked: Any, severity: int, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """All that a severity depends on, for JSON.

        `facts` are what must be known of columns: spreads, or the pinned values with their weights,
        `[[value, weight], ...]`.
        """

    @abstractmethod
    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        """The batch with its columns changed; `rows` is a hash of each row's key, int64 [n]."""

    def pinned_columns(self, asked: Any) -> Sequence[str]:
        """The columns of which something must be known before the scan."""
        return self.columns(asked) if self.needs_spread or self.needs_values else ()

    def misfits(self, asked: Any, setting: Setting) -> Iterator[str]:
        """Why it cannot be done to these columns."""
        return iter(())

    def variant(
        self,
        asked: Any,
        severity: int,
        facts: Mapping[str, Any],
        ranges: Mapping[str, Sequence[float]] = NO_RANGES,
    ) -> Variant:
        """The variant of a severity, `noise(f0,f1)@2`; on all rows alike, `swap(sex)`."""
        name = variant_stem(self.key, self.columns(asked))
        name = name if severity == WHOLE else f"{name}@{severity}"
        parameters = self.parameters(asked, severity, facts)
        if ranges and self.stays_in_range:
            parameters = {**parameters, WITHIN: ranges}
        return Variant(name, self.key, json.dumps(parameters, sort_keys=True))


def variant_stem(key: str, columns: Sequence[str]) -> str:
    """A perturbation with its columns, `noise(f0,f1)`; a name that is none in quotes."""
    plain = re.compile(r"[\w .\-]+")
    names = [c if plain.fullmatch(c) else json.dumps(c, ensure_ascii=False) for c in columns]
    return f"{key}({','.join(names)})"


PERTURBATIONS: Registry[Perturbation] = Registry("perturbation", "evalmatrix.perturbations")


def perturb(batch: pa.RecordBatch, rows: Ints, variant: Variant) -> pa.RecordBatch:
    """A batch behind a variant; no row is lost, none changes its place.

    Raises:
        ValueError: when the perturbation gives another number of rows, or other columns.
    """
    perturbation = PERTURBATIONS.get(variant.perturbation)
    parameters = json.loads(variant.parameters)
    ranges = parameters.pop(WITHIN, NO_RANGES)
    changed = perturbation.apply(batch, rows, parameters)
    if changed.num_rows != batch.num_rows or changed.schema.names != batch.schema.names:
        raise ValueError(
            f"the perturbation {variant.perturbation!r} gave {changed.num_rows} rows of the "
            f"columns {changed.schema.names}, expected {batch.num_rows} of {batch.schema.names}"
        )
    for name, (low, high) in ranges.items():
        changed = change_column(changed, name, partial(clip_numbers, low=low, high=high))
    return changed


def clip_numbers(column: pa.Array, low: float, high: float) -> pa.Array:
    """A numeric column with what is beyond a range at its end; null, NaN and infinity stay."""
    values = pc.cast(column, pa.float64(), safe=False)
    below = pc.and_(pc.less(values, low), pc.greater(values, -math.inf))
    above = pc.and_(pc.greater(values, high), pc.less(values, math.inf))
    whole = pa.types.is_integer(column.type)
    least, greatest = (math.ceil(low), math.floor(high)) if whole else (low, high)
    for beyond, end in ((below, least), (above, greatest)):
        if pc.any(beyond).as_py():
            column = pc.if_else(beyond, pa.scalar(end, column.type), column)
    return column


def changed_rows(before: pa.RecordBatch, after: pa.RecordBatch) -> Bools:
    """Which rows of a batch have another value in some column; null and NaN equal themselves."""
    changed = np.zeros(before.num_rows, bool)
    for old, new in zip(before.columns, after.columns, strict=True):
        if old is new or old.equals(new):
            continue
        changed |= _is_other(old, new)
    return changed


def _is_other(old: pa.Array, new: pa.Array) -> Bools:
    if pa.types.is_nested(old.type):
        pairs = zip(old, new, strict=True)
        return np.array([not one.equals(other) for one, other in pairs], bool)
    alike = pc.or_(pc.fill_null(pc.equal(old, new), False), pc.and_(old.is_null(), new.is_null()))
    if pa.types.is_floating(old.type):
        nan = pc.and_(pc.is_nan(old), pc.is_nan(new))
        alike = pc.or_(alike, pc.fill_null(nan, False))
    return np.asarray(pc.invert(alike).to_numpy(zero_copy_only=False), bool)


def change_column(
    batch: pa.RecordBatch, name: str, change: Callable[[pa.Array], pa.Array]
) -> pa.RecordBatch:
    """A batch with a column changed; one that lacks it is as it was."""
    place = batch.schema.get_field_index(name)
    if place < 0:
        return batch
    column = change(batch.column(place))
    field = batch.schema.field(place).with_nullable(True)
    return batch.set_column(place, field, column)


def choose_rows(rows: Ints, share: float, *salt: str) -> Bools:
    """A share of rows, each by itself; a larger share has those of a smaller one as well."""
    return np.asarray(uniform_numbers(rows, *salt, "chosen") < share)


def type_misfits(
    key: str, columns: Sequence[str], setting: Setting, pattern: str, words: str
) -> Iterator[str]:
    """Columns whose type, as Spark writes it, is none of those that a perturbation takes."""
    for name in columns:
        kind = setting.types.get(name)
        if kind is not None and re.fullmatch(pattern, kind) is None:
            yield f"{key} wants {words}, found {name!r} of the type {kind}"


def normal_numbers(rows: Ints, *salt: str) -> Floats:
    """Standard normal numbers, one for each row: the same for the same row and salt.

    Two uniform numbers from a counter-based generator, then Box and Muller (1958).
    """
    first, second = (uniform_numbers(rows, *salt, part) for part in ("radius", "angle"))
    return np.sqrt(-2.0 * np.log1p(-first)) * np.cos(2.0 * np.pi * second)


def uniform_numbers(rows: Ints, *salt: str) -> Floats:
    """Numbers in [0, 1), one for each row, by SplitMix64 (Steele, Lea and Flood 2014)."""
    digest = hashlib.sha256("\0".join(salt).encode()).digest()
    seed = np.uint64(int.from_bytes(digest[:8], "little"))
    with np.errstate(over="ignore"):
        mixed = rows.astype(np.uint64) ^ seed
        for _ in range(2):
            mixed = mixed + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
