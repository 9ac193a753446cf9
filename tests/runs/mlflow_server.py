"""A real `mlflow server` behind a proxy that can cut it off, or lose its answers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """The server's process, which takes a while to be ready, and its folder."""

    def __init__(self, folder: Path, backend: str | None = None) -> None:
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--artifacts-destination", str(folder / "artifacts")),
        ]
        # A list of processes shows arguments; the database's password is in its URI.
        env = {
            **os.environ,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_BACKEND_STORE_URI": backend or f"sqlite:///{folder}/mlflow.db",
        }
        with (folder / "log").open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=env, start_new_session=True
            )

    def wait(self) -> None:
        """Waits until it answers."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                    return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.2)
        raise TimeoutError((self.folder / "log").read_text())

    def kill(self) -> None:
        """Kills the server and its workers, which are one group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


class Proxy:
    """Passes requests on to a server, unless it is `down`, and asks `fault` about each by its path.

    `down` cuts off the server from here on; `lose` lets it have the request, and loses its answer.
    """

    def __init__(self, server: Server) -> None:
        self.down = True
        self.fault: Callable[[str], str] = lambda path: ""
        self.requests: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.requests.append(self.path)
                fault = proxy.fault(self.path)
                proxy.down = proxy.down or fault == "down"
                if proxy.down:
                    self.close_connection = True
                    return
                answer, content = proxy.asked(server.port, self, body)
                if fault == "lose":
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @staticmethod
    def asked(
        port: int, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[http.client.HTTPResponse, bytes]:
        there = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() != "connection"}
            there.request(request.command, request.path, body, headers)
            answer = there.getresponse()
            return answer, answer.read()
        finally:
            there.close()

    def back(self) -> None:
        """Lets everything through again."""
        self.down, self.fault = False, lambda path: ""

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
