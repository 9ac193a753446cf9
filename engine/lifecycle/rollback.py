"""Rolling an alias back to the version that it had before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.errors import InputError
from engine.lifecycle.moving import Ledger, move, open_notes, previous_alias, settle
from engine.lifecycle.record import drift, end_of, intent_of, refuse
from engine.lifecycle.request import Ending, Office, PromotionResult, Request
from engine.store.promotions import Action, Promotion, Step


def roll_back(office: Office, request: Request) -> PromotionResult:
    """Moves an alias back to the version that it had before, if it is on record that it had it.

    Raises:
        InputError: when there is no such model, or it has no such alias.
        StoreError: when the store or the registry is out of reach.
    """
    name = request.model.name
    ledger = office.ledger(name, request.alias)
    with ledger.turn():
        notes = open_notes(ledger) if request.dry_run else settle(ledger)
        current, previous = ledger.target(), ledger.previous()
        if current is None:
            office.registry.find(replace(request.model, alias=request.alias), office.folder)
            raise InputError(f"{name!r} has no alias {request.alias!r} to roll back")
        result = PromotionResult(
            Ending.PROMOTED,
            Action.ROLLBACK,
            name,
            request.alias,
            previous,
            current,
            notes=(*notes, *drift(ledger, current)),
            dry_run=request.dry_run,
        )
        rows = [row for row in ledger.rows() if row.step is Step.DONE]
        result = replace(result, reasons=tuple(_why_not_back(office, ledger, result, rows)))
        if result.reasons:
            return refuse(office, request, ledger, result)
        if request.dry_run:
            return result
        assert previous is not None, "one that is not there is refused"
        promoted = [row for row in rows if row.version == previous and row.action is Action.PROMOTE]
        intent = replace(
            intent_of(office, request, ledger, result),
            digest=office.version(name, previous).digest,
            run_id=promoted[-1].run_id if promoted else None,
            evidence=promoted[-1].evidence if promoted else (),
            # What was before it; so that rolling back twice never brings the newer one again.
            previous_version=promoted[-1].from_version if promoted else None,
            previous_before=previous,
        )
        return end_of(result, move(ledger, intent))


def _why_not_back(
    office: Office, ledger: Ledger, result: PromotionResult, rows: Sequence[Promotion]
) -> list[str]:
    previous, alias = result.version, previous_alias(ledger.alias)
    if previous is None:
        return [f"{ledger.model!r} has no alias {alias!r} that says which version was before"]
    if previous == result.from_version:
        return [f"{alias!r} of {ledger.model!r} is version {previous}, as {ledger.alias!r} is now"]
    digests = [row.digest for row in rows if row.version == previous]
    digests += [row.from_digest for row in rows if row.from_version == previous]
    if not digests:
        return [
            f"no promotion on record says that version {previous} of {ledger.model!r}, which "
            f"{alias!r} points to, ever was the {ledger.alias!r}"
        ]
    now = office.version(ledger.model, previous).digest
    known = next((digest for digest in reversed(digests) if digest is not None), now)
    if now != known:
        return [
            f"version {previous} of {ledger.model!r} has the digest {now[:12]} now, and had "
            f"{known[:12]} when it was the {ledger.alias!r}"
        ]
    return []
