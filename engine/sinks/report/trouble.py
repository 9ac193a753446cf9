"""What failed, what was in error, what could not be decided: with reasons, the gravest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.sinks import format as fmt
from engine.sinks import selection
from engine.sinks.selection import Finding
from engine.vocabulary import EvaluationResult

DASH = "–"
MAX_SHOWN = 30
MAX_FOLDED = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: a cell, or many that share a reason."""

    word: str
    model: str
    slice: str
    test: str
    condition: str
    value: str
    exact: str
    against: str
    rows: str
    reason: str
    names: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries that are shown, entries that are folded away, and how many cells are in neither."""

    cells: int
    shown: tuple[Entry, ...]
    folded: tuple[Entry, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failures, errors and warnings; then what is inconclusive."""

    grave: Listing
    undecided: Listing
    tested: int


def trouble(evaluation: EvaluationResult) -> Trouble:
    """Gathers what needs a reader of one evaluation."""
    grave = selection.findings(evaluation.cells, ("FAIL", "ERROR", "WARN"))
    undecided = selection.findings(evaluation.cells, ("INCONCLUSIVE",))
    tested = sum(selection.word(cell) != "RECORDED" for cell in evaluation.cells)
    return Trouble(_listing(grave), _listing(undecided), tested)


def _listing(found: Sequence[Finding]) -> Listing:
    return Listing(
        cells=sum(len(finding.cells) for finding in found),
        shown=tuple(map(_entry, found[:MAX_SHOWN])),
        folded=tuple(map(_entry, found[MAX_SHOWN : MAX_SHOWN + MAX_FOLDED])),
        dropped=sum(len(finding.cells) for finding in found[MAX_SHOWN + MAX_FOLDED :]),
    )


def _entry(finding: Finding) -> Entry:
    first, alone = finding.first, len(finding.cells) == 1
    measured = first.measured
    against = ""
    if alone and first.baseline_value is not None:
        against = f"baseline {fmt.number(first.baseline_value)}"
    most = max(cell.counts.n for cell in finding.cells)
    least = min(cell.counts.n for cell in finding.cells)
    return Entry(
        word=finding.word,
        model=fmt.one_line(first.model.name),
        slice=_several(finding.slices, "slice"),
        test=_several(finding.tests, "test"),
        condition=(first.test.condition or "") if alone else "",
        value=fmt.number(measured.value, DASH) if alone else DASH,
        exact=fmt.exact(measured.value, f"undefined: {measured.reason or 'see the reason'}"),
        against=against,
        rows=fmt.count(most) if most == least else f"{fmt.count(least)} to {fmt.count(most)}",
        reason=fmt.one_line(first.reason),
        names="" if alone else f"{fmt.count(len(finding.cells))} cells with this reason",
    )


def _several(names: list[str], noun: str) -> str:
    """The count comes first, so that it stays to be read where the names are cut."""
    if len(names) <= 2:
        return ", ".join(names)
    return f"{fmt.plural(len(names), noun)}: {fmt.joined(names)}"
