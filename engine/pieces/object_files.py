"""Files in an object store of S3's protocol, as whoever has the credentials reads them: by Arrow.

Workers open the files of a table so. The server, the region and the keys are those of the
environment (`engine.core.object_store`); without keys a profile or the machine's role counts.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

import pyarrow as pa
from pyarrow.fs import AwsStandardS3RetryStrategy, FileType, S3FileSystem

from engine.core.object_store import endpoint, region

# The pauses between them grow: a server that goes away and comes back costs up to a minute.
_ATTEMPTS = 10
_CONNECT_SECONDS, _REQUEST_SECONDS = 10.0, 60.0
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_SCHEME = re.compile(r"s3a?://", re.IGNORECASE)
_CODE = re.compile(r"AWS Error (\w+)")
_STATUS = re.compile(r"HTTP status (\d+)")
_REFUSALS = re.compile(r"ACCESS_DENIED|SIGNATURE|ACCESS_KEY|TOKEN|CREDENTIALS|UNAUTHORIZED")


def plain_uri(uri: str) -> str:
    """A URI of an object store with the scheme that all of ours have.

    >>> plain_uri("s3a://bucket/a")
    's3://bucket/a'
    """
    return "s3://" + _key(uri)


def open_object(uri: str) -> pa.NativeFile:
    """Opens a file to be read at any place of it.

    Raises:
        FileNotFoundError: where there is none.
        OSError: where the server cannot be reached, or refuses.
    """
    return _file_system().open_input_file(_key(uri))


def is_object_there(uri: str) -> bool:
    """Whether there is a file; of a server that does not tell it is taken for there."""
    try:
        (info,) = _file_system().get_file_info([_key(uri)])
    except OSError:
        return True
    return bool(info.type != FileType.NotFound)


def object_mark(uri: str) -> str:
    """What tells a file from another one under its name: its size and its time; "" of none."""
    try:
        (info,) = _file_system().get_file_info([_key(uri)])
    except OSError:
        return ""
    return f"{info.size} {info.mtime_ns}" if info.type == FileType.File else ""


def object_error_words(error: OSError) -> str:
    """What is wrong with the store, of an error about a file of it: "cannot be reached (...)".

    No credential and no signature stands in it.
    """
    text = str(error)
    code, status = _CODE.search(text), _STATUS.search(text)
    named = code[1] if code else (text.splitlines() or [type(error).__name__])[0][:120]
    if (status and status[1] in ("401", "403")) or (code and _REFUSALS.search(code[1])):
        return (
            f"refuses the credentials ({named}); look at AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and at what they may do"
        )
    at = f" at {address}" if (address := endpoint()) else ""
    return f"cannot be reached{at} ({named}); look at AWS_ENDPOINT_URL, and at the server"


def _key(uri: str) -> str:
    return _SCHEME.sub("", uri, count=1)


def _file_system() -> S3FileSystem:
    """The file system that the environment describes now."""
    keys = tuple(os.environ.get(name) or None for name in _KEYS)
    # One alone is no credential: then a profile or a role counts.
    return _connect(endpoint(), region(), *(keys if all(keys[:2]) else (None, None, None)))


@lru_cache(maxsize=4)
def _connect(
    address: str | None, area: str, key: str | None, secret: str | None, token: str | None
) -> S3FileSystem:
    scheme, _, server = (address or "").partition("://")
    return S3FileSystem(
        access_key=key,
        secret_key=secret,
        session_token=token,
        region=area,
        scheme=scheme or "https",
        endpoint_override=server or None,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )
