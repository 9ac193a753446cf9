"""What a reader should see first of a run: one order, one wording, for every sink for people.

The gate is read with one rule on top of its outcome: a gate that passed although nothing (or
hardly anything) was decided never looks like a clean pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine.sinks import format as fmt
from engine.vocabulary import (
    Cell,
    EvaluationResult,
    Gate,
    GateOutcome,
    Severity,
    Slice,
    Verdict,
)

WARN = "WARN"
"""The word for a FAIL of severity warn: it is told, and the gate does not fail with it."""

_RANKS = {
    Verdict.FAIL.value: 0,
    Verdict.ERROR.value: 1,
    WARN: 2,
    Verdict.INCONCLUSIVE.value: 3,
    Verdict.PASS.value: 4,
    Verdict.RECORDED.value: 5,
}


class Tone(StrEnum):
    """How a gate may look: only GOOD is green."""

    GOOD = "good"
    CAUTION = "caution"
    UNDECIDED = "undecided"
    BAD = "bad"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class GateReading:
    """A gate in words: its tone, a headline, and what a reader must not overlook."""

    tone: Tone
    headline: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """All the tests of one metric on one slice for one model: one place in a table."""

    cells: tuple[Cell, ...]

    @property
    def worst(self) -> Cell:
        """The cell whose verdict speaks for the spot."""
        return min(self.cells, key=rank)

    @property
    def value(self) -> float | None:
        return self.cells[0].measured.value


@dataclass(frozen=True, slots=True)
class Finding:
    """Cells that tell the same: one failure, or many errors with one reason."""

    word: str
    cells: tuple[Cell, ...]

    @property
    def first(self) -> Cell:
        return self.cells[0]

    @property
    def slices(self) -> list[str]:
        return list(dict.fromkeys(fmt.one_line(cell.slice.name) for cell in self.cells))

    @property
    def tests(self) -> list[str]:
        return list(dict.fromkeys(test_label(cell) for cell in self.cells))


def word(cell: Cell) -> str:
    """The verdict in one word, where a FAIL of severity warn reads WARN."""
    if cell.verdict is Verdict.FAIL and cell.test.severity is Severity.WARN:
        return WARN
    return cell.verdict.value


def rank(cell: Cell) -> int:
    """How early a cell is read: 0 for a failure, 5 for what was only recorded."""
    return _RANKS[word(cell)]


def is_overall(piece: Slice) -> bool:
    """Whether a slice is all the rows."""
    return piece.kind == "overall" or piece.name == "overall"


def column_label(cell: Cell) -> str:
    """A metric, with its variant where the data were perturbed."""
    metric = fmt.one_line(cell.test.metric)
    return metric if cell.variant == "clean" else f"{metric} [{fmt.one_line(cell.variant)}]"


def test_label(cell: Cell) -> str:
    """A test, with its variant where the data were perturbed."""
    name = fmt.one_line(cell.test.name)
    return name if cell.variant == "clean" else f"{name} [{fmt.one_line(cell.variant)}]"


def read_gate(gate: Gate) -> GateReading:
    """Puts a gate into words; a pass that rests on nothing is not read as one."""
    seen = {verdict: gate.counts.get(verdict, 0) for verdict in Verdict}
    decided = seen[Verdict.PASS] + seen[Verdict.FAIL]
    undecided = seen[Verdict.INCONCLUSIVE] + seen[Verdict.ERROR]
    if gate.outcome is GateOutcome.FAILED:
        tone, headline = Tone.BAD, "Gate failed"
    elif gate.outcome is GateOutcome.ERROR:
        tone, headline = Tone.ERROR, "Gate in error"
    elif decided == 0:
        tone, headline = Tone.UNDECIDED, "Nothing was decided"
    elif undecided > decided:
        tone, headline = Tone.CAUTION, "Gate passed, most tests undecided"
    else:
        tone, headline = Tone.GOOD, "Gate passed"
    return GateReading(tone, headline, _gate_notes(gate, seen, decided))


def _gate_notes(gate: Gate, seen: dict[Verdict, int], decided: int) -> tuple[str, ...]:
    notes = []
    if decided == 0 and gate.outcome is GateOutcome.PASSED:
        notes.append(
            "No test came to PASS or FAIL, so this pass says nothing about the models; "
            "the exit code is 0."
        )
    if amount := seen[Verdict.INCONCLUSIVE]:
        notes.append(f"{fmt.plural(amount, 'test')} could not be decided (inconclusive).")
    if (amount := seen[Verdict.ERROR]) and gate.outcome is not GateOutcome.ERROR:
        notes.append(f"{fmt.plural(amount, 'test')} could not be evaluated (error).")
    if gate.warnings:
        notes.append(
            f"{fmt.plural(gate.warnings, 'warning')}: reported, but the gate does not fail on "
            f"{'it' if gate.warnings == 1 else 'them'}."
        )
    return tuple(notes)


def direction(evaluation: EvaluationResult, metric: str) -> bool | None:
    """Whether more of a metric is better; None where neither metric nor condition says."""
    known = evaluation.higher_is_better.get(metric)
    if known is not None:
        return known
    for cell in evaluation.cells:
        if cell.test.metric == metric and cell.test.conditions:
            return cell.test.conditions[0].kind in ("min", "max_drop")
    return None


def spots(cells: Iterable[Cell]) -> dict[tuple[str, str, str], Spot]:
    """Gathers cells by (model, slice, column label), in the order of the cells."""
    gathered: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        key = (cell.model.name, cell.slice.name, column_label(cell))
        gathered.setdefault(key, []).append(cell)
    return {key: Spot(tuple(group)) for key, group in gathered.items()}


def overall_spots(evaluation: EvaluationResult) -> dict[str, dict[str, Spot]]:
    """The spots of all the rows: column label, then model, to spot."""
    table: dict[str, dict[str, Spot]] = {}
    whole = [cell for cell in evaluation.cells if is_overall(cell.slice)]
    for (model, _, label), spot in spots(whole).items():
        table.setdefault(label, {})[model] = spot
    return table


def findings(cells: Iterable[Cell], words: Sequence[str]) -> list[Finding]:
    """What needs a reader, gravest first; errors and inconclusive cells with one reason are one.

    Within a verdict `overall` comes first, then the slices with the most rows.
    """
    chosen = sorted((cell for cell in cells if word(cell) in words), key=_order)
    gathered: dict[tuple[object, ...], list[Cell]] = {}
    for place, cell in enumerate(chosen):
        said = word(cell)
        alike = said in (Verdict.ERROR.value, Verdict.INCONCLUSIVE.value)
        tail = (cell.reason,) if alike else (place,)
        gathered.setdefault((said, cell.evaluation, cell.model.name, *tail), []).append(cell)
    return [Finding(word(group[0]), tuple(group)) for group in gathered.values()]


def _order(cell: Cell) -> tuple[object, ...]:
    return (
        rank(cell),
        not is_overall(cell.slice),
        -cell.counts.n,
        cell.evaluation,
        cell.model.name,
        cell.slice.name,
        cell.test.name,
        cell.variant,
    )


def difference(spot: Spot, baseline: Spot | None) -> float | None:
    """Value minus the baseline's, as the verdicts have it or else from the two values."""
    for cell in spot.cells:
        if cell.delta is not None:
            return cell.delta
    if baseline is None or baseline.value is None or spot.value is None:
        return None
    return spot.value - baseline.value
