"""How sinks write numbers, names and times, so that all of them write them alike.

Everything here is plain text: the sinks that write HTML, XML or Markdown escape it after. Numbers
come in ASCII, so that a terminal of any encoding can show them.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata

from engine.core.vocabulary import DatasetVersion

DASH = "-"

# Characters that act instead of being shown: controls, lone surrogates, and the marks that turn
# the direction of the text around them. U+2028 and U+2029 end a line in some readers.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+"
)

# What GitHub takes for a command at the start of a line of a log, and the older form anywhere.
_COMMAND = re.compile(
    r"::(?=(?:error|warning|notice|debug|group|endgroup|echo|(?:add|remove|set|save|stop)-)\b)|"
    r"##\[",
    re.IGNORECASE,
)


def number(value: float | None, none: str = DASH) -> str:
    """Writes a metric value with some five significant digits, `none` where it is undefined."""
    if value is None:
        return none
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e7 or size < 1e-4:
        return f"{value:.3g}"
    decimals = 4 if size < 10 else 3 if size < 100 else 2 if size < 1000 else 1
    return f"{value:,.{decimals}f}"


def signed_number(value: float | None, none: str = DASH) -> str:
    """Writes a difference with its sign; a zero has none."""
    text = number(value, none)
    return f"+{text}" if value is not None and value > 0 else text


def interval(low: float | None, high: float | None, *, sign: bool = False) -> str:
    """Writes `[0.842, 0.899]`; nothing where there is no interval."""
    if low is None or high is None:
        return ""
    places = _places(low, high)
    return f"[{_round_to(low, places, sign)}, {_round_to(high, places, sign)}]"


def estimate(value: float | None, low: float | None, high: float | None, none: str = DASH) -> str:
    """Writes a value with its interval, `0.871 [0.842, 0.899]`, to as many places as it has."""
    if value is None or low is None or high is None:
        return number(value, none)
    return f"{_round_to(value, _places(low, high), False)} {interval(low, high)}"


def change(delta: float | None, low: float | None, high: float | None, none: str = DASH) -> str:
    """Writes a difference with its interval and with signs: `-0.012 [-0.020, -0.004]`."""
    if delta is None or low is None or high is None:
        return signed_number(delta, none)
    return f"{_round_to(delta, _places(low, high), True)} {interval(low, high, sign=True)}"


def _places(low: float, high: float) -> int | None:
    """Decimals that show two digits of an interval's width; None where those do not serve."""
    width, size = high - low, max(abs(low), abs(high))
    if not math.isfinite(width) or size >= 1e7:
        return None
    if width <= 0:
        return 4 if size == 0 or size >= 1e-4 else None
    places = max(math.ceil(-math.log10(width)) + 1, 0)
    return places if places <= 6 else None


def _round_to(value: float, places: int | None, sign: bool) -> str:
    if places is None or not math.isfinite(value):
        return signed_number(value) if sign else number(value)
    # No thousands separators: commas part the ends of an interval. No sign on a zero.
    text = f"{value:z.{places}f}"
    return f"+{text}" if sign and text.strip("0.") and not text.startswith("-") else text


def chance(probability: float | None, none: str = DASH) -> str:
    """Writes a p-value or q-value: `0.41`, `0.012`, `<0.0001`."""
    if probability is None or not math.isfinite(probability):
        return none
    if probability < 0.0001:
        return "<0.0001"
    decimals = 4 if probability < 0.001 else 3 if probability < 0.1 else 2
    return f"{probability:.{decimals}f}"


def exact(value: float | None, none: str = DASH) -> str:
    """Writes all the digits of a value, as Python would read them back."""
    return none if value is None else repr(float(value))


def count(value: int) -> str:
    """Writes a number of things with thousands separators."""
    return f"{value:,}"


def plural(amount: int, noun: str, many: str | None = None) -> str:
    """Writes an amount with its noun: `1 row`, `2,000 rows`."""
    return f"{count(amount)} {noun if amount == 1 else many or noun + 's'}"


def dataset_text(data: DatasetVersion) -> str:
    """Writes a dataset version: `claims, version 3, 400 rows, of 2 files: a.csv, b.csv`."""
    return f"{data.name}, version {data.version}, {plural(data.rows, 'row')}{files_note(data)}"


def files_note(data: DatasetVersion) -> str:
    """Writes which files a dataset version is made of, to go behind its rows; else nothing."""
    return f", of {data.files}" if data.files else ""


def duration(seconds: float) -> str:
    """Writes a length of time: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(when: dt.datetime) -> str:
    """Writes a time to the second, in UTC where its zone is known."""
    if when.tzinfo is None:
        return f"{when:%Y-%m-%d %H:%M:%S}"
    return f"{when.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def is_plain(text: str) -> bool:
    """Whether a text has only what is shown, and line breaks: nothing acts, nothing is illegal."""
    return text.replace("\n", "").isprintable()


def clean(text: str) -> str:
    """Takes out what acts instead of being shown; line breaks and tabs stay."""
    if is_plain(text):
        return text
    return "\n".join(
        "\t".join(_ACTING.sub(" ", part) for part in line.split("\t"))
        for line in text.replace("\r\n", "\n").split("\n")
    )


def one_line(text: str, limit: int | None = None) -> str:
    """Brings a text onto one line without acting characters, cut with an ellipsis at `limit`."""
    line = text
    # What is printable has no space but the usual one, and nothing that acts.
    if not text.isprintable() or "  " in text or text != text.strip():
        line = " ".join(_ACTING.sub(" ", text).split())
    if limit is None or len(line) <= limit:
        return line
    kept = line[: max(limit - 3, 1)]
    while len(kept) > 1 and unicodedata.combining(kept[-1]):
        kept = kept[:-1]
    return kept.rstrip() + "..."


def log_line(text: str, limit: int | None = None) -> str:
    """As `one_line`, for a log: of a CI server's commands (`::error::`) it makes plain text."""
    return _disarm(one_line(text, limit))


def log_text(text: str) -> str:
    """As `clean`, for a log."""
    return _disarm(clean(text))


def _disarm(text: str) -> str:
    return _COMMAND.sub(lambda match: f"{match[0][:-1]} {match[0][-1]}", text)


def list_names(names: list[str], limit: int = 3) -> str:
    """Lists the first names and counts the rest: `a, b, c and 38 more`."""
    head = ", ".join(names[:limit])
    rest = len(names) - limit
    return f"{head} and {count(rest)} more" if rest > 0 else head
