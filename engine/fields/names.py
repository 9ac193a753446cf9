"""What may be a name, a text of one line, a module."""

from __future__ import annotations

import re
import unicodedata

NAME_LENGTH = 200

PREVIOUS = "previous"
"""The alias of the version that the champion replaced."""

# As MLflow has them; `latest` and `v3` mean versions there.
_ALIAS = re.compile(r"[\w\-]{1,255}")
_LONGEST = 255
_NO_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)


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


def alias_problem(text: str) -> str | None:
    """Says what an alias of a registered model should have been, None when it is fine."""
    if _ALIAS.fullmatch(text) and not _NO_ALIAS.fullmatch(text):
        return None
    return (
        "an alias: 1 to 255 letters, digits, '_' and '-', not `latest` and not `v` with a number, "
        "which mean versions"
    )


def target_alias_problem(text: str) -> str | None:
    """Says what an alias that is moved should have been, None when it is fine.

    The alias of the version before has a name of its own, which nobody moves by itself.
    """
    if problem := alias_problem(text):
        return problem
    if text.startswith(PREVIOUS):
        return f"another alias: {PREVIOUS!r} and those that begin so are kept by evalmatrix itself"
    if len(f"{PREVIOUS}-{text}") > _LONGEST:
        return f"an alias of at most {_LONGEST - len(PREVIOUS) - 1} characters"
    return None
