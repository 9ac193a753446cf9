from __future__ import annotations

import pytest

from engine.core.labels import in_order, match_labels, of_one_type


@pytest.mark.parametrize(
    ("labels", "classes", "places", "by_text"),
    [
        ((0, 1), (0, 1), (0, 1), False),
        ((1, 0), (0, 1), (1, 0), False),
        ((True,), (0, 1), (1,), False),
        (("0", "1"), (0, 1), (0, 1), True),
        ((0, 1), ("1", "0"), (1, 0), True),
        ((True, False), ("False", "True"), (1, 0), True),
        (("False", "True"), (0, 1), (0, 1), True),
        (("true",), (False, True), (1,), True),
        (("1.0", "2"), (1, 2), (0, 1), True),
        # Two ways are none.
        (("01", "1"), (1, 2), None, False),
        ((1,), ("1", "01"), None, False),
        (("1", "True"), (0, 1), None, False),
        # What is the same goes before what may be meant as the same.
        (("1",), ("1", 1), (0,), False),
        (("wolf",), (0, 1), None, False),
        (("nan",), (0, 1), None, False),
        (("1e0",), (0, 1), None, False),
        ((), (0, 1), (), False),
    ],
)
def test_labels_are_matched_where_there_is_one_way(labels, classes, places, by_text):
    assert match_labels(labels, classes) == (places, by_text)


def test_texts_of_numbers_are_sorted_as_numbers():
    assert in_order(["10", "9", "1"]) == ["1", "9", "10"]
    assert in_order(["-1", "2", "-10.5"]) == ["-10.5", "-1", "2"]
    assert in_order(["10", "9", "b"]) == ["10", "9", "b"]
    assert in_order([3, 1, 2]) == [1, 2, 3]
    assert in_order(["b", "a"]) == ["a", "b"]


def test_classes_are_written_as_the_labels_are():
    assert of_one_type(("0", "1", "2"), (1,)) == (0, 1, 2)
    assert of_one_type((0, 1), ("1",)) == ("0", "1")
    assert of_one_type(("False", "True"), (True,)) == (False, True)
    assert of_one_type((False, True), (1,)) == (0, 1)
    assert of_one_type(("a", "b"), (1,)) == ("a", "b")
    assert of_one_type((0, 1), ("x", 2)) == (0, 1)
