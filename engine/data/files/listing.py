"""The files that a glob matches now, and what tells them apart."""

from __future__ import annotations

import codecs
import glob
import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from engine.core.paths import is_folder, is_there
from engine.errors import DataError
from engine.spark.api import F, spark_errors
from engine.spark.error_messages import first_line
from engine.spark.lazy_session import LazySession
from engine.spark.tables import escape_glob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


FORMATS = ("csv", "parquet")
_PACKED = (".gz", ".bz2", ".deflate", ".snappy", ".lz4", ".zst", ".xz")
_WILD = re.compile(r"[*?\[{]")
_FOLDER = re.compile(r"([^=]+)=(.*)", re.DOTALL)
NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
# A folder of the table is named by it, in which Spark writes a percent sign as three characters.
_ID_NAME = 90


@dataclass(frozen=True, slots=True)
class File:
    """A file: its place, its name as seen from the glob, what identifies its content.

    `content` is the SHA-256 of what is in it; in an object store its length and time. `folders`
    are the columns that the names of `key=value` folders stand for, None for null.
    """

    path: str
    name: str
    content: str
    folders: tuple[tuple[str, str | None], ...] = ()

    def row_id(self, reading: str) -> str:
        """What marks the file's rows: its name, and a digest of it, its content and the reading."""
        about = "\0".join((self.name, self.content, repr(self.folders), reading))
        mark = hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"{_short(self.name)}@{mark}"


def _short(name: str) -> str:
    """A name of ASCII letters only, the end of a long one."""
    text = quote(name, safe=" +,")
    while len(text) > _ID_NAME:
        name = name[1:]
        text = quote("…" + name, safe=" +,")
    return text


def name_of(row_id: str) -> str:
    """The file's name in what marks its rows; of a long one the end."""
    return unquote(row_id.rpartition("@")[0])


def shown_name(name: str, secret: Collection[str]) -> str:
    """A file's name without the values of columns that are nobody's business.

    >>> shown_name("country=DE/a.csv", ["country"])
    'country=…/a.csv'
    """
    parts = name.split("/")
    for place, part in enumerate(parts[:-1]):
        column = part.partition("=")[0]
        if unquote(column) in secret:
            parts[place] = f"{column}=…"
    return "/".join(parts)


def files_text(names: Iterable[str], shown: int = 3) -> str:
    """Names of files in a few words.

    >>> files_text(["a.csv"]), files_text(["b.csv", "a.csv"]), files_text(map(str, range(12)), 2)
    ('the file a.csv', '2 files: a.csv, b.csv', '12 files: 0, 1, ..., 9')
    """
    listed = sorted(names)
    if len(listed) == 1:
        return f"the file {listed[0]}"
    if len(listed) > shown + 1:
        text = f"{', '.join(listed[:shown])}, ..., {listed[-1]}"
    else:
        text = ", ".join(listed)
    return f"{len(listed):,} files: {text}" if listed else "no file"


def find_files(session: LazySession, pattern: str, fmt: str) -> list[File]:
    """The files of a glob, sorted by name.

    Raises:
        DataError: when there are none, or the names of their folders contradict each other.
    """
    if fmt not in FORMATS:
        raise DataError(f"files are {fmt!r}, expected one of {FORMATS}")
    contents = _remote(session.get(), pattern) if "://" in pattern else _local(pattern)
    base = _base(pattern)
    files = []
    for path, content in contents:
        parts = path.split("/")[len(base) :] if path.split("/")[: len(base)] == base else [path]
        files.append(File(path, "/".join(parts), content, _folders(path, parts[:-1])))
    _check_folders(files)
    return files


def _local(pattern: str) -> list[tuple[str, str]]:
    paths = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())
    if not paths and is_there(pattern) and not is_folder(pattern):
        # A file whose own name looks like a pattern.
        paths = [pattern]
    if not paths:
        raise DataError(f"no file matches {pattern!r}, seen from {Path.cwd()}")
    for path in paths:
        if any(unicodedata.category(char) == "Cs" for char in path):
            raise _file_error(path, "a name that is not UTF-8: rename it")
    return [(path, _sha256(path)) for path in paths]


def _remote(spark: SparkSession, pattern: str) -> list[tuple[str, str]]:
    """Files of an object store, identified by length and time, without reading them."""
    try:
        rows = (
            spark.read.format("binaryFile")
            .load(pattern)
            .select("path", "length", F.col("modificationTime").cast("string").alias("time"))
            .orderBy("path")
            .collect()
        )
    except spark_errors() as error:
        raise DataError(f"no file matches {pattern!r} ({first_line(error)})") from error
    if not rows:
        raise DataError(f"no file matches {pattern!r}")
    return [(row.path, f"{row.length} {row.time}") for row in rows]


def _sha256(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _base(pattern: str) -> list[str]:
    """The folders of a pattern before its first wildcard, without `key=value` ones at the end."""
    parts = pattern.split("/")[:-1]
    if not is_there(pattern):
        wild = (number for number, part in enumerate(parts) if _WILD.search(part))
        parts = parts[: next(wild, len(parts))]
    while parts and _FOLDER.fullmatch(parts[-1]):
        parts.pop()
    return parts


def _folders(path: str, parts: Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """The columns that folders of a file are named for, as Spark and pandas write them."""
    values: dict[str, str | None] = {}
    for part in parts:
        if match := _FOLDER.fullmatch(part):
            name, text = unquote(match[1]), unquote(match[2])
            value = None if text == NULL_FOLDER else text
            if values.setdefault(name, value) != value:
                raise _file_error(
                    path, f"two folders for the column {name!r} that contradict each other: move it"
                )
    return tuple(values.items())


def _check_folders(files: Sequence[File]) -> None:
    """Refuses files of which some lie in folders for a column and others do not."""
    first = files[0]
    for file in files:
        ours, theirs = dict(first.folders), dict(file.folders)
        if ours.keys() != theirs.keys():
            name = sorted(ours.keys() ^ theirs.keys())[0]
            inside, outside = (first, file) if name in ours else (file, first)
            raise DataError(
                f"the file {inside.path!r} lies in a folder {name + '=...'!r}, which is read as "
                f"the column {name!r}, and {outside.path!r} does not; expected all files in such "
                "folders, or none"
            )


def check_file(file: File, fmt: str) -> None:
    """Refuses a file that Spark would read as something else, before any file is taken.

    Raises:
        DataError: with what is wrong, and how it is mended.
    """
    path = file.path
    name, wrong = Path(path).name, None
    if fmt == "csv" and escape_glob(at := place(path)) != at:
        wrong = "one of []{}*?\\ in its path, which Spark takes for a pattern: rename it"
    elif "://" in path:
        return
    elif name.startswith(("_", ".")):
        wrong = f"a name that begins with {name[0]!r}, so that Spark passes over it: rename it"
    elif ":" in name:
        wrong = "a colon in its name, which Spark takes for a URI's: rename it"
    elif fmt == "csv" and not is_packed(name) and not _is_text(path):
        wrong = "content that is not UTF-8: convert it, for example by iconv"
    if wrong is not None:
        raise _file_error(path, wrong)


def is_packed(name: str) -> bool:
    return name.endswith(_PACKED)


def _file_error(path: str, wrong: str) -> DataError:
    return DataError(f"the file {path!r} has {wrong}, or let the glob leave it out")


def _is_text(path: str) -> bool:
    """Whether a file is UTF-8; in what is not, Spark replaces characters without a word."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with Path(path).open("rb") as file:
            while part := file.read(2**20):
                decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def place(path: str) -> str:
    """Where a file lies, also for the server of a Spark Connect session, which runs elsewhere."""
    return path if "://" in path else str(Path(path).absolute())
