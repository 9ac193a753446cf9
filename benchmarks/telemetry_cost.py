"""What a run takes that measures its steps, and that tells of itself, beside one that does neither.

The same matrix in one warm session by turns, each time in a new store: with the steps' CPU, peaks
and spills left out, as it is, and with lineage in a file, metrics in a file and spans by OTLP to a
receiver of this machine. Wall-clock and core-seconds of all processes; ratios to the first of the
same turn.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table
from run import ALL, core_seconds
from world import Size, make_table, quiet_session, write_suite

from engine.commands.run import run
from engine.core.stopwatch import Cost, Stopwatch

MODES = ("no costs", "as it is", "telemetry")


@contextmanager
def receiver() -> Iterator[tuple[str, list[int]]]:
    """A server that takes whatever it is sent, and the lengths of that."""
    lengths: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            lengths.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", lengths
    server.shutdown()
    server.server_close()


def measure(suite: Path, mode: str, overrides: list[str]) -> tuple[float, float]:
    """Wall-clock and core-seconds of a run."""
    before, started = core_seconds(), time.perf_counter()
    if mode == MODES[0]:
        with (
            patch.object(Stopwatch, "_begin", lambda clock: None),
            patch.object(Stopwatch, "_end", lambda clock, begun: Cost()),
        ):
            run(suite)
    else:
        run(suite, overrides=overrides if mode == MODES[2] else [])
    return time.perf_counter() - started, core_seconds() - before


def main() -> None:
    """Runs the modes by turns and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", default="build/bench", help="where data and models are kept")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3, help="turns")
    chosen = parser.parse_args()
    spark, folder, paths = quiet_session(chosen.folder)
    warm, size = Size(200_000, ALL, "small", 9), Size(chosen.rows, ALL, "small", 9)
    run(write_suite(folder, make_table(spark, folder, warm), paths, warm))
    table = make_table(spark, folder, size)
    values: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
    with receiver() as (url, lengths):
        overrides = [
            f"telemetry.openlineage={(folder / 'events.jsonl').as_uri()}",
            f"telemetry.prometheus={folder / 'metrics.prom'}",
            f"telemetry.otlp={url}",
        ]
        for turn in range(chosen.times):
            # Each comes first as often as the others.
            for mode in MODES[turn % 3 :] + MODES[: turn % 3]:
                suite = write_suite(folder, table, paths, size)
                values[mode].append(measure(suite, mode, overrides))
                print(turn, mode, *(f"{value:.2f}" for value in values[mode][-1]), flush=True)
        assert len(lengths) == chosen.times, "each run has sent its spans"
    out = Table(box=None)
    for name in ("run", "wall s", "core s", "wall ratio", "core ratio"):
        out.add_column(name, justify="right")
    for mode in MODES:
        columns = [*zip(*values[mode], strict=True)]
        first = [*zip(*values[MODES[0]], strict=True)]
        ratios = [
            statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in zip(columns, first, strict=True)
        ]
        medians = [f"{statistics.median(column):.1f}" for column in columns]
        out.add_row(mode, *medians, *(f"{ratio:.3f}" for ratio in ratios))
    Console(width=100).print(out)


if __name__ == "__main__":
    main()
