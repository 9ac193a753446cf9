"""The predicate of a slice, from the texts that results have of it."""

from __future__ import annotations

import pytest

from engine.planning.slice_predicates import slice_predicate

TYPES = {
    "country": "string", "age": "double", "n": "int", "vip": "boolean", "odd `name`": "bigint",
    "amount": "decimal(10,2)",
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "predicate"),
    [
        ({"country": "DE"}, "country = 'DE'"),
        ({"country": "it's \\ so"}, "country = 'it\\'s \\\\ so'"),
        ({"country": "[1, 2)"}, "country = '[1, 2)'"),
        ({"country": None}, "country IS NULL"),
        ({"age": None}, "(age IS NULL OR isnan(age))"),
        ({"age": "< 30"}, "age < 30"),
        ({"age": ">= 30.5"}, "age >= 30.5 AND NOT isnan(age)"),
        ({"age": "[-1e-07, 30)"}, "age >= -1e-07 AND age < 30"),
        ({"age": "NaN"}, "isnan(age)"),
        ({"n": "5", "vip": "true"}, "n = 5 AND vip = true"),
        ({"n": ">= 5"}, "n >= 5"),
        ({"odd `name`": "7"}, "`odd ``name``` = 7"),
        ({"amount": "[1, 2.5)"}, "amount >= 1 AND amount < 2.5"),
    ],
)
def test_predicates(values: dict[str, str | None], predicate: str) -> None:
    assert slice_predicate(values, TYPES) == predicate
