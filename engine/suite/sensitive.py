"""What a suite must not do with the columns that it calls sensitive: show their values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.fields.wording import Loc, quote

Found = Iterator[tuple[Loc, str]]

_SLICES = {
    "by": "slices are named by its values",
    "quantiles": "it would be cut at some of its values",
}
_USES = {
    "label": "results and states are made of its values",
    "weight": "results and states have sums of its values, of few rows too",
}


def check_sensitive(at: Loc, raw: dict[str, Any], dataset: dict[str, Any]) -> Found:
    """Yields the places of an evaluation that would show values of a sensitive column.

    Its features, key, cluster and query may be sensitive, and a predicate or the edges of bins may
    name such a column: of these nothing is shown that the suite does not say itself.
    """
    secret = {name for name in _as_list(dataset.get("sensitive")) if isinstance(name, str)}
    for name in _as_list(dataset.get("public")):
        if name in secret:
            expected = "expected it in one of the two lists"
            yield (*at, "dataset", "public"), f"found {quote(name)}, which is sensitive, {expected}"
    for use, why in _USES.items():
        if isinstance(dataset.get(use), str) and dataset[use] in secret:
            yield (*at, "dataset", use), _refusal(dataset[use], why)
    for index, item in enumerate(_as_list(raw.get("slices"))):
        for rule, why in _SLICES.items():
            for name in _names(item.get(rule) if isinstance(item, dict) else None):
                if name in secret:
                    yield (*at, "slices", index, rule), _refusal(name, why)


def _refusal(name: str, why: str) -> str:
    return f"found {quote(name)}, which is sensitive, expected a column that is not: {why}"


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _names(value: Any) -> list[str]:
    columns = list(value) if isinstance(value, dict) else _as_list(value)
    return [name for name in columns if isinstance(name, str)]
