"""Which values of a column are pinned, and that a few new rows leave them."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.core.vocabulary import ModelTest
from engine.data import column_values
from engine.data.column_values import choose_values, collect_values, round_quantiles
from engine.kinds import parameters_text


def test_frequent_values_have_their_shares_in_steps() -> None:
    values = choose_values([("m", 480, 1000), ("f", 520, 1000)], (), whole=False)
    assert [value for value, _ in values] == ["f", "m"]
    for (_, weight), share in zip(values, (0.52, 0.48), strict=True):
        assert weight == pytest.approx(share, rel=0.0906)
    assert values == choose_values([("m", 485, 1000), ("f", 515, 1000)], (), whole=False)


def test_numbers_of_few_values_are_those_and_others_have_quantiles() -> None:
    few = choose_values([("1", 60, 100), ("2", 39, 100)], [1.0, 2.0], whole=True)
    assert [value for value, _ in few] == ["1", "2"]
    many = choose_values([("1", 40, 100)], [1.2, 5.9, 700.3], whole=True)
    assert all(isinstance(value, int) and weight == 1.0 for value, weight in many)


@pytest.mark.parametrize("scale", [1e-9, 0.3, 1.0, 7.7, 1e12])
def test_quantiles_are_rounded_to_a_part_of_their_spread(scale: float) -> None:
    quantiles = np.quantile(
        scale * np.random.default_rng(1).normal(size=4000), np.linspace(0.03, 0.97, 20)
    )
    rounded = round_quantiles(quantiles.tolist())
    assert np.abs(np.array(rounded) - quantiles).max() < 0.13 * scale
    moved = round_quantiles((quantiles * (1 + 1e-6)).tolist())
    assert rounded == moved


def test_numbers_that_are_all_the_same_stay() -> None:
    assert round_quantiles([3.25] * 20) == [3.25] * 20
    assert round_quantiles([0.0, 0.0, 1.0, 1.0], whole=True) == [0.0, 0.0, 1.0, 1.0]
    assert all(math.isfinite(value) for value in round_quantiles([-1e308, 0.0, 0.0, 1e308]))


class Asking:
    """What an evaluation says of its columns."""

    def __init__(self, *columns: str) -> None:
        asked = parameters_text({"shuffle": list(columns), "severities": [1]})
        test = ModelTest("t", "accuracy", (), ("overall",), kind="robustness", parameters=asked)
        self.tests = [test]
        self.dataset = SimpleNamespace(sensitive=("hidden",), key=("many",))


@pytest.mark.spark
def test_values_of_rows_are_counted_in_spark(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        ("a" if at % 4 else "b", at % 2 == 0, at % 3, at, at / 2 if at else math.nan, "s")
        for at in range(400)
    ] + [(None, None, None, None, None, None), ("rare", True, 0, 0, math.inf, "s")]
    frame = spark.createDataFrame(
        rows, "`w.x` string, flag boolean, few int, many bigint, x double, hidden string"
    )
    asking = Asking("w.x", "flag", "few", "many", "x", "hidden", "lacking")
    monkeypatch.setattr(column_values, "RAREST", 0.005)
    values = collect_values(frame, asking)
    assert set(values) == {f"values of {name}" for name in ("w.x", "flag", "few", "many", "x")}
    assert [value for value, _ in values["values of w.x"]] == ["a", "b"]
    assert [value for value, _ in values["values of flag"]] == [False, True]
    assert [value for value, _ in values["values of few"]] == [0, 1, 2]
    for name in ("many", "x"):
        numbers = [value for value, _ in values[f"values of {name}"]]
        assert len(numbers) == 20 and numbers == sorted(numbers)
        top = 400 if name == "many" else 200
        np.testing.assert_allclose(numbers, (np.arange(20) + 0.5) / 20 * top, atol=0.05 * top)
    assert all(isinstance(value, int) for value, _ in values["values of many"])
    assert collect_values(frame, replace_tests(asking)) == {}


@pytest.mark.spark
def test_of_a_large_table_a_part_is_looked_at_whatever_the_partitions(
    spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("a" if at % 4 else "b", at, float(at % 100)) for at in range(3000)]
    frame = spark.createDataFrame(rows, "kind string, many bigint, x double")
    asking = Asking("kind", "x")
    whole = collect_values(frame, asking, 3000)
    monkeypatch.setattr(column_values, "SAMPLE_ROWS", 500)
    part = collect_values(frame, asking, 3000)
    assert collect_values(frame.orderBy("x").repartition(3), asking, 3000) == part
    assert [value for value, _ in part["values of kind"]] == ["a", "b"]
    numbers = [[value for value, _ in side["values of x"]] for side in (whole, part)]
    np.testing.assert_allclose(numbers[1], numbers[0], atol=10)
    few = column_values._sample(frame, ["many"], 3000).count()
    assert 400 <= few <= 600, "about SAMPLE_ROWS of them"


def replace_tests(asking: Asking) -> Asking:
    """The same evaluation, whose test asks for no values."""
    noise = parameters_text({"noise": ["x"], "severities": [1]})
    asking.tests = [replace(asking.tests[0], parameters=noise)]
    return asking
