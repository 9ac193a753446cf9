"""What may be a name, a text of one line, a module."""

from __future__ import annotations

import unicodedata

NAME_LENGTH = 200


def name_problem(name: str) -> str | None:
    """Says what a name should have been, None when it is fine."""
    if not name.strip():
        return "a text that is not empty"
    if len(name) > NAME_LENGTH:
        return f"a text of at most {NAME_LENGTH} characters"
    return text_problem(name)


def text_problem(text: str) -> str | None:
    """Says what a text of one line should have been, None when it is fine."""
    # Control characters, lone surrogates, and the separators of lines and paragraphs.
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        return "a text of one line without control characters"
    return None


def module_problem(text: str) -> str | None:
    """Says what a module's name should have been, None when it is fine."""
    if all(part.isidentifier() for part in text.split(".")):
        return None
    return "a Python module's dotted name"
