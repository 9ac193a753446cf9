"""Asks a served model: within a time limit, again where that helps, at a rate, several at once.

What is told of a failure is what was asked of whom and how it ended: never the body of an answer,
which may quote the rows.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from engine.core.registry import did_you_mean
from engine.core.vocabulary import Endpoint
from engine.errors import EndpointError
from engine.serving.answers import Reply, read_json
from engine.serving.pace import Pace
from engine.serving.protocols import PROTOCOLS, Protocol
from engine.serving.rows import Rows

JSON = "application/json"
MOST_ANSWER_BYTES = 512 * 2**20
_CHUNK = 2**16
# What a server says that could not answer now: it may a moment later. A time limit that it kept
# itself (504) is not among them: MLflow's goes on with the work, and would do it twice.
RETRIED = frozenset({429, 502, 503})
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Unreachable(EndpointError):
    """No answer came: nobody listens, the line was cut, or it took too long."""


class Client:
    """Asks one endpoint. Threads may share it: each has a connection of its own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.protocol = protocol_of(endpoint)
        self.pace = Pace(endpoint.url, endpoint.rate)
        self._headers = read_headers(endpoint)
        self._local = threading.local()

    @property
    def place(self) -> str:
        """The endpoint as messages call it: its URL without what may be a secret."""
        return shown_url(self.endpoint.url)

    def predict(self, rows: Rows, *, strict: bool = False) -> Any:
        """The predictions for rows, asked in requests of `batch` rows, in the order of the rows.

        Raises:
            EndpointError: when a request failed for good; the others are given up.
        """
        size = self.endpoint.batch
        parts = [rows.slice(first, size) for first in range(0, rows.count, size)] or [rows]
        if self.endpoint.concurrency == 1 or len(parts) == 1:
            return _join([self.ask(part, strict=strict) for part in parts])
        with ThreadPoolExecutor(self.endpoint.concurrency, "endpoint") as pool:
            futures = [pool.submit(self.ask, part, strict=strict) for part in parts]
            try:
                return _join([future.result() for future in futures])
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, rows: Rows, *, strict: bool = False) -> Any:
        """The predictions for rows, in one request.

        Raises:
            EndpointError: when no answer came, or one that has no predictions.
        """
        reply = self.send(self.body(rows))
        if not reply.is_good:
            raise EndpointError(
                f"the endpoint {self.place} answered {status_text(reply.status)} to a request of "
                f"{rows.count:,} row{'' if rows.count == 1 else 's'}"
            )
        return self.read(reply, rows.count, strict=strict)

    def read(self, reply: Reply, count: int, *, strict: bool = False) -> Any:
        """The predictions in an answer.

        Raises:
            EndpointError: when it has none for each row.
        """
        try:
            return self.protocol.read(read_json(reply.content, strict=strict), count)
        except EndpointError as error:
            raise EndpointError(f"the endpoint {self.place}: {error}") from None

    def body(self, rows: Rows) -> bytes:
        """What is sent for rows.

        Raises:
            EndpointError: when it is larger than the protocol's servers take.
        """
        text = json.dumps(self.protocol.write(rows), allow_nan=False).encode()
        most = self.protocol.most_bytes
        if most is not None and len(text) > most:
            raise EndpointError(
                f"a request of {rows.count:,} rows has {len(text):,} bytes, the protocol "
                f"{self.protocol.key!r} takes {most:,}; expected a smaller batch"
            )
        return text

    def send(self, body: bytes, *, content_type: str | None = JSON, again: bool = True) -> Reply:
        """Sends a request for predictions, at the endpoint's pace, again where it may help.

        Predictions change nothing, so what was asked twice does no harm.

        Args:
            body: what is sent.
            content_type: what it is said to be; None says nothing.
            again: whether it may be sent again.

        Raises:
            Unreachable: when no answer came.
        """
        path, left = self.protocol.ask_path(self.endpoint), self.endpoint.retries if again else 0
        wait = _FIRST_WAIT
        while True:
            self.pace.wait()
            try:
                reply = self._exchange("POST", path, body, content_type)
            except _Refused as error:
                if not left:
                    raise Unreachable(str(error)) from None
            else:
                if reply.status not in RETRIED or not left:
                    return reply
            left -= 1
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def send_once(self, body: bytes) -> Reply:
        """Sends a request for predictions now, and never again.

        Raises:
            Unreachable: when no answer came.
        """
        try:
            return self._exchange("POST", self.protocol.ask_path(self.endpoint), body, JSON)
        except _Refused as error:
            raise Unreachable(str(error)) from None

    def get(self, path: str) -> Reply:
        """What the server answers on a path.

        Raises:
            Unreachable: when no answer came.
        """
        try:
            return self._exchange("GET", path, None, None)
        except _Refused as error:
            raise Unreachable(str(error)) from None

    def version(self) -> str | None:
        """The version of the model that the server tells; None where it tells none.

        Raises:
            Unreachable: when no answer came.
        """
        path = self.protocol.version_path(self.endpoint)
        if path is None:
            return None
        reply = self.get(path)
        if not reply.is_good:
            return None
        try:
            return self.protocol.read_version(read_json(reply.content))
        except EndpointError:
            return None

    def is_up(self) -> bool | None:
        """Whether the server says that it is up; None where its protocol has no word for it."""
        path = self.protocol.ready_path(self.endpoint)
        if path is None:
            return None
        try:
            return self.get(path).is_good
        except Unreachable:
            return False

    def _exchange(
        self, method: str, path: str, body: bytes | None, content_type: str | None
    ) -> Reply:
        import requests

        limit, started = self.endpoint.timeout, time.perf_counter()
        headers = {
            **self._headers,
            **({} if content_type is None else {"Content-Type": content_type}),
        }
        try:
            response = self._session().request(
                method, url_of(self.endpoint, path), data=body, headers=headers,
                timeout=limit, stream=True, allow_redirects=False,
            )  # fmt: skip
            try:
                content = self._read(response, started + limit)
            finally:
                response.close()
        except requests.exceptions.Timeout:
            raise self._late() from None
        except EndpointError:
            raise
        except Exception as error:  # half an answer is an error of urllib3's, which says so itself
            raise _Refused(f"the endpoint {self.place} {_why(error)}") from None
        if 300 <= response.status_code < 400:
            raise EndpointError(
                f"the endpoint {self.place} answered {status_text(response.status_code)}: it sends "
                "requests elsewhere; expected the URL that answers by itself"
            )
        kind = response.headers.get("Content-Type", "")
        return Reply(response.status_code, content, kind, time.perf_counter() - started)

    def _read(self, response: Any, deadline: float) -> bytes:
        """The body, for as long as the time limit lets it come."""
        parts, size = list[bytes](), 0
        stream = _chunks(response)
        for part in stream:
            parts.append(part)
            size += len(part)
            if time.perf_counter() > deadline:
                raise self._late()
            if size > MOST_ANSWER_BYTES:
                raise EndpointError(
                    f"the endpoint {self.place} answered with more than {MOST_ANSWER_BYTES:,} "
                    "bytes, expected predictions; ask for fewer rows at once by batch"
                )
        return b"".join(parts)

    def _late(self) -> Unreachable:
        return Unreachable(
            f"the endpoint {self.place} did not answer within {self.endpoint.timeout:g} s"
        )

    def _session(self) -> Any:
        import requests

        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            if urlsplit(self.endpoint.url).hostname in _LOCAL:
                # Nothing of this machine is asked by a proxy.
                session.trust_env = False
                session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
        return session


class _Refused(Exception):
    """A request to which no answer came, and to which one may come when it is sent again."""


def protocol_of(endpoint: Endpoint) -> Protocol:
    """The protocol that an endpoint speaks.

    Raises:
        EndpointError: when there is none of that name, or it lacks the model's name.
    """
    protocol = PROTOCOLS.find(endpoint.protocol)
    if protocol is None:
        known = PROTOCOLS.names()
        raise EndpointError(
            f"no protocol is called {endpoint.protocol!r}, expected one of {', '.join(known)}"
            f"{did_you_mean(endpoint.protocol, PROTOCOLS.names(aliases=True))}"
        )
    if protocol.names_model and not endpoint.model:
        raise EndpointError(
            f"the protocol {protocol.key!r} asks for a model by its name, and the endpoint "
            f"{shown_url(endpoint.url)} has none; expected the key 'model'"
        )
    return protocol


def read_headers(
    endpoint: Endpoint, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The headers with the variables of the environment in their places.

    Raises:
        EndpointError: when a variable is not set, or holds what no header can.
    """
    known = os.environ if environment is None else environment

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if not known.get(name):
            raise EndpointError(
                f"the headers of the endpoint {shown_url(endpoint.url)} want the variable "
                f"{name!r} of the environment, which is not set here; workers have that in which "
                "Spark was started"
            )
        return known[name]

    headers = {name: _VARIABLE.sub(value, text) for name, text in endpoint.headers}
    for name, text in headers.items():
        if not (text.isascii() and text.isprintable()):
            raise EndpointError(
                f"the header {name!r} of the endpoint {shown_url(endpoint.url)} holds a line break "
                "or what is not ASCII, expected neither"
            )
    return headers


def url_of(endpoint: Endpoint, path: str) -> str:
    """The URL of a path behind an endpoint's; where its own ends in that path, it stays as it is.

    >>> url_of(Endpoint("http://a:5001/", "mlflow"), "/invocations")
    'http://a:5001/invocations'
    >>> url_of(Endpoint("http://a/serving/invocations", "mlflow"), "/invocations")
    'http://a/serving/invocations'
    """
    base = endpoint.url.rstrip("/")
    asks = PROTOCOLS.get(endpoint.protocol).ask_path(endpoint)
    base = base.removesuffix(asks)
    return base + path


def shown_url(url: str) -> str:
    """A URL without what may be a secret: a user's name, a password, what is behind a `?`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def status_text(status: int) -> str:
    """A status in words.

    >>> status_text(503)
    '503 (Service Unavailable)'
    """
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)


def _chunks(response: Any) -> Any:
    """The parts of a body as they come."""
    raw = response.raw
    if getattr(raw, "chunked", False):
        yield from raw.stream(_CHUNK, decode_content=True)
        return
    while part := raw.read1(_CHUNK, decode_content=True):
        yield part
    # Where the server said how much it sends, less is half an answer.
    if getattr(raw, "length_remaining", 0):
        raise OSError("half an answer")


def _why(error: BaseException) -> str:
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


def _join(parts: list[Any]) -> Any:
    """The predictions of several requests as one."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], dict):
        return {name: [v for part in parts for v in part[name]] for name in parts[0]}
    return [row for part in parts for row in part]
