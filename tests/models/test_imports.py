"""What a worker pays before it has a model: no framework, and not MLflow."""

from __future__ import annotations

import pickle
import subprocess
import sys

from sklearn.linear_model import LogisticRegression


def test_importing_the_room_imports_no_framework(root):
    code = (
        "import sys, engine.models, engine.models.log_model; "
        "heavy = {'mlflow', 'sklearn', 'tensorflow', 'keras', 'torch', 'pyspark', 'skops'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_worker_loads_a_model_without_mlflow(root, log, find, frame, features):
    model = find(log("sklearn", LogisticRegression().fit(features, frame["two"])), "binary")
    code = (
        "import pickle, pyarrow, sys; from engine.models import load; "
        "model = pickle.loads(sys.stdin.buffer.read()); "
        "rows = pyarrow.table({name: [0.5] for name in model.features}); "
        "load(model).predict(rows); print('mlflow' in sys.modules, 'sklearn' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, input=pickle.dumps(model), capture_output=True
    )
    assert found.stdout.split() == [b"False", b"True"], found.stderr.decode()
