"""Models that are looked for in a thread: nobody who stops waits for it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from engine.core.daemons import are_daemons_busy
from engine.errors import ModelError
from engine.planning import model_finder
from engine.planning.model_finder import ModelFinder
from engine.planning.suites import read_suite
from engine.suite import Suite

SCRIPT = """
import sys, threading, time
from engine.cli import app
from engine.core.daemons import start_daemon

begun = threading.Event()

def wait():
    begun.set()
    time.sleep(60)

def command():
    start_daemon(wait)
    begun.wait()
    print("told")
    raise SystemExit(130)

app.app = command
app.main()
"""


def test_the_end_of_a_command_waits_for_no_thread() -> None:
    """Its code and its output are there; the thread would go on for a minute."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout) == (130, "told\n"), done.stderr
    assert time.monotonic() - started < 40


def test_what_is_not_begun_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    asked: list[str] = []

    def look(suite: Suite, evaluation: object, source: object, describe: object) -> object:
        asked.append(getattr(source, "uri", ""))
        begun.set()
        go_on.wait(10)
        raise ModelError("not there")

    monkeypatch.setattr(model_finder, "_model", look)
    suite = read_suite(
        {
            "name": "two",
            "store": "store",
            "evaluations": [
                {
                    "name": "e",
                    "dataset": {"delta": "d", "task": "binary", "label": "y", "key": "id"},
                    "models": [{"uri": "first"}, {"uri": "second"}],
                    "tests": [{"metric": "accuracy"}],
                }
            ],
        }
    )
    finder = ModelFinder(suite)
    assert begun.wait(10) and are_daemons_busy()
    finder.stop()
    go_on.set()
    with pytest.raises(ModelError, match="'e': not there"):
        finder.models(suite.evaluations[0])
    assert len(asked) == 1
