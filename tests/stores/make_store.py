"""Makes a store: `python make_store.py FOLDER`, with the version of evalmatrix it is named for.

A store that an earlier version wrote must stay readable. What this script writes is kept as data in
`0.1.0.tar.gz` and never made anew: it holds what version 0.1.0 wrote (states of many kinds, kept
predictions, a finished run, and one that was killed), with the figures that it gave then.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

# No pickle: a library's next version reads it as well.
MODEL = """
import os, time
import mlflow.pyfunc
import numpy as np

class Weighing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(float(os.environ.get("EVALMATRIX_TEST_SLEEP", "0")))
        x = model_input.to_numpy(float)
        return {RESULT}

mlflow.models.set_model(Weighing())
"""
RESULTS = {
    "steep": "np.round(1 / (1 + np.exp(-(2 * x[:, 0] - x[:, 1]))), 3)",
    "flat": "np.round(1 / (1 + np.exp(-(x[:, 0] + 0.2 * x[:, 1]))), 3)",
    "line": "np.round(3 * x[:, 0] - x[:, 1] + 10, 2)",
    "three": "np.round(np.exp(x @ [[1, 0, -1], [0, 1, 0]]) / np.exp(x @ [[1, 0, -1], [0, 1, 0]])"
    ".sum(axis=1, keepdims=True), 4)",
}


# So that it has parts, of which some are finished when it is killed.
KILLED = ["--set", "checkpoint_rows=100", "--set", "reuse=false"]


def rows_of(first: int, count: int) -> pd.DataFrame:
    random = np.random.default_rng(first)
    x = np.round(random.normal(size=(count, 2)), 3)
    frame = pd.DataFrame(x, columns=["a", "b"])
    frame.insert(0, "id", np.arange(first, first + count))
    noisy = 2 * x[:, 0] - x[:, 1] + random.normal(size=count)
    frame["country"] = random.choice(["DE", "FR", "US"], count)
    frame["sex"] = random.choice(["f", "m"], count)
    frame["w"] = np.round(random.gamma(2.0, 1.0, count), 2)
    frame["query"] = np.arange(first, first + count) // 5
    frame["yes"] = (noisy > 0).astype(int)
    frame["amount"] = np.round(noisy + 10, 2)
    frame["kind"] = np.digitize(noisy, [-1, 1])
    frame["grade"] = np.digitize(noisy, [-1, 0, 1])
    return frame


def write_model(folder: Path, name: str) -> str:
    code = folder / f"{name}.py"
    code.write_text(MODEL.replace("{RESULT}", RESULTS[name]))
    inputs = Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b")])
    path = folder / "models" / name
    mlflow.pyfunc.save_model(
        str(path),
        python_model=str(code),
        signature=ModelSignature(inputs, Schema([ColSpec(DataType.double)])),
        pip_requirements=["mlflow"],
    )
    code.unlink()
    return f"./models/{name}"


def write_suite(folder: Path) -> Path:
    uris = {name: write_model(folder, name) for name in RESULTS}
    common = {"delta": "./store/lake/rows", "key": "id"}
    binary = {
        "name": "binary",
        "dataset": {**common, "task": "binary", "label": "yes", "weight": "w"},
        "models": [
            {"uri": uris["steep"], "output": "probability"},
            {"uri": uris["flat"], "output": "probability"},
        ],
        "baseline": "flat",
        "predictions": "keep",
        "slices": ["overall", {"by": ["country"]}, {"bins": {"a": [-1, 0, 1]}}],
        "min_slice_rows": 10,
        "tests": [
            {"metric": "roc_auc", "min": 0.7},
            {"metric": "average_precision", "max_drop": 0.05},
            {"metric": "log_loss", "max_rise": 0.02},
            {"metric": "recall", "no_worse": True, "severity": "warn"},
            {"metric": "ece"},
            {"metric": "flip_rate", "slices": ["overall"]},
            {"metric": "demographic_parity_difference", "group": "sex", "max": 0.6,
             "severity": "warn"},
        ],
    }  # fmt: skip
    regression = {
        "name": "regression",
        "dataset": {**common, "task": "regression", "label": "amount"},
        "models": [{"uri": uris["line"], "output": "value"}],
        "slices": ["overall", {"by": ["country"]}],
        "min_slice_rows": 10,
        "tests": [{"metric": name} for name in
                  ("r2", "root_mean_squared_error", "median_absolute_error", "max_error")],
    }  # fmt: skip
    multiclass = {
        "name": "multiclass",
        "dataset": {**common, "task": "multiclass", "label": "kind", "classes": [0, 1, 2]},
        "models": [{"uri": uris["three"], "output": "probability"}],
        "slices": ["overall", {"by": ["country"]}],
        "min_slice_rows": 10,
        "tests": [{"metric": name} for name in
                  ("accuracy", "f1_macro", "roc_auc_ovr", "log_loss", "cohen_kappa")],
    }  # fmt: skip
    ranking = {
        "name": "ranking",
        "dataset": {**common, "task": "ranking", "label": "grade", "query": "query"},
        "models": [{"uri": uris["line"], "output": "value"}],
        "slices": ["overall"],
        "min_slice_rows": 1,
        "tests": [{"metric": "ndcg"}, {"metric": "mrr"}],
    }
    suite = {
        "name": "kept",
        "store": "./store",
        "false_alarms": {"over_runs": "lord"},
        "evaluations": [binary, regression, multiclass, ranking],
        "gate": {"on_inconclusive": "warn"},
    }
    path = folder / "suite.yml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    return path


def add_rows(first: int, count: int) -> None:
    from deltalake import write_deltalake

    write_deltalake("./store/lake/rows", rows_of(first, count), mode="append")


def run_and_kill(folder: Path, run_id: str) -> None:
    """Begins a run, and kills all its processes when the first part of its scan is kept."""
    program = [sys.executable, "-c", "from engine.cli import main; main()"]
    command = [*program, "run", "suite.yml", "--run-id", run_id, *KILLED]
    env = {**os.environ, "EVALMATRIX_TEST_SLEEP": "4"}
    process = subprocess.Popen(command, cwd=folder, env=env, start_new_session=True)
    log = folder / "store" / "chunks" / "_delta_log"
    while not list(log.glob("*1.json")) and process.poll() is None:
        time.sleep(0.1)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Makes the folder, and packs it."""
    import engine

    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True)
    os.chdir(folder)
    suite = write_suite(folder)
    add_rows(0, 240)
    result = engine.run(suite, run_id="first")
    judged = engine.judge("first", overrides=["evaluations.binary.min_slice_rows=60"])
    expected = {
        "version": engine.__version__,
        "folder": str(folder),
        "exit_code": result.exit_code,
        "first": json.loads(result.to_pandas().to_json(orient="records", double_precision=15)),
        "judged": json.loads(judged.to_pandas().to_json(orient="records", double_precision=15)),
    }
    Path("expected.json").write_text(json.dumps(expected))
    add_rows(240, 80)
    run_and_kill(folder, "killed")
    for name in ("mlflow.db", "logs", "cache", ".locks", "artifacts"):
        subprocess.run(["rm", "-rf", f"store/{name}"], check=True)
    packed = Path(__file__).with_name(f"{engine.__version__}.tar.gz")
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, ".")
    sys.stdout.write(f"{packed} ({packed.stat().st_size:,} bytes)\n")


if __name__ == "__main__":
    main()
