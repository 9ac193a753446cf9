"""MLflow's own scoring server: started, asked, held against the model, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.core.vocabulary import TaskKind
from engine.errors import EndpointError
from engine.models import ServedRequest, resolve_endpoint
from engine.models.load import load
from engine.serving import Client, Server, rows_of, start_server
from engine.serving.answers import has_bare_numbers
from tests.fixtures.served import resolved, save_logistic, save_planted, table


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = save_planted(tmp_path_factory.mktemp("served") / "planted")
    model = resolved(folder, output=None)
    rows = rows_of(table(), model)
    server, cold = start_server(folder, rows.slice(0, 1))
    with server:
        yield server, model, rows, cold


def test_the_server_answers_as_the_model_does(world: Any) -> None:
    server, model, rows, _ = world
    answer = Client(server.endpoint).predict(rows)
    offline = load(model).predict(table()).scores[:, 1]
    np.testing.assert_array_equal(np.array(answer), offline)


def test_it_is_up_in_some_seconds_and_holds_memory(world: Any) -> None:
    server, _, _, cold = world
    assert 0.5 < cold < 180
    assert server.memory_bytes() > 50 * 2**20
    assert Client(server.endpoint).is_up()


def test_what_mlflow_does_that_the_model_does_not(world: Any) -> None:
    """The facts that the kind `endpoint` looks for, as MLflow's server has them."""
    server = world[0]
    client = Client(server.endpoint)

    def send(data: str, kind: str | None = "application/json") -> Any:
        text = f'{{"dataframe_split": {{"columns": ["a", "n", "word"], "data": [[{data}]]}}}}'
        return client.send(text.encode(), content_type=kind)

    one, fraction = send('0.5, 1, "bee"'), send('0.5, 1.5, "bee"')
    assert fraction.status == 200
    assert fraction.content == one.content, "1.5 of a whole number is answered as 1"
    nan = send('null, 1, "bee"')
    assert nan.status == 200
    assert has_bare_numbers(nan.content)
    boom = send('0.51234, 1, "boom"')
    assert boom.status == 400
    assert b"0.51234" in boom.content, "an error quotes the row"
    assert send('0.5, 1, "bee"', None).status == 500


def test_an_endpoint_is_a_model_like_any_other(world: Any) -> None:
    server, model, _, _ = world
    endpoint = replace(server.endpoint, batch=7, concurrency=3)
    request = ServedRequest("live", endpoint, TaskKind.BINARY, like=model, token="1")
    live = replace(resolve_endpoint(request), classes=(0, 1))
    offline = load(replace(model, classes=(0, 1))).predict(table(50))
    np.testing.assert_array_equal(load(live).predict(table(50)).scores, offline.scores)


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text()


def members(group: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(place.name)) == group and is_running(int(place.name)):
                found.append(int(place.name))
        except OSError:
            continue
    return found


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def test_a_server_stops_in_time_and_leaves_nothing(tmp_path: Path) -> None:
    server, _ = start_server(save_logistic(tmp_path / "model"))
    group = server._process.pid
    assert len(members(group)) >= 2
    stop = server.stop()
    assert not stop.killed
    assert stop.seconds < 10
    assert not members(group)
    assert server.has_ended


def test_a_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    folder = save_logistic(tmp_path / "model")
    code = (
        "import sys, time\nfrom engine.serving import start_server\n"
        "server, _ = start_server(sys.argv[1])\nprint(server._process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    group = int(starter.stdout.readline())
    assert members(group)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    wait_for(lambda: not members(group))


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match=r"no model to serve at .*expected a folder with"):
        Server(tmp_path)


def test_a_model_that_cannot_be_served_says_how_to_see_why(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    with pytest.raises(EndpointError, match=r"ended before it answered; .*mlflow models serve"):
        start_server(tmp_path)


LEASH = "import sys; from engine.serving import leash; sys.exit(leash.main(sys.argv[1:]))"


def test_what_does_not_stop_is_killed() -> None:
    deaf = "import signal, time; signal.signal(15, 1); print(1, flush=True); time.sleep(60)"
    leash = subprocess.Popen(
        [sys.executable, "-c", LEASH, "0.5", sys.executable, "-c", deaf],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert leash.stdin is not None
    assert leash.stdout is not None
    leash.stdout.readline()
    leash.stdin.close()
    assert leash.wait(20) == 75
    assert not members(leash.pid)
    leash.stdout.close()
