"""Checks that change a column of the input: what a model does with values of that kind.

One column at a time, all other values are those of rows without a null. What comes is a finite
answer, or an error that says what is wrong with the input (a *clear refusal*): it names the column
or the kind of value. Anything else is a breach. No value of a row is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.core.boundary_values import EXTREME, TEXTS, UNSEEN
from engine.core.vocabulary import ColumnSpec, Numbers
from engine.kinds.contract.comparisons import BREACHES, TRIED
from engine.kinds.questions import Predictor

# So few rows are enough: a model refuses values, not rows.
ROWS = 10
# More are counted, but not named.
MOST_NAMED = 200

ANSWERED, REFUSED, NAMED, NOT_FINITE, DIED = (
    "answered", "refused", "refused naming it", "answered NaN or infinity", "died",
)  # fmt: skip
# Of types: a declared one that is not taken, another one that the data hold.
NOT_TAKEN, HELD = "not taken", "held"

_WORDS = {
    "null": r"null|nan\b|none\b|missing|empty",
    "infinite": r"infini|\binf\b|finite|too large",
    "extreme": r"too large|out of (its )?range|overflow|infini|extreme|too (big|small|long|short)",
    "unseen": r"unknown|unseen|never seen|not (seen|known)|previously|categor|vocabular",
    "empty": r"0 (sample|row|feature)|no rows|empty|zero|minimum of|at least (one|1)",
}
_MOST_READ = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """A column with other values: what kind of value it is told as, and the column."""

    column: str
    what: str
    values: pa.Array


def count_changes(check: str, model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """The columns with which a model does something else than answer or refuse clearly."""
    rows = complete_rows(batch).slice(0, ROWS)
    if _outcome(model, rows, "", "") != ANSWERED:
        return {BREACHES: None, TRIED: 0.0}
    numbers: dict[str, float | None] = {}
    tried = breaches = 0
    for name in model.model.features:
        for change in changes(check, name, rows.column(name)):
            tried += 1
            outcome = _outcome(model, with_column(rows, change), change.column, check_word(check))
            if outcome in (NOT_FINITE, DIED):
                breaches += 1
            if outcome != ANSWERED and len(numbers) < MOST_NAMED:
                numbers[f"{outcome}|{change.what}|{name}"] = 1.0
    return {**numbers, BREACHES: float(breaches), TRIED: float(tried)}


def count_empty(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Whether a batch of no rows gives no answers, or is clearly refused."""
    outcome = _outcome(model, batch.slice(0, 0), "", "empty")
    broken = outcome == DIED
    numbers = {} if outcome == ANSWERED else {f"{outcome}|a batch of no rows|": 1.0}
    return {**numbers, BREACHES: float(broken), TRIED: 1.0}


def count_types(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Columns whose declared type is not taken, or in which another type is answered for."""
    declared = declared_types(model)
    rows = complete_rows(batch).slice(0, ROWS)
    if not declared:
        return {BREACHES: None, TRIED: 0.0, "no signature": 1.0}
    numbers: dict[str, float | None] = {}
    tried = breaches = 0
    for name, kind in declared.items():
        for change, expected in _type_changes(name, kind, rows.column(name)):
            tried += 1
            word = _outcome(model, with_column(rows, change), name, "")
            taken = word in (ANSWERED, NOT_FINITE)
            if taken is not expected:
                breaches += 1
                said = ANSWERED if taken else NOT_TAKEN
                if len(numbers) < MOST_NAMED:
                    numbers[f"{said}|{change.what}|{name}"] = 1.0
    return {**numbers, BREACHES: float(breaches), TRIED: float(tried)}


def count_undeclared(model: Predictor, batch: pa.RecordBatch) -> Numbers:
    """Columns of the data whose type is not the one that the signature declares."""
    declared = declared_types(model)
    if not declared:
        return {BREACHES: None, TRIED: 0.0, "no signature": 1.0}
    broken = [
        name for name, kind in declared.items() if not _matches(kind, batch.column(name))
    ]  # fmt: skip
    numbers: dict[str, float | None] = {}
    for name in broken[:MOST_NAMED]:
        held = kind_text(batch.column(name))
        numbers[f"{HELD}|{held} instead of {declared[name]}|{name}"] = 1.0
    return {**numbers, BREACHES: float(len(broken)), TRIED: float(len(declared))}


def check_word(check: str) -> str:
    """The kind of value that a check tries, by which a refusal may name it."""
    return {"nulls": "null"}.get(check, check)


def changes(check: str, name: str, values: pa.Array) -> Iterator[Change]:
    """What a check puts in the place of a column; nothing where it has no such values."""
    kind = values.type
    floats, whole = pa.types.is_floating(kind), pa.types.is_integer(kind)
    if check == "nulls":
        yield Change(name, "null", pa.nulls(len(values), kind))
    elif check == "infinite" and floats:
        yield Change(name, "infinity", _fill(values, np.inf))
        yield Change(name, "minus infinity", _fill(values, -np.inf))
    elif check == "extreme" and (floats or whole):
        least, most = _ends(kind)
        yield Change(name, "a very large number", _fill(values, most))
        yield Change(name, "a very small number", _fill(values, least))
    elif check == "extreme" and _is_text(kind):
        for what, text in TEXTS.items():
            yield Change(name, what, _fill(values, text))
    elif check == "unseen" and _is_text(kind):
        yield Change(name, "an unseen text", _fill(values, UNSEEN))


def complete_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows without a null or NaN; all where there is none."""
    whole = np.ones(batch.num_rows, bool)
    for values in batch.columns:
        whole &= ~pc.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False)
    return batch.filter(pa.array(whole)) if whole.any() else batch


def with_column(batch: pa.RecordBatch, change: Change) -> pa.RecordBatch:
    """A batch with other values in a column."""
    place = batch.schema.get_field_index(change.column)
    return batch.set_column(place, change.column, change.values)


def declared_types(model: Predictor) -> dict[str, str]:
    """The types that the signature declares, by the columns that fill its inputs."""
    inputs = model.model.inputs
    if all(isinstance(spec, ColumnSpec) for spec in inputs):
        types = [
            (name, getattr(spec, "type", None))
            for name, spec in zip(model.model.features, inputs, strict=False)
        ]
        return {name: kind for name, kind in types if kind}
    if len(inputs) == 1 and len(model.model.features) > 1:
        return dict.fromkeys(model.model.features, getattr(inputs[0], "dtype", "float32"))
    return {}


def kind_text(values: pa.Array) -> str:
    """An Arrow type in words, with whether there are nulls."""
    told = "text" if _is_text(values.type) else str(values.type)
    return f"{told} with nulls" if values.null_count else told


def _outcome(model: Predictor, rows: pa.RecordBatch, column: str, what: str) -> str:
    """What a model does with an input, in a word."""
    try:
        prediction = model.predict_any(rows)
    except MemoryError:
        raise
    except BaseException as error:  # a model that ends its process by an exception has died
        return _refusal(error, column, what)
    finite = [
        np.isfinite(numbers).all() if numbers.dtype.kind == "f" else (numbers >= 0).all()
        for numbers in (prediction.scores, prediction.labels)
        if numbers is not None
    ]
    return ANSWERED if all(finite) else NOT_FINITE


def _refusal(error: BaseException, column: str, what: str) -> str:
    """How an error refuses: by the column, by the kind of value, or by neither."""
    # A lookup that failed names the column or the value as well, and says nothing.
    if not isinstance(error, Exception) or isinstance(error, KeyError):
        return DIED
    text = str(error)[:_MOST_READ]
    name = re.escape(column)
    # A short name may be a word of any sentence, and counts in quotes only.
    bare = rf"|(?<!\w){name}(?!\w)" if len(column) > 2 else ""
    if column and re.search(rf"['\"`\[]{name}['\"`\]]{bare}", text):
        return NAMED
    words = _WORDS.get(what)
    said = words is not None and re.search(words, text, re.IGNORECASE)
    return REFUSED if said else DIED


def _type_changes(name: str, kind: str, values: pa.Array) -> Iterator[tuple[Change, bool]]:
    """The column as its declared type, which is to be taken, and as another, which is not."""
    target = _ARROW.get(kind)
    if target is None:
        return
    if _matches(kind, values):
        what = f"{kind}, as declared,"
        yield Change(name, what, values.cast(target, safe=False)), True
    if _is_text(target):
        yield Change(name, "numbers in the place of text", pa.array(np.arange(len(values)))), False
    else:
        told = f"text in the place of {kind}"
        yield Change(name, told, pa.array(["text"] * len(values))), False


_ARROW: dict[str, pa.DataType] = {
    "integer": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
    "string": pa.string(), "boolean": pa.bool_(), "float32": pa.float32(),
    "float64": pa.float64(), "int32": pa.int32(), "int64": pa.int64(),
}  # fmt: skip


def _matches(kind: str, values: pa.Array) -> bool:
    """Whether values can fill a column of a declared type without a loss."""
    target, held = _ARROW.get(kind), values.type
    if target is None or pa.types.is_null(held):
        return True
    if pa.types.is_dictionary(held):
        held = held.value_type
    numeric = pa.types.is_integer(held) or pa.types.is_floating(held) or pa.types.is_decimal(held)
    if pa.types.is_floating(target):
        return bool(numeric or pa.types.is_boolean(held))
    if pa.types.is_integer(target):
        return bool(pa.types.is_integer(held) and not values.null_count)
    return _is_text(held) if _is_text(target) else bool(held == target)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _fill(values: pa.Array, value: Any) -> pa.Array:
    return pa.array([value] * len(values), values.type)


def _ends(kind: pa.DataType) -> Sequence[float]:
    if pa.types.is_floating(kind):
        most = EXTREME if kind != pa.float16() else 60_000.0
        return -most, most
    ends = np.iinfo(np.dtype(str(kind)))
    return max(int(ends.min), -int(EXTREME)), min(int(ends.max), int(EXTREME))
