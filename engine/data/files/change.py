"""What a table of files takes to have the rows of the files there are now."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.data.files.decision import Schema
from engine.data.files.listing import File
from engine.data.files.table_state import State

# In a column's name Delta takes these only where it stores the column under another one.
ODD = re.compile(r"[ ,;{}()\n\t=]")


@dataclass(frozen=True, slots=True)
class Change:
    """One commit: files whose rows come, each with its mark, and marks whose rows go.

    The columns are those of `schema` in its order. A table that is made `anew` keeps no row;
    `strangers` are rows of no file, which go.
    """

    schema: Schema
    come: Mapping[File, str]
    gone: tuple[str, ...]
    anew: bool
    strangers: bool
    files: int

    @property
    def note(self) -> str:
        """What the commit says of itself."""
        counts = {"came": len(self.come), "gone": len(self.gone), "all": self.files}
        return json.dumps({"files": counts})


def same_columns(one: Schema, other: Schema) -> bool:
    """Whether two tables have the same columns, in whatever order."""
    return sorted(one) == sorted(other)


def change_to(now: State | None, wanted: Mapping[str, File], schema: Schema) -> Change:
    """The change by which a table comes to have what is wanted.

    Args:
        now: the table as it is; None where there is none.
        wanted: the files with rows, by their marks.
        schema: their columns.
    """
    if now is None or not now.ours or not same_columns(now.schema, schema):
        come = {wanted[mark]: mark for mark in sorted(wanted)}
        return Change(schema, come, (), anew=True, strangers=False, files=len(wanted))
    return Change(
        now.schema,
        {wanted[mark]: mark for mark in sorted(wanted.keys() - now.marks)},
        tuple(sorted(mark for mark in now.marks - wanted.keys() if mark)),
        anew=False,
        strangers=None in now.marks,
        files=len(wanted),
    )
