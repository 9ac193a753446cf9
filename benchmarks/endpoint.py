"""20,000 rows through MLflow's scoring server on this machine, at a bounded rate.

    python benchmarks/endpoint.py [--rows 20000]

The rows go to the server three ways: by the test of parity, by the load of the kind `endpoint`, and
by the scan of a model that is served. What is printed stands in docs/kinds/endpoint.md.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from deltalake import write_deltalake
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import engine
from engine.serving import start_server


def make_world(folder: Path, rows: int) -> tuple[str, str]:
    """A table, and a model that is served by its probabilities."""
    rng = np.random.default_rng(1)
    names = [f"f{place}" for place in range(10)]
    frame = pd.DataFrame(rng.normal(size=(rows, 10)), columns=names)
    frame["country"] = rng.choice(["DE", "FR", "US"], rows)
    frame["label"] = (frame["f0"] + rng.normal(size=rows) > 0).astype(int)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame[names], frame["label"])
    signature = mlflow.models.infer_signature(frame[names], model.predict_proba(frame[names]))
    mlflow.sklearn.save_model(
        model, str(folder / "model"), signature=signature, pyfunc_predict_fn="predict_proba",
        pip_requirements=["mlflow"],
    )  # fmt: skip
    frame.insert(0, "id", np.arange(rows))
    write_deltalake(str(folder / "rows"), frame)
    return str(folder / "rows"), str(folder / "model")


def suite_of(folder: Path, table: str, name: str, models: list[Any], tests: list[Any]) -> Any:
    dataset = {"delta": table, "task": "binary", "label": "label", "key": "id"}
    evaluation = {
        "name": name, "dataset": dataset, "models": models, "baseline": models[0]["name"],
        "slices": [{"by": "country"}], "tests": tests,
    }  # fmt: skip
    return {"name": "endpoint", "store": str(folder / "store"), "evaluations": [evaluation]}


def report(title: str, suite: Any) -> None:
    started = time.perf_counter()
    result = engine.run(suite)
    print(f"\n{title}: {time.perf_counter() - started:.0f} s")
    for cell in result.outcome.cells:
        if cell.slice.name == "overall":
            value = "-" if cell.measured.value is None else f"{cell.measured.value:.4g}"
            print(f"  {cell.model.name} {cell.test.name}: {value} {cell.verdict}; "
                  f"{cell.measured.detail or cell.reason}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    rows = parser.parse_args().rows
    warnings.simplefilter("ignore")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, model = make_world(folder, rows)
        good = {"uri": model, "name": "good"}
        parity = {"endpoint": ["parity", "readiness"], "rows": rows, "rate": "100/s"}
        load = {
            "endpoint": ["load", "cold_start", "stop"], "rate": "50/s", "batch": 10,
            "seconds": rows / 500, "rows": rows,
        }  # fmt: skip
        report("parity and load", suite_of(folder, table, "asked", [good], [parity, load]))
        server, cold = start_server(model)
        with server:
            print(f"\na server was up in {cold:.1f} s")
            live = {"name": "live", "endpoint": server.endpoint.url, "protocol": "mlflow",
                    "rate": "100/s", "concurrency": 2}  # fmt: skip
            before = server.memory_bytes()
            tests = [{"metric": "roc_auc", "max_drop": 0.001}, {"metric": "log_loss"}]
            report("as a model", suite_of(folder, table, "served", [good, live], tests))
            after = server.memory_bytes()
            if before is not None and after is not None:
                print(f"  memory {before / 1e6:,.0f} MB before, {after / 1e6:,.0f} MB after")


if __name__ == "__main__":
    main()
