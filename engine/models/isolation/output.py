"""Sends what models print to nowhere: what a worker prints lands in Spark's log.

A model prints by Python, by its logging and warnings, or from a library in C; all of it goes
through the process's standard output and error.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

_STREAMS = (1, 2)


class Quiet:
    """Points this process's standard output and error to nowhere, until it is closed."""

    def __init__(self) -> None:
        self._kept: dict[int, int] = {}
        _flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in _STREAMS:
            with suppress(OSError):  # a process may have neither
                self._kept[stream] = os.dup(stream)
                os.dup2(nowhere, stream)
        os.close(nowhere)

    def close(self) -> None:
        """Gives the streams back; what was printed and not written yet is lost."""
        _flush()
        for stream, kept in self._kept.items():
            os.dup2(kept, stream)
            os.close(kept)
        self._kept.clear()


def _flush() -> None:
    """Writes what Python and C hold of the output, where it goes now."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(Exception):  # a model may have put anything in their place
            stream.flush()  # type: ignore[union-attr]
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)
