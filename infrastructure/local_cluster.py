"""A Spark standalone cluster on this machine, from the pip-installed Spark: a master, workers.

For trying evalmatrix on a cluster, for its tests and its benchmark. Everything listens on
127.0.0.1 and on ports that were free; nothing is left behind when it stops.

    .venv/bin/python infrastructure/local_cluster.py --workers 2

prints the master's address and waits for Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

HOST = "127.0.0.1"
START_SECONDS = 60


def free_port() -> int:
    """A port on which nothing listens just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def spark_home() -> Path:
    """The folder of the pip-installed Spark."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise RuntimeError("found no pyspark; a local cluster is started from the pip install")
    return Path(spec.origin).parent


@dataclass
class LocalCluster:
    """A master and some workers, each a process of its own; a context manager.

    Each worker has `cores` and `memory`, and a folder of its own, in which its executors run.
    `env` is what the workers' processes have in their environment beside a bare minimum: what
    this process has (a virtual environment on the PATH, say) is not theirs. `options` are the
    workers' JVM options, such as `-Dspark.worker.resource.gpu.amount=1`. `pinned` gives each
    worker one CPU of this machine for all that it starts (Linux): a worker's cores only say how
    many tasks it takes, and one task keeps a JVM and a Python process busy.
    """

    workers: int = 2
    cores: int = 1
    memory: str = "2g"
    env: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    pinned: bool = False

    def __enter__(self) -> LocalCluster:
        self.folder = Path(tempfile.mkdtemp(prefix="evalmatrix-cluster-"))
        self.port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start_all()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def master(self) -> str:
        """The address for `--master`."""
        return f"spark://{HOST}:{self.port}"

    def log(self, name: str) -> str:
        """What a process has logged: `master`, `worker-0`, ..."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """Ends all processes, the executors with their workers, and removes the folder."""
        for process in reversed(self._processes):
            _end_group(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start_all(self) -> None:
        start = "org.apache.spark.deploy."
        ports = ["--host", HOST, "--port", str(self.port), "--webui-port", "0"]
        self._start("master", f"{start}master.Master", ports)
        self._wait_for("master", "New state: ALIVE", 1)
        for number in range(self.workers):
            place = ["--work-dir", str(self.folder / f"work-{number}"), "--webui-port", "0"]
            size = ["--host", HOST, "--cores", str(self.cores), "--memory", self.memory]
            arguments = [*size, *place, self.master]
            pin = partial(os.sched_setaffinity, 0, {number % (os.cpu_count() or 1)})
            self._start(
                f"worker-{number}",
                f"{start}worker.Worker",
                arguments,
                first=pin if self.pinned else None,
            )
        self._wait_for("master", "Registering worker", self.workers)

    def _start(
        self,
        name: str,
        main: str,
        arguments: list[str],
        *,
        first: Callable[[], None] | None = None,
    ) -> None:
        home = spark_home()
        kept = {k: os.environ[k] for k in ("JAVA_HOME", "HOME", "LANG", "TZ") if k in os.environ}
        java = Path(kept["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in kept else "java"
        options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={self.folder}"]
        if name != "master":
            options += self.options
        # What Spark's own start scripts would set; without it a worker looks for a source tree.
        spark = {"SPARK_HOME": str(home), "SPARK_SCALA_VERSION": "2.13"}
        found = shutil.which(str(java))
        if found is None:
            raise RuntimeError(f"found no Java at {java}; a cluster needs one")
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [found, "-cp", f"{home}/jars/*", *options, main, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                env={"PATH": os.defpath, **kept, **spark, **self.env},
                start_new_session=True,
                preexec_fn=first,
            )
        self._processes.append(process)

    def _wait_for(self, name: str, text: str, times: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.log(name).count(text) < times:
            ended = [process for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))
                raise RuntimeError(f"the cluster did not start: {logs[-4000:]}")
            time.sleep(0.1)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends a process with those that it started; what does not end in time is killed."""
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def main() -> None:
    """Runs a cluster until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker")
    parser.add_argument("--memory", default="2g", help="of each worker")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with LocalCluster(chosen.workers, chosen.cores, chosen.memory) as cluster:
        sys.stdout.write(f"{cluster.master}\n")
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
