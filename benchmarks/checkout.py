"""A checkout whose engine is measured: its commands as processes, and a warm session of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from process_cost import measure, tree_seconds, watch

MEMORY = " MiB"

# Figures by what they are: "wall s", "core s", "JVMs", "worker MiB" and others.
Values = Mapping[str, float]


@dataclass(frozen=True)
class Engine:
    """A checkout whose engine is measured, and the folder where its runs lie."""

    path: Path
    folder: Path

    @cached_property
    def label(self) -> str:
        def git(*arguments: str) -> str:
            command = ["git", "-C", str(self.path), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout

        commit = git("rev-parse", "--short", "HEAD").strip()
        return f"{self.path.name} {commit}{'+' if git('status', '--porcelain', '-uno') else ''}"

    def environment(self, checkout: Path) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(checkout)}

    def check(self) -> None:
        """Makes sure that the engine of the checkout is the one that is imported."""
        asked = [sys.executable, "-c", "import engine; print(engine.__file__)"]
        env = self.environment(self.path)
        answer = subprocess.run(
            asked, env=env, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if Path(answer.stdout.strip()) != self.path / "engine" / "__init__.py":
            raise SystemExit(f"{self.path} has no engine: {answer.stdout or answer.stderr}")

    def python(self, *arguments: str, checkout: Path | None = None, code: int = 0) -> Values:
        """What a Python program costs, from its start to its end, in a checkout or the folder."""
        command = [sys.executable, *arguments]
        log = self.folder / "command.log"
        place = checkout or self.folder
        cost = measure(command, cwd=place, env=self.environment(checkout or self.path), log=log)
        if cost.exit_code != code:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise SystemExit(f"{' '.join(command)} ended with {cost.exit_code}:\n{end}")
        peaks = {f"{kind}{MEMORY}": peak for kind, peak in cost.peaks.items()}
        seconds = {"wall s": cost.wall, "core s": cost.cores, "lingering s": cost.lingering}
        return {**seconds, "JVMs": float(cost.java), **peaks}

    def command(self, *arguments: str, checkout: Path | None = None, code: int = 0) -> Values:
        """What a command of `evalmatrix` costs."""
        script = Path(sys.executable).with_name("evalmatrix")
        started = [str(script)] if script.exists() else ["-m", "engine.cli.app"]
        return self.python(*started, *arguments, checkout=checkout, code=code)


class Worker:
    """A process with a warm session of an engine."""

    def __init__(self, engine: Engine, shared: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm_worker.py")), str(shared)],
            env=engine.environment(engine.path),
            cwd=engine.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(engine.folder / "worker.log").open("ab"),
            text=True,
            start_new_session=True,
        )

    def ask(self, act: str, **request: Any) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        print(json.dumps({"act": act, **request}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the warm process has ended; see {'worker.log'!r} of its folder")
        return dict(json.loads(answer))

    def run(self, suite: Path) -> tuple[dict[str, Any], dict[str, float]]:
        """What a run tells, and what it cost."""
        pid = self.process.pid
        before, started = tree_seconds(pid), time.perf_counter()
        with watch(pid) as seen:
            answer = self.ask("run", suite=str(suite))
        wall = time.perf_counter() - started
        costs = {"wall s": wall, "core s": tree_seconds(pid) - before + seen.worker_seconds()}
        return answer, {**costs, **{f"{kind}{MEMORY}": peak for kind, peak in seen.peaks.items()}}

    def close(self) -> None:
        """Ends the process, which has answered all that it was asked."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
