"""An experiment's README: what stands between two marks is rewritten, all else kept byte for byte.

A mark stands alone on its line.
"""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import InputError

BEGIN = "<!-- begin: evalmatrix experiment -->"
END = "<!-- end: evalmatrix experiment -->"

_MARK = re.compile(
    b"^[ \t]*(?:(?P<begin>" + BEGIN.encode() + b")|" + END.encode() + b")[ \t]*\r?$", re.MULTILINE
)


def check_readme(path: Path) -> None:
    """Refuses a README whose marks are no pair.

    Raises:
        InputError: with the lines; or when the file cannot be read.
    """
    _block(path, _read(path))


def rewrite_readme(path: Path, title: str, question: str, block: str) -> None:
    """Puts a block between the marks.

    Where there is no README, one is begun with the question; where it has no marks, they are added
    at its end.

    Args:
        path: the README.
        title: of a new one.
        question: in a new one.
        block: Markdown, without marks.

    Raises:
        InputError: when its marks are no pair.
    """
    data = _read(path)
    if data is None:
        data = f"# {title}\n\n{question.strip()}\n\n{BEGIN}\n{END}\n".encode()
    ends = b"\r\n" if b"\r\n" in data else b"\n"
    span = _block(path, data)
    if span is None:
        gap = b"" if not data else ends if data.endswith(b"\n") else ends + ends
        data += gap + BEGIN.encode() + ends + END.encode() + ends
        span = _block(path, data)
    assert span is not None, "the marks are there by now"
    text = f"\n{block.strip()}\n".replace("\n", ends.decode()).encode()
    begin, end = span
    path.write_bytes(data[:begin] + text + data[end:])


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from error


def _block(path: Path, data: bytes | None) -> tuple[int, int] | None:
    """Where what lies between the marks begins and ends; None without marks.

    It begins behind the first mark's words, and ends where the line of the second begins.
    """
    marks = list(_MARK.finditer(data or b""))
    if not marks:
        return None
    kinds = [mark["begin"] is not None for mark in marks]
    if kinds != [True, False]:
        assert data is not None, "it has marks"
        numbers = [data[: mark.start()].count(b"\n") + 1 for mark in marks]
        lines = ", ".join(
            f"{'begin' if kind else 'end'} on line {number}"
            for kind, number in zip(kinds, numbers, strict=True)
        )
        raise InputError(
            f"{str(path)!r} has the marks {lines}; expected none, or one {BEGIN} and after it "
            f"one {END}"
        )
    first, last = marks
    return first.end() - first[0].endswith(b"\r"), last.start()
