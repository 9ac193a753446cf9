"""A small server that takes MLflow's webhooks as nudges: somebody should look at the registry now.

Nothing that a request says is acted on, but that it came: what is new is read from the registry.
So a webhook that is lost costs a wait until the next look, and one that is forged nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from engine.errors import InputError
from engine.lifecycle.webhook import check_delivery

log = logging.getLogger("evalmatrix")

MOST_BYTES = 1_000_000
"""Of a request's body; MLflow's are of some hundred bytes."""

_PATIENCE = 10.0
_KNOWN = 10_000


class Nudges:
    """Deliveries that came: `wait` returns when there is one more, and `seconds` have not passed.

    The same delivery again is one: MLflow sends again what was not answered.
    """

    def __init__(self, secret: str) -> None:
        self.port = 0
        self._secret = secret
        self._came = threading.Event()
        self._lock = threading.Lock()
        self._deliveries: OrderedDict[str, None] = OrderedDict()

    def wait(self, seconds: float) -> bool:
        """Whether somebody has nudged since the last call; waits for it so many seconds."""
        nudged = self._came.wait(seconds)
        self._came.clear()
        return nudged

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """Takes a delivery, if it is MLflow's.

        Raises:
            InputError: when it is not.
        """
        delivery = check_delivery(headers, body, self._secret, time.time())
        with self._lock:
            if delivery in self._deliveries:
                return
            self._deliveries[delivery] = None
            if len(self._deliveries) > _KNOWN:
                self._deliveries.popitem(last=False)
        self._came.set()


@contextmanager
def listen(host: str, port: int, secret: str) -> Iterator[Nudges]:
    """Takes webhooks at an address while the block runs; port 0 is any that is free.

    Raises:
        InputError: when nothing can listen there.
    """
    nudges = Nudges(secret)

    class Handler(_Handler):
        taker = nudges

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"nothing can listen at {host}:{port}: {reason}; expected an address of this machine "
            "and a port that is free"
        ) from error
    server.daemon_threads = True
    nudges.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, name="webhooks", daemon=True)
    thread.start()
    try:
        yield nudges
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request: 204 for a delivery, else why it is none."""

    taker: Nudges
    timeout = _PATIENCE
    server_version, sys_version = "evalmatrix", ""

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._answer(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > MOST_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._take(self.rfile.read(int(length)))

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK if self.path == "/health" else HTTPStatus.NOT_FOUND)

    def _take(self, body: bytes) -> None:
        try:
            self.taker.take(dict(self.headers.items()), body)
        except InputError as error:
            log.warning("a webhook from %s was refused: %s", self.client_address[0], error)
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        self._answer(HTTPStatus.NO_CONTENT)

    def _answer(self, status: HTTPStatus) -> None:
        # What follows in this connection may be the rest of a body that nobody has read.
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        log.debug("webhook from %s: " + format, self.client_address[0], *args)
