"""Promoting a registered model version on evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from engine.errors import InputError
from engine.lifecycle.assessment import Assessment, Demand, assess
from engine.lifecycle.copies import copy_version
from engine.lifecycle.data_versions import newest_versions
from engine.lifecycle.evidence import RegisteredVersion, find_evidence
from engine.lifecycle.moving import Ledger, move, open_notes, settle
from engine.lifecycle.record import drift, end_of, intent_of, refuse
from engine.lifecycle.request import Ending, Office, PromotionResult, Request
from engine.store.promotions import Action


def promote_version(office: Office, request: Request) -> PromotionResult:
    """Moves an alias to a version if the newest verdict on it says so.

    Raises:
        InputError: when there is no such model, version or alias, or the request is at odds.
        StoreError: when the store or the registry is out of reach.
    """
    target = request.to_model or request.model.name
    ledger = office.ledger(target, request.alias)
    # A wrong name is told before anybody waits for anything.
    office.registry.find(request.model, office.folder)
    with ledger.turn():
        notes = open_notes(ledger) if request.dry_run else settle(ledger)
        return _promote(office, request, ledger, notes)


def find_versions(
    office: Office, request: Request, ledger: Ledger
) -> tuple[RegisteredVersion, RegisteredVersion | None]:
    """The version that is asked for, and the one that the alias points to now.

    Raises:
        InputError: when there is no such version, or a first one is asked for where there is one.
    """
    number = office.registry.find(request.model, office.folder)
    version = office.version(request.model.name, number)
    current = ledger.target()
    champion = None if current is None else office.version(ledger.model, current)
    if request.first and champion is not None:
        raise InputError(
            f"{ledger.model!r} has the {request.alias!r} version {champion.version} already; leave "
            "--first out"
        )
    return version, champion


def _promote(
    office: Office, request: Request, ledger: Ledger, notes: Sequence[str]
) -> PromotionResult:
    version, champion = find_versions(office, request, ledger)
    number, current = version.version, None if champion is None else champion.version
    is_copied = ledger.model != version.name
    result = PromotionResult(
        Ending.PROMOTED,
        Action.PROMOTE,
        ledger.model,
        request.alias,
        None if is_copied else number,
        current,
        notes=(*notes, *drift(ledger, current)),
        dry_run=request.dry_run,
        source=str(version) if is_copied else None,
    )
    if (
        champion is not None
        and champion.digest == version.digest
        and (is_copied or champion.version == version.version)
    ):
        return replace(result, ending=Ending.UNCHANGED, version=champion.version)
    assessment = assess_version(office, request, version, champion)
    result = replace(result, evidence=assessment.evidence, reasons=assessment.reasons)
    if not assessment.is_enough:
        return refuse(office, request, ledger, result)
    if request.dry_run:
        return result
    intent = intent_of(office, request, ledger, result)
    if is_copied:
        copy = copy_version(office.registry, version, ledger.model, office.folder)
        intent = replace(intent, version=copy, source_model=version.name, source_version=number)
    before = ledger.previous()
    intent = replace(
        intent,
        digest=version.digest,
        from_digest=None if champion is None else champion.digest,
        # A first one has none before it.
        previous_version=before if current is None else current,
        previous_before=before,
    )
    return end_of(result, move(ledger, intent))


def assess_version(
    office: Office,
    request: Request,
    version: RegisteredVersion,
    champion: RegisteredVersion | None,
) -> Assessment:
    """What the store knows of a version, held against what is demanded now.

    Raises:
        DataError: when the suite's data are not there any more.
        StoreError: when the store cannot be read.
    """
    evidence = find_evidence(office.tables, version.name, version.version)
    asked = {item.evaluation for item in evidence if item.suite == office.suite.name}
    data = newest_versions(office.tables, office.suite, asked)
    demand = Demand(
        office.suite,
        champion,
        request.alias,
        data,
        dt.datetime.now(dt.UTC),
        request.max_age,
        request.undecided,
        request.first,
    )
    return assess(version, evidence, demand)
