"""A gate in words: the headline of a run and of a model, for every sink for people.

It is read with one rule on top of its outcome: a gate that passed although nothing (or hardly
anything) was decided never looks like a clean pass, nor does one that passed although tests of
severity `warn` failed, and what failed so is named. One that passed with some tests undecided says
how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.core.vocabulary import Cell, Gate, GateOutcome, Verdict
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.highlights import WARN
from engine.sinks.subjects import model_label

MAX_NAMES = 3
"""How many of the tests that failed as warnings are named; the rest are counted."""

_NAME = 60


class Tone(StrEnum):
    """How a gate may look: only GOOD is green."""

    GOOD = "good"
    CAUTION = "caution"
    UNDECIDED = "undecided"
    BAD = "bad"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class GateReading:
    """A gate in words: its tone, a headline, and what a reader must not overlook.

    `warned` names what failed as a warning, where the gate passed in spite of it: it stands right
    below the headline. `counts` has how often each word came (`highlights.word`).
    """

    tone: Tone
    headline: str
    warned: str
    notes: tuple[str, ...]
    counts: Mapping[str, int]


def read_gate(gate: Gate, cells: Iterable[Cell]) -> GateReading:
    """Puts a gate into words, with the cells it was decided on.

    A pass that rests on nothing, or beside which something failed as a warning, is not read as one.
    """
    cells = list(cells)
    counts = _count_words(gate, cells)
    seen = {verdict: gate.counts.get(verdict, 0) for verdict in Verdict}
    decided = seen[Verdict.PASS] + seen[Verdict.FAIL]
    passed = gate.outcome is GateOutcome.PASSED
    if gate.outcome is GateOutcome.FAILED:
        tone, headline = Tone.BAD, "Gate failed"
    elif gate.outcome is GateOutcome.ERROR:
        tone, headline = Tone.ERROR, "Gate in error"
    elif decided == 0:
        tone, headline = Tone.UNDECIDED, "Nothing was decided"
    else:
        tone, headline = _read_pass(counts)
    names = _warning_names(cells) if counts.get(WARN) else ""
    warned = (
        f"Failed as {'a warning' if counts[WARN] == 1 else 'warnings'}: {names}" if names else ""
    )
    notes = _gate_notes(gate, seen, decided)
    if warned and not passed:
        warnings = fmt.plural(counts[WARN], "warning")
        notes = (*notes, f"{warnings}, on which the gate does not fail: {names}")
    return GateReading(tone, headline, warned if passed else "", notes, counts)


def _read_pass(counts: Mapping[str, int]) -> tuple[Tone, str]:
    """Tone and headline of a gate that passed on something."""
    warnings = counts.get(WARN, 0)
    undecided = counts[Verdict.INCONCLUSIVE] + counts[Verdict.ERROR]
    decided = counts[Verdict.PASS] + counts[Verdict.FAIL] + warnings
    parts = ["Gate passed"]
    if warnings:
        parts.append(fmt.plural(warnings, "warning"))
    if undecided > decided:
        parts.append("most tests undecided")
    elif undecided:
        parts.append(f"{fmt.count(undecided)} of {fmt.count(decided + undecided)} undecided")
    doubtful = warnings or undecided > decided
    return Tone.CAUTION if doubtful else Tone.GOOD, ", ".join(parts)


def _count_words(gate: Gate, cells: Sequence[Cell]) -> dict[str, int]:
    """The gate's counts by word; a FAIL of severity warn is a WARN, which is there if any is."""
    failed = gate.counts.get(Verdict.FAIL, 0)
    # Whatever failed below a gate that passed was a warning.
    soft = failed if gate.outcome is GateOutcome.PASSED else 0
    warnings = soft or min(failed, sum(highlights.word(cell) == WARN for cell in cells))
    counts: dict[str, int] = {}
    for verdict in Verdict:
        counts[verdict.value] = gate.counts.get(verdict, 0)
        if verdict is Verdict.FAIL and warnings:
            counts[verdict.value] -= warnings
            counts[WARN] = warnings
    return counts


def _warning_names(cells: Sequence[Cell]) -> str:
    """`log_loss on overall, recall on country=DE and 3 more`, with model and evaluation if many."""
    findings = highlights.findings(cells, (WARN,))
    several_models = len({cell.model.name for cell in cells}) > 1
    several_evaluations = len({cell.evaluation for cell in cells}) > 1
    names = []
    for cell in (finding.first for finding in findings):
        test, piece = highlights.test_label(cell), cell.slice.name
        name = f"{fmt.one_line(test, _NAME)} on {fmt.one_line(piece, _NAME)}"
        where = [fmt.one_line(model_label(cell.model.name), _NAME)] if several_models else []
        if several_evaluations:
            where.append(f"in {fmt.one_line(cell.evaluation, _NAME)}")
        names.append(f"{name} ({' '.join(where)})" if where else name)
    return fmt.list_names(names, MAX_NAMES)


def _gate_notes(gate: Gate, seen: Mapping[Verdict, int], decided: int) -> tuple[str, ...]:
    notes = []
    if decided == 0 and gate.outcome is GateOutcome.PASSED:
        notes.append(
            "No test came to PASS or FAIL, so this pass says nothing about the models; "
            "the exit code is 0."
        )
    if amount := seen[Verdict.INCONCLUSIVE]:
        tested = fmt.plural(sum(seen.values()) - seen[Verdict.RECORDED], "test")
        notes.append(
            f"{fmt.count(amount)} of {tested} could not be decided (inconclusive): "
            f"{'it is' if amount == 1 else 'they are'} neither passed nor failed."
        )
    if (amount := seen[Verdict.ERROR]) and gate.outcome is not GateOutcome.ERROR:
        notes.append(f"{fmt.plural(amount, 'test')} could not be evaluated (error).")
    return tuple(notes)
