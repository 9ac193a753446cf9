"""Where a local session keeps its temporary files, so that none outlive it for long.

Spark's shuffle files, the libraries that Java unpacks and the files of Python workers are removed
when a process ends by itself. One that is killed leaves them behind, and rows of the data in them.
So each session has a folder of its own, which is locked for as long as its process lives, and the
next session removes the folders that nobody has locked any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from engine.errors import StoreError

_LOCK = ".lock"
# What a small run needs: Java unpacks libraries of some megabytes, and fails in strange ways where
# they find no room. A large one needs more, and is told when it ends.
_LEAST = 32 * 2**20
_ADVICE = "free that disk, or set TMPDIR to a folder of another one"
# The locks of this process's folders, which end with it.
_HELD: list[int] = []


def scratch_folder(root: Path | None = None) -> Path:
    """Makes a folder for the temporary files of this process, and removes what others have left.

    Args:
        root: where the folders lie; by default in the system's place for temporary files, in a
            folder of this user's own.

    Raises:
        StoreError: when nothing can be written there, or too little.
    """
    try:
        folder = _make_folder(root)
        disk = shutil.disk_usage(folder)
    except OSError as error:
        why = str(error.strerror or error) + (f" ({error.filename})" if error.filename else "")
        raise StoreError(f"Spark's temporary files cannot be written: {why}; {_ADVICE}") from error
    # Some file systems of networks know no size.
    if disk.total and disk.free < _LEAST:
        raise StoreError(
            f"Spark's temporary files need at least {_LEAST >> 20} MB, and {disk.free >> 20} MB "
            f"are free ({folder.parent}); {_ADVICE}"
        )
    return folder


def _make_folder(root: Path | None) -> Path:
    if root is None:
        root = Path(tempfile.gettempdir(), f"evalmatrix-{os.getuid()}")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        # Whoever has made it could read and replace what lies in it.
        return Path(tempfile.mkdtemp(prefix="evalmatrix-"))
    for left in root.iterdir():
        _sweep(left)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
    file = os.open(folder / f"{_LOCK}.new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # Nobody else finds a lock that is not held.
    (folder / f"{_LOCK}.new").rename(folder / _LOCK)
    _HELD.append(file)
    return folder


def _sweep(folder: Path) -> None:
    """Removes a folder whose process has ended."""
    try:
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # being made, or being removed
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # in use, or nothing that can be locked
        return
    finally:
        os.close(file)
    shutil.rmtree(folder, ignore_errors=True)
