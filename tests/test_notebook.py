"""The notebook: it is committed clean and uses public names only; tests/runs/ has that it runs."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import nbformat
import pytest

import engine

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
