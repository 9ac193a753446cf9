"""What a worker has imported when a model has predicted in it: nothing that the model does not use.

A framework costs each worker hundreds of megabytes, and there is a worker for each core.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import infer_signature
from mlflow.pyfunc import PythonModel
from pyspark.cloudpickle import dumps

from engine.core.vocabulary import DatasetVersion, ModelTest, Output, SliceSet, TaskKind
from engine.execution.kernel.scan import scan
from engine.metrics import Problem
from engine.models import ModelRequest, loaded_count, resolve
from engine.models.flavors.sklearn import import_skops
from engine.planning import Columns, EvaluationPlan
from engine.planning.scan_columns import BUCKET_COLUMN
from engine.states import BUCKETS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEATURES = ("a", "b", "c")
# What no model needs, and what one of them may need.
NEVER = {
    "IPython",
    "deltalake",
    "matplotlib",
    "mlflow.tracking",
    "pyspark.sql.connect",
    "sqlalchemy",
    "sqlglot",
}
SOME = {"keras", "mlflow", "sklearn", "skops", "tensorflow", "torch"}
MEBIBYTES = 350

Look = Callable[[Iterable[pa.RecordBatch]], dict[str, Any]]

# As Spark's own worker: what is shipped is unpickled, and batches go through it.
WORKER = """
import json, pickle, sys
import engine.execution.distribute
print(json.dumps(pickle.loads(sys.stdin.buffer.read())()))
"""


@pytest.fixture(scope="module")
def rows() -> pa.RecordBatch:
    rng = np.random.default_rng(3)
    numbers = {name: rng.normal(size=500) for name in FEATURES}
    label = (sum(numbers.values()) > 0).astype(int)
    bucket = rng.integers(0, BUCKETS, 500).astype(np.int32)
    return pa.record_batch({**numbers, "label": label, BUCKET_COLUMN: bucket})


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., EvaluationPlan]:
    """Saves a model by plain MLflow, and plans some tests of it."""

    def plan(flavor: str, native: Any, inputs: Any, outputs: Any, **options: Any) -> EvaluationPlan:
        import importlib

        module, path = importlib.import_module(f"mlflow.{flavor}"), tmp_path / "model"
        model = {"python_model": native} if flavor == "pyfunc" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.save_model(
                *(() if model else (native,)), path=str(path), pip_requirements=[],
                signature=infer_signature(inputs, outputs), **model, **options,
            )  # fmt: skip
        request = ModelRequest(
            str(path), TaskKind.BINARY, "", tmp_path, output=Output.PROBABILITY,
            features=FEATURES,
        )  # fmt: skip
        problem, names = Problem(TaskKind.BINARY, (0, 1)), ("accuracy", "roc_auc", "ece")
        tests = tuple(ModelTest(name, name, slice_sets=("overall",)) for name in names)
        return EvaluationPlan(
            name="light",
            dataset=DatasetVersion("light", "somewhere", 0, "id", 500),
            columns=Columns("label", None, ()),
            problem=problem,
            models=(replace(resolve(request), classes=(0, 1)),),
            baseline=None,
            slice_sets=(SliceSet("overall", "overall"),),
            tests=tests,
            min_slice_rows=1,
            max_slices=10,
        )

    return plan


@pytest.fixture
def sklearn_plan(plan: Callable[..., EvaluationPlan]) -> Callable[[str], EvaluationPlan]:
    def sklearn_plan(kind: str) -> EvaluationPlan:
        from sklearn.linear_model import LogisticRegression

        # MLflow's own import of it takes PyTorch along.
        import_skops()
        frame = pd.DataFrame({name: [-1.0, -0.5, 0.5, 1.0] for name in FEATURES})
        native = LogisticRegression().fit(frame, [0, 0, 1, 1])
        return plan("sklearn", native, frame, native.predict(frame), serialization_format=kind)

    return sklearn_plan


def look_after_scan(plan: EvaluationPlan) -> Look:
    """What scans, and tells what the process has imported and the most memory that it had.

    Shipped by its code, not by its name, so that a worker need not import this module.
    """

    def look(batches: Iterable[pa.RecordBatch]) -> dict[str, Any]:
        states = sum(batch.num_rows for batch in scan(batches, plan))
        # Not by `resource`: there a process begins with what its parent had.
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        peak = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
        loaded = sorted(name for name, module in sys.modules.items() if module is not None)
        return {"loads": loaded_count(), "states": states, "kib": peak, "modules": loaded}

    return look


def work(plan: EvaluationPlan, rows: pa.RecordBatch, root: Path) -> dict[str, Any]:
    """The look of a process like a worker."""
    task = dumps(partial(look_after_scan(plan), [rows]))
    done = subprocess.run(
        [sys.executable, "-c", WORKER], cwd=root, input=task, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    look: dict[str, Any] = json.loads(done.stdout)
    assert look["loads"] == 1 and look["states"] > 0
    return look


@pytest.mark.parametrize("kind", ["skops", "cloudpickle"])
def test_a_worker_of_a_sklearn_model_stays_small(sklearn_plan, rows, root, kind):
    look = work(sklearn_plan(kind), rows, root)
    assert (NEVER | SOME) & set(look["modules"]) == {"sklearn"} | ({"skops"} & {kind})
    assert look["kib"] < MEBIBYTES * 1024


def test_a_worker_of_a_pyfunc_imports_mlflow_alone(plan, rows, root):
    class Constant(PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input["a"] * 0 + 0.7

    frame = pd.DataFrame({name: [0.5] for name in FEATURES})
    look = work(plan("pyfunc", Constant(), frame, np.array([0.7])), rows, root)
    assert (NEVER | SOME) & set(look["modules"]) - {"mlflow.tracking"} == {"mlflow"}


@pytest.mark.frameworks
def test_a_worker_of_a_torch_model_imports_torch_alone(plan, rows, root):
    import torch

    native = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Sigmoid()).eval()
    inputs = np.zeros((4, 3), np.float32)
    outputs = native(torch.from_numpy(inputs)).detach().numpy()
    saved = plan("pytorch", native, inputs, outputs, serialization_format="pickle")
    look = work(saved, rows, root)
    assert (NEVER | SOME) & set(look["modules"]) == {"torch"}


@pytest.mark.frameworks
def test_a_worker_of_a_keras_model_imports_no_torch(plan, rows, root):
    from engine.models.flavors.keras import import_tensorflow

    keras = import_tensorflow().keras
    native = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    inputs = np.zeros((4, 3), np.float32)
    outputs = native.predict_on_batch(inputs)
    look = work(plan("tensorflow", native, inputs, outputs), rows, root)
    # Keras has wrappers for scikit-learn, and plots.
    of_keras = {"IPython", "matplotlib", "sklearn"}
    assert (NEVER | SOME) & set(look["modules"]) - of_keras == {"keras", "tensorflow"}


@pytest.mark.spark
def test_sparks_own_workers_stay_small(
    sklearn_plan: Callable[[str], EvaluationPlan],
    rows: pa.RecordBatch,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_after = look_after_scan(sklearn_plan("skops"))

    def ask(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        renamed = (batch.rename_columns(rows.schema.names) for batch in batches)
        yield pa.record_batch({"look": [json.dumps(look_after(renamed))]})

    # Of another environment Spark makes other workers, which have done nothing yet.
    monkeypatch.setitem(spark.sparkContext.environment, "EVALMATRIX_TEST_OF", __name__)
    frame = spark.createDataFrame(rows.to_pandas()).coalesce(1)
    look = json.loads(frame.mapInArrow(ask, "look string").collect()[0]["look"])
    assert look["loads"] == 1 and look["states"] > 0
    assert (NEVER | SOME) & set(look["modules"]) == {"sklearn", "skops"}
    assert look["kib"] < MEBIBYTES * 1024
