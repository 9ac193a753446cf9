"""The notebook runs from top to bottom, in a kernel of its own, on the store of a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

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
    result = evaluated(suite, "notebook", run_id="for-the-notebook")
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
