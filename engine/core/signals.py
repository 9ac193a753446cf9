"""Ctrl-C and SIGTERM: what runs is stopped in seconds, by its own clean-up or without it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from engine.core.json_log import is_json

# Ctrl-C stops within 10 seconds: what is left of them is for the process to end.
GRACE_SECONDS = 8.5

# How long a wait may stay deaf after a library that is imported has taken a signal's handler.
_KEEP_SECONDS = 0.5

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def exit_signal_text(number: int) -> str:
    """How a process ended that a signal has ended."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    likely = ", most likely because memory ran out" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{likely}"


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to stop; `exit_code` is what a shell expects of it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _Stop:
    """A handler that raises Interrupted, and ends the process when that takes too long."""

    def __init__(self) -> None:
        self.asked: int | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is not None:
            os._exit(128 + number)
        self.asked = number
        late = threading.Timer(GRACE_SECONDS, _end, (number,))
        late.daemon = True
        late.start()
        raise Interrupted(number)


@contextmanager
def stop_on_signal() -> Iterator[None]:
    """Raises Interrupted in the block on Ctrl-C and SIGTERM, and sees to it that it ends.

    Clean-up that takes longer than GRACE_SECONDS, and a second signal, end the process at once:
    all that is committed is safe, and nothing else is read as a result. What a signal has cut off,
    an answer of Spark's above all, can make clean-up fail: it is the signal that is told. Only the
    main thread can take signals; in another one, a notebook's or a server's, the block runs as it
    is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stop = _Stop()
    before = {signum: signal.signal(signum, stop) for signum in _SIGNALS}
    try:
        with cut_waits():
            yield
    except Exception as error:
        if stop.asked is None:
            raise
        interrupted = Interrupted(stop.asked)
        for note in getattr(error, "__notes__", ()):
            interrupted.add_note(note)
        raise interrupted from error
    finally:
        # After a signal the process is ending: a second one still ends it at once.
        if stop.asked is None:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def cut_waits() -> Iterator[None]:
    """Keeps signals able to cut a wait for a socket short, whatever is imported in the block.

    Python asks for that when it sets a handler. Polars, which MLflow imports where it is installed,
    puts a handler of its own before Python's that lets the kernel go on with the call
    (`SA_RESTART`): Python would hear of Ctrl-C when Spark has answered.
    """
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(_KEEP_SECONDS):
            for number in _SIGNALS:
                signal.siginterrupt(number, True)

    threading.Thread(target=keep, name="signals", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextmanager
def keep_handlers() -> Iterator[None]:
    """Puts the handlers of `stop_on_signal` back after the block.

    Spark's Python sets one of its own for Ctrl-C when a session starts, which waits for the JVM;
    in a thread beside the main one nobody can.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in ours.items():
            if isinstance(handler, _Stop):
                signal.signal(number, handler)


def _end(number: int) -> None:
    told = "evalmatrix: stopped without waiting any longer for Spark"
    if is_json():
        logging.getLogger("evalmatrix").warning(told)
    else:
        sys.stderr.write(f"{told}\n")
    sys.stderr.flush()
    os._exit(128 + number)
