"""What the command `serve` prints, and how long it goes on."""

from __future__ import annotations

import shlex
import time
from typing import Any

import typer

from engine.cli.reporting import tell
from engine.errors import EndpointError

_LOOK_SECONDS = 0.2
_TYPE = "Content-Type: application/json"


def show_served(result: Any) -> int:
    """The URL and how to ask it, until Ctrl-C or SIGTERM; of `--init` the files."""
    if hasattr(result, "written"):
        for path in result.kept:
            tell(f"kept {path}, which was there")
        for path in result.written:
            typer.echo(str(path))
        return 0
    with result:
        body = "{...}" if result.example is None else f"@{result.example}"
        url = f"{result.url}/invocations"
        typer.echo(result.url)
        formats = ", ".join(result.formats) or "no format that is loaded"
        tell(f"{result.uri}, digest {result.digest[:12]}, files: {formats}")
        tell(f"ask it: {shlex.join(['curl', '-s', url, '-H', _TYPE, '-d', body])}")
        tell(f"what it says: {result.log}; Ctrl-C stops it")
        _wait(result)
    return 0


def _wait(result: Any) -> None:
    """Waits until a signal stops it; the command ends as others do that a signal has stopped."""
    try:
        while not result.server.has_ended:
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        stop = result.server.stop()
        how = "had to be killed" if stop.killed else "stopped"
        tell(f"evalmatrix: the server {how} after {stop.seconds:.1f} s")
        raise
    raise EndpointError(f"the server of {result.uri} ended by itself; see {result.log}")
