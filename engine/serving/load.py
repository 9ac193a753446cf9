"""Requests at a stated rate, whether or not the ones before were answered: an open model.

Whoever waits for an answer before the next request measures a server that is asked less when it is
slow (*coordinated omission*). Here each request has a time at which it is due, and its latency is
counted from then. vegeta does the same and is taken where it is installed; else threads of this
process are.
"""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from engine.errors import EndpointError
from engine.serving.answers import Reply
from engine.serving.client import JSON, Client, read_headers, url_of

# So many requests may be under way at once; with all of them busy the next begins late, which
# counts as latency.
MOST_UNDER_WAY = 64
OWN, VEGETA = "own", "vegeta"
_VEGETA_SECONDS = 60.0

Check = Callable[[Reply, int], bool]


@dataclass(frozen=True, slots=True)
class Shot:
    """One request of a load: its latency from the time when it was due, and how it ended.

    `status` is 0 where no answer came; `is_right` says whether the answer was what it should be;
    `late` is how long after its time it was sent.
    """

    seconds: float
    status: int
    is_right: bool
    late: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """All requests of a load, in the order in which they were due, and what sent them."""

    shots: tuple[Shot, ...]
    tool: str


def attack(client: Client, bodies: Sequence[bytes], rate: float, count: int, check: Check) -> Load:
    """Sends `count` requests at a rate, the bodies in turn.

    Args:
        client: whom to ask; its own pace is not kept, nothing is sent again.
        bodies: what is sent.
        rate: how many requests are due in a second.
        count: how many in all.
        check: whether the answer to the body of this place is right.

    Raises:
        EndpointError: when vegeta fails.
    """
    program = shutil.which(VEGETA)
    if program is not None:
        return Load(_by_vegeta(program, client, bodies, (rate, count), check), VEGETA)
    return Load(_by_threads(client, bodies, (rate, count), check), OWN)


def _by_threads(
    client: Client, bodies: Sequence[bytes], plan: tuple[float, int], check: Check
) -> tuple[Shot, ...]:
    rate, count = plan
    shots: list[Shot | None] = [None] * count
    numbers, lock = iter(range(count)), threading.Lock()
    started = time.perf_counter() + 0.05

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            due = started + number / rate
            time.sleep(max(due - time.perf_counter(), 0.0))
            late = time.perf_counter() - due
            place = number % len(bodies)
            try:
                reply = client.send_once(bodies[place])
            except EndpointError:
                shots[number] = Shot(time.perf_counter() - due, 0, False, late)
                continue
            seconds = time.perf_counter() - due
            shots[number] = Shot(seconds, reply.status, check(reply, place), late)

    workers = min(MOST_UNDER_WAY, count)
    with ThreadPoolExecutor(workers, "load") as pool:
        for future in [pool.submit(work) for _ in range(workers)]:
            future.result()
    return tuple(shot for shot in shots if shot is not None)


def _by_vegeta(
    program: str, client: Client, bodies: Sequence[bytes], plan: tuple[float, int], check: Check
) -> tuple[Shot, ...]:
    """The same by vegeta, which takes its targets in turn and tells of each request."""
    rate, count = plan
    endpoint = client.endpoint
    # Headers have secrets: they go by the pipe, and stand in no file and no list of processes.
    headers = {name: [text] for name, text in read_headers(endpoint).items()}
    target = {
        "method": "POST",
        "url": url_of(endpoint, client.protocol.ask_path(endpoint)),
        "header": {**headers, "Content-Type": [JSON]},
    }
    listed = ({**target, "body": base64.b64encode(body).decode()} for body in bodies)
    # A last line without an end is passed over.
    targets = "".join(f"{json.dumps(own)}\n" for own in listed).encode()
    milliseconds = max(math.floor(1000 * count / rate + 0.5), 1)
    # So many in a second, as a fraction of whole numbers.
    pace = f"-rate={max(round(rate * 1000), 1)}/1000s"
    attack_command = [
        program, "attack", "-format=json", pace, f"-duration={milliseconds}ms",
        f"-timeout={endpoint.timeout}s", f"-max-workers={MOST_UNDER_WAY}", "-redirects=-1",
    ]  # fmt: skip
    limit = count / rate + endpoint.timeout + _VEGETA_SECONDS
    try:
        records = subprocess.run(
            attack_command, input=targets, capture_output=True, timeout=limit, check=True
        ).stdout
        text = subprocess.run(
            [program, "encode", "-to=json"], input=records, capture_output=True,
            timeout=_VEGETA_SECONDS, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise EndpointError(
            f"vegeta, which is on the PATH, failed ({type(error).__name__}); take it off the PATH, "
            "and the requests are sent without it"
        ) from None
    told = sorted((json.loads(line) for line in text.splitlines()), key=lambda own: own["seq"])
    return tuple(_shot(own, len(bodies), check) for own in told)


def _shot(told: dict[str, object], bodies: int, check: Check) -> Shot:
    status = int(str(told["code"]))
    reply = Reply(status, base64.b64decode(str(told.get("body") or "")))
    right = bool(status) and check(reply, int(str(told["seq"])) % bodies)
    return Shot(float(str(told["latency"])) / 1e9, status, right)
