"""What becomes of values at the boundaries of a model's signature.

Each input has a value of its type that is rare (the greatest, an empty text, null) or one of
another type, and MLflow is asked whether the signature takes it, then the model what it makes of
it. To be refused by the signature is an answer of its own, and a right one.
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.core.boundary_values import TEXTS, UNSEEN
from engine.core.vocabulary import ColumnSpec, TensorSpec
from engine.errors import ModelError
from engine.models.artifact import Inputs, add_code_paths, read_artifact

ROWS = 3
TAKEN, REFUSED = "taken", "refused"
ANSWERED, NOT_FINITE, FAILED, NOT_ASKED = "answered", "answered NaN or infinity", "failed", ""
_MOST_TEXT = 200

_NULLS: Mapping[str, object] = {"null": None}
_FLOATS: Mapping[str, float] = {
    "zero": 0.0, "minus zero": -0.0, "the smallest above zero": 5e-324, "NaN": float("nan"),
    "infinity": float("inf"), "minus infinity": float("-inf"),
}  # fmt: skip
_FROM_TEXT: Mapping[str, object] = {"a number as text": "7"}


@dataclass(frozen=True, slots=True)
class Boundary:
    """An input with another value in one column, or of another form; `column` is "" for its rows.

    Attributes:
        column: which input has the value.
        what: the value in words.
        data: what the model is asked.
    """

    column: str
    what: str
    data: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a boundary.

    Attributes:
        signature: whether MLflow's enforcement of the signature takes it.
        model: what the model makes of what was taken.
        said: what was said against it.
    """

    column: str
    what: str
    signature: str
    model: str
    said: str


def try_boundaries(folder: str | Path, rows: Any) -> list[Outcome]:
    """Asks a model for each boundary of its signature, in this process.

    Args:
        folder: the model, with its `MLmodel` file.
        rows: at least ROWS rows that are valid: a frame, or an array where it takes one tensor.

    Returns:
        The outcomes; one each, in the order of the inputs.

    Raises:
        ModelError: for a model of several tensors.
    """
    import mlflow.pyfunc

    artifact = read_artifact(folder)
    if len(artifact.inputs) > 1 and isinstance(artifact.inputs[0], TensorSpec):
        raise ModelError(
            f"the model takes {len(artifact.inputs)} tensors, expected columns or one tensor: no "
            "boundaries are made of several"
        )
    add_code_paths(artifact)
    model = mlflow.pyfunc.load_model(str(folder))
    return [_try(model, boundary) for boundary in boundaries(artifact.inputs, rows[:ROWS])]


def _try(model: Any, boundary: Boundary) -> Outcome:
    from mlflow.models import validate_schema

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            validate_schema(boundary.data, model.metadata.get_input_schema())
        except Exception as error:
            return Outcome(boundary.column, boundary.what, REFUSED, NOT_ASKED, _text(error))
        try:
            answer = model.predict(boundary.data)
        except Exception as error:
            return Outcome(boundary.column, boundary.what, TAKEN, FAILED, _text(error))
    finite = ANSWERED if _is_finite(answer) else NOT_FINITE
    return Outcome(boundary.column, boundary.what, TAKEN, finite, "")


def _text(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:_MOST_TEXT]


def _is_finite(answer: Any) -> bool:
    values = answer.to_numpy() if hasattr(answer, "to_numpy") else np.asarray(answer)
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).all())
    return not pd.isna(pd.Series(values.reshape(-1))).any()


def boundaries(inputs: Inputs, rows: Any) -> Iterator[Boundary]:
    """The boundaries of a signature.

    Args:
        inputs: its columns or tensors.
        rows: valid rows, in each of which one value is replaced.
    """
    yield Boundary("", "no rows", rows[:0])
    if all(isinstance(spec, ColumnSpec) for spec in inputs):
        for spec in inputs:
            assert isinstance(spec, ColumnSpec)
            yield from _of_column(spec, rows)
        yield Boundary("", "a column that it does not know", rows.assign(unknown_column=1))
    elif len(inputs) == 1 and isinstance(inputs[0], TensorSpec):
        yield from _of_tensor(inputs[0], np.asarray(rows))


def _of_column(spec: ColumnSpec, rows: pd.DataFrame) -> Iterator[Boundary]:
    for what, value in _values(str(spec.type)):
        changed = rows.copy()
        column = pd.Series([value] * len(rows), index=rows.index, dtype=object)
        # Only so much of another type as the value itself is: 1 in a column of floats is a whole
        # number, None in it stays None.
        changed[spec.name] = column.infer_objects() if value is not None else column
        yield Boundary(spec.name, what, changed)
    yield Boundary(spec.name, "the column is missing", rows.drop(columns=spec.name))


def _values(kind: str) -> Iterator[tuple[str, object]]:
    """Values at the boundaries of a type of a signature, and of types that are not it."""
    if kind in ("integer", "long"):
        bits = np.iinfo(np.int32 if kind == "integer" else np.int64)
        whole = {"the greatest": bits.max, "the least": bits.min, "zero": 0}
        exact_whole = np.int32 if kind == "integer" else np.int64
        yield from ((what, exact_whole(value)) for what, value in whole.items())
        yield from {"a fraction": 1.5, "a truth value": True, **_FROM_TEXT, **_NULLS}.items()
    elif kind in ("float", "double"):
        exact = np.float32 if kind == "float" else np.float64
        yield from ((what, exact(value)) for what, value in _FLOATS.items())
        yield "the greatest", np.finfo(exact).max
        yield "the least", np.finfo(exact).min
        yield from {"a whole number": 1, "a truth value": True, **_FROM_TEXT, **_NULLS}.items()
    elif kind == "string":
        yield from TEXTS.items()
        yield "an unseen text", UNSEEN
        yield "half a character (a lone surrogate)", "\ud800"
        yield from {"a number": 7, "bytes": b"x", "NaN": float("nan"), **_NULLS}.items()
    elif kind == "boolean":
        yield from {"true": True, "false": False, "1": 1, "the text true": "true"}.items()
        yield from _NULLS.items()
    elif kind == "datetime":
        yield "the epoch", pd.Timestamp(0)
        yield "the last that nanoseconds hold", pd.Timestamp("2262-04-11")
        yield "not a time", pd.NaT
        yield "a date", dt.date(2024, 2, 29)
        yield "an ISO text", "2024-02-29T12:00:00"
        yield "a time with a zone", pd.Timestamp("2024-02-29", tz="UTC")
        yield from _NULLS.items()
    elif kind == "binary":
        yield from {"no bytes": b"", "a text": "x", **_NULLS}.items()


def _of_tensor(spec: TensorSpec, rows: Any) -> Iterator[Boundary]:
    name = spec.name or ""
    if rows.dtype.kind == "f":
        ends = np.finfo(rows.dtype)
        values = {"zero": 0.0, "NaN": np.nan, "infinity": np.inf, "the greatest": ends.max}
        for what, value in values.items():
            yield Boundary(name, what, np.full_like(rows, value))
        other = np.float32 if rows.dtype == np.float64 else np.float64
        yield Boundary(name, f"numbers as {np.dtype(other)}", rows.astype(other))
    yield Boundary(name, "numbers as texts", rows.astype(str))
    yield Boundary(name, "one axis less", rows.reshape(-1))
    yield Boundary(name, "a longer last axis", np.concatenate([rows, rows], axis=-1))
