"""What failed, what was in error, what could not be decided: with reasons, the gravest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.conditions import demand_text, needs_baseline
from engine.core.vocabulary import Cell, EvaluationResult
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.highlights import Finding
from engine.sinks.report.axis import change_text, interval_text
from engine.sinks.subjects import model_label, reference_label

DASH = "–"
MAX_SHOWN = 30
MAX_UNDECIDED = 8
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
    interval: str
    exact: str
    against: tuple[str, ...]
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
    grave = highlights.findings(evaluation.cells, ("FAIL", "ERROR", "WARN"))
    undecided = highlights.findings(evaluation.cells, ("INCONCLUSIVE",))
    tested = sum(highlights.word(cell) != "RECORDED" for cell in evaluation.cells)
    # Where nothing failed, what could not be decided is what a reader came for.
    few = MAX_UNDECIDED if grave else 2 * MAX_UNDECIDED
    return Trouble(_listing(grave, MAX_SHOWN), _listing(undecided, few), tested)


def _listing(findings: Sequence[Finding], limit: int) -> Listing:
    return Listing(
        cells=sum(len(finding.cells) for finding in findings),
        shown=tuple(map(_entry, findings[:limit])),
        folded=tuple(map(_entry, findings[limit : limit + MAX_FOLDED])),
        dropped=sum(len(finding.cells) for finding in findings[limit + MAX_FOLDED :]),
    )


def _entry(finding: Finding) -> Entry:
    first, alone = finding.first, len(finding.cells) == 1
    measured = first.measured
    most = max(cell.counts.n for cell in finding.cells)
    whole = interval_text(measured.value, measured.ci_low, measured.ci_high)
    value, _, interval = whole.partition(" ")
    least = min(cell.counts.n for cell in finding.cells)
    return Entry(
        word=finding.word,
        model=fmt.one_line(model_label(first.model.name)),
        slice=_several(finding.slices, "slice"),
        test=_several(finding.tests, "test"),
        condition=(demand_text(first.test) or "") if alone else "",
        value=value if alone else DASH,
        interval=interval if alone else "",
        exact=fmt.exact(measured.value, f"undefined: {measured.reason or 'see the reason'}"),
        against=_against(first) if alone else (),
        rows=fmt.count(most) if most == least else f"{fmt.count(least)} to {fmt.count(most)}",
        reason=fmt.one_line(first.reason),
        names="" if alone else f"{fmt.count(len(finding.cells))} cells with this reason",
    )


def _against(cell: Cell) -> tuple[str, ...]:
    """What a margin rests on: the baseline's value, the difference, how sure it is, a line each."""
    margins = any(map(needs_baseline, cell.test.conditions))
    if not margins or cell.baseline_value is None:
        return ()
    lines = [f"{reference_label(cell)} {fmt.number(cell.baseline_value)}"]
    if cell.delta_ci_low is not None:
        lines.append(change_text(cell.delta, cell.delta_ci_low, cell.delta_ci_high))
    if cell.q_value is not None:
        lines.append(f"q {fmt.chance(cell.q_value)}")
    return tuple(lines)


def _several(names: list[str], noun: str) -> str:
    """The count comes first, so that it stays to be read where the names are cut."""
    names = [fmt.one_line(name) for name in names]
    if len(names) <= 2:
        return ", ".join(names)
    return f"{fmt.plural(len(names), noun)}: {fmt.list_names(names)}"
