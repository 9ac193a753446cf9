"""What is told of a run: how it ended, the first reasons, a link. No row's values.

Names of slices hold values of the columns that a suite slices by; those of sensitive columns are
never slices. What a channel would act on (mentions, links, marks) is shown as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.vocabulary import Cell, GateOutcome, RunInfo, RunOutcome, Severity, Verdict
from engine.sinks import format as fmt
from engine.sinks import highlights
from engine.sinks.subjects import model_label

MOST_REASONS = 5
_LONGEST = 300
_HEADLINES = {
    "failed": "failed",
    "error": "could not be evaluated",
    "recovered": "has recovered: it passed again",
    "undecided": "passed, and left cells undecided again",
    "passed": "passed",
}


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its event, a line on top, a line of counts, the first reasons, where to look."""

    event: str
    headline: str
    summary: str
    reasons: tuple[str, ...]
    more: int
    link: str
    run_id: str
    suite: str
    gate: str

    @property
    def lines(self) -> list[str]:
        """The message as lines of text."""
        more = [f"and {self.more:,} more"] if self.more else []
        reasons = [f"- {reason}" for reason in [*self.reasons, *more]]
        # A run that stopped has no report.
        return [self.summary, *reasons, *([f"Report: {self.link}"] if self.link else [])]


def make_message(outcome: RunOutcome, event: str, link: str) -> Message:
    """The message about a run.

    Args:
        outcome: the run, finished.
        event: failed, error, recovered, undecided or passed.
        link: where its report is.
    """
    suite, run_id = fmt.one_line(outcome.info.suite, _LONGEST), outcome.info.run_id
    wanted = {
        "undecided": {Verdict.INCONCLUSIVE},
        "passed": set[Verdict](),
        "recovered": set[Verdict](),
    }.get(event, {Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE})
    cells = [cell for cell in outcome.cells if cell.verdict in wanted]
    if event in ("failed", "error"):
        # What only warns, and what the gate forgives, did not fail it.
        cells = [cell for cell in cells if cell.test.severity is Severity.FAIL]
    cells.sort(key=highlights.rank)
    shown = tuple(_reason(cell) for cell in cells[:MOST_REASONS])
    return Message(
        event=event,
        headline=f"evalmatrix: {suite} {_HEADLINES[event]}",
        summary=fmt.one_line(f"{outcome.gate.reason} (run {run_id})", _LONGEST),
        reasons=shown,
        more=len(cells) - len(shown),
        link=link,
        run_id=run_id,
        suite=suite,
        gate=outcome.gate.outcome.value,
    )


def make_stop_message(info: RunInfo, why: str, notes: Sequence[str] = ()) -> Message:
    """The message about a run that stopped before it could judge.

    Args:
        info: the run.
        why: what stopped it, as it may be told.
        notes: what is said of that besides, such as how the run is completed.
    """
    suite = fmt.one_line(info.suite, _LONGEST)
    return Message(
        event="error",
        headline=f"evalmatrix: {suite} stopped before its end",
        summary=fmt.one_line(f"{why} (run {info.run_id})", _LONGEST),
        reasons=tuple(fmt.one_line(note, _LONGEST) for note in notes),
        more=0,
        link="",
        run_id=info.run_id,
        suite=suite,
        gate=GateOutcome.ERROR.value,
    )


def _reason(cell: Cell) -> str:
    about = f"{model_label(cell.model.name)}, {cell.slice.name}, {cell.test.name}: {cell.reason}"
    return fmt.one_line(about, _LONGEST)


def as_json(message: Message) -> dict[str, Any]:
    """For programs."""
    return {
        "event": message.event,
        "suite": message.suite,
        "run_id": message.run_id,
        "gate": message.gate,
        "headline": message.headline,
        "summary": message.summary,
        "reasons": list(message.reasons),
        "more": message.more,
        "link": message.link,
    }


def as_slack(message: Message) -> dict[str, Any]:
    """For an incoming webhook of Slack: plain text in blocks, where nothing is a mention."""
    text = "\n".join(message.lines)
    return {
        "text": _slack_text(message.headline),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": message.headline[:150]}},
            {"type": "section", "text": {"type": "plain_text", "text": text[:3000]}},
        ],
    }


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_teams(message: Message) -> dict[str, Any]:
    """For a workflow of Teams: an adaptive card whose texts are no Markdown."""
    runs = [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]}
        for line in message.lines
    ]
    head = {"type": "TextRun", "text": message.headline, "weight": "Bolder", "size": "Medium"}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [head]}, *runs],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}
