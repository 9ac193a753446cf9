"""A server of a model that others ask: on an address that is told, until somebody stops it."""

from __future__ import annotations

import errno
import socket
import subprocess
from pathlib import Path
from typing import IO

from engine.core.vocabulary import Endpoint
from engine.errors import EndpointError
from engine.serving.server import Server

# Ctrl-C ends a command within ten seconds.
STOP_SECONDS = 6.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class DeployedServer(Server):
    """A server on an address of one's own.

    Attributes:
        host: the address that it listens on.
    """

    def __init__(
        self,
        folder: str | Path,
        address: tuple[str, int],
        *,
        workers: int = 1,
        output: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        """Starts the server; nobody waits for it yet.

        Args:
            folder: a folder with an `MLmodel` file.
            address: the host and the port to listen on.
            workers: how many processes answer.
            output: where what it prints goes.

        Raises:
            EndpointError: when there is no such folder, or nobody can listen there.
        """
        self.host, port = address
        check_address(self.host, port)
        super().__init__(folder, port=port, workers=workers, grace=STOP_SECONDS, output=output)

    def _command(self, workers: int) -> list[str]:
        command = super()._command(workers)
        command[command.index("--host") + 1] = self.host
        return command

    @property
    def endpoint(self) -> Endpoint:
        """Where it is asked."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Endpoint(f"http://{_ANY.get(self.host, host)}:{self.port}", "mlflow")


def check_address(host: str, port: int) -> None:
    """Refuses an address on which this machine cannot listen, or somebody does.

    Raises:
        EndpointError: with what is wrong, and what to do.
    """
    where = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as some:
            some.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            some.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "somebody else listens there; name another by --port"
        elif error.errno in (errno.EACCES, errno.EPERM):
            why = "this user may not; name a port of 1024 or more by --port"
        else:
            why = f"it is no address of this machine ({error.strerror}); name one by --host"
        raise EndpointError(f"the model cannot be served on {where}: {why}") from None
