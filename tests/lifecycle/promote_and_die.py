"""Promotes in processes that kill themselves before the n-th time that they write.

Each line of standard input is a list of promotions to make at once: `kill` (0 lives), `suite`,
`model`, `options`. Each gets a process, a fork of this one: to import everything takes seconds. A
line of standard output has what became of each: its signal, how it ended, how often it wrote.

What writes is the store's table and the registry.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from typing import Any

import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracking.client  # noqa: F401

from engine import promote
from engine.models.registry import Registry
from engine.store.tables import StoreTable

count, limit = 0, 0


def kill_before(owner: type, name: str) -> None:
    real = getattr(owner, name)

    def write(*args: Any, **options: Any) -> Any:
        global count
        count += 1
        if count == limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)

    setattr(owner, name, write)


def start(asked: dict[str, Any]) -> tuple[int, int]:
    """A process that promotes, and the end of the pipe on which it says what came of it."""
    global limit
    out, into = os.pipe()
    process = os.fork()
    if process:
        os.close(into)
        return process, out
    limit = asked["kill"]
    try:
        result = promote(asked["model"], suite=asked["suite"], **asked["options"])
        os.write(into, f"{result.ending.value} {count}".encode())
    except BaseException:
        os.write(into, traceback.format_exc().encode())
    os._exit(0)


kill_before(StoreTable, "append_once")
for method in ("set_alias", "remove_alias", "copy"):
    kill_before(Registry, method)

for line in sys.stdin:
    answers = []
    for process, out in [start(asked) for asked in json.loads(line)]:
        with os.fdopen(out) as pipe:
            said = pipe.read()
        _, status = os.waitpid(process, 0)
        answers.append([os.waitstatus_to_exitcode(status), said])
    sys.stdout.write(json.dumps(answers) + "\n")
    sys.stdout.flush()
