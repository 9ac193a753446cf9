"""Places as users write them: which are folders of this machine, and whether they are there.

Neither asks a URI's grammar of a path, nor raises: a path may hold any character.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_CATALOG_NAME = re.compile(r"[\w`-]+(\.[\w`-]+){1,2}")


def is_catalog_name(table: str) -> bool:
    """Whether `table` is `schema.table` or `catalog.schema.table`, not a path."""
    return bool(_CATALOG_NAME.fullmatch(table)) and "/" not in table


def local_path(place: str) -> Path | None:
    """A path, or the URI of a file, as a path of this machine; None for other URIs.

    >>> local_path("file:///data/a%20b"), local_path("s3://bucket/a")
    (PosixPath('/data/a b'), None)
    """
    match = _URI.fullmatch(place)
    if match is None:
        # Unlike pathlib's, it takes `~nobody` for what it is where there is no such user.
        return Path(os.path.expanduser(place)).absolute()  # noqa: PTH111
    if match[1].lower() != "file":
        return None
    return Path("/" + unquote(match[2]))


def is_there(place: str | Path) -> bool:
    """Whether there is a file or folder; a path that cannot be is not there."""
    return os.path.exists(place)  # noqa: PTH110


def is_folder(place: str | Path) -> bool:
    """Whether there is a folder; a path that cannot be is none."""
    return os.path.isdir(place)  # noqa: PTH112


def data_format(place: str | Path) -> str:
    """What a place of data is by the endings of its name: `csv` or `parquet` files, else `delta`.

    >>> data_format("claims-*.csv.gz"), data_format("lake/claims")
    ('csv', 'delta')
    """
    endings = [ending.lower().removeprefix(".") for ending in Path(place).suffixes]
    return next((kind for kind in ("csv", "parquet") if kind in endings), "delta")


def user_cache() -> Path:
    """Our folder in the user's cache, which `XDG_CACHE_HOME` moves; it need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "evalmatrix"
