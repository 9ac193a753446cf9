"""A model in a process of its own, which it can end, block or fill without harm to the worker.

The worker starts a Python for the model, sends it batches as Arrow streams, and gets its
predictions as arrays. A process that does not answer in time is killed. Nothing of it outlives the
scan of a partition.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa

from engine.core.redaction import Told, redacted_message
from engine.core.signals import exit_signal_text
from engine.core.vocabulary import ModelVersion, plain_numbers
from engine.errors import InputError
from engine.models.isolation.limits import LOADING_SECONDS, Limits, ModelStopped, memory_limit, slow
from engine.models.load import Predictor, load
from engine.models.outputs import Prediction

_COMMAND = "from engine.models.isolation.child_process import main; main()"
# What a message begins with that holds a probe; a batch alone begins with Arrow's own mark.
_PROBE = b"probe"
# Longer than the worker waits: this is for a process whose worker has gone.
_GRACE_SECONDS = 60.0
_LENGTH = struct.Struct("<Q")


class Child:
    """The process of one model; started when it is made, ended by `close`."""

    def __init__(self, model: ModelVersion, limits: Limits) -> None:
        self.model, self.limits = model, limits
        self.loaded = self.expired = False
        paths = [path for path in sys.path if path]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what the model prints may be data
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def predict(self, batch: pa.RecordBatch) -> Prediction:
        """Predicts the rows of a batch.

        Raises:
            ModelStopped: when the process has ended, or was killed because it did not answer.
            Told: what may be told of what the model raised.
        """
        self._load()
        names = [name for name in self.model.features if name in batch.schema.names]
        answer = _read_answer(self._ask(_to_bytes(batch.select(names)), self.limits.seconds))
        return answer.read_prediction()

    def probe(
        self, probe: Any, batch: pa.RecordBatch, baseline: ModelVersion | None = None
    ) -> dict[str, float | None]:
        """What a probe (`engine.kinds.Probe`) finds of the model, which it is given loaded.

        Args:
            probe: is pickled; all that it does is done in the process.
            batch: the sample that it gets.
            baseline: a model that it is given as well.

        Raises:
            ModelStopped: when the process has ended, or was killed because it did not answer.
            Told: what may be told of what the probe or the model raised.
        """
        self._load()
        message = _PROBE + pickle.dumps((probe, _to_bytes(batch), baseline))
        seconds = self.limits.seconds + (0.0 if baseline is None else LOADING_SECONDS)
        return _read_answer(self._ask(message, seconds)).numbers or {}

    def _load(self) -> None:
        if not self.loaded:
            about = pickle.dumps((self.model, self.limits))
            _read_answer(self._ask(about, self.limits.seconds + LOADING_SECONDS))
            self.loaded = True

    def _ask(self, message: bytes, seconds: float) -> bytes:
        process = self._process
        assert process.stdin is not None and process.stdout is not None, "both are pipes"
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            _send(process.stdin, message)
            return _receive(process.stdout)
        except (OSError, EOFError):
            process.kill()
            why = slow(seconds) if self.expired else _exit_reason(process.wait())
            raise ModelStopped(why) from None
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self.expired = True
        self._process.kill()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # what was not sent yet has no reader
                    continue
        self._process.wait()


def _exit_reason(code: int) -> str:
    """How a process ended that should not have."""
    return f"ended its process with exit code {code}" if code >= 0 else exit_signal_text(-code)


def _send(pipe: IO[bytes], message: bytes) -> None:
    pipe.write(_LENGTH.pack(len(message)))
    pipe.write(message)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> bytes:
    return _exactly(pipe, *_LENGTH.unpack(_exactly(pipe, _LENGTH.size)))


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError("the process has ended")
    return data


def _to_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a model's process says: a prediction, the numbers of a probe, or an error.

    Of an error it is its kind and what may be told.
    """

    prediction: Prediction | None = None
    error: tuple[str, str] | None = None
    numbers: dict[str, float | None] | None = None

    def to_bytes(self) -> bytes:
        out = io.BytesIO()
        arrays = {} if self.prediction is None else {
            "scores": self.prediction.scores, "labels": self.prediction.labels
        }  # fmt: skip
        present = {name: array for name, array in arrays.items() if array is not None}
        told = {"error": self.error, "numbers": self.numbers}
        np.savez(out, told=np.array(json.dumps(told)), **present)  # type: ignore[arg-type]
        return out.getvalue()

    def read_prediction(self) -> Prediction:
        """The prediction, which it has."""
        assert self.prediction is not None, "a batch was sent"
        return self.prediction


def _read_answer(answer: bytes) -> _Answer:
    """An answer; raises the error that it tells of."""
    with np.load(io.BytesIO(answer), allow_pickle=False) as arrays:
        told = json.loads(str(arrays["told"]))
        if told["error"] is None:
            parts = {name: arrays[name] for name in arrays.files if name != "told"}
            return _Answer(Prediction(**parts), numbers=told["numbers"])
    name, message = told["error"]
    raise ModelStopped(message) if name == ModelStopped.__name__ else Told(message)


def main() -> None:
    """Answers the worker that has started this process, until it hangs up."""
    # What the model reads and prints must not get between the two.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        model, limits = pickle.loads(_receive(requests))
        message = b""
        while True:
            # To load a model takes time: the first, and a baseline that a probe is given.
            more = LOADING_SECONDS if not message or message.startswith(_PROBE) else 0.0
            faulthandler.dump_traceback_later(limits.seconds + more + _GRACE_SECONDS, exit=True)
            answer = _answer(model, limits, message).to_bytes()
            faulthandler.cancel_dump_traceback_later()
            _send(answers, answer)
            message = _receive(requests)
    except (EOFError, OSError):
        return


def _answer(model: ModelVersion, limits: Limits, message: bytes) -> _Answer:
    """Loads the model, and does what a message says where there is one."""
    try:
        with memory_limit(limits.memory):
            predictor = load(model)
            if not message:
                return _Answer()
            if message.startswith(_PROBE):
                return _Answer(numbers=_run_probe(predictor, message[len(_PROBE) :]))
            with pa.ipc.open_stream(message) as reader:
                table = reader.read_all()
            return _Answer(predictor.predict(table))
    except ModelStopped as stopped:
        return _Answer(error=(ModelStopped.__name__, str(stopped)))
    except BaseException as error:  # the worker makes an ERROR of it
        return _Answer(error=(Told.__name__, redacted_message(error)))


def _run_probe(predictor: Predictor, message: bytes) -> dict[str, float | None]:
    probe, sample, baseline = pickle.loads(message)
    with pa.ipc.open_stream(sample) as reader:
        batch = reader.read_next_batch()
    other = None if baseline is None else load(baseline)
    answer = probe.run(predictor, batch, other)
    try:
        return plain_numbers(answer)
    except InputError as error:
        raise Told(str(error)) from None
