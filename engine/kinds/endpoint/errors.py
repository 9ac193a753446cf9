"""Errors: what a server makes of requests that are wrong, and of values that are rare.

Right is a refusal by a status of 4xx that quotes no value of the row, or the very answer that the
model gives without a server. Anything else is a breach: another answer, an answer where the model
has none, an answer that is no JSON, an error of the server's own (5xx), none at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from engine.core.vocabulary import Numbers
from engine.errors import EndpointError, ModelError
from engine.kinds.contract.comparisons import BREACHES, TRIED
from engine.kinds.contract.inputs import complete_rows
from engine.kinds.endpoint.cases import CASES, Case, OneRow
from engine.kinds.endpoint.target import Target
from engine.serving import Unreachable, has_bare_numbers, rows_of
from engine.serving.answers import Reply

MOST_NAMED = 250
SAME, REFUSED = "answered as without a server", "refused"
OTHER, INVENTED = "answered otherwise than without a server", "answered, which the model refuses"
NO_JSON, FAULT, SILENT = "answered by what is no JSON", "an error of the server", "not answered"
LEAK = "refused with values of the row"
UNREADABLE = "answered by no prediction"
# Where nothing says what is right.
ANSWERED = "answered"
RIGHT = frozenset({SAME, REFUSED, ANSWERED})

# Numbers that no answer has by chance, in the place of those of a row.
_SENTINEL_FLOAT, _SENTINEL_WHOLE = 8271.4375, 827_143
# Shorter texts may stand in any message.
_SHORTEST = 4


def count_violations(target: Target, check: str) -> Numbers:
    """The odd requests of one kind that a server neither refuses as it should nor answers right.

    Args:
        target: the server, with the model that it is held against.
        check: which kind, of `CASES`.
    """
    row = _one_row(target)
    if row is None:
        return {BREACHES: None, TRIED: 0.0}
    tokens = [token.encode() for token in _tokens(row.batch)]
    numbers: dict[str, float | None] = {}
    tried = breaches = 0
    for case in CASES[check](row):
        outcome = _outcome(target, case, tokens)
        tried += 1
        breaches += outcome not in RIGHT
        if outcome not in RIGHT and len(numbers) < MOST_NAMED:
            numbers[f"{outcome}|{case.what}|{case.column}"] = 1.0
    if target.offline is None:
        numbers["no offline model"] = 1.0
    return {**numbers, BREACHES: float(breaches), TRIED: float(tried)}


def _one_row(target: Target) -> OneRow | None:
    """A row that server and model answer alike, with numbers that are known again if it can be."""
    whole = complete_rows(target.batch)
    for batch in (*_sentinels(whole.slice(0, 1)), *(whole.slice(at, 1) for at in range(5))):
        if not batch.num_rows:
            continue
        row = OneRow(target, rows_of(batch, target.model.model), batch)
        case = Case("", "", row.body(row.rows), batch)
        if _outcome(target, case, []) in (SAME, ANSWERED):
            return row
    return None


def _sentinels(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The row with numbers in it that no message has by chance."""
    columns = []
    for place, column in enumerate(batch.columns):
        kind = column.type
        if pa.types.is_floating(kind):
            column = pa.array([_SENTINEL_FLOAT + place], kind)
        elif pa.types.is_integer(kind) and kind.bit_width >= 32:
            column = pa.array([_SENTINEL_WHOLE + place], kind)
        columns.append(column)
    if batch.num_rows:
        yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _tokens(batch: pa.RecordBatch) -> list[str]:
    """The values of the row as a message would quote them, where they are long enough to know."""
    texts = []
    for value in (column[0].as_py() for column in batch.columns):
        if isinstance(value, float):
            texts.append(f"{value:.6f}".rstrip("0").rstrip(".")[:8])
        elif isinstance(value, int | str) and not isinstance(value, bool):
            texts.append(str(value))
    return [text for text in texts if len(text) >= _SHORTEST]


def _outcome(target: Target, case: Case, tokens: list[bytes]) -> str:
    """What a server makes of a case, in words."""
    try:
        reply = target.client.send(case.body, content_type=case.kind, again=False)
    except Unreachable:
        # Where it is gone for good there is nothing to be said of its errors.
        target.client.send(OneRow(target, target.rows.slice(0, 1), target.batch).body(
            target.rows.slice(0, 1)))  # fmt: skip
        return SILENT
    if reply.is_refusal:
        return LEAK if any(token in reply.content for token in tokens) else REFUSED
    if not reply.is_good:
        return FAULT
    return _answer_outcome(target, case, reply)


def _answer_outcome(target: Target, case: Case, reply: Reply) -> str:
    """How an answer stands beside the model's own."""
    if has_bare_numbers(reply.content):
        return NO_JSON
    try:
        raw = target.client.read(reply, case.count)
        if case.count == 0:
            return SAME
        answer = target.read(raw, case.count)
    except (EndpointError, ModelError):
        return UNREADABLE
    if target.offline is None:
        return ANSWERED
    expected = None if case.batch is None else _ask_offline(target, case.batch)
    if expected is None:
        return INVENTED
    return OTHER if bool(target.differing(expected, answer).any()) else SAME


def _ask_offline(target: Target, batch: pa.RecordBatch) -> Any:
    """What the model answers without a server; None where it refuses, by whatever error."""
    assert target.offline is not None, "it was looked at"
    try:
        with np.errstate(all="ignore"):
            return target.offline.predict_any(batch)
    except MemoryError:
        raise
    except Exception:
        return None
