from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.core.vocabulary import (
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
from engine.sinks.headline import GateReading, Tone, read_gate

Cells = Callable[..., Cell]
Runs = Callable[..., RunOutcome]
SOFT = ModelTest("log_loss", "log_loss", (Condition("max", 1),), severity=Severity.WARN)


def gate(outcome: GateOutcome = GateOutcome.PASSED, warnings: int = 0, **counts: int) -> Gate:
    return Gate(outcome, "a reason", {Verdict(k): v for k, v in counts.items()}, warnings)


def read(run: RunOutcome) -> GateReading:
    return read_gate(run.gate, run.cells)


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
        (gate(PASS=50, FAIL=1), Tone.CAUTION),
        (gate(FAIL=1), Tone.CAUTION),
        (gate(PASS=50, FAIL=1, INCONCLUSIVE=1), Tone.CAUTION),
        (gate(GateOutcome.FAILED, FAIL=1, PASS=99), Tone.BAD),
        (gate(GateOutcome.FAILED, INCONCLUSIVE=1), Tone.BAD),
        (gate(GateOutcome.ERROR, ERROR=1, PASS=99), Tone.ERROR),
    ],
)
def test_only_a_decided_pass_without_warnings_is_good(given: Gate, tone: Tone) -> None:
    assert read_gate(given, []).tone is tone


@pytest.mark.parametrize(
    ("given", "headline"),
    [
        (gate(PASS=50), "Gate passed"),
        (
            gate(PASS=999, INCONCLUSIVE=40, ERROR=1, RECORDED=7),
            "Gate passed, 41 of 1,040 undecided",
        ),
        (gate(PASS=2, INCONCLUSIVE=40), "Gate passed, most tests undecided"),
        (gate(PASS=2, FAIL=1), "Gate passed, 1 warning"),
        (gate(PASS=2, FAIL=1200), "Gate passed, 1,200 warnings"),
        (gate(PASS=9, FAIL=2, ERROR=1), "Gate passed, 2 warnings, 1 of 12 undecided"),
        (gate(PASS=9, FAIL=2, ERROR=12), "Gate passed, 2 warnings, most tests undecided"),
    ],
)
def test_a_pass_says_how_much_it_leaves_open(given: Gate, headline: str) -> None:
    assert read_gate(given, []).headline == headline


def test_notes_count_what_must_not_be_overlooked() -> None:
    # What could not be decided is a warning to the gate as well; it is counted once.
    given = gate(PASS=9, INCONCLUSIVE=2, ERROR=1, warnings=3)
    notes = " ".join(read_gate(given, []).notes)
    assert "2 of 12 tests could not be decided" in notes
    assert "1 test could not be evaluated" in notes
    assert "warning" not in notes
    assert "says nothing" in " ".join(read_gate(gate(RECORDED=1), []).notes)


def test_what_failed_as_a_warning_is_named_the_gravest_first(cell_of: Cells, run_of: Runs) -> None:
    def failed(piece: str, rows: int) -> Cell:
        counts = RowCounts(rows, float(rows))
        return cell_of(slice_name=piece, test=SOFT, verdict=Verdict.FAIL, counts=counts)

    one = read(run_of([cell_of(), failed("small", 50)]))
    assert one.warned == "Failed as a warning: log_loss on small"
    cells = [failed(f"s{rows}", rows) for rows in (50, 900, 70, 60)]
    many = read(run_of([cell_of(), *cells, failed("overall", 40)]))
    assert many.warned == (
        "Failed as warnings: log_loss on overall, log_loss on s900, log_loss on s70 and 2 more"
    )
    assert many.counts["WARN"] == 5
    assert many.counts["FAIL"] == 0
    assert list(many.counts.items()) == [
        ("PASS", 1), ("FAIL", 0), ("WARN", 5), ("INCONCLUSIVE", 0), ("ERROR", 0), ("RECORDED", 0)
    ]  # fmt: skip


def test_of_several_models_and_evaluations_the_names_say_which(
    cell_of: Cells, run_of: Runs
) -> None:
    cells = [cell_of(model="old"), cell_of(model="new", test=SOFT, verdict=Verdict.FAIL)]
    assert read(run_of(cells)).warned == "Failed as a warning: log_loss on overall (new)"
    cells = [replace(cells[0], evaluation="other"), cells[1]]
    assert "log_loss on overall (new in claims)" in read_gate(gate(PASS=1, FAIL=1), cells).warned
    cells = [replace(cell, model=cells[1].model) for cell in cells]
    assert "log_loss on overall (in claims)" in read_gate(gate(PASS=1, FAIL=1), cells).warned


def test_a_gate_that_failed_tells_its_warnings_apart(cell_of: Cells, run_of: Runs) -> None:
    cells = [cell_of(verdict=Verdict.FAIL), cell_of(test=SOFT, verdict=Verdict.FAIL)]
    reading = read(run_of(cells))
    assert (reading.headline, reading.warned) == ("Gate failed", "")
    assert reading.notes == ("1 warning, on which the gate does not fail: log_loss on overall",)
    assert (reading.counts["FAIL"], reading.counts["WARN"]) == (1, 1)


def test_a_test_of_severity_warn_that_passed_is_no_warning(cell_of: Cells, run_of: Runs) -> None:
    reading = read(run_of([cell_of(test=SOFT)]))
    assert (reading.tone, reading.headline, reading.warned) == (Tone.GOOD, "Gate passed", "")
    assert "WARN" not in reading.counts


def test_long_names_are_cut(cell_of: Cells, run_of: Runs) -> None:
    cells = [cell_of(slice_name="s" * 5000, test=SOFT, verdict=Verdict.FAIL)]
    assert len(read(run_of(cells)).warned) < 120
