"""The gate: what the verdicts of a run decide together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from engine.core.vocabulary import (
    NO_MODEL,
    Cell,
    Gate,
    GateOutcome,
    GateRule,
    Severity,
    Verdict,
)


def gate(cells: Iterable[Cell], *, on_inconclusive: GateRule, on_error: GateRule) -> Gate:
    """What the verdicts of cells decide together, see `gate_of_verdicts`."""
    verdicts = ((cell.verdict, cell.test.severity) for cell in cells)
    return gate_of_verdicts(verdicts, on_inconclusive=on_inconclusive, on_error=on_error)


def counts_for_model(cell_model: str, model: str) -> bool:
    """Whether a cell counts for the gate of a model: its own do, and those of the data.

    On data that are not fit to judge by no model is.
    """
    return cell_model in (model, NO_MODEL.name)


def gate_of_verdicts(
    verdicts: Iterable[tuple[Verdict, Severity]], *, on_inconclusive: GateRule, on_error: GateRule
) -> Gate:
    """What verdicts decide together: errors first, then failures, then what was not decided.

    `warnings` counts the cells that are told of and do not fail the gate.
    """
    counts: Counter[Verdict] = Counter()
    hard: Counter[Verdict] = Counter()
    for verdict, severity in verdicts:
        counts[verdict] += 1
        if severity is Severity.FAIL:
            hard[verdict] += 1
    rules = {
        Verdict.ERROR: on_error,
        Verdict.FAIL: GateRule.FAIL,
        Verdict.INCONCLUSIVE: on_inconclusive,
    }
    failing = {v: hard[v] for v, rule in rules.items() if rule is GateRule.FAIL and hard[v]}
    told = sum(counts[verdict] for verdict, rule in rules.items() if rule is not GateRule.PASS)
    outcome = GateOutcome.FAILED if failing else GateOutcome.PASSED
    if Verdict.ERROR in failing:
        outcome = GateOutcome.ERROR
    reason = ", ".join(f"{_cells(n)} {_WORDS[v]}" for v, n in failing.items()) or _pass_reason(
        counts
    )
    by_verdict = {verdict: counts[verdict] for verdict in Verdict}
    return Gate(outcome, reason, by_verdict, told - sum(failing.values()))


_WORDS = {
    Verdict.ERROR: "could not be evaluated",
    Verdict.FAIL: "failed",
    Verdict.INCONCLUSIVE: "could not be decided",
}


def _cells(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'}"


def _pass_reason(counts: Counter[Verdict]) -> str:
    """What a gate that passed rests on; that nothing was decided is said."""
    decided = counts[Verdict.PASS] + counts[Verdict.FAIL]
    undecided = counts[Verdict.ERROR] + counts[Verdict.INCONCLUSIVE]
    words = {**_WORDS, Verdict.FAIL: "failed as warnings only"}
    others = [f"{_cells(counts[v])} {text}" for v, text in words.items() if counts[v]]
    if decided == 0:
        nothing = "nothing was decided" if undecided else "nothing was demanded"
        return f"{nothing}: {', '.join(others) or 'no cell has a condition'}"
    held = f"{counts[Verdict.PASS]:,} of {decided + undecided:,} cells pass"
    return ", ".join([held, *others])
