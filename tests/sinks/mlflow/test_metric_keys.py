"""The keys under which MLflow gets a run's numbers, held against MLflow's own validator."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.core.vocabulary import Cell, MetricValue, ModelTest, RowCounts, Slice, Verdict
from engine.sinks.mlflow.metric_keys import (
    Number,
    metric_key,
    model_numbers,
    numbers_by_key,
    slice_numbers,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow.utils.validation import _validate_metric_name

ODD = st.text(
    alphabet=st.one_of(
        st.sampled_from("./ =&<>()[],:-_\\'\"`ab1"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=300,
)


@given(parts=st.lists(ODD, min_size=1, max_size=3))
@example(parts=["", "0" * 120, "0" * 120])
@settings(max_examples=500)
def test_every_key_is_one_that_mlflow_takes(parts: list[str]) -> None:
    key = metric_key(*parts)
    _validate_metric_name(key)
    assert 0 < len(key) <= 250


@given(names=st.lists(st.tuples(ODD, st.sampled_from(["recall", "roc_auc"])), max_size=12))
@settings(max_examples=300)
def test_two_slices_never_share_a_key(names: list[tuple[str, str]]) -> None:
    different = list(dict.fromkeys(names))
    numbers = [Number(name, float(place), is_slice=True) for place, name in enumerate(different)]
    found = numbers_by_key(numbers)
    for key in found:
        _validate_metric_name(key)
        assert len(key) <= 250
    assert sorted(found.values()) == [float(place) for place in range(len(different))]


def test_an_ordinary_slice_keeps_its_name() -> None:
    found = numbers_by_key([Number(("country=DE & device=ios", "roc_auc"), 0.9, is_slice=True)])
    assert found == {"country_DE _ device_ios/roc_auc": 0.9}


def test_slices_that_would_look_alike_are_marked() -> None:
    found = numbers_by_key([Number((f"a{sign}b", "recall"), 1.0, is_slice=True) for sign in "=&"])
    assert len(found) == 2
    assert all(key.startswith("a_b.") and key.endswith("/recall") for key in found)


@pytest.mark.parametrize("name", ["worst", "verdicts", "cost"])
def test_a_slice_named_like_a_part_of_ours_is_marked(name: str) -> None:
    found = numbers_by_key(
        [Number((name, "recall"), 0.1, is_slice=True), Number((name, "recall"), 0.2)]
    )
    assert found[f"{name}/recall"] == 0.2 and len(found) == 2


def test_slices_of_the_same_name_in_two_sets_are_told_apart() -> None:
    found = numbers_by_key(
        Number(("x", "recall"), value, (name,), True) for name, value in (("a", 1), ("b", 2))
    )
    assert sorted(found.values()) == [1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(value: float) -> None:
    assert numbers_by_key([Number(("a",), value), Number(("b",), 1.0)]) == {"b": 1.0}


def test_a_long_name_keeps_its_metric() -> None:
    key = metric_key("s" * 400, "roc_auc")
    assert len(key) == 250 and key.endswith("/roc_auc")
    assert key != metric_key("s" * 401, "roc_auc")


def cell(make: Callable[..., Cell], name: str, value: float | None, verdict: Verdict) -> Cell:
    return make(
        slice=Slice(name, "by", "by"),
        test=ModelTest("recall", "recall"),
        measured=MetricValue(value),
        verdict=verdict,
        counts=RowCounts(10, 10.0),
    )


def test_of_the_slices_what_failed_comes_first(cell_of: Callable[..., Cell]) -> None:
    cells = [
        cell(cell_of, "a", 0.9, Verdict.PASS),
        cell(cell_of, "b", None, Verdict.ERROR),
        cell(cell_of, "c", 0.1, Verdict.FAIL),
    ]
    assert [number.parts[0] for number in slice_numbers(cells, 1)] == ["c"]
    assert [number.parts[0] for number in slice_numbers(cells, 9)] == ["c", "a"]
    assert slice_numbers(cells, 0) == []


def test_a_models_numbers_have_overall_worst_and_verdicts(cell_of: Callable[..., Cell]) -> None:
    overall = cell_of(
        test=ModelTest("recall", "recall"),
        measured=MetricValue(0.8, ci_low=0.7, ci_high=0.9),
        delta=-0.02,
    )
    low = cell(cell_of, "a", 0.2, Verdict.FAIL)
    found = numbers_by_key(model_numbers([overall, low, cell(cell_of, "b", 0.9, Verdict.PASS)], 10))
    assert found["recall_score"] == 0.8
    assert found["recall_score.ci_low"] == 0.7 and found["recall_score.ci_high"] == 0.9
    assert found["recall_score.delta"] == -0.02
    assert found["worst/recall_score"] == 0.2 and found["worst/recall_score.n"] == 10
    assert found["a/recall_score"] == 0.2
    assert found["verdicts/FAIL"] == 1 and found["verdicts/ERROR"] == 0
    assert found["example_count"] == 120


def test_what_has_no_interval_or_baseline_has_no_key(cell_of: Callable[..., Cell]) -> None:
    found = numbers_by_key(model_numbers([cell_of(test=ModelTest("recall", "recall"))], 0))
    assert {key for key in found if key.startswith("recall")} == {"recall_score"}


def test_a_metric_between_groups_has_a_key_for_each_column(cell_of: Callable[..., Cell]) -> None:
    cells = [
        cell_of(
            test=ModelTest(group, "gap", group=group),
            measured=MetricValue(value, ci_low=0.0, ci_high=0.5),
        )
        for group, value in (("sex", 0.1), ("country", 0.2))
    ]
    found = numbers_by_key(model_numbers(cells, 0))
    assert (found["gap.sex"], found["gap.country"]) == (0.1, 0.2)
    assert found["gap.sex.ci_high"] == 0.5
