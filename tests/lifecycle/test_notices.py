"""Who is told how a run ended: real receivers of this machine, one message a run, no secret."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from engine.commands.context import RunContext
from engine.commands.progress import Reporter
from engine.commands.run_notices import events_of, notify, with_notices
from engine.commands.run_result import RunResult
from engine.core.locations import Store
from engine.core.vocabulary import GateOutcome
from engine.errors import StoreError, SuiteError
from engine.sinks.notices.message import MOST_REASONS, as_slack, as_teams, make_message
from engine.sinks.notices.transport import format_of
from engine.suite import Suite, dump_suite
from tests.fixtures.verdicts import FAIL, INCONCLUSIVE, PASS, Court

PASSED, FAILED = GateOutcome.PASSED, GateOutcome.FAILED


@dataclass
class Receiver:
    """A server that takes webhooks, and answers with the codes that it is given, then 200."""

    bodies: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(kept.codes.pop(0) if kept.codes else 200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}/hook/secret-part"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept
    server.shutdown()
    server.server_close()


@pytest.fixture
def night(
    here: Court, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> Callable[..., list[str]]:
    """Ends a run of a suite that notifies: what it said."""
    monkeypatch.setenv("HOOK", receiver.url)

    def end(run: str, *entries: dict[str, Any]) -> list[str]:
        told: list[str] = []
        suite = here.suite(notify=list(entries or [{"webhook": "${HOOK}"}]))
        outcome = here.outcomes[run]
        reporter = Reporter()
        monkeypatch.setattr(reporter, "say", told.append, raising=False)
        context = RunContext(suite, here.tables, outcome.info, reporter)
        notify(context, RunResult(outcome, Store(str(here.store)), here.registry.uri))
        return told

    return end


def test_a_failure_is_told_once_with_its_first_reasons(
    here: Court, night: Callable[..., list[str]], receiver: Receiver
) -> None:
    run = here.judge("2", [FAIL] * (MOST_REASONS + 2) + [INCONCLUSIVE, PASS], baseline="1")
    assert night(run) == ["telling the webhook ${HOOK}: failed"]
    (body,) = receiver.bodies
    assert (body["event"], body["gate"], body["run_id"]) == ("failed", "failed", run)
    assert len(body["reasons"]) == MOST_REASONS and body["more"] == 3
    assert "so it is" in body["reasons"][0] and body["link"].endswith(f"{run}/index.html")
    # Asked again, as a run that is resumed is, it tells nobody twice.
    assert night(run) == [] and len(receiver.bodies) == 1


def test_what_recovered_and_what_passes_is_told_to_who_asked(
    here: Court, night: Callable[..., list[str]], receiver: Receiver
) -> None:
    assert night(here.judge("2", [PASS], baseline="1")) == []
    night(here.judge("2", [FAIL], baseline="1"))
    night(here.judge("2", [PASS], baseline="1"))
    night(here.judge("2", [PASS], baseline="1"))
    assert [body["event"] for body in receiver.bodies] == ["failed", "recovered"]
    everything = {"webhook": "${HOOK}", "on": ["passed", "failed"]}
    night(here.judge("2", [PASS], baseline="1"), everything)
    assert receiver.bodies[-1]["event"] == "passed" and receiver.bodies[-1]["reasons"] == []


def test_cells_that_stay_undecided_are_told_after_some_nights(
    here: Court, night: Callable[..., list[str]], receiver: Receiver
) -> None:
    entry = {"webhook": "${HOOK}", "on": ["undecided"], "nights": 3, "link": "http://r/{run_id}/"}
    for verdicts in ([INCONCLUSIVE], [PASS], [INCONCLUSIVE], [INCONCLUSIVE]):
        night(here.judge("2", verdicts, baseline="1"), entry)
    assert receiver.bodies == []
    run = here.judge("2", [INCONCLUSIVE, PASS], baseline="1")
    night(run, entry)
    assert receiver.bodies[0]["event"] == "undecided"
    assert receiver.bodies[0]["link"] == f"http://r/{run}/"


def test_a_receiver_that_is_down_is_told_of_and_tried_again_next_time(
    here: Court, night: Callable[..., list[str]], receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    run = here.judge("2", [FAIL], baseline="1")
    receiver.codes = [503, 429]
    assert len(night(run)) == 1 and len(receiver.bodies) == 3
    run = here.judge("2", [FAIL], baseline="1")
    receiver.codes = [404]
    said = night(run)
    assert said[1] == "the webhook ${HOOK} was not told of the run: it answered 404"
    assert night(run) == ["telling the webhook ${HOOK}: failed"]
    run = here.judge("2", [FAIL], baseline="1")
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9/secret-part")
    said = night(run)
    assert "nobody answered (ConnectionError)" in said[1] and "secret-part" not in str(said)
    monkeypatch.delenv("HOOK")
    assert "the variable 'HOOK' of the environment is not set" in night(run)[1]


def mail_handler(talks: list[str]) -> Any:
    """Speaks as much of SMTP (RFC 5321) as a mail needs, and keeps what it was told."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            told: list[str] = []

            def say(line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

            say("220 here")
            while line := self.rfile.readline().decode().rstrip():
                told.append(line)
                if line.lower() == "data":
                    say("354 go on")
                    while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        told.append(line)
                    talks.append("\n".join(told))
                say("221 bye" if line.lower() == "quit" else "250 fine")

    return Handler


def test_whatever_goes_wrong_ends_no_run(
    here: Court, night: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise UnicodeEncodeError("ascii", "hünter2", 1, 2, "not in range")

    monkeypatch.setattr("engine.commands.run_notices.send_message", fail)
    said = night(here.judge("2", [FAIL], baseline="1"))
    assert said[1] == "the webhook ${HOOK} was not told of the run: UnicodeEncodeError"


def test_a_run_that_stops_is_told_once_and_how_it_ends_as_well(
    here: Court, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", receiver.url)
    suite = here.suite(notify=[{"webhook": "${HOOK}"}, {"webhook": "${HOOK}", "on": ["failed"]}])
    outcome = here.outcomes[here.judge("2", [PASS], baseline="1")]
    told: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "say", told.append, raising=False)
    context = RunContext(suite, here.tables, outcome.info, reporter)

    def stop(error: BaseException) -> Any:
        def complete(context: RunContext) -> RunResult:
            error.add_note("`evalmatrix run SUITE.yml --resume night` does the rest")
            raise error

        with pytest.raises(type(error)) as caught:
            with_notices(context, complete)
        assert caught.value is error

    receiver.codes = [500, 500, 500]
    stop(StoreError("Spark at spark://me:hunter2@host:7077 is gone\nsecond line"))
    assert told[-1].endswith("was not told of the run: it answered 500")
    receiver.bodies.clear()
    stop(StoreError("Spark at spark://me:hunter2@host:7077 is gone\nsecond line"))
    (body,) = receiver.bodies
    assert (body["event"], body["gate"]) == ("error", "error")
    assert body["headline"] == "evalmatrix: nightly stopped before its end"
    assert body["summary"] == f"Spark at spark://host:7077 is gone (run {outcome.info.run_id})"
    assert body["reasons"] == ["`evalmatrix run SUITE.yml --resume night` does the rest"]
    # The next tries stop too: it is known. Who stops it by hand is told nothing.
    stop(ValueError("CANARY-1"))
    stop(KeyboardInterrupt())
    assert len(receiver.bodies) == 1
    # At last it passes, which is news to who heard that it had stopped, and to nobody else.
    resumed = replace(context, resumed={"status": "running"})
    result = RunResult(outcome, Store(str(here.store)), here.registry.uri)
    assert with_notices(resumed, lambda context: notify(context, result)) is result
    assert [body["event"] for body in receiver.bodies] == ["error", "recovered"]


def test_what_a_library_says_of_the_data_is_not_in_a_notice(
    here: Court, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", receiver.url)
    outcome = here.outcomes[here.judge("2", [PASS], baseline="1")]
    context = RunContext(
        here.suite(notify=[{"webhook": "${HOOK}"}]), here.tables, outcome.info, Reporter()
    )

    def complete(context: RunContext) -> RunResult:
        raise ValueError("CANARY-7f3a")

    with pytest.raises(ValueError, match="CANARY"):
        with_notices(context, complete)
    assert receiver.bodies[0]["summary"].startswith("ValueError, whose message may quote the data")
    assert "CANARY" not in json.dumps(receiver.bodies)


def test_a_mail_is_sent_by_a_real_server(here: Court, night: Callable[..., list[str]]) -> None:
    mails: list[str] = []
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), mail_handler(mails))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    mail = {"to": ["qa@example.com", "ml@example.com"], "sender": "night@example.com",
            "server": f"127.0.0.1:{port}", "tls": "none"}  # fmt: skip
    try:
        run = here.judge("2", [FAIL], baseline="1")
        (said,) = night(run, {"mail": mail})
        assert said == f"telling qa@example.com, ml@example.com by 127.0.0.1:{port}: failed"
        (talk,) = mails
        assert "mail FROM:<night@example.com>" in talk
        assert all(f"rcpt TO:<{to}>" in talk for to in mail["to"])
        assert "Subject: evalmatrix: nightly failed" in talk and run in talk
        unencrypted = here.judge("2", [FAIL], baseline="1")
        said = night(unencrypted, {"mail": {**mail, "tls": "starttls"}})[1]
        assert "the server could not be used (SMTPNotSupportedError)" in said
    finally:
        server.shutdown()
        server.server_close()


def test_events_after_the_nights_before() -> None:
    bad, good = {"gate": "failed", "counts": []}, {"gate": "passed", "counts": [("PASS", 1)]}
    open_ = {"gate": "passed", "counts": [("INCONCLUSIVE", 2)]}
    assert events_of(FAILED, True, [open_, open_], 3) == {"failed"}
    assert events_of(PASSED, False, [good, bad], 3) == {"passed", "recovered"}
    assert events_of(PASSED, True, [open_, open_], 3) == {"passed", "undecided"}
    assert events_of(PASSED, True, [good, open_], 3) == {"passed"}
    assert events_of(PASSED, True, [open_], 3) == {"passed"}
    assert events_of(PASSED, True, [], 1) == {"passed", "undecided"}


def test_channels_get_their_own_form_in_which_nothing_acts(here: Court) -> None:
    outcome = here.outcomes[here.judge("2", [FAIL], baseline="1")]
    message = make_message(outcome, "failed", "http://r")
    slack = as_slack(message)
    assert {block["text"]["type"] for block in slack["blocks"]} == {"plain_text"}
    card = as_teams(message)["attachments"][0]["content"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert format_of("https://hooks.slack.com/services/x", "auto") == "slack"
    assert format_of("https://a.webhook.office.com/x", "auto") == "teams"
    assert format_of("https://example.com/x", "auto") == "json"
    assert format_of("https://example.com/x", "teams") == "teams"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({}, "expected webhook or mail, one of the two"),
        ({"webhook": "https://hooks.slack.com/services/T0/B0/x"}, "whoever knows this URL"),
        ({"webhook": "https://me:pw@example.com/"}, "whoever knows this URL"),
        ({"webhook": "https://example.com/?token=1"}, "whoever knows this URL"),
        ({"webhook": "example.com"}, "expected a URL such as"),
        ({"webhook": "${a b}"}, "expected a URL such as"),
        ({"webhook": "${HOOK}", "on": ["fail"]}, "failed"),
        ({"webhook": "${HOOK}", "nights": 0}, "nights"),
        ({"mail": {"to": [], "sender": "a@b", "server": "h:1"}}, "to"),
        ({"mail": {"to": ["nobody"], "sender": "a@b", "server": "h:1"}}, "an address such as"),
        ({"mail": {"to": ["a@b"], "sender": "a@b", "server": "h"}}, "HOST:PORT"),
        ({"mail": {"to": ["a@b"], "sender": "a@b", "server": "h:1", "user": "u"}}, "neither"),
        (
            {"mail": {"to": ["a@b"], "sender": "a@b", "server": "h:1", "user": "u",
                      "password": "hunter2"}},
            "a variable of the environment",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told(here: Court, entry: dict[str, Any], says: str) -> None:
    with pytest.raises(SuiteError, match=says) as told:
        here.suite(notify=[entry])
    for secret in ("hunter2", "T0/B0", "me:pw", "token=1"):
        assert secret not in str(told.value)


def test_a_suite_keeps_its_entries(here: Court) -> None:
    mail = {"to": ["a@b.c"], "sender": "d@e.f", "server": "h:25", "user": "u", "password": "${P}"}
    suite: Suite = here.suite(notify=[{"webhook": "${HOOK}", "link": "http://r/{run_id}"},
                                      {"mail": mail, "on": ["passed"]}])  # fmt: skip
    from engine.planning.suites import stored_suite

    assert stored_suite(dump_suite(suite)) == suite
