"""The columns of a dataset of files, from what is known of each: their order, what is lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.files.decision import (
    common_type,
    decide,
    mark_columns,
    zero_columns,
)
from engine.data.files.facts import Facts
from engine.data.files.listing import File
from engine.data.files.reading import PLAIN, Reading
from engine.data.files.values import Seen
from engine.errors import DataError

SEEN = st.sampled_from([*Seen])


def csv(name: str, rows: int = 4, folders: tuple[tuple[str, str | None], ...] = (), **seen: int):
    return {File(name, name, name, folders): Facts(rows, seen=tuple(seen.items()))}


def parquet(name: str, wide: tuple[str, ...] = (), **types: str):
    return {File(name, name, name): Facts(4, types=tuple(types.items()), wide=wide)}


@given(st.lists(SEEN, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(seen: list[Seen], random) -> None:
    files = [csv(f"{place}.csv", x=bits) for place, bits in enumerate(seen)]
    shuffled = random.sample(files, len(files))
    outcomes: list[object] = []
    for order in (files, shuffled):
        try:
            known = {file: facts for each in order for file, facts in each.items()}
            outcomes.append(decide(known, "csv", PLAIN))
        except DataError:
            outcomes.append("refused")
    assert outcomes[0] == outcomes[1]


def test_a_type_in_one_file_and_text_in_another_is_refused_with_both() -> None:
    known = csv("a.csv", x=Seen.INT) | csv("b.csv", x=Seen.TEXT)
    with pytest.raises(DataError, match=r"'b.csv': the column 'x' is string, and in 'a.csv' it is"):
        decide(known, "csv", PLAIN)
    assert decide(known, "csv", Reading({"x": "string"})) == (("x", "string"),)
    within = csv("a.csv", x=Seen.INT | Seen.TEXT) | csv("b.csv", x=Seen.TEXT)
    assert decide(within, "csv", PLAIN) == (("x", "string"),)


def test_a_later_file_with_a_leading_zero_makes_the_column_text() -> None:
    one, two = csv("a.csv", zip=Seen.INT), csv("b.csv", zip=Seen.INT | Seen.ZEROS)
    assert decide(one, "csv", PLAIN) == (("zip", "int"),)
    assert decide(one | two, "csv", PLAIN) == (("zip", "string"),)
    assert zero_columns(one | two, (("zip", "string"),)) == {"zip"}


def test_what_the_suite_says_comes_before_what_models_want_and_that_before_a_guess() -> None:
    known = csv("a.csv", zip=Seen.INT | Seen.ZEROS, x=Seen.INT)
    wanted = Reading(wanted={"x": "string", "zip": "string"})
    assert dict(decide(known, "csv", wanted)) == {"zip": "string", "x": "string"}
    said = Reading({"zip": "bigint", "x": "double"}, wanted={"x": "string", "zip": "string"})
    assert dict(decide(known, "csv", said)) == {"zip": "bigint", "x": "double"}
    with pytest.raises(DataError, match=r"'a.csv': the column 'zip'.*signature wants it as long"):
        decide(known, "csv", Reading(wanted={"zip": "long"}))


@pytest.mark.parametrize(
    ("seen", "kind", "words"),
    [
        (Seen.TEXT, "double", "has texts, and `columns` says double"),
        (Seen.LONG, "int", "has whole numbers beyond 32 bits"),
        (Seen.INT | Seen.MARK, "int", "`null_values`"),
        (Seen.TIMESTAMP, "date", "has times"),
    ],
)
def test_a_type_that_does_not_fit_is_refused_with_file_and_column(
    seen: Seen, kind: str, words: str
) -> None:
    known = csv("good.csv", x=0) | csv("bad.csv", x=seen)
    with pytest.raises(DataError) as refused:
        decide(known, "csv", Reading({"x": kind}))
    assert words in str(refused.value) and "'bad.csv': the column 'x'" in str(refused.value)


def test_a_type_for_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match=r"'zpi'.*did you mean 'zip'"):
        decide(csv("a.csv", zip=Seen.INT), "csv", Reading({"zpi": "string"}))


def test_marks_are_of_columns_that_would_have_a_type() -> None:
    known = csv("a.csv", x=Seen.DOUBLE | Seen.MARK, country=Seen.TEXT | Seen.MARK)
    schema = decide(known, "csv", PLAIN)
    assert schema == (("x", "string"), ("country", "string"))
    assert mark_columns(known, schema) == {"x": "double"}


def test_folders_are_columns_and_a_null_folder_has_no_type() -> None:
    known = csv("p=01067/a.csv", folders=(("p", "01067"),), x=Seen.INT)
    known |= csv("p=__N__/a.csv", folders=(("p", None),), x=Seen.INT)
    assert decide(known, "csv", PLAIN) == (("x", "int"), ("p", "string"))


def test_files_of_other_columns_are_refused() -> None:
    with pytest.raises(DataError, match=r"missing \['x'\], unexpected \['y'\]"):
        decide(csv("a.csv", x=Seen.INT) | csv("b.csv", y=Seen.INT), "csv", PLAIN)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("int", "bigint", "bigint"),
        ("tinyint", "float", "float"),
        ("int", "float", "double"),
        ("bigint", "double", "double"),
        ("void", "array<int>", "array<int>"),
        ("decimal(10,2)", "decimal(12,4)", "decimal(12,4)"),
        ("decimal(38,0)", "decimal(38,2)", None),
        ("bigint", "decimal(20,0)", "decimal(20,0)"),
        ("bigint", "string", None),
        ("timestamp", "timestamp_ntz", None),
        ("boolean", "int", None),
    ],
)
def test_two_types_of_parquet(one: str, other: str, both: str | None) -> None:
    assert common_type(one, other) == common_type(other, one) == both


def test_whole_numbers_that_no_double_holds_are_refused_beside_doubles() -> None:
    small, large = parquet("a.parquet", x="bigint"), parquet("b.parquet", ("x",), x="bigint")
    numbers = parquet("c.parquet", x="double")
    assert decide(small | numbers, "parquet", PLAIN) == (("x", "double"),)
    for order in itertools.permutations([small, large, numbers]):
        known = {file: facts for each in order for file, facts in each.items()}
        with pytest.raises(DataError, match=r"is double, and in 'b.parquet' it is bigint"):
            decide(known, "parquet", PLAIN)
