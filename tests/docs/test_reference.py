"""The reference pages name everything there is: keys, columns, public names, metrics."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import engine
from engine.store.results import RESULTS_SCHEMA
from engine.store.runs import RUNS_SCHEMA
from engine.suite import schema
from engine.suite.yaml_document import SuiteLoader


def page(root: Path, name: str) -> str:
    return (root / "docs" / name).read_text(encoding="utf-8")


def codes(text: str) -> set[str]:
    """Everything that a page shows as code within a line."""
    return set(re.findall(r"`([^`\n]+)`", text))


def test_the_metrics_page_is_current(root: Path) -> None:
    # In a process of its own: other tests register metrics.
    script = root / "docs" / "make_metrics.py"
    ran = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, cwd=root, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def check(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_check", root / "docs" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_lead_somewhere_and_shown_suites_are_valid(check: ModuleType, root: Path) -> None:
    assert list(check.mistakes(root)) == []


def test_the_suite_page_has_every_key_with_its_default(root: Path) -> None:
    text = page(root, "suite.md")
    # A key may stand in several tables, such as `predictions`.
    rows: dict[str, str] = {}
    for match in re.finditer(r"^\| `(\w+)` \|.*$", text, flags=re.MULTILINE):
        rows[match[1]] = rows.get(match[1], "") + match[0]
    made = schema()
    missing = []
    for model in (made, *made["$defs"].values()):
        for name, kind in model.get("properties", {}).items():
            default = kind.get("default")
            written = str(default).lower() if isinstance(default, bool) else default
            shown = (
                default is None
                or isinstance(default, list | dict)
                or f"`{written}`" in rows.get(name, "")
            )
            if name not in rows or not shown:
                missing.append((model["title"], name, default))
    assert missing == []


def test_the_long_example_of_the_suite_page_uses_every_key(root: Path) -> None:
    text = page(root, "suite.md")
    example = yaml.load(text.split("```yaml suite\n")[1].split("```")[0], SuiteLoader)
    used: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            used.update(value)
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(example)
    made = schema()
    every = {
        name for model in (made, *made["$defs"].values()) for name in model.get("properties", {})
    }
    # Data come as one of three, and plugins must exist.
    assert every - used == {"parquet", "plugins"}


@pytest.mark.parametrize("table", [RESULTS_SCHEMA, RUNS_SCHEMA], ids=["results", "runs"])
def test_the_results_page_has_every_column(table: Any, root: Path) -> None:
    assert set(table.names) - codes(page(root, "results.md")) == set()


def test_the_api_page_has_every_public_name(root: Path) -> None:
    text = page(root, "api.md")
    lacking = {name for name in engine.__all__ if not re.search(rf"\b{name}\b", text)}
    assert lacking == set()


def test_the_api_page_shows_the_signatures_as_they_are(root: Path) -> None:
    found = re.findall(r"^\| `(\w+)\(([^`]*)\)`", page(root, "api.md"), flags=re.MULTILINE)
    shown = {name: parameters for name, parameters in found if name in engine.__all__}
    assert {"run", "plan", "results", "report", "train", "doctor", "schema"} <= set(shown)
    for name, parameters in shown.items():
        signature = inspect.signature(getattr(engine, name))
        bare = signature.replace(
            parameters=[
                each.replace(annotation=inspect.Parameter.empty)
                for each in signature.parameters.values()
            ],
            return_annotation=inspect.Signature.empty,
        )
        assert str(bare).strip("()").replace("'", '"') == parameters, name


def test_every_decision_is_in_the_list(root: Path) -> None:
    folder = root / "docs" / "decisions"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in folder.glob("0*.md"))
    assert records
    assert [name for name in records if name not in listed] == []


def test_the_readme_shows_the_cells_of_the_notebook(root: Path) -> None:
    notebook = json.loads((root / "notebooks" / "quickstart.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = re.findall(r"```python\n(.*?)\n```", (root / "README.md").read_text(), flags=re.DOTALL)
    assert shown[:3] == cells
