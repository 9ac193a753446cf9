"""A client of servers that misbehave: each is a clear sentence, within bounded time."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.core.vocabulary import Endpoint, ModelVersion, Output, TaskKind
from engine.errors import EndpointError
from engine.serving import Client, Rows, Unreachable, free_port, read_headers, rows_of, shown_url
from engine.serving.answers import is_finite
from engine.serving.pace import Pace

SECRET = "4711-secret"
Answer = Callable[[socket.socket, int], None]


def rows(count: int = 2) -> Rows:
    model = ModelVersion(
        "m", "", None, "", "", "", TaskKind.BINARY, Output.VALUE, features=("x",)
    )  # fmt: skip
    return rows_of(pa.table({"x": [SECRET] * count}), model)


@contextmanager
def server(
    answer: Answer, context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[int]]]:
    """A server that does with each connection what `answer` says; gives its URL and the count."""
    calls: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))
    if context is not None:
        listener = context.wrap_socket(listener, server_side=True)

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except (ssl.SSLError, ConnectionError):
                # A client that did not trust the certificate has gone.
                continue
            except OSError:
                return
            calls.append(1)
            threading.Thread(target=handle, args=(line, len(calls)), daemon=True).start()

    def handle(line: socket.socket, number: int) -> None:
        with line:
            try:
                if read_request(line):
                    answer(line, number)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    scheme = "http" if context is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", calls
    finally:
        listener.close()


def read_request(line: socket.socket) -> bool:
    """Reads a request to its end: what is left unread cuts the line with the answer on it."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = line.recv(2**16)
        if not part:
            return False
        got += part
        if not got[:1].isalpha():
            # A greeting of TLS to a server that speaks none.
            return True
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    left = (int(length[1]) if length else 0) - len(body)
    while left > 0:
        part = line.recv(left)
        if not part:
            return False
        left -= len(part)
    return True


def http(body: str, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n{body}"
    ).encode()


def reply(text: bytes) -> Answer:
    return lambda line, _: line.sendall(text)


def ask(url: str, **more: object) -> object:
    options = {"timeout": 2.0, "retries": 0, **more}
    return Client(Endpoint(url, "mlflow", **options)).predict(rows())


GOOD = http('{"predictions": [1.0, 2.0]}')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (http("<html>" + SECRET), "the answer is no JSON"),
        (http(""), "the answer is empty"),
        (http("[" * 100_000), "nested too deep"),
        (http('{"predictions": [1.0', length=90), "answered half, and ended the connection"),
        (b"", "ended the connection before it answered"),
        (
            http(SECRET, "500 Oops"),
            r"answered 500 \(Internal Server Error\) to a request of 2",
        ),
        (http(SECRET, "400 Oops"), r"answered 400 \(Bad Request\)"),
        (http(SECRET, "799 Oops"), "answered 799 to"),
        (b"HTTP/1.1 302 F\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n", "elsewhere"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1.0,\r\n",
            "answered half, and ended the connection",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
            "cannot be unpacked",
        ),
    ],
)
def test_what_is_no_answer_is_a_sentence(text: bytes, message: str) -> None:
    with server(reply(text)) as (url, _), pytest.raises(EndpointError, match=message) as error:
        ask(url)
    assert SECRET not in str(error.value)
    assert url in str(error.value)


def test_nobody_who_listens() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match="has nobody who listens: the connection was refused"):
        ask(url)


def test_a_host_that_is_not_there() -> None:
    with pytest.raises(Unreachable, match=r"http://no\.such\.host\.invalid has a host that no"):
        ask("http://no.such.host.invalid")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n["])
def test_a_server_that_answers_slowly_is_given_up(sent: bytes) -> None:
    def drip(line: socket.socket, _: int) -> None:
        line.sendall(sent)
        for _ in range(50):
            time.sleep(0.2)
            if sent:
                line.sendall(b" ")

    started = time.monotonic()
    with server(drip) as (url, calls), pytest.raises(Unreachable, match=r"answer within 0\.5 s"):
        ask(url, timeout=0.5, retries=3)
    assert time.monotonic() - started < 3
    assert len(calls) == 1, "what was too slow once is not asked again"


def test_a_busy_server_is_asked_again() -> None:
    def busy(line: socket.socket, number: int) -> None:
        line.sendall(http("", "503 Busy") if number < 3 else GOOD)

    with server(busy) as (url, calls):
        assert ask(url, retries=2) == [1.0, 2.0]
        assert len(calls) == 3
    with server(busy) as (url, calls), pytest.raises(EndpointError, match="answered 503"):
        ask(url, retries=1)
    assert len(calls) == 2


def test_a_line_that_was_cut_is_asked_again() -> None:
    def cut(line: socket.socket, number: int) -> None:
        if number > 1:
            line.sendall(GOOD)

    with server(cut) as (url, calls):
        assert ask(url, retries=1) == [1.0, 2.0]
        assert len(calls) == 2


def test_an_error_of_the_server_is_not_asked_again() -> None:
    with server(reply(http("", "500 Oops"))) as (url, calls):
        with pytest.raises(EndpointError):
            ask(url, retries=5)
        assert len(calls) == 1


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's own certificate, which nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(own.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_certificate_that_nobody_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = certificate(tmp_path)
    with server(reply(GOOD), context) as (url, _):
        with pytest.raises(EndpointError, match="a certificate that is not trusted here; set REQ"):
            ask(url)
        with pytest.raises(EndpointError, match=r"does not speak TLS|ended the connection"):
            ask(url.replace("https", "http"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        assert ask(url) == [1.0, 2.0]
    with server(reply(GOOD)) as (url, _), pytest.raises(EndpointError, match="not speak TLS"):
        ask(url.replace("http", "https"))


def test_headers_come_from_the_environment() -> None:
    endpoint = Endpoint("http://a", "mlflow", headers=(("Authorization", "Bearer ${TOKEN}"),))
    assert read_headers(endpoint, {"TOKEN": SECRET}) == {"Authorization": f"Bearer {SECRET}"}
    with pytest.raises(EndpointError, match="the variable 'TOKEN' of the environment, which is no"):
        read_headers(endpoint, {})
    with pytest.raises(EndpointError, match=r"'Authorization' .* holds a line break") as error:
        read_headers(endpoint, {"TOKEN": f"{SECRET}\n"})
    assert SECRET not in str(error.value)


def test_a_secret_in_a_url_is_not_shown() -> None:
    assert shown_url(f"https://me:{SECRET}@a:1/b?key={SECRET}") == "https://a:1/b"
    assert shown_url("http://[::1]:5/x") == "http://[::1]:5/x"


def test_rows_come_back_in_their_order_from_several_requests() -> None:
    def echo(line: socket.socket, number: int) -> None:
        time.sleep(0.05 * (number % 3))
        line.sendall(http(f'{{"predictions": [{number}]}}'))

    with server(echo) as (url, calls):
        client = Client(Endpoint(url, "mlflow", batch=1, concurrency=4))
        assert sorted(client.predict(rows(8))) == list(range(1, 9))
        assert len(calls) == 8


def test_requests_are_so_far_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    one, other = Pace("http://a", 4.0), Pace("http://a", 4.0)
    times = [pace.reserve(100.0) for pace in (one, other, one, other)]
    assert times == [100.0, 100.25, 100.5, 100.75]
    assert other.reserve(200.0) == 200.0, "what was not used is not saved up"
    assert Pace("http://b", 4.0).reserve(100.0) == 100.0
    assert Pace("http://a", None).reserve(1.0) == 1.0
    assert one.reserve(-10_000.0) == -10_000.0, "the machine was started anew"


def test_two_processes_keep_one_rate() -> None:
    code = (
        "import sys, time\nfrom engine.serving.pace import Pace\npace = Pace(sys.argv[1], 50.0)\n"
        "for _ in range(20):\n    pace.wait()\n    print(time.monotonic())\n"
    )
    import sys

    place = f"http://{time.monotonic_ns()}"
    both = [
        subprocess.Popen([sys.executable, "-c", code, place], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    times = sorted(float(line) for own in both for line in own.communicate()[0].split())
    assert len(times) == 40
    assert times[-1] - times[0] >= 39 / 50 - 0.01


def test_what_is_finite() -> None:
    assert is_finite({"a": [1, 0.5, "x"]})
    assert not is_finite([[1.0, float("inf")]])
    assert not is_finite([None])
