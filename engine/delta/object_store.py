"""How delta-rs reaches an object store, what it says when it does not, and when to try again."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from engine.core.object_store import (
    check_bucket,
    check_place,
    endpoint,
    in_object_store,
    region,
)
from engine.errors import StoreError

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long a server may be away in the middle of a run, beside what delta-rs tries by itself."""

_PAUSE_SECONDS = 1.0
# One short try: before a run begins, who cannot reach the store wants to know it at once.
_ONCE = {"max_retries": "1", "retry_timeout": "10s", "connect_timeout": "5s", "timeout": "20s"}
_GLOB = re.compile(r"[*?\[{\\|^#]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"\b([45]\d\d) [A-Z][a-z]")
_SERVER = re.compile(r"(?:GET|PUT|HEAD|POST|DELETE) (https?://[^/\s?]+)")
_AWAY = re.compile(
    r"error sending request|tcp connect error|dns error|Connection (?:refused|reset)|timed out"
    r"|connection closed|operation timed out|\b50[0234] [A-Z]|SlowDown|ServiceUnavailable"
    r"|InternalError|error decoding response body|incomplete message",
    re.IGNORECASE,
)
_NO_CREDENTIALS = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|No credentials|MissingCredential"
)
_REFUSES = frozenset({"401", "403"})
_ELSEWHERE = re.compile(r"PermanentRedirect|AuthorizationHeaderMalformed|\b301 |bare redirect")


def storage_options(place: object) -> dict[str, str] | None:
    """What delta-rs is told of a place beside the environment; None for one that is local.

    A commit is a put that the server refuses where there is such an object (`If-None-Match: *`):
    of two writers of one version one succeeds, and no lock is needed.
    """
    if not in_object_store(place):
        return None
    # What delta-rs tries again, it tries ever more seldom: `patiently` goes on each second.
    options = {"aws_conditional_put": "etag", "aws_region": region(), "max_retries": "3"}
    address = endpoint()
    if address is not None:
        options["aws_endpoint_url"] = address
        options["allow_http"] = str(address.lower().startswith("http://")).lower()
    return options


def check_object_store(place: str) -> None:
    """Looks once at an object store, before anything is begun.

    Raises:
        InputError: for a URI, or an address in the environment, that is none.
        StoreError: when it is out of reach, refuses the credentials, or has no such bucket.
    """
    check_place(place)
    options = {**(storage_options(place) or {}), **_ONCE}
    try:
        # A table that is not there is no error; a bucket that is not there is one.
        DeltaTable.is_deltatable(place, storage_options=options)
    except Exception as error:
        told = object_store_words(error) or first_words(error)
        raise StoreError(f"the object store of {place!r} {told}; nothing was evaluated") from error


def check_data(place: str) -> None:
    """Looks once at an object store that data are in: a table, or the files of a glob.

    Raises:
        InputError: for a URI, or an address in the environment, that is none.
        StoreError: when it is out of reach, refuses the credentials, or has no such bucket.
    """
    check_bucket(place)
    fixed = _GLOB.split(place)[0]
    folder = place if fixed == place else fixed.rpartition("/")[0]
    # Which delta-rs would take for another place: of that Spark says what is wrong.
    if "%" not in folder:
        check_object_store(folder)


def object_store_words(error: BaseException) -> str | None:
    """What went wrong, of an error about an object store: "cannot be reached (...)".

    No credential and no signature stands in it, whatever the server has answered.
    """
    text = _COLOUR.sub("", str(error))
    if "S3" not in text and "https://" not in text and "http://" not in text:
        return None
    code, status = _CODE.search(text), _STATUS.search(text)
    server = _SERVER.search(text)
    at = f" at {server[1]}" if server else ""
    if _NO_CREDENTIALS.search(text):
        return (
            "gets no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the "
            "machine a role"
        )
    if "NoSuchBucket" in text:
        return f"has no such bucket (NoSuchBucket{at}); make it, or correct the name"
    if _ELSEWHERE.search(text):
        return f"is in another region{at}; set AWS_REGION to the bucket's"
    if status and status[1] in _REFUSES:
        why = code[1] if code else status[1]
        return (
            f"refuses the credentials ({why}{at}); look at AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and at what they may do"
        )
    if is_away(error):
        reason = next(
            (line.strip(" ↳") for line in reversed(text.splitlines()) if line.strip(" ↳")), ""
        )
        why = f"{status[0][:3]} {code[1] if code else ''}".strip() if status else reason
        return f"cannot be reached{at} ({why}); look at AWS_ENDPOINT_URL, and at the server"
    if code or status:
        return f"answers {code[1] if code else status and status[1]}{at}"
    return None


def first_words(error: BaseException) -> str:
    """What delta-rs says of something else, without what a server has answered."""
    text = _COLOUR.sub("", str(error)).partition("<?xml")[0]
    lines = [line.strip(" ↳") for line in text.splitlines()]
    return ": ".join(line for line in lines if line)[:300] or type(error).__name__


def is_away(error: BaseException) -> bool:
    """Whether the server is out of reach, or too busy, so that it may answer later."""
    text = str(error)
    return "S3" in text and _AWAY.search(text) is not None and not _NO_CREDENTIALS.search(text)


def patiently(action: Callable[[], T]) -> T:
    """Does something again while the server is away, for a minute; raises what it raised last."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return action()
        except Exception as error:
            if not is_away(error) or time.monotonic() > until:
                raise
        time.sleep(_PAUSE_SECONDS)


def file_facts(table: DeltaTable, file: str) -> tuple[int, int]:
    """When an object of a table was written, in nanoseconds since 1970, and its bytes.

    Raises:
        FileNotFoundError: where there is none.
    """
    (about,) = _files(table).get_file_info([file])
    if about.mtime_ns is None or about.size is None:
        raise FileNotFoundError(file)
    return int(about.mtime_ns), int(about.size)


def _files(table: DeltaTable) -> DeltaStorageHandler:
    """The objects of a table, by their names within it."""
    return DeltaStorageHandler(table.table_uri, storage_options(table.table_uri))


def commit_note(table: DeltaTable) -> dict[str, Any]:
    """What the commit of the version that is open says of itself, and no other commit."""
    name = f"_delta_log/{table.version():020d}.json"
    file = _files(table).open_input_file(name)
    actions = [json.loads(line) for line in file.read().splitlines() if line.strip()]
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})


def open_table(place: str | Path, version: int | None = None) -> DeltaTable:
    """A table wherever it lies, as delta-rs opens it."""
    options: Mapping[str, str] | None = storage_options(place)
    return DeltaTable(str(place), version=version, storage_options=dict(options or {}) or None)
