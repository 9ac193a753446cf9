"""Keys of rows as users write them, and whether what a store keeps is of one of them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.errors import InputError
from engine.kinds.data_quality.sql import LONGEST_KEY

# A shorter value stands in a text for much else, unless the name of its column does before it.
TELLING = 4


@dataclass(frozen=True, slots=True)
class RowKey:
    """The key of a row: its values as texts by column; `named` is None of a value alone."""

    text: str
    named: Mapping[str, str] | None

    @property
    def values(self) -> tuple[str, ...]:
        return (self.text,) if self.named is None else tuple(self.named.values())

    def is_row(self, kept: str) -> bool:
        """Whether it is that of a row, whose key is a JSON object."""
        # Numbers as they are written: 1.50 is another key than 1.5.
        values = {
            name: _plain(value)
            for name, value in json.loads(kept, parse_float=str, parse_int=str).items()
        }
        if self.named is None:
            return list(values.values()) == [self.text]
        return values == dict(self.named)

    def is_shown(self, shown: str) -> bool:
        """Whether it is that of a bad row as a report shows it: a value, or several as JSON.

        A long one is cut; whatever begins so is taken for it.
        """
        cut = len(shown) >= LONGEST_KEY
        if len(self.values) == 1:
            return shown == self.values[0] or (cut and self.values[0].startswith(shown))
        assert self.named is not None, "a value alone is one"
        if cut:
            first, value = next(iter(self.named.items()))
            ways = (json.dumps({first: value}, ensure_ascii=False, separators=(",", ":"))[:-1],
                    f"{{{json.dumps(first)}:{value}")  # fmt: skip
            return any(shown.startswith(way) or way.startswith(shown) for way in ways)
        try:
            return self.is_row(shown)
        except (ValueError, AttributeError):
            return False

    def masks(self) -> list[re.Pattern[bytes]]:
        """What a text has where it has the key, each with the value as its first group.

        A short value is looked for behind the name of its column alone.
        """
        patterns = []
        columns = {} if self.named is None else self.named
        for name, value in columns.items() if self.named is not None else [("", self.text)]:
            for form in _forms(value):
                word = rb"(?<![\w.-])(" + re.escape(form.encode()) + rb")(?![\w-])"
                if len(value) >= TELLING:
                    patterns.append(re.compile(word))
                elif name:
                    before = re.escape(name.encode()) + rb"[\"'\\]*\s*[:=]\s*[\"'\\]*"
                    patterns.append(re.compile(before + word.replace(rb"(?<![\w.-])", b"")))
        return patterns


def _forms(value: str) -> list[str]:
    """A value as texts, pages and JSON write it."""
    inner = json.dumps(value)[1:-1]
    plain = json.dumps(value, ensure_ascii=False)[1:-1]
    page = html.escape(value)
    forms = (value, page, page.replace("&quot;", "&#34;").replace("&#x27;", "&#39;"), inner, plain)
    return list(dict.fromkeys(forms))


def _plain(value: object) -> str:
    return value if type(value) is str else json.dumps(value, separators=(",", ":"))


def read_keys(keys: Sequence[str]) -> list[RowKey]:
    """Keys as users write them.

    Args:
        keys: `column=value`, several of them joined by commas where the key has several columns;
            a JSON object; or the value alone, where the key has one column.

    Raises:
        InputError: when one is not written so, or there is none.
    """
    if not keys:
        raise InputError("found no key to forget, expected column=value, a JSON object or a value")
    return [RowKey(key, _read(key)) for key in keys]


def _read(key: str) -> dict[str, str] | None:
    """The columns and values of a key; None of a value alone."""
    if not key.strip():
        raise InputError("a key is empty; expected column=value, a JSON object or a value")
    if key.lstrip().startswith("{"):
        try:
            named = json.loads(key)
        except ValueError as error:
            raise InputError(f"a key is {key!r}, which is no JSON: {error}") from error
        return {
            str(name): value if type(value) is str else json.dumps(value)
            for name, value in named.items()
        }
    if "=" not in key:
        return None
    parts = [part.partition("=") for part in key.split(",")]
    if any(not sign or not name.strip() for name, sign, _ in parts):
        raise InputError(
            f"a key is {key!r}; expected column=value, several of them joined by commas, a JSON "
            "object, or a value alone"
        )
    return {name.strip(): value.strip() for name, _, value in parts}
