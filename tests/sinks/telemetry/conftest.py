"""A receiver of this machine, and records of runs to tell of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from engine.core.stopwatch import Step
from engine.core.vocabulary import RunOutcome
from engine.sinks.telemetry.record import RunRecord

SECOND = 1_000_000_000


@dataclass
class Receiver:
    """A server that keeps what it is sent, and answers with the codes it is given, then 200."""

    url: str = ""
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    silent: threading.Event | None = None


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append((self.command, self.path, body))
            kept.headers.append(dict(self.headers))
            if kept.silent is not None:
                kept.silent.wait(30)
            self.send_response(kept.codes.pop(0) if kept.codes else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept
    if kept.silent is not None:
        kept.silent.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def record_of() -> Callable[..., RunRecord]:
    """The record of a run: a plan, then of each evaluation a scan that failed once, a judgement."""

    def make(outcome: RunOutcome, /, **more: Any) -> RunRecord:
        start = int(outcome.info.started_at.timestamp()) * SECOND
        names = [result.name for result in outcome.evaluations]
        steps = [Step("plan", "", start, start + SECOND)]
        for place, name in enumerate(names):
            at = start + (2 + 10 * place) * SECOND
            steps += [
                Step("scan", "", at, at + SECOND, name, 100, "WorkerDiedError"),
                Step("scan", "", at + SECOND, at + 3 * SECOND, name, 100),
                Step("judge", "", at + 3 * SECOND, at + 4 * SECOND, name),
                Step("evaluation", "", at, at + 5 * SECOND, name),
                Step("sink", "results", at + 5 * SECOND, at + 6 * SECOND, name),
            ]
        steps.append(Step("sink", "mlflow", start + 90 * SECOND, start + 91 * SECOND))
        end = start + 94 * SECOND
        return replace(RunRecord(outcome.info, names, start, end, steps, outcome), **more)

    return make
