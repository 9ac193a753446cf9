"""What errors of others' code say, as a table can hold it."""

from __future__ import annotations

from types import ModuleType

import pyarrow as pa

from engine.errors import message_of


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_message_is_one_line_of_characters_that_a_table_takes(nasty: ModuleType) -> None:
    for text in [*nasty.CURATED, *nasty.HUGE, *nasty.SURROGATES]:
        said = message_of(ValueError(text))
        assert len(said) <= 503 and said == " ".join(said.split())
        assert pa.array([said], pa.string()).to_pylist() == [said]
    assert message_of(ValueError("a\r\n  b")) == "a b"
    assert message_of(ValueError("half \ud800")) == r"half \ud800"
    assert message_of(ValueError("x" * 600)) == "x" * 500 + "..."
    assert message_of(Mute()) == "(its message cannot be had)"
