"""Ctrl-C and SIGTERM: what runs is stopped in seconds, by its own clean-up or without it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C stops within 10 seconds: what is left of them is for the process to end.
GRACE_SECONDS = 8.5

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to stop; `exit_code` is what a shell expects of it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def stopping_in_time() -> Iterator[None]:
    """Raises Interrupted in the block on Ctrl-C and SIGTERM, and sees to it that it ends.

    Clean-up that takes longer than GRACE_SECONDS, and a second signal, end the process at once:
    all that is committed is safe, and nothing else is read as a result. Only the main thread can
    take signals; in another one, a notebook's or a server's, the block runs as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            os._exit(128 + number)
        asked.set()
        late = threading.Timer(GRACE_SECONDS, _end, (number,))
        late.daemon = True
        late.start()
        raise Interrupted(number)

    before = {each: signal.signal(each, stop) for each in _SIGNALS}
    try:
        yield
    finally:
        # After a signal the process is ending: a second one still ends it at once.
        if not asked.is_set():
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(number: int) -> None:
    sys.stderr.write("evalmatrix: stopped without waiting any longer for Spark\n")
    sys.stderr.flush()
    os._exit(128 + number)
