"""What is wrong with a disk or a file, as far as an error of Spark, delta-rs or the system says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

# Paths in Java's words: `file:/a b/part-0.parquet`, `file:///a/part-0.parquet`, `s3a://b/p.parquet`.
_FILE = re.compile(r"(?:file:(?://)?(?=/)|(?=\w+://))(\S[^\n]*?\.(?:parquet|json|crc|bin))")
# In delta-rs' words: `Object at location /a/p.parquet not found`, `metadata for file a/p.parquet`.
_NAMED = re.compile(r"(?:location|file) /?(\S[^\n:]*?\.(?:parquet|json))")


class Kind(StrEnum):
    """What can happen to files while a run goes on."""

    GONE = "gone"
    DAMAGED = "damaged"
    NO_ROOM = "no room"
    READ_ONLY = "read-only"


# In this order: a file that cannot be written is no damaged one.
_SIGNS: Mapping[Kind, re.Pattern[str]] = {
    Kind.NO_ROOM: re.compile(
        "No space left on device|Disk quota exceeded|database or disk is full|not enough space"
    ),
    Kind.READ_ONLY: re.compile("Read-only file system|readonly database|Permission denied"),
    Kind.GONE: re.compile(
        r"FileNotFoundException|FILE_NOT_EXIST|DELTA_FILE_NOT_FOUND|NoSuchFileException|"
        r"does not exist.*\.parquet|\.parquet does not exist|Object at location .* not found"
    ),
    Kind.DAMAGED: re.compile(
        "ChecksumException|is not a Parquet file|CANNOT_READ_FILE_FOOTER|Could not read footer|"
        "ParquetDecodingException|could not read page|could not decode|ParquetCrypto|"
        r"\b[Cc]orrupt(?:ed)?\b|Requested range was invalid|Json error|"
        "JsonParseException|JsonEOFException|MismatchedInputException|FAILED_READ_FILE|"
        "Unexpected end-of-input|EOFException|DELTA_LOG_FILE_NOT_FOUND|DELTA_TRUNCATED"
    ),
}


@dataclass(frozen=True, slots=True)
class DiskError:
    """What happened, and to which file where that is told."""

    kind: Kind
    file: str | None = None

    def __str__(self) -> str:
        words = {
            Kind.GONE: "a file is gone",
            Kind.DAMAGED: "a file is damaged",
            Kind.NO_ROOM: "No space left on device",
            Kind.READ_ONLY: "Read-only file system, or permission denied",
        }
        return words[self.kind] + (f" ({self.file})" if self.file else "")


def _file_of(text: str) -> str | None:
    if file := _FILE.search(text):
        return file[1]
    named = _NAMED.search(text)
    return f"/{named[1]}" if named else None


def disk_error_of(error: BaseException | None) -> DiskError | None:
    """What an error says of disks and files; None where it is of something else."""
    lines = [] if error is None else f"{type(error).__name__}: {error}".splitlines()
    # Names of Java's classes stand in its stacks, whatever went wrong.
    text = "\n".join(line for line in lines if not line.lstrip().startswith("at "))
    for kind, sign in _SIGNS.items():
        if sign.search(text):
            return DiskError(kind, _file_of(text))
    return None
