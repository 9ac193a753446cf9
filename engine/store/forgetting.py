"""Rows that are forgotten: what the tables and files of a store keep of their keys goes.

Predictions are deleted. A key that a test of data quality has shown is taken out of its answer and
of the cell that tells it; the counts stay. Files that only spare work are removed, and in logs the
value is written over. What holds what is gone, older files and the log of a table, goes too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from engine.states.rows import ANSWER
from engine.store.answers import Answer
from engine.store.row_keys import RowKey
from engine.store.tables import StoreTable, StoreTables

FORGOTTEN = "(forgotten)"
_TEXT = "keys"
# How a cell tells the keys of bad rows, see `engine.kinds.data_quality.keys`.
_TOLD = re.compile(r"(?s)(.*?: keys )(.*?)((?:; [\d,]+ of [\d,]+)?)")
_REASON = "reason"
# The list of keys is searched where one of the values stands in it; longer ones are cut there.
_CUT = 150
_TABLES = ("predictions", "results", "states")


@dataclass(frozen=True, slots=True)
class Reached:
    """How much was reached at a place; `of` says what was counted."""

    place: str
    count: int
    what: str
    note: str = ""

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return f"{self.place}: {self.count:,} {self.what}{note}"


def forget_predictions(table: StoreTable, keys: Sequence[RowKey]) -> int:
    """Deletes the predictions of rows; gives how many."""
    if not table.exists():
        return 0
    counts: list[dict[str, Any]] = pc.value_counts(
        table.rows(["key"])["key"].combine_chunks()
    ).to_pylist()
    gone: dict[str, int] = {
        row["values"]: row["counts"]
        for row in counts
        if any(key.is_row(row["values"]) for key in keys)
    }
    if gone:
        table.delete_like(pa.table({"key": pa.array(list(gone), pa.string())}))
    return sum(gone.values())


def forget_cells(table: StoreTable, keys: Sequence[RowKey]) -> dict[str, int]:
    """Takes keys out of what cells tell; gives how many cells of each run were changed."""
    if not table.exists():
        return {}
    changed: dict[str, int] = {}
    for run_id in sorted(set(table.rows(["run_id"])["run_id"].to_pylist())):
        rows = table.rows(["test", _REASON], [("run_id", "=", run_id)]).to_pylist()
        tests = [row["test"] for row in rows if _clean(row[_REASON], keys) != row[_REASON]]
        if tests:
            where = [("run_id", "=", run_id), ("test", "in", sorted(set(tests)))]
            table.revise(where, lambda old: _map(old, _REASON, lambda text: _clean(text, keys)))
            changed[run_id] = len(tests)
    return changed


def _map(rows: pa.Table, name: str, change: Callable[[Any], Any]) -> pa.Table:
    """Rows with other values in a column."""
    place = rows.column_names.index(name)
    field = rows.schema.field(place)
    values = [change(value) for value in rows[name].to_pylist()]
    return rows.set_column(place, field, pa.array(values, field.type))


def _clean(text: str | None, keys: Sequence[RowKey]) -> str | None:
    """What a cell tells, without keys that are to be forgotten."""
    values = [value for key in keys for value in key.values]
    if not text or not any(value in text or len(value) > _CUT for value in values):
        return text
    match = _TOLD.fullmatch(text)
    return text if match is None else f"{match[1]}{_clean_list(match[2], keys)}{match[3]}"


def _clean_list(told: str, keys: Sequence[RowKey]) -> str:
    """A list of keys joined by commas, in which a key may have commas of its own."""
    parts = told.split(", ")
    cleaned: list[str] = []
    at = 0
    while at < len(parts):
        for end in range(len(parts), at, -1):
            if any(key.is_shown(", ".join(parts[at:end])) for key in keys):
                cleaned.append(FORGOTTEN)
                at = end
                break
        else:
            cleaned.append(parts[at])
            at += 1
    return ", ".join(cleaned)


def forget_answers(table: StoreTable, keys: Sequence[RowKey]) -> int:
    """Takes keys out of the answers that tests are measured from; gives how many had one."""
    if not table.exists() or "family" not in table.columns():
        return 0
    rows = table.rows(["run_id", "payload"], [("family", "=", ANSWER)]).to_pylist()
    runs = {row["run_id"] for row in rows if _clean_answer(row["payload"], keys) != row["payload"]}
    count = sum(1 for row in rows if _clean_answer(row["payload"], keys) != row["payload"])
    if runs:
        where = [("family", "=", ANSWER), ("run_id", "in", sorted(runs))]
        table.revise(
            where, lambda old: _map(old, "payload", lambda value: _clean_answer(value, keys))
        )
    return count


def _clean_answer(payload: bytes, keys: Sequence[RowKey]) -> bytes:
    if b'"texts"' not in payload:
        return payload
    try:
        answer = Answer.decode(payload)
    except ValueError:
        return payload
    texts = {
        place: {name: _clean_shown(name, text, keys) for name, text in own.items()}
        for place, own in answer.texts.items()
    }
    if texts == answer.texts:
        return payload
    return Answer(answer.slices, answer.failure, texts).encode()


def _clean_shown(name: str, text: str | None, keys: Sequence[RowKey]) -> str | None:
    if name != _TEXT or text is None:
        return text
    shown = [FORGOTTEN if any(key.is_shown(one) for key in keys) else one
             for one in json.loads(text)]  # fmt: skip
    return text if FORGOTTEN not in shown else json.dumps(shown, ensure_ascii=False)


def erase_histories(tables: StoreTables) -> list[str]:
    """Removes older files of the tables, and what their logs say of these; names those that do."""
    there = [name for name in _TABLES if tables[name].exists()]
    return [name for name in there if not tables[name].erase_history()]


def forget_cached(folder: Path, keys: Sequence[RowKey]) -> int:
    """Removes files of the cache that have a value; they are made again. Gives how many."""
    values = {value for key in keys for value in key.values}
    count = 0
    # Deeper lie the files of models.
    for file in folder.glob("*/*.json"):
        try:
            held = set(_leaves(json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError):
            continue
        if held & values:
            file.unlink(missing_ok=True)
            count += 1
    return count


def _leaves(value: Any) -> Iterator[str]:
    """The texts and numbers of a JSON document, names of its mappings too."""
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def mask_files(files: Iterable[Path], keys: Sequence[RowKey]) -> tuple[int, list[Path]]:
    """Writes over the values of keys in files, in their places; gives how many, and what failed.

    The files keep their length: a server that is writing one goes on where it was.
    """
    patterns = [pattern for key in keys for pattern in key.masks()]
    count, failed = 0, []
    for file in files:
        try:
            content = file.read_bytes()
            spans = {match.span(1) for pattern in patterns for match in pattern.finditer(content)}
            if spans:
                with file.open("r+b") as handle:
                    for begin, end in sorted(spans):
                        handle.seek(begin)
                        handle.write(b"*" * (end - begin))
            count += len(spans)
        except OSError:
            failed.append(file)
    return count, failed
