"""What is told of values that cannot be read has none of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from engine.pieces.expressions import evaluate
from engine.pieces.functions import describe_error
from engine.pieces.opening import UnreadableError
from engine.pieces.predicates import parse_predicate
from engine.pieces.reading import ReadColumn, _to_type

VALUE = 7_041_776_193


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("CAST(salary AS INT) > 3", "a number that its type has not"),
        ("salary * salary * salary > 3", "a number that its type has not"),
        ("salary % (salary - salary) = 1", "a remainder of a division by zero"),
        ("CAST(share AS INT) > 3", "a number that int32 has not"),
    ],
)
def test_of_values_of_a_predicate(where: str, told: str) -> None:
    batch = pa.record_batch({"salary": [VALUE], "share": [float(VALUE)]})
    types = dict(zip(batch.schema.names, batch.schema.types, strict=True))
    with pytest.raises(pa.ArrowException) as caught:
        evaluate(parse_predicate(where, types), batch)
    assert told in describe_error(caught.value)
    assert str(VALUE) not in describe_error(caught.value)


def test_of_values_that_a_tables_type_has_not() -> None:
    with pytest.raises(UnreadableError, match="values in a file that int32 has not") as caught:
        _to_type(pa.array([VALUE]), ReadColumn("salary", "salary", pa.int32()))
    assert str(VALUE) not in str(caught.value)
