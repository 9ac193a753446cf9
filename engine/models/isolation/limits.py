"""What a model may cost in a worker, and how the worker is watched while it predicts.

In a normal run models predict in Spark's own Python worker, at no cost. A model can end that
process, hang, or eat the machine's memory. So the worker notes which model it is at before that
model is asked; a timer that needs no Python ends a worker whose model does not answer; and a limit
of memory turns what would kill the process into an error. When a worker has died, the driver reads
the notes and scans again, with the models that are to blame in processes of their own
(`engine.models.isolation.child_process`).
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import pyarrow as pa

from engine.core.vocabulary import ModelVersion
from engine.models.outputs import Prediction

if sys.platform != "win32":
    import resource

# Importing a framework and reading weights may take this much longer than an answer.
LOADING_SECONDS = 300.0

_TIMED_OUT = "Timeout ("


class ModelStopped(Exception):
    """A model was stopped, or ended its process; the message holds no value of the data."""


class Predicts(Protocol):
    """A model that is ready to predict batches, here or in a process of its own."""

    def predict(self, batch: pa.RecordBatch) -> Prediction:
        """Predicts the rows of a batch."""


Load = Callable[[ModelVersion], Predicts]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model may take for a batch: seconds, and bytes of memory beside what is there."""

    seconds: float = 1800.0
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """How a scan is watched: where workers leave notes, and the models that predict apart.

    Without `notes`, a folder, nothing is watched. `apart` are numbers of models.
    """

    notes: str = ""
    apart: frozenset[int] = frozenset()


UNWATCHED = Guard()


def slow(seconds: float) -> str:
    """The words for a model that does not answer."""
    return f"did not answer within {seconds:g} s"


@contextmanager
def memory_limit(more: int | None) -> Iterator[None]:
    """Lets this process take so many bytes more of memory while the block runs.

    It is the limit of the data segment, which on Linux has all that is allocated; elsewhere there
    is none.

    Raises:
        ModelStopped: where the block needed more, and Python was told so.
    """
    used = _data_bytes() if more is not None else None
    if more is None or used is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    ends = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([used + more, *ends]), hard))
    try:
        yield
    except MemoryError:
        raise ModelStopped(f"needed more memory than {more:,} bytes") from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int | None:
    """The size of this process's data segment; None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), None)


def die_first() -> None:
    """Asks Linux to end this process before any other, Java above all, when memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


class Notes:
    """A folder that tells, of each process, at which model it is, and which models were stopped."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._own: IO[str] | None = None
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._own = (self.folder / f"{os.getpid()}.note").open("w")

    @contextmanager
    def at(self, model: int, place: str, seconds: float) -> Iterator[None]:
        """Notes that this process is at a model, and ends it when the block takes too long.

        The timer is faulthandler's, which no code in C can hold up. It writes into the note.
        """
        if self._own is None:  # a folder that cannot be written: the limits hold all the same
            faulthandler.dump_traceback_later(seconds, exit=True)
        else:
            self._write(json.dumps({"model": model, "why": f"{slow(seconds)}, on {place}"}))
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._own)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._write("")

    def _write(self, text: str) -> None:
        if self._own is not None:
            with suppress(OSError):
                self._own.seek(0)
                self._own.truncate()
                self._own.write(text and f"{text}\n")
                self._own.flush()

    def stop(self, model: int, why: str) -> None:
        """Notes that a model was stopped, so that no other worker waits for it."""
        with suppress(OSError):
            (self.folder / f"{model}.stopped").write_text(why)

    def stop_reason(self, model: int) -> str | None:
        """Why a model was stopped, by this worker or another."""
        with suppress(OSError):
            return (self.folder / f"{model}.stopped").read_text()
        return None

    def timeouts(self) -> dict[int, str]:
        """The models whose workers were ended for them, and why."""
        return {model: why for model, why in self.read(self.folder).items() if why}

    @staticmethod
    def read(folder: str | Path) -> dict[int, str]:
        """The models at which processes were that have died; why, where they did not answer."""
        reasons: dict[int, str] = {}
        for path in sorted(Path(folder).glob("*.note")):
            with suppress(OSError, ValueError, KeyError):
                first, _, rest = path.read_text(errors="replace").partition("\n")
                note = json.loads(first)
                why = note["why"] if rest.startswith(_TIMED_OUT) else ""
                reasons[note["model"]] = reasons.get(note["model"]) or why
        return reasons

    def close(self) -> None:
        """Takes back the note of this process."""
        if self._own is not None:
            self._own.close()
            self._own = None
