"""Signals end a command in time, whatever its clean-up does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from engine.core.signals import keep_handlers, stop_on_signal

COMMAND = """
import time
from engine.core import signals
signals.GRACE_SECONDS = {grace}
from engine.cli.reporting import handle_errors

@handle_errors
def command() -> int:
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning", flush=True)
        {cleaning}
    return 0

import typer
try:
    command()
except typer.Exit as end:
    raise SystemExit(end.exit_code)
"""


def started(cleaning: str, grace: float) -> subprocess.Popen[str]:
    program = COMMAND.format(cleaning=cleaning, grace=grace)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cleans_up_and_tells(number: signal.Signals, code: int) -> None:
    process = started(cleaning="pass", grace=30)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, "cleaning\n", "evalmatrix: stopped\n")


def test_clean_up_that_takes_too_long_is_not_waited_for() -> None:
    process = started(cleaning="time.sleep(50)", grace=0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "evalmatrix: stopped without waiting any longer for Spark\n"


def test_clean_up_that_fails_is_not_what_is_told() -> None:
    process = started(cleaning="1 / 0", grace=30)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (143, "evalmatrix: stopped\n")


def test_a_second_signal_ends_at_once() -> None:
    process = started(cleaning="time.sleep(50)", grace=40)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signal():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_a_library_sets_is_put_back() -> None:
    with stop_on_signal():
        ours = signal.getsignal(signal.SIGINT)
        with keep_handlers():
            signal.signal(signal.SIGINT, signal.default_int_handler)
        assert signal.getsignal(signal.SIGINT) is ours
    before = signal.getsignal(signal.SIGINT)
    with keep_handlers():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "it is not ours to put back"
    signal.signal(signal.SIGINT, before)


def test_another_thread_runs_as_it_is() -> None:
    found: list[float] = []

    def work() -> None:
        with stop_on_signal():
            found.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found


WAITS_FOR_A_SOCKET = """
import socket, typer
from engine.core import signals
signals.GRACE_SECONDS = 60
signals._KEEP_SECONDS = 0.05
from engine.cli.reporting import handle_errors

@handle_errors
def command() -> int:
    {first}
    one, _other = socket.socketpair()
    print("ready", flush=True)
    one.recv(1)
    return 0

try:
    command()
except typer.Exit as end:
    raise SystemExit(end.exit_code)
"""


@pytest.mark.parametrize("first", ["pass", "import polars", "import mlflow.tracking"])
def test_a_library_that_takes_signals_leaves_them_able_to_cut_a_wait(first: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS_FOR_A_SOCKET.format(first=first)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (130, "evalmatrix: stopped\n")
