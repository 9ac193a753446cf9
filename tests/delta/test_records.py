"""Rows as Python's own values, and a look at a table that does not wait for pandas."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from engine.delta.filters import matching_rows
from engine.delta.records import records

MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1))


@given(st.lists(st.tuples(st.one_of(st.none(), MOMENTS), st.text(max_size=3)), max_size=5))
def test_they_are_those_of_arrow(rows: list[tuple[dt.datetime | None, str]]) -> None:
    times = [moment for moment, _ in rows]
    table = pa.table(
        {
            "naive": pa.array(times, pa.timestamp("us")),
            "zoned": pa.array(times, pa.timestamp("us", "UTC")),
            "map": pa.array([[(text, 1)] for _, text in rows], pa.map_(pa.string(), pa.int64())),
            "text": pa.array([text for _, text in rows], pa.string()),
        }
    )
    assert records(table) == table.to_pylist(maps_as_pydicts="strict")


@given(st.lists(st.text(max_size=4), max_size=6), st.text(max_size=4))
def test_texts_and_numbers_are_compared_as_arrow_compares_them(
    texts: list[str], wanted: str
) -> None:
    for kind in (pa.string(), pa.large_string()):
        table = pa.table(
            {"text": pa.array(texts, kind), "n": pa.array(range(len(texts)), pa.int64())}
        )
        equal = matching_rows(table, [("text", "=", wanted)])["text"].to_pylist()
        assert equal == [text for text in texts if text == wanted]
        among = matching_rows(table, [("text", "in", [wanted, "a"]), ("n", ">=", 1)])
        assert among["n"].to_pylist() == [
            n for n, text in enumerate(texts) if text in (wanted, "a") and n >= 1
        ]


def test_a_look_at_a_table_imports_no_pandas(tmp_path: Path) -> None:
    at = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
    table = pa.table({"run_id": ["a", "b"], "at": pa.array([at, at]), "n": [1, 2]})
    write_deltalake(str(tmp_path / "t"), table)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from engine.delta.local_table import LocalTable\n"
        "from engine.delta.records import records\n"
        "where = [('run_id', 'in', ['a']), ('n', '=', 1)]\n"
        f"rows = records(LocalTable(Path({str(tmp_path / 't')!r})).rows(None, where))\n"
        "assert rows[0]['run_id'] == 'a' and rows[0]['at'].year == 2026, rows\n"
        "print('pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
