"""What the promotions table is told: what is to be done and on what evidence, what was refused."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from engine.core.vocabulary import Verdict
from engine.lifecycle.evidence import Evidence
from engine.lifecycle.moving import Ledger, place_of
from engine.lifecycle.request import Ending, Office, PromotionResult, Request
from engine.store.promotions import Promotion, Step, write_promotion
from engine.suite import demands_digest


def drift(ledger: Ledger, current: str | None) -> list[str]:
    """Says that the alias is not where the last promotion left it."""
    ended = [row for row in ledger.rows() if row.step is Step.DONE]
    if not ended or ended[-1].version == current:
        return []
    last = ended[-1]
    now = "removed it" if current is None else f"moved it to version {current}"
    return [
        f"the last promotion on record left {ledger.alias!r} at version {last.version} "
        f"({last.at:%Y-%m-%d %H:%M} UTC, {last.user or 'unknown'}); somebody {now} since, without "
        "evidence here"
    ]


def intent_of(
    office: Office, request: Request, ledger: Ledger, result: PromotionResult
) -> Promotion:
    """What is to be done, as the table has it, as far as it is known from the start."""
    evidence = result.evidence
    return Promotion(
        secrets.token_hex(8),
        result.action,
        place_of(office.registry),
        ledger.model,
        result.alias,
        result.version or "",
        from_version=result.from_version,
        suite=office.suite.name,
        suite_digest=demands_digest(office.suite),
        run_id=evidence[0].run_id if evidence else None,
        evidence=[evidence_record(item) for item in evidence],
        reason=request.reason,
        user=request.user,
        by_run=request.by_run,
    )


def evidence_record(item: Evidence) -> dict[str, Any]:
    """A verdict as the promotions table keeps it."""
    return {
        "run_id": item.run_id,
        "evaluation": item.evaluation,
        "model": item.version.name,
        "version": item.version.version,
        "digest": item.version.digest,
        "dataset": item.dataset,
        "dataset_version": item.dataset_version,
        "table_id": item.table_id,
        "baseline": None if item.baseline is None else item.baseline.digest,
        "started_at": item.started_at.isoformat(),
        "gate": item.gate.outcome.value,
        "gate_reason": item.gate.reason,
        "counts": {verdict.value: item.counts.get(verdict, 0) for verdict in Verdict},
    }


def refuse(
    office: Office, request: Request, ledger: Ledger, result: PromotionResult
) -> PromotionResult:
    """Keeps that it was refused, and why; what is refused in a dry run is not kept."""
    if not request.dry_run:
        said = "; ".join(filter(None, [request.reason, *result.reasons]))
        intent = replace(intent_of(office, request, ledger, result), reason=said)
        write_promotion(ledger.table, intent, Step.REFUSED)
    return replace(result, ending=Ending.REFUSED)


def end_of(result: PromotionResult, ended: Promotion) -> PromotionResult:
    """The result of a promotion by the row of its end."""
    result = replace(result, version=ended.version, promotion_id=ended.promotion_id)
    if ended.step is Step.DONE:
        return result
    return replace(result, ending=Ending.REFUSED, reasons=(ended.reason,))
