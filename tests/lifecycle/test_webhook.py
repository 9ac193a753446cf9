"""A webhook is MLflow's own, or it is refused: the server's own code signs what is checked here."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from engine.errors import InputError
from engine.lifecycle.listener import MOST_BYTES, Nudges, listen
from engine.lifecycle.webhook import MOST_SECONDS, check_delivery

SECRET = "wire-süß"
BODY = '{"entity": "model_version", "data": {"name": "claims – ü", "version": "3"}}'
NOW = 1_800_000_000


def headers(when: Any = NOW, body: str = BODY, secret: str = SECRET) -> dict[str, str]:
    return {
        "X-MLflow-Delivery-Id": "d-1",
        "X-MLflow-Timestamp": str(when),
        "X-MLflow-Signature": _generate_hmac_signature(secret, "d-1", str(when), body),
    }


def test_what_mlflow_has_signed_is_taken() -> None:
    assert check_delivery(headers(), BODY.encode(), SECRET, NOW + MOST_SECONDS) == "d-1"
    lower = {name.lower(): value for name, value in headers().items()}
    assert check_delivery(lower, BODY.encode(), SECRET, NOW - MOST_SECONDS) == "d-1"


@pytest.mark.parametrize(
    ("sent", "body", "says"),
    [
        (headers(secret="other"), BODY, "signature is wrong"),
        (headers(), BODY + " ", "signature is wrong"),
        ({**headers(), "X-MLflow-Timestamp": str(NOW + 1)}, BODY, "signature is wrong"),
        ({**headers(), "X-MLflow-Delivery-Id": "d-2"}, BODY, "signature is wrong"),
        ({**headers(), "X-MLflow-Signature": "v1,é"}, BODY, "signature is wrong"),
        ({**headers(), "X-MLflow-Signature": ""}, BODY, "x-mlflow-signature"),
        ({}, BODY, "x-mlflow-delivery-id"),
        (headers(NOW - MOST_SECONDS - 1), BODY, "not within 300 s"),
        (headers(NOW + MOST_SECONDS + 1), BODY, "not within 300 s"),
        (headers("soon"), BODY, "not within 300 s"),
        (headers("²"), BODY, "not within 300 s"),
    ],
)
def test_what_it_has_not_is_refused(sent: dict[str, str], body: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_delivery(sent, body.encode(), SECRET, NOW)


@pytest.fixture
def nudges() -> Iterator[Nudges]:
    with listen("127.0.0.1", 0, SECRET) as server:
        yield server


def post(port: int, sent: dict[str, str], body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", "/", body, sent)
        answer = connection.getresponse()
        assert answer.read() == b""
        return answer.status
    finally:
        connection.close()


def test_a_delivery_is_a_nudge_and_again_it_is_none(nudges: Nudges) -> None:
    sent = headers(int(time.time()))
    assert not nudges.wait(0)
    assert post(nudges.port, sent, BODY.encode()) == 204
    assert nudges.wait(20) and not nudges.wait(0)
    assert post(nudges.port, sent, BODY.encode()) == 204
    assert not nudges.wait(0)


def test_others_are_answered_and_are_no_nudge(
    nudges: Nudges, caplog: pytest.LogCaptureFixture
) -> None:
    assert post(nudges.port, headers(int(time.time()), secret="x"), BODY.encode()) == 401
    assert post(nudges.port, {"Content-Length": str(MOST_BYTES + 1)}, b"") == 413
    assert post(nudges.port, {"Transfer-Encoding": "chunked"}, b"") == 411
    assert "signature is wrong" in caplog.text and "claims" not in caplog.text
    connection = http.client.HTTPConnection("127.0.0.1", nudges.port, timeout=20)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
    # Half a request, and none at all.
    with socket.create_connection(("127.0.0.1", nudges.port)) as half:
        half.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
    assert not nudges.wait(0.1)


def test_an_address_that_is_taken_is_told(nudges: Nudges) -> None:
    with (
        pytest.raises(InputError, match=rf"127\.0\.0\.1:{nudges.port}.*in use"),
        listen("127.0.0.1", nudges.port, SECRET),
    ):
        pass
    with pytest.raises(InputError, match="expected an address"), listen("127.0.0.1", 70_000, "s"):
        pass
