"""Markdown that holds whatever a name, a reason or a description has in it; and its page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from engine.sinks import format as fmt

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!$])")
_FOLDER = Path(__file__).parent


def plain(value: Any) -> str:
    """A value as a text of one line in which nothing is Markdown or HTML."""
    text = fmt.one_line(str("" if value is None else value))
    text = _SPECIAL.sub(r"\\\1", text.replace("&", "&amp;"))
    # What would begin a list or a line beneath a heading.
    text = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)
    return re.sub(r"^([-+=])(?=\s|$|[-=]+$)", r"\\\1", text)


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; a cell is a value, or Markdown where it is a `Raw`."""
    lines = [heads, ["---"] * len(heads)]
    texts = [f"| {' | '.join(line)} |" for line in lines]
    for row in rows:
        cells = [cell if isinstance(cell, Raw) else plain(cell) for cell in row]
        texts.append(f"| {' | '.join(cells)} |")
    return "\n".join(texts)


class Raw(str):
    """Markdown, as it is to stand."""

    __slots__ = ()


def page(markdown: str, title: str) -> str:
    """A page of HTML that needs no network and prints as it looks.

    Front matter is left out; HTML in the text is shown and not rendered.
    """
    from markdown_it import MarkdownIt

    text = re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.DOTALL)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
