"""How long, in words: `24h`, `7d`."""

from __future__ import annotations

import datetime as dt
import re

from engine.errors import InputError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAMES = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
# Nothing is kept for longer, and a larger number is a slip.
_MOST = 100 * 366 * 86_400


def parse_duration(text: str, option: str) -> dt.timedelta:
    """Reads a number with s, m, h, d or w behind it.

    Args:
        text: what was given.
        option: what it was given for, to say so.

    Raises:
        InputError: when it is no such text, or not more than zero.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= _MOST:
        raise InputError(
            f"found {option} {text!r}, expected a number above 0 and s, m, h, d or w, such as 24h "
            "or 7d"
        )
    return dt.timedelta(seconds=seconds)


def age_text(age: dt.timedelta) -> str:
    """An age in whole units of the largest that fits twice: `36 hours`, `9 days`."""
    seconds = max(age.total_seconds(), 0.0)
    name, size = next(unit for unit in _NAMES if seconds >= 2 * unit[1] or unit[1] == 1)
    count = int(seconds // size)
    return f"{count:,} {name}{'' if count == 1 else 's'}"
