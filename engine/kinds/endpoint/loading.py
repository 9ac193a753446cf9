"""Load: a served model under a stated rate, from its start to its stop."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from engine.core.vocabulary import Numbers
from engine.errors import EndpointError, ModelError
from engine.kinds.endpoint.target import Target, find_target
from engine.kinds.questions import Predictor
from engine.serving import Server, rows_of, start_server
from engine.serving.answers import Reply
from engine.serving.load import VEGETA, Load, attack

# Distinct requests, which are sent in turn, and those before the clock is looked at.
MOST_BODIES, WARM_REQUESTS = 500, 20
# An answer has so many numbers, a latency each, and some more.
MOST_REQUESTS = 3_900
_LOOK_SECONDS = 0.5
_MEGABYTE = 1_000_000


def measure_load(
    model: Predictor, batch: pa.RecordBatch, rate: float, seconds: float, size: int
) -> Numbers:
    """The latencies, errors and memory of a server under load; of one that is started all its life.

    Args:
        model: whose server is asked.
        batch: the sample.
        rate: how many requests are due in a second.
        seconds: for how long.
        size: the rows of a request.

    Raises:
        EndpointError: when the server does not start, or is out of reach.
    """
    if model.model.is_endpoint:
        target = find_target(model, None, batch, None)
        return _numbers(*_load(target, rate, seconds, size))
    first = rows_of(batch.slice(0, 1), model.model)
    server, cold = start_server(model.folder, first)
    with server:
        target = find_target(model, None, batch, None, server)
        with _memory(server) as held:
            load, refused = _load(target, rate, seconds, size, held)
        stop = server.stop()
    own: dict[str, float | None] = {
        "cold": 1000 * cold, "stop": 1000 * stop.seconds, "killed": float(stop.killed),
    }  # fmt: skip
    if len(held) > 1:
        own |= {"memory before": held[0] / _MEGABYTE, "memory after": held[-1] / _MEGABYTE,
                "memory peak": max(held) / _MEGABYTE}  # fmt: skip
    return {**_numbers(load, refused), **own}


def _load(
    target: Target, rate: float, seconds: float, size: int, held: list[float] | None = None
) -> tuple[Load, int]:
    """Warms a server up, then sends it requests at a rate; gives what came of them all."""
    client, rows = target.client, target.rows
    parts = [rows.slice(first, size) for first in range(0, rows.count, size)][:MOST_BODIES]
    bodies = [client.body(part) for part in parts]

    def check(reply: Reply, place: int) -> bool:
        if not reply.is_good:
            return False
        try:
            client.read(reply, parts[place].count)
        except (EndpointError, ModelError):
            return False
        return True

    for number in range(WARM_REQUESTS):
        client.send(bodies[number % len(bodies)])
    if held is not None:
        held.clear()
    count = max(1, min(math.floor(rate * seconds + 0.5), MOST_REQUESTS))
    return attack(client, bodies, rate, count, check), size


@contextmanager
def _memory(server: Server) -> Iterator[list[float]]:
    """The memory of a server, looked at again and again while the block runs; empty if unknown."""
    held, ended = list[float](), threading.Event()

    def look() -> None:
        while True:
            memory = server.memory_bytes()
            if memory is None:
                return
            held.append(float(memory))
            if ended.wait(_LOOK_SECONDS):
                return

    thread = threading.Thread(target=look, name="memory", daemon=True)
    thread.start()
    try:
        yield held
        memory = server.memory_bytes()
        if memory is not None:
            held.append(float(memory))
    finally:
        ended.set()
        thread.join()


def _numbers(load: Load, size: int) -> dict[str, float | None]:
    """A load as an answer: latencies in milliseconds, and how requests ended that should not so."""
    shots = load.shots
    numbers: dict[str, float | None] = {
        "requests": float(len(shots)),
        "rows": float(len(shots) * size),
        "vegeta": float(load.tool == VEGETA),
        "late": 1000 * max((shot.late for shot in shots), default=0.0),
        "errors": float(sum(not shot.is_right for shot in shots)),
    }
    for shot in shots:
        if not shot.is_right:
            why = f"status {shot.status}" if shot.status else "no answer"
            why = "an answer without predictions" if 200 <= shot.status < 300 else why
            numbers[f"error|{why}"] = (numbers.get(f"error|{why}") or 0.0) + 1.0
    numbers |= {f"call {place}": 1000 * shot.seconds for place, shot in enumerate(shots)}
    return numbers
