"""The notebooks run from top to bottom, each in a kernel of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pandas as pd
import pytest
import yaml

import engine

if TYPE_CHECKING:
    from engine.commands.run_result import RunResult

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600)]


@pytest.fixture
def store(
    world: Any,
    small: Callable[..., dict[str, Any]],
    evaluated: Callable[..., RunResult],
    tmp_path: Path,
) -> Path:
    """The store of a run of two models on four slices."""
    found = world.make_store(tmp_path / "store")
    suite = small(
        store=str(found),
        models=[{"uri": world.model(name)} for name in ("good", "other")],
        baseline="good",
        slices=["overall", {"by": "device"}, {"name": "adults", "where": "age >= 18"}],
        tests=[
            {"metric": "accuracy", "min": 0.99},
            {"metric": "log_loss", "max_rise": 0.01, "severity": "warn"},
            {"metric": "roc_auc"},
        ],
    )
    result = evaluated(suite | {"executor": "local"}, "notebook", run_id="for-the-notebook")
    assert result.exit_code == 1, "accuracy of 0.99 is out of reach, so the notebook has failures"
    return Path(found)


def test_it_runs_from_top_to_bottom(
    root: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(root / "notebooks" / "results.ipynb", as_version=4)
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


def test_three_cells_go_from_two_fitted_models_to_a_suite_file(
    root: Path, tmp_path: Path, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(root / "notebooks" / "quickstart.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 3
    words = " ".join(cell.source for cell in notebook.cells).lower()
    assert "mlflow" not in words
    assert "delta" not in words
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    client = NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    outputs = [output for cell in cells for output in cell.outputs]
    said = "".join(output.get("text", "") for output in outputs if output.get("name") == "stdout")
    told = "".join(output.get("text", "") for output in outputs if output.get("name") == "stderr")
    assert "data: written to" in told, "who waits is told for what"
    assert "WARN" not in told
    assert "GATE PASSED" in said
    assert any("<iframe" in output.get("data", {}).get("text/html", "") for output in outputs)
    report = re.search(r"report: (\S+)", said)
    assert report is not None
    assert Path(report[1]).is_file()
    suite = tmp_path / "suite.yml"
    store = yaml.safe_load(suite.read_text())["store"]
    first = engine.results(store=store)
    more = ("--set", "reuse=false", "--set", "executor=local")
    result = command("run", suite, "--run-id", "again", *more)
    assert result.exit_code == 0, result.stderr
    again = engine.results(store=store, run="again")
    place = ["model", "slice", "test"]
    for column in ("value", "ci_low", "ci_high", "delta", "verdict"):
        one, other = (table.set_index(place)[column].sort_index() for table in (first, again))
        assert len(one) == 2 * 3 * 3
        pd.testing.assert_series_equal(one, other, check_dtype=False, rtol=1e-12)
