"""Which files are others than those that the newest version of their table is made of."""

from __future__ import annotations

from collections.abc import Sequence

from engine.data.files.facts import Facts, known_facts
from engine.data.files.lake import Question
from engine.data.files.listing import File, find_files, name_of
from engine.data.files.table_state import state_of
from engine.spark.lazy_session import LazySession


class _Unseen(Exception):
    """A file that no run has looked at."""


def files_since(session: LazySession, asked: Question) -> list[str]:
    """The names of the files that came, changed or went since their table was brought up to date.

    Nothing is written and no row is read: a file that nobody has looked at is one that came.

    Raises:
        DataError: when no file matches.
        StoreError: when the table cannot be read.
    """
    files = {file.row_id(asked.reading.key): file
             for file in find_files(session, asked.pattern, asked.fmt)}  # fmt: skip
    now = state_of(session, asked.table)
    marks = frozenset[str | None]() if now is None else now.marks
    came = {files[mark].name for mark in files.keys() - marks if _has_rows(files[mark], asked)}
    gone = {name_of(mark) for mark in marks - files.keys() if mark is not None}
    return sorted(came | gone)


def _has_rows(file: File, asked: Question) -> bool:
    """False of a file that a run has looked at, and that has none: the table has no mark of it."""

    def look(new: Sequence[File]) -> Sequence[Facts]:
        raise _Unseen

    try:
        known = known_facts(asked.facts, [file], f"{asked.fmt} {asked.reading.key}", look)
    except _Unseen:
        return True
    return bool(known[file].rows)
