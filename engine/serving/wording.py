"""Why no answer came, in words that say nothing of what was asked."""

from __future__ import annotations

from http import HTTPStatus


def status_text(status: int) -> str:
    """A status in words.

    >>> status_text(503)
    '503 (Service Unavailable)'
    """
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)


def failure_text(error: BaseException) -> str:
    """Why no answer came, in words: the error's own name the place and the system's."""
    text = f"{type(error).__name__} {error} {error.__context__!r}"
    for sign, words in _SIGNS.items():
        if sign in text:
            return words
    return f"could not be asked: {type(error).__name__}"


_SIGNS: dict[str, str] = {
    "CERTIFICATE_VERIFY_FAILED": "has a certificate that is not trusted here; set "
    "REQUESTS_CA_BUNDLE to a file with the one that signed it",
    "hostname mismatch": "has a certificate of another host",
    "WRONG_VERSION_NUMBER": "does not speak TLS; expected http:// in its URL",
    "SSL": "could not agree on TLS",
    "NameResolution": "has a host that no name server knows",
    "getaddrinfo": "has a host that no name server knows",
    "Name or service not known": "has a host that no name server knows",
    "Connection refused": "has nobody who listens: the connection was refused",
    "No route to host": "is out of reach: there is no route to its host",
    "Network is unreachable": "is out of reach: there is no network",
    "half an answer": "answered half, and ended the connection",
    "IncompleteRead": "answered half, and ended the connection",
    "ended prematurely": "answered half, and ended the connection",
    "InvalidChunkLength": "answered half, and ended the connection",
    "Connection reset": "ended the connection before it answered",
    "Connection aborted": "ended the connection before it answered",
    "RemoteDisconnected": "ended the connection before it answered",
    "Broken pipe": "ended the connection before it answered",
    "ProxyError": "could not be reached by the proxy that the environment names",
    "DecodeError": "answered with a body that cannot be unpacked",
}
