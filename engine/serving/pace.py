"""A rate that all processes of a machine keep together: requests begin so far apart.

The workers of a run are processes that know nothing of each other. They share a small file for a
place that is asked, which has the time when the next request may begin. Each takes a time there and
waits for it; a process that dies takes one with it at most. Machines do not share it: a cluster of
three asks at up to three times the rate.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import tempfile
import time
from pathlib import Path

from engine.errors import EndpointError

_TIME = struct.Struct("<d")
# A time that lies farther ahead was noted before the machine started anew: clocks began again.
_STALE_SECONDS = 600.0


class Pace:
    """Gives the times at which requests may begin; without a rate it is always now."""

    def __init__(self, place: str, rate: float | None) -> None:
        self.rate, self._file = rate, None if rate is None else _file_of(place)

    def wait(self) -> None:
        """Waits until a request may begin."""
        delay = self.reserve(time.monotonic()) - time.monotonic()
        if delay > 0:
            time.sleep(delay)

    def reserve(self, now: float) -> float:
        """Takes the next free time, which is `now` or later, on the clock of the whole machine."""
        if self._file is None or self.rate is None:
            return now
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            noted = os.pread(handle, _TIME.size, 0)
            free = _TIME.unpack(noted)[0] if len(noted) == _TIME.size else now
            start = max(now, free) if free < now + _STALE_SECONDS else now
            os.pwrite(handle, _TIME.pack(start + 1 / self.rate), 0)
        finally:
            os.close(handle)
        return start


def _file_of(place: str) -> Path:
    """The file of a place, in a folder of this user's own.

    Raises:
        EndpointError: when that cannot be made, or is somebody else's.
    """
    folder = Path(tempfile.gettempdir(), f"evalmatrix-pace-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(13, "it belongs to another user")
    except OSError as error:
        raise EndpointError(
            f"the rate cannot be kept: the folder {str(folder)!r} cannot be used, "
            f"{error.strerror or error}; set TMPDIR to one that can"
        ) from error
    return folder / hashlib.sha256(place.encode()).hexdigest()[:32]
