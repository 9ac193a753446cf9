"""Promotions and the history of a model, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.core.vocabulary import Verdict
from engine.lifecycle.evidence import Evidence
from engine.lifecycle.record import evidence_record
from engine.lifecycle.request import Ending, PromotionResult
from engine.sinks import format as fmt
from engine.store.promotions import Action

_LONG = 600


def promotion_lines(result: PromotionResult) -> Iterator[str]:
    """What became of a promotion: a sentence, then why, on what, and what else was seen."""
    yield fmt.log_line(headline(result), _LONG)
    for reason in result.reasons:
        yield fmt.log_line(f"- {reason}", _LONG)
    for item in result.evidence:
        yield fmt.log_line(f"evidence: {evidence_text(item)}", _LONG)
    for note in result.notes:
        yield fmt.log_line(f"note: {note}", _LONG)


def headline(result: PromotionResult) -> str:
    """What became of a promotion, or would, in a sentence."""
    version = f"{result.model} version {result.version}"
    if result.version is None:
        version = f"{result.model}, a copy of {result.source}"
    elif result.source is not None:
        version += f", a copy of {result.source},"
    verb = "rolled back" if result.action is Action.ROLLBACK else "promoted"
    if result.ending is Ending.UNCHANGED:
        return f"{version} is the {result.alias!r} already; nothing was changed"
    if result.ending is Ending.REFUSED:
        what = result.model if result.action is Action.ROLLBACK else version
        said = "would not be" if result.dry_run else "was not"
        return f"{what} {said} {verb} to {result.alias!r}"
    before = "which is not set yet"
    if result.from_version is not None:
        before = f"which was version {result.from_version}"
    said = "would be" if result.dry_run else "is"
    rest = "; nothing was changed" if result.dry_run else ""
    return f"{version} {said} {verb} to {result.alias!r}, {before}{rest}"


def evidence_text(item: Evidence) -> str:
    """A verdict in a sentence: which run, on which data, how many cells."""
    counts = ", ".join(
        f"{item.counts[verdict]:,} {verdict.value}"
        for verdict in Verdict
        if item.counts.get(verdict)
    )
    against = "" if item.baseline is None else f", against {item.baseline.name}"
    return (
        f"run {item.run_id} ({item.finished_at:%Y-%m-%d %H:%M} UTC), evaluation "
        f"{item.evaluation!r} on {item.dataset} version {item.dataset_version}{against}: "
        f"{item.gate.outcome.value}, {counts or 'no cell'}"
    )


def promotion_json(result: PromotionResult) -> dict[str, Any]:
    """What became of a promotion, for programs."""
    return {
        "ending": result.ending.value,
        "action": result.action.value,
        "dry_run": result.dry_run,
        "model": result.model,
        "alias": result.alias,
        "version": result.version,
        "from_version": result.from_version,
        "source": result.source,
        "promotion_id": result.promotion_id,
        "reasons": list(result.reasons),
        "notes": list(result.notes),
        "evidence": [evidence_record(item) for item in result.evidence],
        "exit_code": result.exit_code,
    }
