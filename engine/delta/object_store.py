"""How delta-rs reaches an object store, what it says when it does not, and when to try again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar

from engine.core.object_store import (
    endpoint,
    in_object_store,
    region,
)

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
"""How long a server may be away in the middle of a run, beside what delta-rs tries by itself."""

_PAUSE_SECONDS = 1.0
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
    r"169\.254\.169\.254|169\.254\.170\.2|No credentials|MissingCredential|loading credentials|IMDS"
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


def object_store_words(error: BaseException) -> str | None:
    """What went wrong, of an error about an object store: "cannot be reached (...)".

    No credential and no signature stands in it, whatever the server has answered.
    """
    text = _COLOUR.sub("", str(error))
    is_about_one = any(sign in text for sign in ("S3", "https://", "http://"))
    if not is_about_one and not _NO_CREDENTIALS.search(text):
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
