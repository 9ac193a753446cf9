"""How mistakes are worded: places, found values, and the nearest known word."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Sequence

Loc = tuple[str | int, ...]

# To compare a word with many takes long, and a file can have thousands of mistakes.
_COMPARED = 500


def place_text(loc: Loc) -> str:
    """Writes a location as `evaluations[0].tests[2].metric`; the root is `suite`."""
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{printable_text(step)}" if text else printable_text(step)
    return text or "suite"


def printable_text(text: str, limit: int = 80) -> str:
    """Gives a text as it stands, by its repr where it would act on a terminal, cut at a limit."""
    return text if text and text.isprintable() and len(text) <= limit else quote(text)


def quote(value: object) -> str:
    """Gives the repr of a found value, cut to a readable length; null is named as such."""
    if value is None:
        return "null (an empty value)"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    short.maxlevel = 3
    try:
        return short.repr(value)
    except ValueError:
        # Python refuses to write integers of several thousand digits.
        return "an int too large to show"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Finds the known word that a misspelt one most probably means, None if none is near."""
    by_folded = {name.casefold(): name for name in known}
    matches = difflib.get_close_matches(word.casefold()[:200], by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def suggestion(word: object, known: Iterable[str]) -> str:
    """Gives the end of a sentence: `one of a, b; did you mean 'a'?`."""
    names = list(known)
    listed = ", ".join(map(printable_text, names[:20])) + (", ..." if len(names) > 20 else "")
    near = nearest(word, names[:_COMPARED]) if isinstance(word, str) else None
    return f"one of {listed}" + (f"; did you mean {quote(near)}?" if near else "")


def list_text(items: Sequence[object]) -> str:
    """Items as a list in a sentence, the first ten of them."""
    shown = ", ".join(repr(item) for item in items[:10])
    return f"[{shown}{', ...' if len(items) > 10 else ''}]"
