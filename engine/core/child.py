"""A process of this machine that does what it is handed, one thing after the other."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from typing import Any

from engine.core.signals import exit_signal_text

# Read by OpenMP, BLAS and TensorFlow when they are loaded. One thread for a process: its figures
# do not depend on how many others there are, and they do not take each other's cores.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "BLIS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ),
    "1",
)
_LOOK_SECONDS = 1.0


class ChildEndedError(Exception):
    """The process ended over what it was asked; the message says how."""


class ChildProcess:
    """A Python process on one thread for each library, and the connection to it.

    Args:
        code: what it runs; `sys.argv[1]` is the descriptor of its end of the connection.
        arguments: more of them.
        environment: what its environment has beside this process's.
    """

    def __init__(
        self, code: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        ours, theirs = Pipe()
        paths = [path for path in sys.path if path]
        self._connection = ours
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(theirs.fileno()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={
                **os.environ,
                **ONE_THREAD,
                **(environment or {}),
                "PYTHONPATH": os.pathsep.join(paths),
            },
        )
        theirs.close()

    def ask(self, message: Any) -> Any:
        """Sends a message and waits for the answer.

        Raises:
            ChildEndedError: when it has ended instead.
        """
        try:
            self._connection.send(message)
            return self._connection.recv()
        except (EOFError, OSError):
            raise ChildEndedError(_exit_text(self._process.wait())) from None

    def close(self) -> None:
        """Ends it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._connection.close()


def _exit_text(code: int) -> str:
    """How a process ended that should not have."""
    return f"its process ended with exit code {code}" if code >= 0 else exit_signal_text(-code)


def core_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_with_parent() -> None:
    """Ends this process, in a thread of its own, when the one that started it is gone."""
    threading.Thread(target=_end_behind, args=(os.getppid(),), daemon=True).start()


def _end_behind(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
