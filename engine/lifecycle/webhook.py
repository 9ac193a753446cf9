"""Whether a webhook is MLflow's own: its signature, and its age.

MLflow's tracking server signs what it sends with a secret that both sides know: an HMAC-SHA256 over
the delivery's id, its time and the raw body. The names of its headers and its raw secret are not
those of Standard Webhooks, so libraries for these cannot verify it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from engine.errors import InputError

MOST_SECONDS = 300
"""The age at which a delivery is refused: a copy of an old one is not one."""

_ID, _TIME, _SIGNATURE = "x-mlflow-delivery-id", "x-mlflow-timestamp", "x-mlflow-signature"
_SCHEME = "v1,"


def check_delivery(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str:
    """Gives the id of a delivery that MLflow has signed with the secret, not long ago.

    Args:
        headers: the request's headers, whatever the case of their names.
        body: the raw body, as it came.
        secret: what the webhook was created with.
        now: the time, in seconds since 1970.

    Raises:
        InputError: when a header is missing, the time is not about now, or the signature is wrong.
    """
    named = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (_ID, _TIME, _SIGNATURE) if not named.get(name)]
    if missing:
        raise InputError(f"found no header {missing[0]!r}, expected one that MLflow has signed")
    delivery, when = named[_ID], named[_TIME]
    # The time is part of what is signed: who has not the secret cannot make an old one new.
    if not hmac.compare_digest(
        _signature(secret, delivery, when, body).encode(),
        named[_SIGNATURE].encode("utf-8", "surrogateescape"),
    ):
        raise InputError("the signature is wrong: it was made with another secret, or of a body")
    if not when.isascii() or not when.isdigit() or abs(now - int(when)) > MOST_SECONDS:
        raise InputError(f"its time is not within {MOST_SECONDS} s of now")
    return delivery


def _signature(secret: str, delivery: str, when: str, body: bytes) -> str:
    """What MLflow puts into its header: `v1,` and the digest in base64."""
    parts = [part.encode("utf-8", "surrogateescape") for part in (delivery, when)]
    digest = hmac.new(secret.encode(), b".".join([*parts, body]), hashlib.sha256).digest()
    return _SCHEME + base64.b64encode(digest).decode("ascii")
