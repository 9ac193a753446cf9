"""The notebooks: committed clean, with public names only; tests/runs/ has that they run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest

import engine

NAMES = {"quickstart": 3, "results": 6}
"""The notebooks, with how many cells of code they have at least."""


@pytest.fixture(params=NAMES)
def notebook(root: Path, request: pytest.FixtureRequest) -> Any:
    notebook = nbformat.read(root / "notebooks" / f"{request.param}.ipynb", as_version=4)
    notebook.metadata.least = NAMES[request.param]
    return notebook


def test_all_are_looked_at(root: Path) -> None:
    assert {path.stem for path in (root / "notebooks").glob("*.ipynb")} == set(NAMES)


def code_of(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_it_is_committed_without_outputs(notebook: Any) -> None:
    least = notebook.metadata.pop("least")
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= least
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
