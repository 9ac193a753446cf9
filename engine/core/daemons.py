"""Threads that nobody waits for: what they do is needed later, or not at all.

Whoever stops a run waits for no import in them, and for no server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_NAME = "evalmatrix ahead"


def start_daemon(work: Callable[[], object]) -> None:
    """Begins work in a thread of its own, which the end of the process does not wait for."""
    threading.Thread(target=work, name=_NAME, daemon=True).start()


def are_daemons_busy() -> bool:
    """Whether such a thread of this process is still at work."""
    return any(thread.name == _NAME for thread in threading.enumerate())
