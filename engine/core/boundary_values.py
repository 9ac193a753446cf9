"""Values at the boundaries of a type: those that code which was tried on usual ones gets wrong."""

from __future__ import annotations

# Far beyond what a column holds; within what float32 and a square of it can hold.
EXTREME = 1e12
LONG = 10_000
UNSEEN = "\u2603 never seen before"

TEXTS: dict[str, str] = {
    "an empty text": "",
    "a blank": " ",
    f"a text of {LONG:,} characters": "x" * LONG,
    "the character NUL": "a\0b",
    "an emoji": "\U0001f600",
    "an accent of its own": "e\u0301",
    "text from right to left": "\u05e9\u05dc\u05d5\u05dd",
    "the text NULL": "NULL",
}
"""Texts by what they are."""
