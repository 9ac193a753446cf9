"""`evalmatrix init`: a suite that runs, from models and a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.commands.redacted import redacted
from engine.core.locations import DEFAULT_STORE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.first_draft import Drafted


@redacted()
def init(
    models: Sequence[str] = (),
    *,
    model: Sequence[str] = (),
    data: str,
    out: str | Path | None = None,
    label: str | None = None,
    task: str | None = None,
    key: Sequence[str] = (),
    reference: str | None = None,
    from_predictions: Sequence[str] = (),
    positive_label: str | None = None,
    cluster: str | None = None,
    weight: str | None = None,
    sensitive: Sequence[str] = (),
    store: str = DEFAULT_STORE,
    tracking_uri: str | None = None,
    force: bool = False,
    spark: SparkSession | None = None,
) -> Drafted:
    """Writes a suite that runs, from models and a table: each test with the figure it rests on.

    The champion, the first model, is measured once on the table, in a store of its own. Tests whose
    intervals cannot decide are left out, and said to be so.

    Args:
        models: further models' URIs.
        model: the models' URIs, the champion first; the others are measured beside it.
        data: the table to evaluate on: a Delta table, or a glob of CSV or Parquet files.
        out: the suite's file; default: it is printed.
        label: the column of the true values; default: what no model reads and may be one.
        task: binary, multiclass or regression; default: the model's, or by the label.
        key: the column that identifies a row, or several; default: one without equal values.
        reference: the training data, a table or files of the same columns.
        from_predictions: a column of the data with predictions in the place of a model; several of
            one model, one for each class, with commas between them.
        positive_label: the label that counts as positive; default: the second class.
        cluster: the column of rows that belong together.
        weight: the column of the rows' weights.
        sensitive: a column whose values no output may show, or several.
        store: the store's root, as the suite has it.
        tracking_uri: where MLflow is; default: in the store.
        force: a file that is there is overwritten.
        spark: the session to use; else the active one, or a new local one.

    Raises:
        InputError: when the file is there, or an argument, a model or the data are wrong or say too
            little; nothing was evaluated and nothing written.
        StoreError: when the machinery failed.
    """
    from engine.commands.first_draft import draft_suite
    from engine.commands.first_look import Wanted

    wanted = Wanted(
        tuple(dict.fromkeys((*_tuple(model), *_tuple(models)))),
        data,
        None if out is None else Path(out),
        reference=reference,
        store=store,
        tracking_uri=tracking_uri,
        force=force,
        columns={
            "label": label, "task": task, "key": _tuple(key), "positive_label": positive_label,
            "cluster": cluster, "weight": weight, "sensitive": _tuple(sensitive),
            "stored": _tuple(from_predictions),
        },
    )  # fmt: skip
    return draft_suite(wanted, spark=spark)


def _tuple(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
