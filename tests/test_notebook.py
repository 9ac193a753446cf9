"""The notebook: it is committed clean, uses public names only, and runs from top to bottom."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml

import engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME = "notebooks/results.ipynb"


@pytest.fixture
def notebook(root: Path) -> Any:
    return nbformat.read(root / NAME, as_version=4)


def code_of(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_committed_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 5
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


def test_it_imports_only_public_names_of_engine(notebook: Any) -> None:
    used = set()
    for node in ast.walk(ast.parse("\n".join(code_of(notebook)))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] == "engine" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("engine"):
            assert node.module == "engine"
            used |= {alias.name for alias in node.names}
    assert used
    assert used <= set(engine.__all__)


@pytest.fixture
def store(tmp_path: Path, spark: SparkSession) -> Path:
    """The store of a run of two small models on four slices of 200 rows."""
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(200, 2)), columns=["f0", "f1"])
    label = (rows["f0"] + random.normal(size=200) > 0).astype(int)
    for name, strength in (("loose", 1.0), ("tight", 1e-3)):
        model = LogisticRegression(C=strength).fit(rows, label)
        signature = infer_signature(rows, model.predict(rows))
        mlflow.sklearn.save_model(
            model, tmp_path / name, signature=signature, serialization_format="skops"
        )
    place = random.choice(["DE", "FR", "IT"], 200)
    rows.assign(label=label, place=place, id=range(200)).to_csv(tmp_path / "rows.csv", index=False)
    suite = {
        "name": "notebook",
        "store": str(tmp_path / "store"),
        "evaluations": [
            {
                "name": "small",
                "dataset": {
                    "csv": str(tmp_path / "rows.csv"),
                    "task": "binary",
                    "label": "label",
                    "key": "id",
                },
                "models": [{"uri": str(tmp_path / name)} for name in ("loose", "tight")],
                "baseline": "loose",
                "slices": ["overall", {"by": "place"}],
                "tests": [
                    {"metric": "accuracy", "min": 0.99},
                    {"metric": "log_loss", "max_rise": 0.01, "severity": "warn"},
                    {"metric": "roc_auc"},
                ],
            }
        ],
    }
    path = tmp_path / "suite.yml"
    path.write_text(yaml.safe_dump(suite))
    result = engine.run(path, run_id="for-the-notebook", spark=spark)
    assert result.exit_code == 1, "accuracy of 0.99 is out of reach, so the notebook has failures"
    return tmp_path / "store"


@pytest.mark.spark
def test_it_runs_from_top_to_bottom(
    notebook: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("EVALMATRIX_STORE", str(store))
    monkeypatch.delenv("EVALMATRIX_RUN", raising=False)
    client = NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in outputs)
    found = re.search(r"run for-the-notebook: (\d+) cells, (\d+) slices", said)
    # 2 models x 4 slices x 3 tests
    assert found is not None
    assert found.groups() == ("24", "4")
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3, "the verdicts, the models on all rows, and value against rows"
    tables = "".join(output.get("data", {}).get("text/plain", "") for output in outputs)
    assert "0.99" in tables, "the condition of what failed, in its reason"
