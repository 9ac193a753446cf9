"""`between`: a value that may be neither too low nor too high, which is `min` and `max` at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conditions import Estimate, Limit, Measurement, condition_text, rule
from engine.core.vocabulary import (
    Condition,
    DecideBy,
    MetricValue,
    ModelTest,
    RowCounts,
    Verdict,
)
from engine.errors import SuiteError
from engine.evaluation.verdicts import decide
from engine.statistics import Several, Share
from engine.suite import dump_suite, load_suite

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
BETWEEN = Condition("between", 0.8, upper=0.9)

SUITE = """
name: night
evaluations:
  - name: ants
    dataset: {delta: ants, task: binary, label: y}
    models: [{uri: "models:/ants/1"}]
    tests:
      - {metric: accuracy, %s}
"""


def share(hits: int, rows: int) -> Measurement:
    return Measurement(
        MetricValue(hits / rows), RowCounts(rows, float(rows)), spread=Share(hits, rows)
    )


def judge(
    measurement: Measurement, *conditions: Condition, decide_by: DecideBy = DecideBy.INTERVAL
) -> Verdict:
    test = ModelTest("t", "accuracy", conditions, decide=decide_by)
    return decide(test, measurement).verdict


@pytest.mark.parametrize(
    ("hits", "rows", "verdict", "reason"),
    [
        (850, 1000, PASS, "0.85 [0.8268, 0.8711] is between 0.8 and 0.9"),
        (700, 1000, FAIL, "0.7 [0.671, 0.7278] is below 0.8 of between 0.8 and 0.9"),
        (950, 1000, FAIL, "0.95 [0.9351, 0.9623] is above 0.9 of between 0.8 and 0.9"),
        (810, 1000, OPEN, "too near to 0.8; about 5,300 more rows would decide"),
        (890, 1000, OPEN, "too near to 0.9; about 2,500 more rows would decide"),
        (17, 20, OPEN, "too near to 0.8 and 0.9; about"),
    ],
)
def test_the_interval_is_held_against_both_ends(
    hits: int, rows: int, verdict: Verdict, reason: str
) -> None:
    decision = decide(ModelTest("t", "accuracy", (BETWEEN,)), share(hits, rows))
    assert decision.verdict is verdict
    assert reason in decision.reason


RATES = st.floats(0, 1)


@given(st.integers(1, 400), RATES, RATES, RATES, st.floats(0, 0.1), st.booleans())
def test_it_is_min_and_max_of_one_test(
    rows: int, hits: float, first: float, second: float, bound: float, by_point: bool
) -> None:
    low, high = sorted((first, second))
    measurement = share(round(hits * rows), rows)
    measurement.value = replace(measurement.value, error_bound=bound)
    by = DecideBy.POINT if by_point else DecideBy.INTERVAL
    both = (Condition("min", low), Condition("max", high))
    between = Condition("between", low, upper=high)
    assert judge(measurement, between, decide_by=by) is judge(measurement, *both, decide_by=by)
    ours, theirs = (
        decide(ModelTest("t", "accuracy", conditions), measurement).p
        for conditions in ((between,), both)
    )
    assert ours == pytest.approx(theirs)


def test_many_slices_have_the_evidence_of_each() -> None:
    hits, rows = np.array([700, 850, 950, 17]), np.array([1000, 1000, 1000, 20])
    spread = Several(4, ((np.arange(4), Share(hits, rows)),))
    estimate = Estimate(hits / rows, np.zeros(4), spread)
    together = rule(BETWEEN).evidence(BETWEEN, estimate, level=0.95, better=True)
    assert together is not None
    for place in range(4):
        own = Share(int(hits[place]), int(rows[place]))
        alone = rule(BETWEEN).evidence(
            BETWEEN,
            Estimate(hits[place] / rows[place], 0.0, own),
            level=0.95,
            better=True,
        )
        assert alone is not None
        figures = [float(np.broadcast_to(column, 4)[place]) for column in together]
        assert figures == pytest.approx(list(alone), nan_ok=True)


def test_pictures_show_both_ends_with_their_bad_sides() -> None:
    assert list(rule(BETWEEN).limits(BETWEEN, None, None)) == [Limit(0.8, True), Limit(0.9, False)]
    assert condition_text(BETWEEN) == "between 0.8 and 0.9"


def test_a_suite_asks_for_it_and_writes_it_again(tmp_path: Path) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % "between: [0.8, 0.9]")
    suite = load_suite(path)
    assert suite.evaluations[0].tests[0].conditions == (BETWEEN,)
    path.write_text(dump_suite(suite))
    assert load_suite(path) == suite


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("between: [0.9, 0.8]", "expected two numbers, the lower one first"),
        ("between: [0.9]", "expected at least 2 of them"),
        ("between: [0.7, 0.8, 0.9]", "expected at most 2 of them"),
        ("between: 0.9", "expected a list"),
        ("between: [low, 0.9]", "expected a number"),
        ("between: [0.8, 0.9], min: 0.7", "found between with min, expected one of the two"),
        ("betwen: [0.8, 0.9]", "did you mean 'between'?"),
    ],
)
def test_mistakes_are_told_at_their_place(tmp_path: Path, text: str, mistake: str) -> None:
    path = tmp_path / "suite.yml"
    path.write_text(SUITE % text)
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    (only,) = caught.value.mistakes
    assert mistake in str(only)
    assert only.line == 8
