"""What Spark, Delta and Java say of an error, as far as it is about machinery and not about rows.

`[CAST_INVALID_INPUT] The value 'DE12 3456' ...`: what failed on a row often quotes the row. Such an
error is told by its name only. What may be told whole is listed here: conditions and classes whose
texts are about files, columns, queries, versions, space and the network.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from engine.core.disk_errors import Kind, disk_error_of
from engine.core.redaction import redacted_message

MAX_TEXT = 500
WITHHELD = "whose message may quote the data and is withheld"

_SAFE_CONDITION = re.compile(
    r"(?:"
    # Spark's: the query, the catalog, files, the session.
    r"(?:UNRESOLVED|PARSE|AMBIGUOUS|MISSING|UNSUPPORTED|WRONG_NUM_ARGS|DATATYPE_MISMATCH|PATH"
    r"|TABLE_OR_VIEW|SCHEMA_NOT|CATALOG|CANNOT_LOAD|CANNOT_READ_FILE|FAILED_READ_FILE"
    r"|FAILED_RENAME|DATA_SOURCE|UNABLE_TO_INFER|UNDEFINED|ROUTINE_NOT|GROUP_BY|COLUMN_ALREADY"
    r"|INVALID_WHERE|INVALID_IDENTIFIER|INVALID_SCHEMA|INVALID_CONF|INCOMPATIBLE_DATA"
    r"|PACKAGE_NOT|PYTHON_VERSION_MISMATCH|SESSION|UNABLE_TO_ACQUIRE_MEMORY)"
    # Delta's: the table, its log, its versions and what it can do.
    r"|DELTA_(?:TABLE|PATH|MISSING_(?!NOT_NULL)|FILE|LOG|TRUNCATED|STATE|VERSION|TIMESTAMP"
    r"|UNSUPPORTED|FEATURE|SCHEMA|FAILED_(?:TO_MERGE|INFER|MERGE|READ)|METADATA|PROTOCOL|CHANGE"
    r"|CONFIGURE|CONCURRENT|COLUMN|OPERATION|TXN_LOG|NOT_A_DELTA|NO_|MAX_COMMIT"
    r"|CANNOT_(?!EVALUATE)|INVALID_(?:PROTOCOL|SOURCE_VERSION|CDC)|VIOLATE_TABLE_PROPERTY)"
    r")[A-Z0-9_.]*"
)
_OF_JAVA = """
    AccessControlException AccessDeniedException ChecksumException ClassNotFoundException
    ConnectException DirectoryNotEmptyException DiskErrorException FSError
    FileAlreadyExistsException FileNotFoundException FileSystemException IOException
    NoClassDefFoundError NoRouteToHostException NoSuchFieldError NoSuchFileException
    NoSuchMethodError NotDirectoryException OutOfMemoryError SocketTimeoutException
    StackOverflowError UnknownHostException UnsupportedClassVersionError
    UnsupportedFileSystemException
"""
_OF_PYTHON = """
    BlockingIOError BrokenPipeError ConnectionError ConnectionRefusedError ConnectionResetError
    FileExistsError FileNotFoundError ImportError IsADirectoryError MemoryError
    ModuleNotFoundError NotADirectoryError OSError PermissionError TimeoutError
"""
# PySpark's, of the query before any row is read.
_OF_QUERIES = ("AnalysisException", "ParseException")
_SAFE_KINDS = frozenset([*_OF_JAVA.split(), *_OF_PYTHON.split(), *_OF_QUERIES])

_CALLING = "An error occurred while calling"
_CAUSED = "Caused by: "
_STATEMENT = re.compile(
    r"(?:\(?(?P<kind>[\w$]+(?:\.[\w$]+)+|\w+(?:Exception|Error))\)?(?:: ?| |$))?"
    r"(?:\[(?P<condition>[A-Z][A-Z0-9_.]{3,})\] ?)?(?P<text>.*)"
)
# Where Python failed in a worker: the last step and the error's type.
_STEP = re.compile(r'^ +File "(?:.*/)?([\w.<>-]+)", line (\d+), in ', re.MULTILINE)
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last):"
# A table's folders are named by values where it is partitioned: `/country=DE/part-0.parquet`.
_PARTITION = re.compile(r"(/[^/=\s]+)=(?:[^/\n]*(?=/)|[^/\s'\"]+)")


@dataclass(frozen=True, slots=True)
class _Statement:
    """One of the errors that an error's text tells of: its class, its condition, its message."""

    kind: str
    condition: str = ""
    line: str = ""
    says: bool = False

    @property
    def is_safe(self) -> bool:
        if self.condition:
            of_query = self.kind in _OF_QUERIES
            known = _SAFE_CONDITION.fullmatch(self.condition) is not None
            return known or (of_query and not self.condition.startswith("DELTA_"))
        return self.kind in _SAFE_KINDS

    @property
    def name(self) -> str:
        return f"{self.kind} [{self.condition}]" if self.condition else self.kind


def failure_message(error: Exception) -> str:
    """What failed outside evalmatrix in one line; with its way what should not happen."""
    line = "the machinery failed: "
    if isinstance(error, (OSError, MemoryError)) or _is_of(error, "mlflow", "sqlalchemy"):
        text = (str(error).strip().splitlines() or [""])[0][:MAX_TEXT]
        return f"{line}{type(error).__name__}: {text}{_which_disk(error)}"
    if quotes_data(error):
        return f"{line}{first_line(error)}"
    return f"{line}{redacted_message(error)}\n{''.join(traceback.format_tb(error.__traceback__))}"


def _which_disk(error: Exception) -> str:
    """Which disk is full, where the error does not name a file of it."""
    fault = disk_error_of(error)
    if fault is None or fault.kind is not Kind.NO_ROOM or getattr(error, "filename", None):
        return ""
    return "; make room on the store's disk and on that of the temporary files (TMPDIR, or /tmp)"


def quotes_data(error: BaseException) -> bool:
    """Whether an error is of a library that handles rows and quotes them."""
    return _is_of(error, "grpc", "pandas", "py4j", "pyarrow", "pyspark")


def _is_of(error: BaseException, *libraries: str) -> bool:
    return type(error).__module__.partition(".")[0] in libraries


def first_line(error: BaseException) -> str:
    """What an error says in a line, without its Java stack and without values of the data.

    It is the cause below all the others of which the text may be told, with the name of the deepest
    cause where that is another; or that name alone.
    """
    text = str(error).strip()
    if _TRACEBACK in text:
        return _of_python(text)
    every = list(_statements(type(error).__name__, text))
    deepest = next((statement for statement in reversed(every) if statement.says), every[-1])
    safe = [statement for statement in every if statement.is_safe and statement.says]
    if safe:
        told = without_values(safe[-1].line)[:MAX_TEXT]
        return told if deepest is safe[-1] else f"{told} ({deepest.name})"
    return f"{deepest.name}, {WITHHELD}" if deepest.says else deepest.name


def without_values(text: str) -> str:
    """A text without the values by which the folders of a partitioned table are named."""
    return _PARTITION.sub(r"\1=…", text)


def _statements(kind: str, text: str) -> Iterator[_Statement]:
    lines = text.split("\n")
    if lines[0].startswith(_CALLING):
        yield _read(lines[1].removeprefix(": ") if len(lines) > 1 else "", kind)
    else:
        yield _read(lines[0], kind)
    for line in lines:
        if line.startswith(_CAUSED):
            yield _read(line.removeprefix(_CAUSED), kind)


def _read(line: str, kind: str) -> _Statement:
    match = _STATEMENT.fullmatch(line)
    if match is None:
        return _Statement(kind)
    named = (match["kind"] or kind).rpartition(".")[2]
    return _Statement(named, match["condition"] or "", line.strip(), bool(match["text"].strip()))


def _of_python(text: str) -> str:
    """The type of what was raised in a worker's Python, and where."""
    trace = text.rpartition(_TRACEBACK)[2]
    steps = list(_STEP.finditer(trace))
    raised = _RAISED.search(trace, steps[-1].end()) if steps else None
    kind = raised[1].rpartition(".")[2] if raised else "an error"
    place = f" ({steps[-1][1]}:{steps[-1][2]})" if steps else ""
    return f"{kind} in a worker's Python, {WITHHELD}{place}"
