"""Whether a model of somebody's own code decides by its largest score: seen on the first rows.

Such a model is asked for scores and labels of some rows, once, in a process of its own. Where both
name the same classes, it is asked for its scores only from then on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.core.vocabulary import ModelVersion
from engine.data.source import Source
from engine.data.table_rows import either_way
from engine.kinds import kind_of
from engine.models import Child, Limits
from engine.spark import table_errors
from engine.spark.api import spark_errors
from engine.spark.tables import column
from engine.suite import Evaluation

LOOKED_ROWS = 1000
LOOK_SECONDS = 120.0
# Goes up when the same rows would be looked at otherwise.
_VERSION = 1


def settle_decision(
    model: ModelVersion, store: Store, source: Source, evaluation: Evaluation
) -> ModelVersion:
    """The model with what the first rows say of how it decides.

    One that is known stays as it is, and so does one of which nothing is asked, where only the data
    are measured. One that fails on the rows, or takes too long, is asked for both:
    the scan tells of it.
    """
    asked = any(not kind_of(test).measures_data for test in evaluation.tests)
    if not model.unsure or not asked:
        return model
    about = [_VERSION, replace(model, name="", uri="", path="").reading]
    name = hashlib.sha256(json.dumps(about, default=str).encode()).hexdigest()
    file = store.files / "cache" / "decisions" / f"{name}.json"
    try:
        decides = bool(read_kept(file)["decides"])
    except (KeyError, TypeError, ValueError):
        seen = _look(model, source, evaluation)
        decides = seen is not False
        if seen is not None:
            keep(file, {"decides": decides})
    return replace(model, decides=decides, unsure=False)


def _look(model: ModelVersion, source: Source, evaluation: Evaluation) -> bool | None:
    """Whether labels and largest scores of the first rows differ; None where it gave none."""
    names = list(model.features)

    def by_spark() -> pa.Table:
        frame = source.frame().select(*map(column, names))
        return frame.limit(LOOKED_ROWS).toArrow()

    try:
        rows = either_way(
            source.session, lambda: source.rows_here().head(names, LOOKED_ROWS), by_spark
        )
    except spark_errors() as error:
        raise table_errors.read_error(error, f"dataset {evaluation.dataset.name!r}") from error
    batches = rows.combine_chunks().to_batches()
    if not batches:
        return None
    child = Child(model, Limits(min(evaluation.timeout, LOOK_SECONDS), evaluation.memory))
    try:
        return _differs(child, batches[0])
    except Exception:  # whatever it raises, or that it was stopped
        return None
    finally:
        child.close()


def _differs(child: Child, batch: pa.RecordBatch) -> bool | None:
    prediction = child.predict(batch)
    if prediction.scores is None or prediction.labels is None:
        return None
    by_score = np.argmax(np.nan_to_num(prediction.scores), axis=1)
    if prediction.labels.ndim == 2:
        return bool(((prediction.scores > 0.5) != prediction.labels).any())
    return bool((by_score != prediction.labels).any())
