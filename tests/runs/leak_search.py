"""Looks for values of the data in what a run has written: byte for byte, and in what is packed.

A value is looked for as text in several codings and escapings, and a number also as the bytes that
it has in memory. What is compressed, encoded or in tables is unpacked and looked through as well.
"""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import re
import sqlite3
import struct
import tempfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq

from engine.states import codec

_DATA_URI = re.compile(rb"base64,([A-Za-z0-9+/=]{16,})")
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST = 2**26
_DEEPEST = 5


@dataclass(frozen=True)
class Leaks:
    """Values that must be found nowhere.

    Attributes:
        values: texts and whole numbers, long enough to occur by no accident.
    """

    values: tuple[str | int, ...]

    @cached_property
    def _needles(self) -> dict[bytes, str]:
        """What to look for, with the value that it is; texts in small letters."""
        found: dict[bytes, str] = {}
        for value in self.values:
            of = _of_number(value) if isinstance(value, int) else _of_text(value)
            found |= dict.fromkeys(of, str(value))
        return found

    def in_folder(self, folder: Path, *, without: Iterable[str] = ()) -> list[str]:
        """Where the values are in the files of a folder, in their names too.

        `without` are names of folders directly in it that are not looked at.
        """
        found = []
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if name.parts[0] in without:
                continue
            found += self.in_bytes(f"the name of {name}", str(name).encode())
            if path.is_file() and not path.is_symlink():
                found += self.in_bytes(str(name), path.read_bytes())
        return found

    def in_text(self, name: str, text: str) -> list[str]:
        """Where the values are in a text."""
        return self.in_bytes(name, text.encode("utf-8", "surrogatepass"))

    def in_bytes(self, name: str, data: bytes) -> list[str]:
        """Where the values are in the content of a file."""
        found: dict[str, None] = {}
        for place, content in _unpacked(name, data):
            small = content.lower()
            for needle, value in self._needles.items():
                if needle in content or needle in small:
                    found[f"{place}: {value!r}"] = None
        return list(found)


def _of_text(text: str) -> set[bytes]:
    forms = {
        text,
        text.upper(),
        json.dumps(json.dumps(text))[3:-3],
        json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False)[3:-3],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        html.escape(text),
        html.escape(text, quote=False),
        html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
        urllib.parse.quote(text),
        urllib.parse.quote(text, safe=""),
        urllib.parse.quote_plus(text),
        repr(text)[1:-1],
        text.encode("unicode_escape").decode(),
    }
    found = set()
    for form in forms:
        for coding in ("utf-8", "utf-16-le", "utf-16-be"):
            found |= {form.encode(coding), form.encode(coding).lower()}
    found.add(text.encode().hex().encode())
    return found | _in_base64(text.encode())


def _in_base64(data: bytes) -> set[bytes]:
    """The letters that a text has in base64 wherever it stands, for each of the three offsets."""
    found = set()
    for offset, skipped in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(b"\0" * offset + data)
        exact = (offset + len(data)) * 8 // 6
        found.add(coded[skipped:exact])
    return found


def _of_number(number: int) -> set[bytes]:
    texts = {str(number), f"{number:,}", repr(float(number)), f"{float(number):.9e}"}
    found = {form for text in texts for form in _of_text(text)}
    return found | {struct.pack(order, number) for order in ("<q", ">q", "<d", ">d")}


def _unpacked(name: str, data: bytes, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """A file's content, and all that is in it in another form."""
    yield name, data
    if depth == _DEEPEST:
        return
    for kind, parts in (
        ("gzip", _of_gzip(data)),
        ("zip", _of_zip(data)),
        ("zlib", _of_zlib(data)),
        ("png", _of_png(data)),
        ("base64", _of_base64(data)),
        ("sqlite", _of_sqlite(data)),
        ("parquet", _of_parquet(data)),
        ("states", _of_states(data)),
    ):
        for number, part in enumerate(parts):
            yield from _unpacked(f"{name} > {kind} {number}", part, depth + 1)


def _of_gzip(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"\x1f\x8b"):
        yield gzip.decompress(data)


def _of_zip(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for each in archive.infolist():
                yield each.filename.encode()
                yield archive.read(each)


def _of_zlib(data: bytes) -> Iterator[bytes]:
    """Streams that stand anywhere: states have them between other bytes."""
    if data.startswith((b"PAR1", _PNG)):
        return
    for at in _ZLIB.finditer(data):
        stream = zlib.decompressobj()
        try:
            content = stream.decompress(data[at.start() :], _MOST)
        except zlib.error:
            continue
        if stream.eof and content:
            yield content


def _of_png(data: bytes) -> Iterator[bytes]:
    at = len(_PNG)
    while data.startswith(_PNG) and at + 8 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        if kind in (b"zTXt", b"iTXt"):
            packed = content.partition(b"\0")[2]
            for start in range(min(len(packed), 200)):
                try:
                    yield zlib.decompress(packed[start:])
                except zlib.error:
                    continue
        at += 12 + size


def _of_base64(data: bytes) -> Iterator[bytes]:
    for found in _DATA_URI.finditer(data):
        coded = found[1].rstrip(b"=")
        yield base64.b64decode(coded[: len(coded) - (len(coded) % 4 == 1)] + b"===")


def _of_sqlite(data: bytes) -> Iterator[bytes]:
    if not data.startswith(b"SQLite format 3\0"):
        return
    with tempfile.NamedTemporaryFile(suffix=".db") as file:
        file.write(data)
        file.flush()
        with sqlite3.connect(file.name) as base:
            base.text_factory = bytes
            names = base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                for row in base.execute(f'SELECT * FROM "{name.decode()}"'):
                    yield from (cell for cell in row if isinstance(cell, bytes))
                    yield repr([cell for cell in row if not isinstance(cell, bytes)]).encode()


def _of_parquet(data: bytes) -> Iterator[bytes]:
    if not (data.startswith(b"PAR1") and data.endswith(b"PAR1")):
        return
    file = pq.ParquetFile(io.BytesIO(data))
    # Statistics have the least and the greatest value.
    about = file.metadata
    yield repr([about.metadata, about.to_dict()]).encode()
    for column in file.read().columns:
        every = list(_values(column.to_pylist()))
        yield "\n".join(repr(each) for each in every if not isinstance(each, str | bytes)).encode()
        texts = "\n".join(each for each in every if isinstance(each, str))
        yield texts.encode("utf-8", "surrogatepass")
        yield from (each for each in every if isinstance(each, bytes))


def _values(value: object) -> Iterator[object]:
    """All that is not made of parts in a value of nested lists and mappings."""
    if isinstance(value, dict):
        yield from _values(list(value.items()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _values(each)
    elif value is not None:
        yield value


def _of_states(data: bytes) -> Iterator[bytes]:
    """The numbers of a state, which are stored byte by byte of all of them."""
    if data.startswith(codec.MAGIC):
        kind, parameters, arrays = codec.decode(data)
        yield repr([kind, parameters]).encode()
        for array in arrays.values():
            yield array.tobytes()
            yield repr(array.tolist()).encode()
