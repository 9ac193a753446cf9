"""The names of the columns that are made for a scan.

They begin with a character that no suite can write: so no column of a table is taken for them.
"""

from __future__ import annotations

# As the other columns that are made for a scan, of a name that no suite can write: so no column of
# a table is taken for it.
BUCKET_COLUMN = "\0bucket"
KEY_COLUMN = "\0key"
ROW_COLUMN = "\0row"


def kept_column(model: int) -> str:
    """The column of a batch that has what is kept of a model's predictions; null where nothing."""
    return f"\0kept {model}"
