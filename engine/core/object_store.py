"""Places in an object store that speaks S3's protocol, and what the environment says of it.

What is set where is AWS's own: `AWS_ENDPOINT_URL` for a server that is not Amazon's, `AWS_REGION`,
and the credentials, which stand in no suite and in no message.
"""

from __future__ import annotations

import os
import re

from engine.errors import InputError

_SCHEME = re.compile(r"(s3a?)://", re.IGNORECASE)
_PLACE = re.compile(r"s3a?://([^/]*)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# What delta-rs would take for the encoding of another character, or for a pattern.
_ODD = re.compile(r"[%\[\]\\^|?#\x00-\x1f\x7f]")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_ENDPOINT = re.compile(r"https?://[^/\s@?#]+/?", re.IGNORECASE)
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def in_object_store(place: object) -> bool:
    """Whether a place is the URI of an object store that is reached by S3's protocol.

    >>> in_object_store("s3://bucket/lake"), in_object_store("s3a://bucket/lake")
    (True, True)
    """
    return _SCHEME.match(str(place)) is not None


def check_bucket(place: str) -> None:
    """Refuses a URI of an object store by what it has before the bucket's end.

    Raises:
        InputError: for credentials in it, and a name that no bucket has.
    """
    match = _PLACE.fullmatch(place)
    bucket = match[1] if match else ""
    if "@" in bucket:
        raise InputError(
            f"the place s3://...@{bucket.rpartition('@')[2]} has credentials in it; expected "
            "s3://BUCKET/PREFIX, and the credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if not _BUCKET.fullmatch(bucket):
        raise InputError(
            f"the place {place!r} names the bucket {bucket!r}; expected s3://BUCKET/PREFIX, with 3 "
            "to 63 small letters, digits, '-' and '.' for the bucket"
        )


def check_place(place: str) -> None:
    """Refuses a URI of an object store that cannot be one of a store.

    Raises:
        InputError: for credentials in it, a name that no bucket has, and characters that programs
            take for others.
    """
    check_bucket(place)
    if odd := _ODD.search(place):
        raise InputError(
            f"the place {place!r} has {odd[0]!r} in it; expected a prefix without % [ ] \\ ^ | ? #"
        )


def endpoint() -> str | None:
    """The address of the server; None for Amazon's own.

    Raises:
        InputError: for what is no address.
    """
    for name in _ENDPOINTS:
        address = os.environ.get(name, "").strip()
        if not address:
            continue
        if not _ENDPOINT.fullmatch(address):
            raise InputError(
                f"{name} is no address of an object store; expected http://HOST:PORT or "
                "https://HOST:PORT, without a path or credentials"
            )
        return address.rstrip("/")
    # A pipeline sets what it has no value for to nothing, which a client takes for an address.
    is_blank = any(name in os.environ for name in _ENDPOINTS)
    return f"https://s3.{region()}.amazonaws.com" if is_blank else None


def region() -> str:
    """The region that requests are signed for; servers that are not Amazon's take any."""
    return next((os.environ[name] for name in _REGIONS if os.environ.get(name)), "us-east-1")
