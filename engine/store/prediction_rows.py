"""Predictions that are kept by the key of their row: how they are written, and taken again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.core.vocabulary import ModelVersion, Output, TaskKind
from engine.models import Prediction
from engine.planning.scan_columns import kept_column
from engine.states import Bools

# The family of rows that hold predictions on their way to their own table.
PREDICTED = "predicted"

_SCHEMA = pa.schema([("key", pa.string()), ("scores", pa.list_(pa.float64()))])


def pack(keys: pa.Array, prediction: Prediction) -> bytes:
    """The predictions of some rows as bytes; labels are written as numbers, behind the scores."""
    both = [values for values in (prediction.scores, prediction.labels) if values is not None]
    columns = [np.asarray(values, np.float64).reshape(len(keys), -1) for values in both]
    numbers = np.concatenate(columns, axis=1)
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * numbers.shape[1]
    scores = pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers.ravel()))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _SCHEMA) as writer:
        writer.write_batch(
            pa.RecordBatch.from_arrays([keys.cast(pa.string()), scores], schema=_SCHEMA)
        )
    payload: bytes = sink.getvalue().to_pybytes()
    return payload


def unpack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of `model`, `key` and `scores` from rows of states of the family `PREDICTED`."""
    for batch in batches:
        payloads = batch.column("payload").to_pylist()
        for model, payload in zip(batch.column("model").to_pylist(), payloads, strict=True):
            with pa.ipc.open_stream(payload) as reader:
                for part in reader:
                    models = pa.array(np.full(part.num_rows, model, np.int32))
                    yield pa.RecordBatch.from_arrays(
                        [models, *part.columns], names=["model", "key", "scores"]
                    )


def unpack_prediction(column: pa.Array, model: ModelVersion) -> Prediction:
    """The predictions of rows all of which are kept, as `pack` wrote them."""
    rows = len(column)
    numbers = column.flatten().to_numpy(zero_copy_only=False).reshape(rows, -1)
    if model.output is Output.VALUE:
        return Prediction(scores=numbers[:, 0])
    width = 0 if model.output is Output.LABEL else len(model.classes)
    scores, behind = numbers[:, :width], numbers[:, width:].astype(np.int64)
    labels = behind if model.task is TaskKind.MULTILABEL else behind[:, 0] if behind.size else None
    if not (model.decides or model.output is Output.LABEL):
        labels = None
    return Prediction(scores if width else None, labels)


def known_rows(batch: pa.RecordBatch, model: int) -> Bools | None:
    """The rows whose prediction is kept; None where none is looked for."""
    name = kept_column(model)
    if name not in batch.schema.names:
        return None
    valid = pc.is_valid(batch.column(name)).to_numpy(zero_copy_only=False)
    return np.asarray(valid, bool)


def together(known: Bools, kept: Prediction, fresh: Prediction) -> Prediction:
    """The predictions of a batch, of which some are kept and the others fresh."""
    return Prediction(
        _combine(known, kept.scores, fresh.scores), _combine(known, kept.labels, fresh.labels)
    )


def _combine(known: Bools, kept: np.ndarray | None, fresh: np.ndarray | None) -> np.ndarray | None:
    if kept is None or fresh is None:
        return None
    values = np.empty((len(known), *kept.shape[1:]), kept.dtype)
    values[known], values[~known] = kept, fresh
    return values
