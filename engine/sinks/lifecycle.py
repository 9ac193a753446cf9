"""Promotions and the history of a model, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from engine.core.vocabulary import Verdict
from engine.lifecycle.evidence import Evidence
from engine.lifecycle.record import evidence_record
from engine.lifecycle.request import Ending, PromotionResult
from engine.lifecycle.story import History
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
    if result.alias.startswith("arn:") and result.ending is Ending.PROMOTED:
        said = "would be" if result.dry_run else "is"
        return f"{version} {said} approved as {result.alias}"
    if result.ending is Ending.UNCHANGED:
        return f"{version} is the {result.alias!r} already; nothing was changed"
    if result.ending is Ending.REFUSED:
        what = result.model if result.action is Action.ROLLBACK else version
        said = "would not be" if result.dry_run else "was not"
        return f"{what} {said} {verb} to {result.alias!r}"
    before = "which is not set yet" if result.dry_run else "which was not set"
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
        f"run {item.run_id} ({item.started_at:%Y-%m-%d %H:%M} UTC), evaluation "
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


def history_head(story: History) -> Iterator[str]:
    """What a model's aliases point to now, and what else must be known."""
    served = ", ".join(f"{alias} version {version}" for alias, version in _by_rank(story.aliases))
    of_version = "" if story.version is None else f" version {story.version}"
    yield fmt.log_line(f"{story.model}{of_version}", _LONG)
    yield fmt.log_line(f"now: {served or 'no alias'}", _LONG)
    for note in story.notes:
        yield fmt.log_line(f"note: {note}", _LONG)


def _by_rank(aliases: Mapping[str, str]) -> list[tuple[str, str]]:
    """Aliases, the one that serves first."""
    ranks = ("champion", "previous", "challenger")
    return sorted(
        aliases.items(),
        key=lambda item: (ranks.index(item[0]) if item[0] in ranks else len(ranks), item[0]),
    )


def history_table(story: History) -> Table:
    """A row for each event, the oldest first."""
    table = Table(box=None, header_style="bold")
    for name in ("when (UTC)", "version", "what", "", "by", "run", "why"):
        table.add_column(name, overflow="fold")
    for event in story.events:
        row = (
            f"{event.at:%Y-%m-%d %H:%M}", event.version, event.kind.value, event.outcome,
            event.user, event.run_id or "", event.text,
        )  # fmt: skip
        table.add_row(*[Text(fmt.log_line(part, _LONG)) for part in row])
    return table


def history_json(story: History) -> dict[str, Any]:
    """The story for programs."""
    return {
        "model": story.model,
        "version": story.version,
        "aliases": dict(story.aliases),
        "notes": list(story.notes),
        "events": [
            {
                "at": event.at.isoformat(),
                "kind": event.kind.value,
                "version": event.version,
                "outcome": event.outcome,
                "text": event.text,
                "run_id": event.run_id,
                "user": event.user,
                "details": list(event.details),
            }
            for event in story.events
        ],
    }
