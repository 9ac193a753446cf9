"""MLflow's scoring server of a model's folder, started on a free port of this machine and stopped.

It is MLflow's own command, in a process group of its own, and ends with the process that started
it, however that ends (`leash.py`).
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from engine.core.vocabulary import Endpoint
from engine.errors import EndpointError
from engine.serving import leash
from engine.serving.client import Client, Unreachable
from engine.serving.rows import Rows

GRACE_SECONDS = 10.0
START_SECONDS = 180.0
# Beyond its grace the leash needs a moment to kill, and to end.
_LEASH_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_TRIES = 3
_SERVER_ERRORS = 500


@dataclass(frozen=True, slots=True)
class Stop:
    """How a server ended: in how many seconds, and whether it had to be killed."""

    seconds: float
    killed: bool


class Server:
    """A running server of a model; as a context manager it is stopped at the end.

    Attributes:
        folder: the model's.
        port: where it listens, on this machine alone.
        started: when its command was started, on `time.perf_counter`.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        port: int | None = None,
        workers: int = 1,
        grace: float = GRACE_SECONDS,
        output: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        """Starts the server; nobody waits for it yet.

        Args:
            folder: a folder with an `MLmodel` file.
            port: where it listens; by default on a port that is free.
            workers: how many processes answer.
            grace: the seconds that it has to stop before it is killed.
            output: where what it prints goes; by default nowhere: it may be data.

        Raises:
            EndpointError: when there is no such folder.
        """
        self.folder, self.port, self.grace = Path(folder), port or free_port(), grace
        if not (self.folder / "MLmodel").is_file():
            raise EndpointError(
                f"no model to serve at {str(folder)!r}, expected a folder with an MLmodel file"
            )
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, leash.__file__, str(grace), *self._command(workers)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=_environment(),
        )

    def _command(self, workers: int) -> list[str]:
        return [
            sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(self.folder),
            "--host", "127.0.0.1", "--port", str(self.port), "--env-manager", "local",
            "--workers", str(workers),
        ]  # fmt: skip

    @property
    def command_text(self) -> str:
        """The command by which somebody starts the same server by hand."""
        return shlex.join(["mlflow", *self._command(1)[3:]])

    @property
    def endpoint(self) -> Endpoint:
        """Where it is asked."""
        return Endpoint(f"http://127.0.0.1:{self.port}", "mlflow")

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def wait_until_ready(self, rows: Rows | None = None, seconds: float = START_SECONDS) -> float:
        """Waits until it answers, and gives the seconds since it was started.

        Args:
            rows: real rows, which it must answer: `/ping` alone is answered while no thread is
                free for a prediction. None asks `/ping`.
            seconds: how long to wait.

        Raises:
            EndpointError: when it ended, or did not answer in time.
        """
        client = Client(self.endpoint)
        while True:
            if self.has_ended:
                raise EndpointError(
                    f"the server of the model ended before it answered; to see why, start it by "
                    f"hand: {self.command_text}"
                )
            if client.is_up() and (rows is None or _answers(client, rows)):
                return time.perf_counter() - self.started
            if time.perf_counter() - self.started > seconds:
                self.stop()
                raise EndpointError(
                    f"the server of the model did not answer within {seconds:g} s; to see why, "
                    f"start it by hand: {self.command_text}"
                )
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK_SECONDS)

    def memory_bytes(self) -> int | None:
        """The memory that its processes hold (resident); None where the system does not tell."""
        total, group = 0, self._process.pid
        if not Path("/proc/self/stat").exists():
            return None
        for place in Path("/proc").iterdir():
            if place.name.isdecimal() and place.name != str(group):
                with suppress(OSError, ValueError, IndexError):
                    # Behind the name in brackets: state, parent, group, ...
                    fields = (place / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[2]) == group:
                        pages = int((place / "statm").read_text().split()[1])
                        total += pages * os.sysconf("SC_PAGE_SIZE")
        return total

    def stop(self) -> Stop:
        """Asks it to end, as an orchestrator does (SIGTERM), and kills it after its grace."""
        started, process = time.perf_counter(), self._process
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            code = process.wait(self.grace + _LEASH_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(process.pid, 9)
            code = process.wait()
        return Stop(time.perf_counter() - started, code not in (leash.ENDED, leash.GONE))

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_server(
    folder: str | Path, rows: Rows | None = None, *, workers: int = 1, grace: float = GRACE_SECONDS
) -> tuple[Server, float]:
    """A server of a model that answers, and the seconds that took; tried on another port if taken.

    Raises:
        EndpointError: when it ended, or did not answer in time.
    """
    for left in reversed(range(_TRIES)):
        server = Server(folder, workers=workers, grace=grace)
        try:
            return server, server.wait_until_ready(rows)
        except BaseException as error:
            taken = isinstance(error, EndpointError) and _is_taken(server.port)
            server.stop()
            if not taken or not left:
                raise
    raise AssertionError("the last try raises")


def _answers(client: Client, rows: Rows) -> bool:
    """Whether rows are answered, if only by a refusal: they may be such as the model refuses."""
    try:
        return client.send_once(client.body(rows)).status < _SERVER_ERRORS
    except Unreachable:
        return False


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


def _is_taken(port: int) -> bool:
    """Whether somebody listens on a port: between its choice and its use another process may."""
    with socket.socket() as some:
        return some.connect_ex(("127.0.0.1", port)) == 0


def _environment() -> dict[str, str]:
    """The environment with the programs of this Python before all others: MLflow calls uvicorn.

    Python leaves no caches beside a model's own code, where none were signed.
    """
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join([own, os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
