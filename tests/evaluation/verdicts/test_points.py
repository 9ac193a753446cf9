"""Verdicts and gates by their truth tables, and the laws that no table can list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conditions import Measurement, condition_text, needs_baseline, number
from engine.core.vocabulary import (
    Cell,
    Condition,
    DatasetVersion,
    DecideBy,
    GateOutcome,
    GateRule,
    MetricValue,
    ModelTest,
    ModelVersion,
    Output,
    RowCounts,
    Severity,
    Slice,
    TaskKind,
    Verdict,
)
from engine.evaluation.verdicts import decide, gate

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
MIN, MAX = Condition("min", 0.85), Condition("max", 0.2)
DROP, RISE = Condition("max_drop", 0.01), Condition("max_rise", 0.02)
DROP_5, RISE_5 = Condition("max_drop", 0.05, relative=True), Condition("max_rise", 0.05, True)
ROWS = RowCounts(100, 100.0)


def of(
    value: float | None,
    baseline: float | None = None,
    *,
    bound: float = 0.0,
    baseline_bound: float = 0.0,
    reason: str = "one_class",
) -> Measurement:
    def measured(number: float | None, error: float) -> MetricValue:
        return MetricValue(number, reason if number is None else None, error)

    base = None if baseline is None else measured(baseline, baseline_bound)
    return Measurement(measured(value, bound), ROWS, base)


def judged(of: Measurement, *conditions: Condition) -> tuple[Verdict, str]:
    decision = decide(ModelTest("t", "recall", conditions, decide=DecideBy.POINT), of)
    return decision.verdict, decision.reason


@pytest.mark.parametrize(
    ("condition", "value", "verdict", "reason"),
    [
        (MIN, 0.91, PASS, "0.91 is at least 0.85, the minimum"),
        (MIN, 0.85, PASS, "0.85 is at least 0.85, the minimum"),
        (MIN, 17 / 20 - 1e-16, PASS, "0.85 is at least 0.85, the minimum"),
        (MIN, 0.83, FAIL, "0.83 is below 0.85, the minimum"),
        (MIN, 0.84999999, FAIL, "0.84999999 is below 0.85, the minimum"),
        (MAX, 0.1, PASS, "0.1 is at most 0.2, the maximum"),
        (MAX, 0.2, PASS, "0.2 is at most 0.2, the maximum"),
        (MAX, 0.3 - 0.1, PASS, "0.2 is at most 0.2, the maximum"),
        (MAX, 0.21, FAIL, "0.21 is above 0.2, the maximum"),
        (MAX, 1e300, FAIL, "1e+300 is above 0.2, the maximum"),
        (Condition("max", 0), 1e-300, FAIL, "1e-300 is above 0, the maximum"),
        (Condition("min", -2), -2, PASS, "-2 is at least -2, the minimum"),
    ],
)
def test_absolute_conditions(
    condition: Condition, value: float, verdict: Verdict, reason: str
) -> None:
    assert judged(of(value), condition) == (verdict, reason)


@pytest.mark.parametrize(
    ("condition", "value", "baseline", "verdict", "reason"),
    [
        (DROP, 0.86, 0.85, PASS, "0.86 is 0.01 above the baseline's 0.85, within max_drop 0.01"),
        (DROP, 0.85, 0.85, PASS, "0.85 is the baseline's value, within max_drop 0.01"),
        (DROP, 0.845, 0.85, PASS, "0.845 is 0.005 below the baseline's 0.85, within max_drop 0.01"),
        (DROP, 0.84, 0.85, PASS, "0.84 is 0.01 below the baseline's 0.85, within max_drop 0.01"),
        (DROP, 0.83, 0.85, FAIL, "0.83 is 0.02 below the baseline's 0.85, beyond max_drop 0.01"),
        (RISE, 0.30, 0.31, PASS, "0.3 is 0.01 below the baseline's 0.31, within max_rise 0.02"),
        (RISE, 0.33, 0.31, PASS, "0.33 is 0.02 above the baseline's 0.31, within max_rise 0.02"),
        (RISE, 0.34, 0.31, FAIL, "0.34 is 0.03 above the baseline's 0.31, beyond max_rise 0.02"),
        (
            DROP_5, 0.76, 0.8, PASS,
            "0.76 is 0.04 below the baseline's 0.8, within max_drop 5% (0.04)",
        ),
        (
            DROP_5, 0.75, 0.8, FAIL,
            "0.75 is 0.05 below the baseline's 0.8, beyond max_drop 5% (0.04)",
        ),
        (
            DROP_5, -2.2, -2.0, FAIL,
            "-2.2 is 0.2 below the baseline's -2, beyond max_drop 5% (0.1)",
        ),
        (
            RISE_5, 2.1, 2.0, PASS,
            "2.1 is 0.1 above the baseline's 2, within max_rise 5% (0.1)",
        ),
        (
            RISE_5, 0.1, 0.0, FAIL,
            "0.1 is 0.1 above the baseline's 0, beyond max_rise 5% (0)",
        ),
    ],
)  # fmt: skip
def test_conditions_against_the_baseline(
    condition: Condition, value: float, baseline: float, verdict: Verdict, reason: str
) -> None:
    assert judged(of(value, baseline), condition) == (verdict, reason)


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.861, PASS), (0.86, PASS), (0.859, OPEN), (0.85, OPEN), (0.841, OPEN), (0.839, FAIL)],
)
def test_an_error_bound_that_straddles_the_limit_is_inconclusive(
    value: float, verdict: Verdict
) -> None:
    decided, reason = judged(of(value, bound=0.01), MIN)
    assert decided is verdict
    if verdict is OPEN:
        assert reason == f"{value:g} is within its error bound of 0.01 from 0.85, the minimum"
    mirrored = judged(of(-value, bound=0.01), Condition("max", -0.85))
    assert mirrored[0] is verdict


@pytest.mark.parametrize(
    ("condition", "value", "verdict"),
    [
        (DROP, 0.845, PASS),
        (DROP, 0.842, OPEN),
        (DROP, 0.838, OPEN),
        (DROP, 0.836, FAIL),
        (replace(DROP, relative=True), 0.8448, PASS),
        # 1 % of a baseline that is 0.002 off is off as well.
        (replace(DROP, relative=True), 0.84451, OPEN),
    ],
)
def test_the_bounds_of_value_and_baseline_add_up(
    condition: Condition, value: float, verdict: Verdict
) -> None:
    measurement = of(value, 0.85, bound=0.001, baseline_bound=0.002)
    decided, reason = judged(measurement, condition)
    assert decided is verdict
    if verdict is OPEN:
        assert "within the error bound of 0.003" in reason


@pytest.mark.parametrize("bound", [math.nan, math.inf])
def test_a_bound_that_bounds_nothing_decides_nothing(bound: float) -> None:
    assert judged(of(0.99, bound=bound), MIN)[0] is OPEN
    assert judged(of(0.1, bound=bound), MIN)[0] is OPEN


def test_a_negative_bound_counts_as_its_size() -> None:
    assert judged(of(0.84, bound=-0.02), MIN)[0] is OPEN


def test_both_limits_must_hold() -> None:
    both = (Condition("min", 0.5), Condition("max", 0.7))
    assert judged(of(0.6), *both) == (
        PASS,
        "0.6 is at least 0.5, the minimum; 0.6 is at most 0.7, the maximum",
    )
    assert judged(of(0.8), *both) == (FAIL, "0.8 is above 0.7, the maximum")
    assert judged(of(0.4), *both) == (FAIL, "0.4 is below 0.5, the minimum")
    assert judged(of(0.69, bound=0.02), *both)[0] is OPEN


def test_one_failure_outweighs_what_is_not_decided() -> None:
    verdict, reason = judged(of(0.83), DROP, MIN)
    assert (verdict, reason) == (FAIL, "0.83 is below 0.85, the minimum")


def test_without_conditions_a_value_is_recorded() -> None:
    assert judged(of(0.8)) == (Verdict.RECORDED, "recorded without a condition")
    assert judged(of(None)) == (
        Verdict.RECORDED,
        "undefined: the slice lacks rows of a class that the metric needs",
    )
    few = replace(of(0.8), min_rows=1000)
    assert judged(few)[0] is Verdict.RECORDED


@pytest.mark.parametrize("condition", [MIN, MAX, DROP, RISE, DROP_5, RISE_5])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_undefined_never_passes(condition: Condition, value: float | None) -> None:
    verdict, reason = judged(of(value, 0.8), condition)
    assert verdict is OPEN
    assert reason.startswith("undefined: ")


def test_reasons_of_a_metric_of_its_own_are_told_as_they_are() -> None:
    assert judged(of(None, reason="no query has a hit"), MIN)[1] == "undefined: no query has a hit"
    assert (
        judged(of(None, reason=""), MIN)[1] == "undefined: the metric is not a finite number here"
    )


@pytest.mark.parametrize("condition", [DROP, RISE, DROP_5])
def test_an_undefined_or_missing_baseline_is_inconclusive(condition: Condition) -> None:
    assert judged(of(0.9), condition) == (
        OPEN,
        f"{condition_text(condition)}: the baseline has no value on this slice",
    )
    undefined = replace(of(0.9), baseline=MetricValue(None, "empty"))
    assert judged(undefined, condition) == (
        OPEN,
        f"{condition_text(condition)}: the baseline's value is undefined: "
        "the slice has no labelled rows",
    )
    failed = replace(of(0.9), baseline=MetricValue(None, "failed"))
    assert judged(failed, condition)[1].endswith("undefined: it could not be computed")
    assert judged(of(0.9, math.inf), condition)[0] is OPEN


def test_an_absolute_condition_needs_no_baseline() -> None:
    assert judged(of(0.9), MIN)[0] is PASS
    assert judged(of(0.8), MIN, DROP)[0] is FAIL
    assert judged(of(0.9), MIN, DROP)[0] is OPEN


def test_the_baseline_itself_is_recorded_under_margins() -> None:
    itself = replace(of(0.8, 0.8), is_baseline=True)
    assert judged(itself, DROP) == (
        Verdict.RECORDED,
        "the baseline itself, with which the others are compared",
    )
    assert judged(itself, DROP, MIN) == (FAIL, "0.8 is below 0.85, the minimum")


def test_too_few_rows_decide_nothing() -> None:
    few = replace(of(0.1), min_rows=101)
    assert judged(few, MIN) == (
        OPEN,
        "the slice has 100 labelled rows, expected min_slice_rows 101",
    )
    assert judged(replace(few, min_rows=100), MIN)[0] is FAIL
    one = replace(few, rows=RowCounts(1, 1.0))
    assert judged(one, MIN)[1] == "the slice has 1 labelled row, expected min_slice_rows 101"


@pytest.mark.parametrize(
    ("measurement", "reason"),
    [
        (replace(of(None), failure="the model failed: ValueError: no"), "the model failed: "),
        (replace(of(None), nothing_matched=True), "the slice matched no row of the dataset"),
        (
            replace(of(None), rows=RowCounts(1200, 9.0, unknown_labels=1100)),
            "1,100 of 1,200 labels are infinite or none of the model's classes",
        ),
        (
            replace(of(None), rows=RowCounts(120, 9.0, bad_scores=3)),
            "3 of 120 predictions are NaN, infinite, of an unknown class or not probabilities",
        ),
    ],
)
@pytest.mark.parametrize("conditions", [(), (MIN,), (DROP,)])
def test_what_could_not_be_computed_is_an_error(
    measurement: Measurement, reason: str, conditions: Sequence[Condition]
) -> None:
    for each in (measurement, replace(measurement, is_baseline=True, min_rows=1000)):
        verdict, why = judged(each, *conditions)
        assert verdict is Verdict.ERROR
        assert why.startswith(reason)


def test_numbers_have_the_digits_that_tell_them_apart() -> None:
    assert number(0.123456789) == "0.123457"
    assert number(0.85, 0.84999999) == "0.85"
    assert number(0.84999999, 0.85) == "0.84999999"
    assert number(1 / 3, 1 / 3) == "0.333333"
    assert number(1234567.0) == "1.23457e+06"


FINITE = st.floats(-1e6, 1e6)
CONDITION = st.builds(
    Condition,
    st.sampled_from(["min", "max", "max_drop", "max_rise"]),
    st.floats(0, 1e3),
    st.booleans(),
).map(lambda c: c if needs_baseline(c) else replace(c, relative=False))
VALUES = st.builds(
    MetricValue,
    st.none() | st.floats(),
    st.sampled_from([None, "empty", "odd"]),
    st.floats(0, 1) | st.just(0.0),
)
MEASUREMENTS = st.builds(
    Measurement,
    VALUES,
    st.just(ROWS),
    st.none() | VALUES,
    st.booleans(),
    st.none(),
    st.integers(1, 200),
)


@given(MEASUREMENTS, st.lists(CONDITION, min_size=1, max_size=3))
def test_nothing_passes_without_a_value_and_all_its_conditions(
    measurement: Measurement, conditions: list[Condition]
) -> None:
    verdict, reason = judged(measurement, *conditions)
    assert reason
    assert "\n" not in reason
    value, base = measurement.value.value, measurement.baseline
    if verdict is not PASS:
        return
    assert value is not None
    assert math.isfinite(value)
    for each in conditions:
        if needs_baseline(each) and not measurement.is_baseline:
            assert base is not None
            assert base.value is not None
            margin = each.bound * (abs(base.value) if each.relative else 1)
            worse = base.value - value if each.kind == "max_drop" else value - base.value
            assert worse <= margin + 1e-9 * max(abs(value), abs(base.value))
        elif not needs_baseline(each):
            over = each.bound - value if each.kind == "min" else value - each.bound
            assert over <= 1e-9 * max(abs(value), each.bound)


RANK = {FAIL: 0, OPEN: 1, PASS: 2}


@given(CONDITION, FINITE, st.floats(0, 1e6), FINITE, st.floats(0, 0.5) | st.just(0.0))
def test_better_values_never_get_worse_verdicts(
    condition: Condition, value: float, gain: float, baseline: float, bound: float
) -> None:
    better = value + gain if condition.kind in ("min", "max_drop") else value - gain
    first, _ = judged(of(value, baseline, bound=bound), condition)
    second, _ = judged(of(better, baseline, bound=bound), condition)
    assert RANK[second] >= RANK[first]


@given(CONDITION, FINITE, FINITE, st.floats(0, 1), st.floats(0, 1))
def test_a_wider_bound_never_decides_otherwise(
    condition: Condition, value: float, baseline: float, bound: float, more: float
) -> None:
    first, _ = judged(of(value, baseline, bound=bound), condition)
    second, _ = judged(of(value, baseline, bound=bound + more), condition)
    assert second in (first, OPEN)


# The gate.

MODEL = ModelVersion(
    "m", "models:/m/1", "1", "d", "p", "sklearn", TaskKind.BINARY, Output.PROBABILITY
)
DATA = DatasetVersion("d", "u", 0, "t", 10)


def cells(*verdicts: Verdict, severity: Severity = Severity.FAIL) -> list[Cell]:
    test = ModelTest("t", "recall", (MIN,), severity=severity)
    overall = Slice("overall", "overall", "overall")
    return [
        Cell("e", MODEL, DATA, overall, test, ROWS, MetricValue(0.5), verdict, "r")
        for verdict in verdicts
    ]


RULES = tuple(GateRule)


@pytest.mark.parametrize(
    ("on_inconclusive", "on_error", "severity", "verdicts"),
    list(
        product(
            RULES,
            RULES,
            Severity,
            [
                (),
                (PASS,),
                (FAIL,),
                (OPEN,),
                (Verdict.ERROR,),
                (Verdict.RECORDED,),
                (FAIL, OPEN, Verdict.ERROR, PASS, Verdict.RECORDED),
                (FAIL, OPEN),
                (OPEN, Verdict.ERROR),
                (FAIL, Verdict.ERROR),
            ],
        )
    ),
)
def test_the_gate_by_all_its_rules(
    on_inconclusive: GateRule,
    on_error: GateRule,
    severity: Severity,
    verdicts: tuple[Verdict, ...],
) -> None:
    decided = gate(
        [*cells(PASS), *cells(*verdicts, severity=severity)],
        on_inconclusive=on_inconclusive,
        on_error=on_error,
    )
    hard = severity is Severity.FAIL
    rules = {Verdict.ERROR: on_error, FAIL: GateRule.FAIL, OPEN: on_inconclusive}
    broken = {v for v in verdicts if hard and rules.get(v) is GateRule.FAIL}
    if Verdict.ERROR in broken:
        expected = GateOutcome.ERROR
    else:
        expected = GateOutcome.FAILED if broken else GateOutcome.PASSED
    assert decided.outcome is expected
    assert decided.counts == {
        verdict: verdicts.count(verdict) + (verdict is PASS) for verdict in Verdict
    }
    told = [v for v in verdicts if rules.get(v, GateRule.PASS) is not GateRule.PASS]
    assert decided.warnings == len([v for v in told if v not in broken])


@pytest.mark.parametrize(
    ("given_cells", "outcome", "reason"),
    [
        (cells(PASS, PASS), "passed", "2 of 2 cells pass"),
        (cells(PASS, OPEN), "passed", "1 of 2 cells pass, 1 cell could not be decided"),
        (
            [*cells(PASS), *cells(FAIL, FAIL, severity=Severity.WARN)],
            "passed",
            "1 of 3 cells pass, 2 cells failed as warnings only",
        ),
        (cells(FAIL, PASS), "failed", "1 cell failed"),
        (
            cells(*[FAIL] * 1200, Verdict.ERROR),
            "error",
            "1 cell could not be evaluated, 1,200 cells failed",
        ),
        (cells(OPEN, OPEN), "passed", "nothing was decided: 2 cells could not be decided"),
        (cells(Verdict.RECORDED), "passed", "nothing was demanded: no cell has a condition"),
        ([], "passed", "nothing was demanded: no cell has a condition"),
    ],
)
def test_the_gate_says_why(given_cells: list[Cell], outcome: str, reason: str) -> None:
    decided = gate(given_cells, on_inconclusive=GateRule.WARN, on_error=GateRule.FAIL)
    assert (decided.outcome.value, decided.reason) == (outcome, reason)


def test_errors_that_are_forgiven_are_still_told() -> None:
    decided = gate(cells(Verdict.ERROR), on_inconclusive=GateRule.WARN, on_error=GateRule.WARN)
    assert decided.outcome is GateOutcome.PASSED
    assert decided.reason == "nothing was decided: 1 cell could not be evaluated"
    assert decided.warnings == 1


def test_what_is_not_decided_fails_where_the_suite_says_so() -> None:
    decided = gate(cells(PASS, OPEN), on_inconclusive=GateRule.FAIL, on_error=GateRule.FAIL)
    assert (decided.outcome, decided.reason) == (
        GateOutcome.FAILED,
        "1 cell could not be decided",
    )
    assert decided.outcome.exit_code == 1
