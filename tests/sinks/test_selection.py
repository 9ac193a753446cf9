from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.sinks import selection
from engine.sinks.selection import Tone
from engine.vocabulary import (
    Cell,
    Condition,
    Gate,
    GateOutcome,
    ModelTest,
    RowCounts,
    RunOutcome,
    Severity,
    Verdict,
)

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]


def gate(outcome: GateOutcome = GateOutcome.PASSED, warnings: int = 0, **counts: int) -> Gate:
    return Gate(outcome, "a reason", {Verdict(k): v for k, v in counts.items()}, warnings)


@pytest.mark.parametrize(
    ("given", "tone"),
    [
        (gate(PASS=3), Tone.GOOD),
        (gate(), Tone.UNDECIDED),
        (gate(RECORDED=9), Tone.UNDECIDED),
        (gate(INCONCLUSIVE=9), Tone.UNDECIDED),
        (gate(ERROR=2), Tone.UNDECIDED),
        (gate(PASS=1, INCONCLUSIVE=50), Tone.CAUTION),
        (gate(PASS=50, INCONCLUSIVE=1), Tone.GOOD),
        (gate(GateOutcome.FAILED, FAIL=1, PASS=99), Tone.BAD),
        (gate(GateOutcome.FAILED, INCONCLUSIVE=1), Tone.BAD),
        (gate(GateOutcome.ERROR, ERROR=1, PASS=99), Tone.ERROR),
    ],
)
def test_only_a_decided_pass_is_good(given: Gate, tone: Tone) -> None:
    assert selection.read_gate(given).tone is tone


def test_notes_count_what_must_not_be_overlooked() -> None:
    notes = " ".join(selection.read_gate(gate(PASS=9, INCONCLUSIVE=2, ERROR=1, warnings=3)).notes)
    assert "2 tests could not be decided" in notes
    assert "1 test could not be evaluated" in notes
    assert "3 warnings" in notes
    assert "says nothing" in " ".join(selection.read_gate(gate(RECORDED=1)).notes)


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
    found = selection.findings(cells, ("FAIL", "ERROR", "WARN", "INCONCLUSIVE"))
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
    found = selection.findings(many, ("FAIL", "ERROR"))
    assert [len(item.cells) for item in found] == [1, 1, 1, 1, 1, 5]
    assert found[-1].slices == [f"s{place}" for place in range(5)]


def test_direction_is_the_metrics_then_the_conditions(cell_of: Cells, run_of: Runs) -> None:
    rises = ModelTest("cost", "cost", (Condition("max_rise", 0.1),))
    evaluation = run_of([cell_of(), cell_of(test=rises), cell_of(test=ModelTest("x", "x"))])
    evaluation = evaluation.evaluations[0]
    assert selection.direction(evaluation, "recall") is True
    assert selection.direction(evaluation, "cost") is False
    assert selection.direction(evaluation, "x") is None
    told = replace(evaluation, higher_is_better={"recall": False, "x": True})
    assert selection.direction(told, "recall") is False
    assert selection.direction(told, "x") is True


def test_a_spot_speaks_with_its_worst_verdict(cell_of: Cells) -> None:
    second = ModelTest("recall drop", "recall", (Condition("max_drop", 0.1),))
    cells = [cell_of(), cell_of(test=second, verdict=Verdict.FAIL), cell_of(variant="noise")]
    spots = selection.spots(cells)
    assert [label for _, _, label in spots] == ["recall", "recall [noise]"]
    assert spots["candidate", "overall", "recall"].worst.test is second
