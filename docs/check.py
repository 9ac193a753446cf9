"""Checks the documents: every relative link leads somewhere, every suite they show is valid.

Run as `make docs`. A link may name a file, a folder or a heading (`file.md#heading`). A code
block whose first line is ```` ```yaml suite ```` is read as a whole suite file by the engine, one
of ```` ```yaml generate ```` as a recipe of rows. Prints one line for each mistake and exits with 1
when there is one.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from engine.data.generation.recipe import read_recipe
from engine.errors import SuiteError
from engine.suite import load_suite

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {".git", ".venv", "build", "dist", "node_modules", "store"}

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\n`]*)$")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*$")
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")


def documents(root: Path) -> Iterator[Path]:
    """Every Markdown file of the repository, but for what is built or installed."""
    for path in sorted(root.rglob("*.md")):
        folders = path.relative_to(root).parts[:-1]
        if not any(part in LEFT_OUT or part.startswith(".pytest") for part in folders):
            yield path


def split(text: str) -> tuple[list[tuple[int, str]], list[tuple[int, str, str]]]:
    """Divides a document into its lines of prose, and its code blocks: line, kind, content."""
    prose: list[tuple[int, str]] = []
    blocks: list[tuple[int, str, str]] = []
    fence, start, kind = "", 0, ""
    content: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        mark = FENCE.match(line)
        if not fence and mark:
            fence, start, kind, content = mark[1], number, mark[2].strip(), []
        elif fence and mark and mark[1].startswith(fence) and not mark[2]:
            blocks.append((start, kind, "\n".join(content) + "\n"))
            fence = ""
        elif fence:
            content.append(line)
        else:
            prose.append((number, line))
    return prose, blocks


def anchors(path: Path) -> set[str]:
    """The names under which GitHub links to the headings of a document."""
    names: set[str] = set()
    seen: dict[str, int] = {}
    for _, line in split(path.read_text(encoding="utf-8"))[0]:
        heading = HEADING.match(line)
        if heading:
            text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            count = seen.get(name, 0)
            seen[name] = count + 1
            names.add(f"{name}-{count}" if count else name)
    return names


def link_mistake(path: Path, target: str, root: Path) -> str | None:
    """What is wrong with one link of a document, or None."""
    if re.match(r"[a-z][a-z0-9+.\-]*:", target):
        return None
    name, _, anchor = unquote(target).partition("#")
    place = (path.parent / name).resolve() if name else path
    if not place.is_relative_to(root):
        return f"the link {target!r} leads out of the repository"
    if not place.exists():
        return f"the link {target!r} leads nowhere: there is no {place.relative_to(root)}"
    if anchor and place.suffix == ".md" and anchor not in anchors(place):
        return f"the link {target!r} names a heading that {place.relative_to(root)} lacks"
    return None


def suite_mistake(text: str) -> str | None:
    """What the engine says of a suite that a document shows, or None."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "suite.yml"
        file.write_text(text, encoding="utf-8")
        try:
            load_suite(file)
        except SuiteError as error:
            return "; ".join(str(mistake) for mistake in error.mistakes)
    return None


def recipe_mistake(text: str) -> str | None:
    """What is wrong with a `GENERATE.yml`, None when nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "GENERATE.yml"
        path.write_text(text, encoding="utf-8")
        try:
            read_recipe(path)
        except SuiteError as error:
            return str(error)
    return None


def mistakes(root: Path) -> Iterator[str]:
    """One line for each mistake in the documents under `root`: file, line, what is wrong."""
    for path in documents(root):
        prose, blocks = split(path.read_text(encoding="utf-8"))
        found = [
            (number, link_mistake(path, link[1], root))
            for number, line in prose
            for link in LINK.finditer(CODE.sub("", line))
        ]
        readers = {"yaml suite": suite_mistake, "yaml generate": recipe_mistake}
        found += [(line, readers[kind](text)) for line, kind, text in blocks if kind in readers]
        for number, mistake in found:
            if mistake:
                yield f"{path.relative_to(root)}:{number}: {mistake}"


def main() -> int:
    found = list(mistakes(ROOT))
    for line in found:
        print(line)
    count = sum(1 for _ in documents(ROOT))
    print(f"{count} documents, {len(found)} mistakes", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
