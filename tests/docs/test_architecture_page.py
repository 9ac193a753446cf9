"""`docs/architecture.md` shows the packages as they are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest


def imports(root: Path) -> dict[str, set[str]]:
    """The packages that each package of `engine` imports."""
    packages = {
        path.name for path in (root / "engine").iterdir() if (path / "__init__.py").exists()
    }
    arrows: dict[str, set[str]] = {name: set() for name in packages}
    for name in packages:
        for path in (root / "engine" / name).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == "engine":
                    targets = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    targets = [(node.module or "").removeprefix("engine.").split(".")[0]]
                else:
                    continue
                arrows[name] |= {other for other in targets if other in packages} - {name}
    # By the names of the public functions.
    arrows["cli"].add("commands")
    return arrows


def below(arrows: dict[str, set[str]], start: set[str]) -> set[str]:
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += arrows[name]
    return seen


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_picture_has_the_imports_that_follow_from_no_others(page: str, root: Path) -> None:
    arrows = imports(root)
    drawn: set[tuple[str, str]] = set()
    for line in page.split("flowchart TB\n")[1].split("```")[0].splitlines():
        first, *others = [part.strip().split(" & ") for part in line.split("-->")]
        (origin,) = first
        drawn |= {(origin, target) for part in others for target in part}
    assert {(a, b) for a, b in drawn if b not in arrows[a]} == set(), "no such import"
    following = {
        (a, b)
        for a, targets in arrows.items()
        for b in targets
        if b in below(arrows, targets - {b})
    }
    every = {(a, b) for a, targets in arrows.items() for b in targets}
    assert every - following <= drawn, "an import is not drawn"


def test_every_package_has_its_row_and_every_file_is_there(page: str, root: Path) -> None:
    rows = set(re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE))
    assert rows == set(imports(root))
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", page))
    files = [path.relative_to(root).as_posix() for path in root.glob("*/**/*.py")]
    lacking = {name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)}
    assert lacking == set()
