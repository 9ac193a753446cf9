from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.core.vocabulary import (
    Cell,
    Condition,
    ModelTest,
    RowCounts,
    RunOutcome,
    Severity,
    Verdict,
)
from engine.sinks import highlights

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]


def test_findings_have_failures_first_and_overall_before_slices(cell_of: Cells) -> None:
    warn = ModelTest("log_loss", "log_loss", (Condition("max", 1),), severity=Severity.WARN)
    cells = [
        cell_of(verdict=Verdict.INCONCLUSIVE),
        cell_of(verdict=Verdict.FAIL, test=warn),
        cell_of(verdict=Verdict.ERROR),
        cell_of(verdict=Verdict.FAIL, slice_name="small", counts=RowCounts(50, 50.0)),
        cell_of(verdict=Verdict.FAIL, slice_name="large", counts=RowCounts(900, 900.0)),
        cell_of(verdict=Verdict.FAIL),
        cell_of(verdict=Verdict.PASS),
        cell_of(verdict=Verdict.RECORDED),
    ]
    found = highlights.findings(cells, ("FAIL", "ERROR", "WARN", "INCONCLUSIVE"))
    assert [(item.word, item.first.slice.name) for item in found] == [
        ("FAIL", "overall"),
        ("FAIL", "large"),
        ("FAIL", "small"),
        ("ERROR", "overall"),
        ("WARN", "overall"),
        ("INCONCLUSIVE", "overall"),
    ]


def test_errors_with_one_reason_are_one_finding_and_failures_are_not(cell_of: Cells) -> None:
    many = [
        cell_of(verdict=verdict, slice_name=f"s{place}", reason="it raised")
        for place in range(5)
        for verdict in (Verdict.ERROR, Verdict.FAIL)
    ]
    found = highlights.findings(many, ("FAIL", "ERROR"))
    assert [len(item.cells) for item in found] == [1, 1, 1, 1, 1, 5]
    assert found[-1].slices == [f"s{place}" for place in range(5)]


def test_direction_is_the_metrics_then_the_conditions(cell_of: Cells, run_of: Runs) -> None:
    rises = ModelTest("cost", "cost", (Condition("max_rise", 0.1),))
    evaluation = run_of([cell_of(), cell_of(test=rises), cell_of(test=ModelTest("x", "x"))])
    evaluation = evaluation.evaluations[0]
    assert highlights.direction(evaluation, "recall") is True
    assert highlights.direction(evaluation, "cost") is False
    assert highlights.direction(evaluation, "x") is None
    told = replace(evaluation, higher_is_better={"recall": False, "x": True})
    assert highlights.direction(told, "recall") is False
    assert highlights.direction(told, "x") is True


def test_no_worse_has_no_direction_of_its_own(cell_of: Cells, run_of: Runs) -> None:
    kept = ModelTest("cost", "cost", (Condition("no_worse", 0.0),))
    both = ModelTest("cost", "cost", (Condition("no_worse", 0.0), Condition("max", 9.0)))
    assert highlights.direction(run_of([cell_of(test=kept)]).evaluations[0], "cost") is None
    assert highlights.direction(run_of([cell_of(test=both)]).evaluations[0], "cost") is False


def test_metrics_between_groups_are_columns_of_their_own(cell_of: Cells) -> None:
    cells = [cell_of(test=ModelTest(name, "gap", group=name)) for name in ("sex", "age")]
    assert [label for _, _, label in highlights.spots(cells)] == ["gap by sex", "gap by age"]


def paired_cell(cell_of: Cells, name: str, delta: float, **more: object) -> Cell:
    return cell_of(slice_name=name, baseline_model="old", delta=delta, **more)


def test_paired_differences_are_sorted_by_sureness(cell_of: Cells, run_of: Runs) -> None:
    cells = [
        cell_of(model="old", delta=0.5, q_value=0.0),
        paired_cell(cell_of, "no evidence", 0.5),
        paired_cell(cell_of, "late", 0.1, p_value=0.01, q_value=0.5),
        paired_cell(cell_of, "p only", -0.1, p_value=0.02),
        paired_cell(cell_of, "small", 0.1, p_value=0.0, delta_ci_low=0.0, delta_ci_high=0.2),
        paired_cell(cell_of, "large", 0.3, p_value=0.0, delta_ci_low=0.2, delta_ci_high=0.4),
        paired_cell(cell_of, "apart", -0.3, delta_ci_low=-0.4, delta_ci_high=-0.2),
        paired_cell(cell_of, "not apart", -0.3, delta_ci_low=-0.7, delta_ci_high=0.1),
        paired_cell(cell_of, "alike", 0.0, p_value=0.001),
    ]
    evaluation = replace(run_of(cells).evaluations[0], baseline="old")
    found = [
        (pair.cell.slice.name, pair.trend) for pair in highlights.paired_differences(evaluation)
    ]
    assert found == [
        ("large", "better"),
        ("small", "better"),
        ("alike", "unsure"),
        ("p only", "worse"),
        ("late", "unsure"),
        ("apart", "worse"),
        ("not apart", "unsure"),
    ]
    ((name, counts),) = highlights.trend_counts(evaluation)
    assert name == "candidate"
    assert highlights.tally_words(counts) == "better on 2, worse on 2, not told apart on 3"


def test_of_two_tests_of_a_metric_the_margin_speaks(cell_of: Cells, run_of: Runs) -> None:
    margin = ModelTest("drop", "recall", (Condition("max_drop", 0.1),))
    cells = [
        paired_cell(cell_of, "a", 0.1, q_value=0.01),
        paired_cell(cell_of, "a", 0.1, q_value=0.02, test=margin),
    ]
    evaluation = replace(run_of(cells).evaluations[0], baseline="old")
    (pair,) = highlights.paired_differences(evaluation)
    assert (pair.cell.test, pair.sureness) == (margin, 0.02)
    assert highlights.paired_differences(replace(evaluation, baseline=None)) == []


def test_a_spot_speaks_with_its_worst_verdict(cell_of: Cells) -> None:
    second = ModelTest("recall drop", "recall", (Condition("max_drop", 0.1),))
    cells = [cell_of(), cell_of(test=second, verdict=Verdict.FAIL), cell_of(variant="noise")]
    spots = highlights.spots(cells)
    assert [label for _, _, label in spots] == ["recall", "recall [noise]"]
    assert spots["candidate", "overall", "recall"].worst.test is second
