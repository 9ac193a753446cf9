"""Keys of bad rows, on request: a test beside that of the share, which is recorded only.

They are those with the smallest hash of the key, the same on any partitioning. Nothing else of the
rows is told, and no key that the suite calls sensitive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from engine.core.vocabulary import MetricValue
from engine.kinds.arrow_rows import Figures, SlicedRows
from engine.kinds.data_quality import sql
from engine.kinds.data_quality.arrow_checks import show_keys
from engine.kinds.data_quality.check import BAD, Asked, Check, complex_columns
from engine.kinds.estimates import SliceEstimates
from engine.kinds.questions import Query, figure
from engine.kinds.setting import Setting
from engine.metrics import Metric, Slices

SHOW_KEYS = "show_keys"
BAD_COUNT = "bad_rows"
MOST_KEYS = 100
_TEXT = "keys"

Count = Annotated[int, Field(strict=True, ge=1, le=MOST_KEYS)]


def has_keys(asked: Asked) -> bool:
    """Whether a test is that of the keys."""
    return SHOW_KEYS in asked.facts


def keys_query(check: Check, asked: Asked, setting: Setting) -> Query | None:
    """What a test of keys asks of the rows."""
    query = check.bad_rows(asked, setting) if setting.columns.key else None
    if query is None:
        return None
    most, key = asked.facts[SHOW_KEYS], setting.columns.key
    find = check.finder(asked, setting)
    assert find is not None, "it finds single rows"

    def here(rows: SlicedRows, beside: Mapping[str, SlicedRows]) -> Figures:
        return show_keys(rows, find(rows), key, most)

    text = sql.bad_rows(query.text, most)
    return replace(query, text=text, text_columns=(_TEXT,), here=here)


def keys_metric(check: Check, asked: Asked) -> Metric:
    return figure(f"{BAD_COUNT}({check.name(asked)})", higher_is_better=False, any_rows=True)


def keys_misfits(setting: Setting) -> Iterator[str]:
    """Why keys cannot be shown of a dataset."""
    key = setting.columns.key
    if not key:
        yield f"found {SHOW_KEYS} and no key of the dataset, expected the columns that name a row"
    for column in key:
        if column in setting.columns.sensitive:
            yield (
                f"{SHOW_KEYS} would show the key {column!r}, which the suite calls sensitive; "
                "expected a key that is not"
            )
    yield from complex_columns(key, setting, f"{SHOW_KEYS} reads the key")


def keys_estimate(on: Slices) -> SliceEstimates:
    """How many rows are bad, and the keys of some of them."""
    values = [
        MetricValue(answer[BAD], detail=_keys_text(texts.get(_TEXT), answer[BAD] or 0.0))
        for answer, texts in zip(on.answers, on.texts, strict=True)
    ]
    return SliceEstimates.of_values(values)


def _keys_text(keys: str | None, bad: float) -> str | None:
    if not keys:
        return None
    shown = json.loads(keys)
    more = f"; {len(shown):,} of {bad:,.0f}" if bad > len(shown) else ""
    return f"keys {', '.join(shown)}{more}"
