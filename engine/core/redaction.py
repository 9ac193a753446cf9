"""What may be told of an error that a user's code raised: what stands in that code, and no more.

A model, or a user's metric, can put any value of a row into its message. Of the message only those
parts are told that are text in the code through which the error came: the pieces around the fields
of an f-string, of a template for `%` and of one for `format`. All the rest may be data, and becomes
an ellipsis. The error's type and the place in the code are always told.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, TracebackType

from engine.errors import EvalMatrixError

MAX_MESSAGE = 500
HIDDEN = "…"

# No message is longer that says something, and each place of it is looked at.
_MAX_READ = 20_000
_LETTERS = 3
_MAX_NAME = 100

_FIELD = re.compile(
    r"%(?:\(\w*\))?[-#0 +]*(?:\*|\d+)?(?:\.(?:\*|\d+))?[hlL]?[diouxXeEfFgGcrsa%]"
    r"|\{[^{}]*\}|[{}]|\$\{?\w+\}?"
)
_SPACE = re.compile(r"\s+")
# A word by itself may as well be a value that the code compares with: a class, a country.
_BARE = re.compile(r"[\w'-]*")
_FILE = re.compile(r"[\w.<>+ -]{1,100}")
# What `eval` and `exec` compile may be made of data, and so may its texts.
_COMPILED = "<string>"
_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD = sysconfig.get_path("stdlib")

# Texts of Python and NumPy themselves that no code object has.
_WELL_KNOWN = (
    " can not be used in this context",
    " got an unexpected keyword argument ",
    " has no attribute ",
    " is not callable",
    " is not defined",
    " is not iterable",
    " is not subscriptable",
    " missing 1 required positional argument: ",
    "Connection refused",
    "Connection reset by peer",
    "No module named ",
    "No space left on device",
    "No such file or directory",
    "Permission denied",
    "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()",
    "Too many open files",
    "Unable to allocate ",
    "all the input array dimensions except for the concatenation axis must match exactly",
    "cannot convert float NaN to integer",
    "cannot convert float infinity to integer",
    "cannot import name ",
    "could not broadcast input array from shape ",
    "could not convert string to float: ",
    "division by zero",
    "index out of range",
    "invalid literal for int() with base ",
    "math domain error",
    "maximum recursion depth exceeded",
    "not enough values to unpack ",
    "operands could not be broadcast together with shapes ",
    "setting an array element with a sequence.",
    "timed out",
    "too many values to unpack ",
    "unsupported operand type(s) for ",
)


class Told(Exception):
    """An error of another process; its text says already what may be told, and no more."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """A step of the way that an error came: the code, the line, and the code's module."""

    code: CodeType
    line: int | None
    module: str

    @property
    def is_ours(self) -> bool:
        return self.module.partition(".")[0] == "engine"

    @property
    def is_installed(self) -> bool:
        """Whether the code is a library's, and not the user's own."""
        path = self.code.co_filename
        return bool(_INSTALLED & set(Path(path).parts)) or path.startswith((_STANDARD, "<frozen"))


def redacted_message(error: BaseException) -> str:
    """What may be told of an error, in one line: its type, what its code says, and where.

    The engine's own errors are told as they are: none of them quotes a row or a prediction.

    >>> def check(age):
    ...     raise ValueError(f"expected an age below 150, found {age}")
    >>> try:
    ...     check("Ada Lovelace")
    ... except ValueError as error:
    ...     redacted_message(error).partition(" (")[0]
    'ValueError: expected an age below 150, found …'
    """
    if isinstance(error, Told):
        return str(error)
    frames = list(_frames(error.__traceback__))
    kind = _known_name(type(error))
    message = _message(error)
    if isinstance(error, EvalMatrixError) and all(frame.is_ours for frame in frames):
        return f"{kind}: {_cut(message or '')}"
    place = _place(frames)
    if message == "":
        return f"{kind}{place}"
    safe = None if message is None else _exit_code(error) or _safe(message, error, frames)
    if safe is None:
        return f"{kind}, whose message may quote the data and is withheld{place}"
    return f"{kind}: {_cut(safe)}{place}"


def _frames(trace: TracebackType | None) -> Iterator[_Frame]:
    while trace is not None:
        code, names = trace.tb_frame.f_code, trace.tb_frame.f_globals
        if code.co_filename != _COMPILED:
            yield _Frame(code, trace.tb_lineno, str(names.get("__name__", "")))
        trace = trace.tb_next


def _known_name(kind: type[BaseException]) -> str:
    """The name of a class, or of the first one above it, that a module has under this name.

    A class that was made while the code ran may have a name that was made of data.
    """
    return next(base.__name__ for base in kind.__mro__ if _is_known(base))


def _is_known(kind: type) -> bool:
    try:
        value: object = sys.modules.get(kind.__module__)
        for part in kind.__qualname__.split("."):
            value = getattr(value, part)
    except Exception:  # a module may make its attributes as it likes
        return False
    return value is kind and kind.__name__.isidentifier() and len(kind.__name__) <= _MAX_NAME


def _message(error: BaseException) -> str | None:
    """An error's message in one line; None where it has none to give."""
    try:
        return _SPACE.sub(" ", str(error)[:_MAX_READ]).strip()
    except BaseException:  # its own `__str__` may do anything
        return None


def _exit_code(error: BaseException) -> str | None:
    """The code of a `SystemExit`, where it is one that a process can end with."""
    code = getattr(error, "code", None) if isinstance(error, SystemExit) else None
    return str(int(code)) if isinstance(code, int) and 0 <= code <= 255 else None


def _cut(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}..."


def _place(frames: Iterable[_Frame]) -> str:
    """The file and line of the user's own code that the error came from, in brackets.

    Where no step is the user's own it is the last one.
    """
    every = list(frames)
    theirs = [frame for frame in every if not frame.is_ours] or every
    own = [frame for frame in theirs if not frame.is_installed] or theirs
    if not own:
        return ""
    file = Path(own[-1].code.co_filename).name
    line = "" if own[-1].line is None else f":{own[-1].line}"
    return f" ({file}{line})" if _FILE.fullmatch(file) else ""


def _safe(message: str, error: BaseException, frames: Iterable[_Frame]) -> str | None:
    """The message with an ellipsis for what is no text of the code; None where nothing is left."""
    known = sorted(
        (fragment for fragment in _fragments(error, frames) if fragment in message), key=len
    )
    parts: list[str] = []
    hidden, at = "", 0
    while at < len(message):
        longest = next(
            (fragment for fragment in reversed(known) if _stands(message, fragment, at)), None
        )
        if longest is None:
            hidden += message[at]
            at += 1
            continue
        parts += [_redact(hidden), longest]
        hidden, at = "", at + len(longest)
    return "".join([*parts, _redact(hidden)]).strip() if parts else None


def _stands(message: str, fragment: str, at: int) -> bool:
    """Whether a fragment stands at a place, and is no part of a longer word or number."""
    end = at + len(fragment)
    return (
        message.startswith(fragment, at)
        and not _is_one_word(message[at - 1 : at], fragment[0])
        and not _is_one_word(fragment[-1], message[end : end + 1])
    )


def _is_one_word(left: str, right: str) -> bool:
    return (left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())


def _redact(text: str) -> str:
    """What is not told of a message; a bracket or a comma between two parts stays."""
    plain = len(text) <= 2 and text.isascii() and not any(map(str.isalnum, text))
    return text if plain else HIDDEN


def _fragments(error: BaseException, frames: Iterable[_Frame]) -> Iterator[str]:
    """The pieces of text that the code has from which the error's message was made."""
    codes = {frame.code for frame in frames}
    for kind in type(error).__mro__:
        makers = (vars(kind).get(name) for name in ("__init__", "__str__"))
        codes |= {code for maker in makers if isinstance(code := _code_of(maker), CodeType)}
    texts = {text for code in codes for text in _texts(code)}
    for text in [*texts, *_WELL_KNOWN]:
        for piece in (text, *_FIELD.split(text)):
            flat = _SPACE.sub(" ", piece)
            yield from {part for part in (flat, flat.strip()) if _says_something(part)}


def _code_of(maker: object) -> object:
    return getattr(maker, "__code__", None)


def _texts(code: CodeType) -> Iterator[str]:
    """The texts in a code object, and in those of the functions inside it.

    Those in a tuple are left out: they are values that the code looks for.
    """
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _texts(constant)


def _says_something(piece: str) -> bool:
    return sum(map(str.isalpha, piece)) >= _LETTERS and not _BARE.fullmatch(piece)
