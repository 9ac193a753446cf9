"""Keys that are forgotten: how they are written, and where they are taken out."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

import engine
from engine.core.locations import Store
from engine.delta.local_table import LocalTable
from engine.errors import InputError
from engine.spark.lazy_session import LazySession
from engine.store.answers import Answer
from engine.store.forgetting import (
    erase_histories,
    forget_answers,
    forget_cached,
    forget_cells,
    forget_predictions,
    mask_files,
)
from engine.store.row_keys import read_keys
from engine.store.tables import StoreTables

LONG = "a long key, " * 30


@pytest.mark.parametrize(
    ("key", "kept", "same"),
    [
        ("id=7", '{"id":7}', True),
        ("id=7", '{"id":"7"}', True),
        ("7", '{"id":7}', True),
        ("7", '{"id":7,"day":7}', False),
        ("id=1.5", '{"id":1.50}', False),
        ("id=7, day=2", '{"id":7,"day":"2"}', True),
        ('{"id": "a=b, c"}', '{"id":"a=b, c"}', True),
        ("other=7", '{"id":7}', False),
    ],
)
def test_a_key_is_that_of_a_row(key: str, kept: str, same: bool) -> None:
    (read,) = read_keys([key])
    assert read.is_row(kept) is same


@pytest.mark.parametrize(
    ("key", "shown", "same"),
    [
        ("id=7", "7", True),
        ("id=7", "77", False),
        ("id=7,day=2", '{"id":7,"day":"2"}', True),
        ("id=7,day=2", '{"id":7,"day":"3"}', False),
        (json.dumps({"id": LONG}), LONG[:200], True),
        (json.dumps({"id": LONG, "day": 2}), json.dumps({"id": LONG})[:200], False),
        (json.dumps({"id": LONG, "day": 2}), f'{{"id":"{LONG}'[:200], True),
        ("id=7,day=2", "no JSON", False),
    ],
)
def test_a_key_is_that_of_a_bad_row_that_is_shown(key: str, shown: str, same: bool) -> None:
    (read,) = read_keys([key])
    assert read.is_shown(shown) is same


@pytest.mark.parametrize("keys", [[], [""], ["{no"], ["=7"], ["a=1,b"]])
def test_what_is_no_key_is_refused(keys: list[str]) -> None:
    with pytest.raises(InputError):
        read_keys(keys)


def test_a_list_of_keys_loses_those_alone(tmp_path: Path) -> None:
    table = StoreTables(Store(str(tmp_path)), LazySession())["results"]
    told = "recorded without a condition: keys "
    reasons = [
        f"{told}3, 7, a, b; 3 of 1,000", f"{told}7", f"{told}77, 17", "recorded",
        "0.7 is below 7", f'{told}{{"id":7,"day":"x, y"}}, {{"id":8,"day":"x, y"}}',
    ]  # fmt: skip
    rows = pa.table({"run_id": ["r"] * 6, "test": list("abcdef"), "reason": reasons})
    table.append_once(rows, token="r")
    keys = read_keys(["id=7", "a, b", '{"id": 7, "day": "x, y"}'])
    assert forget_cells(table, keys) == {"r": 3}
    gone = "(forgotten)"
    after = {row["test"]: row["reason"] for row in table.rows().to_pylist()}
    assert [after[test] for test in "abcdef"] == [
        f"{told}3, {gone}, {gone}; 3 of 1,000", f"{told}{gone}", *reasons[2:5],
        f'{told}{gone}, {{"id":8,"day":"x, y"}}',
    ]  # fmt: skip
    assert forget_cells(table, keys) == {}


def test_answers_keep_their_numbers(tmp_path: Path) -> None:
    table = StoreTables(Store(str(tmp_path)), LazySession())["states"]
    shown = Answer({"[]": {"n": 9.0}}, None, {"[]": {"keys": '["3", "7"]', "other": "7"}})
    payloads = [shown.encode(), Answer({"[]": {"n": 7.0}}).encode(), b"no answer"]
    schema = pa.schema([("run_id", pa.string()), ("family", pa.string()), ("payload", pa.binary())])
    values = {"run_id": ["r", "r", "s"], "family": ["answer"] * 3, "payload": payloads}
    table.append_once(pa.table(values, schema=schema), token="s")
    assert forget_answers(table, read_keys(["id=7"])) == 1
    after = table.rows(["payload"])["payload"].to_pylist()
    assert len(after) == 3 and set(payloads[1:]) < set(after)
    (changed,) = set(after) - set(payloads)
    assert Answer.decode(changed).texts == {"[]": {"keys": '["3", "(forgotten)"]', "other": "7"}}
    assert Answer.decode(changed).slices == shown.slices


def test_the_log_of_a_table_tells_no_key_either(tmp_path: Path) -> None:
    tables = StoreTables(Store(str(tmp_path)), LazySession())
    table = tables["predictions"]
    first = pa.table({"key": ['{"id":"AA CANARY"}', '{"id":"b"}']})
    table.append_once(first, token="first")
    table.append_once(pa.table({"key": ['{"id":"c"}']}), token="second")
    assert forget_predictions(table, read_keys(["id=AA CANARY"])) == 1
    held = [file.name for file in tmp_path.rglob("*.json") if b"CANARY" in file.read_bytes()]
    assert held == [f"{0:020d}.json"], "the least key of a file that is gone"
    assert erase_histories(tables) == []
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(b"CANARY" in file.read_bytes() for file in files)
    # What was written once is still known, and so are the rows.
    table.append_once(first, token="first")
    table.append_once(pa.table({"key": ['{"id":"d"}']}), token="third")
    kept = ['{"id":"b"}', '{"id":"c"}', '{"id":"d"}']
    assert sorted(table.rows()["key"].to_pylist()) == kept
    LocalTable(table.path).erase_history()
    assert sorted(table.rows()["key"].to_pylist()) == kept


def test_logs_are_written_over_in_their_places(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    before = 'id=7 "id": "7" n=7 17 x7 ada@example.org xada@example.org ada@example.organ\n'
    log.write_text(before)
    count, failed = mask_files([log, tmp_path / "none.log"], read_keys(["id=7", "ada@example.org"]))
    assert (count, failed) == (3, [tmp_path / "none.log"])
    assert log.read_text() == (
        'id=* "id": "*" n=7 17 x7 *************** xada@example.org ada@example.organ\n'
    )


def test_cached_files_that_have_a_value_are_removed(tmp_path: Path) -> None:
    model = tmp_path / "models" / "m"
    for folder in (tmp_path / "profiles", model):
        folder.mkdir(parents=True)
        for name, held in {"a": {"values": ["x", "key one"]}, "b": [1, 7.5], "c": {"7": 1}}.items():
            (folder / f"{name}.json").write_text(json.dumps(held))
    assert forget_cached(tmp_path, read_keys(["id=key one", "7"])) == 2
    assert [file.name for file in (tmp_path / "profiles").iterdir()] == ["b.json"]
    assert len(list(model.iterdir())) == 3, "a model is as it was logged"


def test_a_store_that_keeps_nothing_has_nothing_to_forget(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no predictions, results or states are kept"):
        engine.forget(["id=1"], store=str(tmp_path))
