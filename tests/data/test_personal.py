"""Columns that look personal are told of, others are not, and no value is."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from engine.core.locations import Store
from engine.data.personal import Look, find_personal, look_at
from engine.data.personal_signs import is_personal_name, look_like
from engine.data.source import pin_table
from engine.spark.lazy_session import LazySession

RNG = np.random.default_rng(5)
WHOLE = RNG.integers(0, 10**9, 1_000)


def iban(number: int) -> str:
    """A German IBAN with the right check digits, by ISO 13616."""
    account = f"{number:018d}"
    check = 98 - int(f"{account}131400") % 97
    return f"DE{check:02d}{account}"


def card(number: int) -> str:
    """A number of sixteen digits that begins with 4 and has the right last one, by Luhn."""
    front = f"4{number:014d}"
    total = 0
    for place, sign in enumerate(reversed(front)):
        digit = int(sign) * (2 if place % 2 == 0 else 1)
        total += digit - 9 if digit > 9 else digit
    return f"{front}{-total % 10}"


def nhs(number: int) -> str:
    """A British health service number by its own rule, modulo 11."""
    while True:
        front = f"{number:09d}"
        check = 11 - sum(int(d) * w for d, w in zip(front, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            return f"{front}{check % 11}"
        number += 1


SOME = {
    "e-mail addresses": [f"a.{n}@example.org" for n in range(900)] + ["unknown"] * 100,
    "IBANs": [iban(int(n)) for n in WHOLE],
    "card numbers": [card(int(n)) for n in WHOLE],
    "phone numbers": [f"+49 30 {n:07d}" for n in WHOLE % 10**7],
    "health service numbers (GB)": [nhs(int(n)) for n in WHOLE],
    "social security numbers (US)": [
        f"{100 + n % 500}-{10 + n % 80}-{1000 + n % 8999}" for n in WHOLE
    ],
}


@pytest.mark.parametrize("what", SOME)
def test_values_are_known(what: str) -> None:
    seen = look_like(SOME[what], is_text=True)
    assert seen is not None and seen[0] == what
    assert seen[1] == (0.9 if what.startswith("e-mail") else pytest.approx(1.0, abs=0.05))


def test_a_mail_or_an_iban_in_a_few_texts_is_enough() -> None:
    texts = ["a text of some words, no. 12"] * 97
    assert look_like(texts, is_text=True) is None
    assert look_like([*texts, "write to ada@example.org today"] * 2, is_text=True) == (
        "e-mail addresses", 2 / 196, 196
    )  # fmt: skip
    pays = f"pays by {iban(7)[:4]} {iban(7)[4:]} EVERY MONTH"
    assert look_like([*texts, *[pays] * 9], is_text=True)[0] == "IBANs"  # type: ignore[index]


@pytest.mark.parametrize(
    "values",
    [
        [str(n) for n in range(100_000_000, 100_001_000)],
        [str(n) for n in WHOLE],
        [str(n) for n in RNG.integers(10**15, 10**16, 1_000)],
        [str(n) for n in 1_700_000_000_000 + WHOLE],
        [f"SK{n % 90 + 10}PART{n:09d}AB" for n in WHOLE],
        [f"{n:032x}" for n in WHOLE],
        [f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in WHOLE],
        [f"192.168.{n % 255}.{n % 91}" for n in WHOLE],
        [f"{n}.{n % 100}" for n in WHOLE],
        ["DE", "FR", "US"] * 100,
        ["red @ night", "a@b", "@handle"] * 100,
    ],
)
def test_numbers_times_and_words_are_nobodys(values: list[str]) -> None:
    assert look_like(values, is_text=True) is None
    assert look_like(values, is_text=False) is None


@pytest.mark.parametrize(
    ("name", "personal"),
    [
        ("first_name", True), ("lastName", True), ("E-Mail", True), ("customer_email", True),
        ("date of birth", True), ("IBAN", True), ("phone_2", True), ("name", False),
        ("model_name", False), ("f0", False), ("emailed", False), ("microphone", False),
        ("filename", False), ("ssnake", False), ("addressee_count", False),
    ],
)  # fmt: skip
def test_a_name_is_a_hint(name: str, personal: bool) -> None:
    assert is_personal_name(name) is personal


def test_a_column_is_told_without_its_values() -> None:
    rows = pa.table({"contact": SOME["e-mail addresses"], "n": WHOLE, "none": pa.nulls(1_000)})
    looks = look_at(rows, [*rows.column_names, "birth_date"])
    assert [str(look) for look in looks] == [
        "column `contact`: 90% of 1,000 values look like e-mail addresses; say `sensitive: "
        "[contact]` or `public: [contact]`",
        "column `birth_date` looks personal by its name; say `sensitive: [birth_date]` or "
        "`public: [birth_date]`",
    ]
    assert look_at(pa.table({"card": [int(text) for text in SOME["card numbers"]]}), ["card"])


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = str(tmp_path / "people")
    rows = {"contact": SOME["e-mail addresses"], "account": SOME["IBANs"], "x": WHOLE.astype(float)}
    write_deltalake(path, pa.table(rows))
    write_deltalake(path, pa.table({name: rows[name][:5] for name in rows}), mode="append")
    return path


def test_a_version_is_looked_at_once_and_without_spark(
    tmp_path: Path, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever session other tests have left: none is there, and none may be asked for.
    monkeypatch.setattr("engine.spark.lazy_session.active_session", lambda: None)
    store, session = Store(str(tmp_path / "store")), LazySession()
    source = pin_table(session, table, 0)
    first = find_personal(store, source)
    assert [(look.column, look.values) for look in first.columns] == [
        ("contact", 1_000), ("account", 1_000)
    ]  # fmt: skip
    assert first.is_first
    (kept,) = (tmp_path / "store" / "cache" / "profiles").iterdir()
    assert "@" not in kept.read_text() and "DE" not in kept.read_text()
    again = find_personal(store, source)
    assert again.columns == first.columns and not again.is_first
    assert [look.column for look in first.without(["contact"]).columns] == ["account"]
    kept.write_text('[{"odd": 1}]')
    assert find_personal(store, source).columns == first.columns
    assert find_personal(store, pin_table(session, table, 1)).is_first
    assert session.current is None


def test_what_cannot_be_read_is_no_fault(tmp_path: Path, table: str) -> None:
    source = pin_table(LazySession(), table, 1)
    for file in Path(table).glob("*.parquet"):
        file.unlink()
    assert find_personal(None, source).columns == ()


def test_a_wide_table_is_looked_at_in_time() -> None:
    rows = pa.table({f"c{n}": SOME["IBANs"] if n % 50 == 0 else [f"w{x}" for x in WHOLE]
                     for n in range(200)})  # fmt: skip
    begin = time.perf_counter()
    looks = look_at(rows, rows.column_names)
    assert [look.column for look in looks] == ["c0", "c50", "c100", "c150"]
    assert time.perf_counter() - begin < 10
    assert all(isinstance(look, Look) for look in looks)
