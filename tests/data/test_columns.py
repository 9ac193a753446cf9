"""What rows can be sliced by, and the hint at a column that is nearly there."""

from __future__ import annotations

import pytest

from engine.data.columns import is_compound, near_column

NO_SLICES = [
    "array<int>", "map<string,int>", "struct<a:int>", "variant", "vector", "matrix",
    "interval day to second", "interval year", "geometry(4326)",
]  # fmt: skip


@pytest.mark.parametrize("kind", NO_SLICES)
def test_no_slices_by_values_with_parts(kind: str) -> None:
    assert is_compound(kind)


@pytest.mark.parametrize("kind", ["int", "string collate utf8_lcase", "date", "decimal(3,1)"])
def test_slices_by_plain_values(kind: str) -> None:
    assert not is_compound(kind)


def test_hints_at_blanks_and_capitals() -> None:
    assert "' x': mind the blanks" in near_column("x", ["y", " x"])
    assert "'ID': mind the capitals" in near_column("id", ["idx", "ID"])
    assert near_column("amount", ["amounts"]) == " (nearest: 'amounts')"
    assert near_column("amount", ["zip"]) == ""
