"""The search for values finds them in every kind of file that a run writes, and nothing else."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import html
import io
import json
import sqlite3
import struct
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.states import codec

TEXT = 'CANARY-5f0e77 "Zoë" <b>&\'\\'
NUMBER = 7041776193


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def zipped(text: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.txt", f"of a row: {text}")
    return sink.getvalue()


def database(folder: Path) -> bytes:
    path = folder / "made.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE tags (key TEXT, value TEXT)")
        base.execute("INSERT INTO tags VALUES ('reason', ?)", (TEXT,))
    base.close()
    return path.read_bytes()


def picture(text: str) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    words = b"Title\0\0" + zlib.compress(text.encode())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"zTXt", words) + chunk(b"IEND", b"")


def page(text: str) -> bytes:
    inside = base64.b64encode(picture(text)).decode()
    return f'<img src="data:image/png;base64,{inside}">'.encode()


def of_bytes(make: Callable[[], bytes]) -> Callable[[Path], bytes]:
    return lambda folder: make()


PLANTED: dict[str, Callable[[Path], bytes]] = {
    "text": of_bytes(lambda: f"a log of {TEXT}".encode()),
    "capitals": of_bytes(lambda: TEXT.upper().encode()),
    "utf-16": of_bytes(lambda: TEXT.encode("utf-16")),
    "json": of_bytes(lambda: json.dumps({"reason": TEXT}).encode()),
    "json in letters": of_bytes(lambda: json.dumps({"reason": TEXT}, ensure_ascii=False).encode()),
    "json in json": of_bytes(lambda: json.dumps(json.dumps(TEXT)).encode()),
    "html": of_bytes(lambda: html.escape(TEXT).encode()),
    "url": of_bytes(lambda: urllib.parse.quote(TEXT).encode()),
    "query": of_bytes(lambda: urllib.parse.urlencode({"name": TEXT}).encode()),
    "repr": of_bytes(lambda: repr([TEXT]).encode()),
    "hex": of_bytes(lambda: TEXT.encode().hex().encode()),
    "base64": of_bytes(lambda: base64.b64encode(f"of {TEXT}".encode())),
    "gzip": of_bytes(lambda: gzip.compress(TEXT.encode())),
    "zip": of_bytes(lambda: zipped(TEXT)),
    "zlib": of_bytes(lambda: b"EMS9 before " + zlib.compress(TEXT.encode() * 9) + b" after"),
    "parquet": of_bytes(lambda: parquet(name=["other", TEXT])),
    "parquet's statistics": of_bytes(lambda: parquet(name=["a", TEXT])),
    "nested parquet": of_bytes(lambda: parquet(add=[{"stats": json.dumps({"min": TEXT})}])),
    "a payload": of_bytes(lambda: parquet(payload=[gzip.compress(TEXT.encode())])),
    "sqlite": database,
    "png": of_bytes(lambda: picture(TEXT)),
    "png in html": of_bytes(lambda: page(TEXT)),
    "a number": of_bytes(lambda: f"the salary {NUMBER} is".encode()),
    "a number with commas": of_bytes(lambda: f"{NUMBER:,}".encode()),
    "a float": of_bytes(lambda: repr(float(NUMBER)).encode()),
    "a power": of_bytes(lambda: f"{NUMBER:.9e}".encode()),
    "a number's bytes": of_bytes(lambda: np.array([1.0, NUMBER]).tobytes()),
    "a column of numbers": of_bytes(lambda: parquet(salary=[1, NUMBER])),
    "a state": of_bytes(
        lambda: codec.encode("sums", {}, {"sums": np.linspace(NUMBER, 1, 1000)})
    ),
    "a state in a table": of_bytes(
        lambda: parquet(payload=[codec.encode("sums", {}, {"sums": np.full(9, float(NUMBER))})])
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_a_value_is_found_wherever_it_is(
    leaks: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "store" / "reports").mkdir(parents=True)
    path = tmp_path / "store" / "reports" / "file"
    path.write_bytes(PLANTED[kind](tmp_path))
    found = leaks(TEXT, NUMBER).in_folder(tmp_path / "store")
    assert found and all(each.startswith("reports/file") for each in found)
    assert leaks(TEXT, NUMBER).in_folder(tmp_path / "store", without=["reports"]) == []
    # What is looked for is found, and not the kind of file.
    assert leaks("CANARY-77e0f5", NUMBER + 7).in_folder(tmp_path / "store") == []


def test_a_value_in_the_name_of_a_file_is_found(leaks: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "name=CANARY-5f0e77").mkdir()
    (found,) = leaks("CANARY-5f0e77").in_folder(tmp_path)
    assert found.startswith("the name of name=CANARY-5f0e77")


def test_a_value_in_an_output_is_found(leaks: Callable[..., Any]) -> None:
    assert leaks("CANARY-1").in_text("stderr", "a\nCANARY-1\n") == ["stderr: 'CANARY-1'"]
    assert leaks("CANARY-1").in_text("stderr", f"at {dt.date(2026, 1, 1)}") == []
