"""A small run, in which a JVM loads what every run loads: see `engine.spark.class_archive`."""

from __future__ import annotations

import sys
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression

from engine.commands.run import run
from engine.spark.internals import exit_jvm
from engine.spark.session import get_session

_ROWS = 600
_SECONDS_TO_EXIT = 120

_SUITE = """\
name: rehearsal
store: {folder}/store
evaluations:
  - name: rehearsal
    dataset: {{parquet: "{folder}/rows-*.parquet", task: binary, label: y, key: id}}
    models:
      - {{uri: "{folder}/model", name: candidate}}
      - {{uri: "{folder}/model", name: baseline}}
    baseline: baseline
    slices: [overall, {{by: g}}]
    tests:
      - {{metric: accuracy, min: 0.5, max_drop: 0.1}}
      - {{metric: roc_auc, min: 0.5}}
"""


def rehearse(folder: Path) -> None:
    """Evaluates a model twice, the second time with new rows, and lets the JVM end by itself."""
    _write_rows(folder / "rows-1.parquet", 0)
    _write_model(folder / "model")
    suite = folder / "suite.yml"
    suite.write_text(_SUITE.format(folder=folder))
    spark = get_session(log_file=folder / "spark.log")
    run(suite, spark=spark)
    _write_rows(folder / "rows-2.parquet", 1)
    run(suite, spark=spark)
    exit_jvm(spark, _SECONDS_TO_EXIT)


def _columns(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, _ROWS))
    y = (a + b + random.normal(size=_ROWS) > 0).astype(np.int64)
    group = random.integers(0, 3, _ROWS).astype(str)
    return {"id": np.arange(_ROWS) + seed * _ROWS, "a": a, "b": b, "g": group, "y": y}


def _write_rows(path: Path, seed: int) -> None:
    pq.write_table(pa.table(_columns(seed)), path)


def _write_model(path: Path) -> None:
    rows = pd.DataFrame(_columns(2))
    inputs = rows[["a", "b"]]
    model = LogisticRegression().fit(inputs, rows["y"])
    signature = mlflow.models.infer_signature(inputs, model.predict(inputs))
    mlflow.sklearn.save_model(model, str(path), signature=signature)


if __name__ == "__main__":
    rehearse(Path(sys.argv[1]))
