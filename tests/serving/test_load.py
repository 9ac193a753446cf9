"""A load at a stated rate: requests are due when they are due, whatever became of those before."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.core.vocabulary import Endpoint
from engine.serving import Client, free_port
from engine.serving.answers import Reply
from engine.serving.load import OWN, VEGETA, attack

VEGETA_HERE = shutil.which(VEGETA) or os.environ.get("VEGETA")


@contextmanager
def server(seconds: Any) -> Iterator[tuple[Client, list[float]]]:
    """A server that takes so long for a request of this number, and notes when each came."""
    times: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            times.append(time.perf_counter())
            time.sleep(seconds(len(times)))
            text = json.dumps({"predictions": [int(body)]}).encode()
            self.send_response(200 if int(body) < 9 else 400)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: Any) -> None:
            pass

    class Http(ThreadingHTTPServer):
        request_queue_size = 128

    http = Http(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield Client(Endpoint(f"http://127.0.0.1:{http.server_port}", "mlflow", timeout=5)), times
    finally:
        http.shutdown()
        http.server_close()


def right(reply: Reply, place: int) -> bool:
    return reply.is_good and json.loads(reply.content) == {"predictions": [place]}


@pytest.fixture
def without_vegeta(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("without_vegeta")
def test_requests_are_sent_at_the_rate() -> None:
    with server(lambda _: 0.0) as (client, times):
        client.send(b"0")
        load = attack(client, [b"0", b"1"], 50.0, 50, right)
    assert load.tool == OWN
    assert len(load.shots) == 50
    assert all(shot.is_right and shot.status == 200 for shot in load.shots)
    assert 0.7 < max(times[1:]) - min(times[1:]) < 1.6


@pytest.mark.usefixtures("without_vegeta")
def test_a_stall_is_in_the_latency_of_all_that_were_due() -> None:
    """One thread answers, and stalls for a second once: each that was due waits its part of it."""
    lock = threading.Lock()

    def stall(number: int) -> float:
        with lock:
            time.sleep(1.0 if number == 5 else 0.0)
        return 0.0

    with server(stall) as (client, _):
        load = attack(client, [b"0"], 50.0, 60, right)
    slow = [shot.seconds for shot in load.shots if shot.seconds > 0.1]
    # 1 s of stall at 50 a second: some 45 requests waited longer than a tenth of a second.
    assert 30 <= len(slow) <= 55
    assert max(slow) == pytest.approx(1.0, abs=0.3)


@pytest.mark.usefixtures("without_vegeta")
def test_what_is_no_right_answer_is_no_success() -> None:
    with server(lambda _: 0.0) as (client, _):
        load = attack(client, [b"0", b"9", b"7"], 100.0, 30, right)
    assert [shot.status for shot in load.shots[:3]] == [200, 400, 200]
    assert [shot.is_right for shot in load.shots[:3]] == [True, False, False]
    nobody = Client(Endpoint(f"http://127.0.0.1:{free_port()}", "mlflow", timeout=1))
    assert {shot.status for shot in attack(nobody, [b"0"], 50.0, 5, right).shots} == {0}


@pytest.mark.skipif(VEGETA_HERE is None, reason="vegeta is not installed")
def test_vegeta_is_taken_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(str(VEGETA_HERE)).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([folder, os.environ["PATH"]]))
    with server(lambda _: 0.01) as (client, times):
        load = attack(client, [b"0", b"9"], 20.0, 40, right)
    assert load.tool == VEGETA
    assert len(load.shots) == len(times) == 40
    assert [shot.status for shot in load.shots[:2]] == [200, 400]
    assert [shot.is_right for shot in load.shots[:2]] == [True, False]
    assert all(shot.seconds > 0.009 for shot in load.shots)
