"""The story of a registered model: versions, verdicts and promotions, in the order of time."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from engine.core.vocabulary import GateOutcome, Verdict
from engine.errors import InputError, TrackingError
from engine.lifecycle.evidence import Evidence, by_run, find_evidence, open_runs
from engine.lifecycle.moving import Ledger, place_of
from engine.lifecycle.record import drift, evidence_record
from engine.models.registry import ModelName, Registry
from engine.store.promotions import (
    Action,
    Promotion,
    Step,
    open_promotions,
    read_copies,
    read_promotions,
)
from engine.store.tables import StoreTables


class Kind(StrEnum):
    """What an event of the story is."""

    REGISTERED = "registered"
    OPEN = "not finished"
    VERDICT = "verdict"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    REFUSED = "refused"
    OVERTAKEN = "overtaken"
    UNDONE = "taken back"
    BEGUN = "stopped"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: when, of which version, what it was, and in a sentence what came of it.

    `outcome` is a gate's (passed, failed, error) or the alias that was moved. `details` are what a
    program may want: the verdicts, or the promotion's row.
    """

    at: dt.datetime
    kind: Kind
    version: str
    outcome: str
    text: str
    run_id: str | None = None
    user: str = ""
    details: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class History:
    """The story of a model, or of one version: the aliases as they are now, the events, notes."""

    model: str
    version: str | None
    aliases: Mapping[str, str]
    events: tuple[Event, ...]
    notes: tuple[str, ...] = ()


def tell_story(tables: StoreTables, registry: Registry, model: ModelName, folder: Path) -> History:
    """What is known of a registered model, from its registry and from a store.

    A registry that does not answer costs its part of the story only.

    Raises:
        InputError: when neither knows the model, or there is no such version or alias.
        StoreError: when the store cannot be read.
    """
    notes: list[str] = []
    aliases: dict[str, str] = {}
    registered: list[Event] = []
    version = model.version
    try:
        if model.alias is not None:
            version = registry.find(model, folder)
        aliases = registry.aliases(model.name)
        registered = list(_registrations(registry, model.name))
    except TrackingError as error:
        if model.alias is not None:
            raise
        notes.append(f"{error}; what follows is what the store knows")
    promotions = read_promotions(tables["promotions"], model.name)
    copies = read_copies(tables["promotions"], model.name)
    events = [
        *registered,
        *_verdicts(find_evidence(tables, model.name, version)),
        *_open(tables, model.name, version),
        *_promotions(promotions),
        *(replace(event, version=row.source_version or "") for row in copies
          for event in _promotions([row], whole=copies)),
    ]  # fmt: skip
    events = [event for event in events if version in (None, event.version)]
    if not events and (version is not None or not aliases) and not notes:
        # Says what there is instead.
        registry.find(replace(model, version=model.version or "1", alias=None), folder)
        raise InputError(f"neither the registry nor the store knows anything of {model.name!r}")
    if not notes:
        place = place_of(registry)
        moved = {row.alias for row in promotions if row.registry == place}
        for alias in sorted(moved):
            ledger = Ledger(tables["promotions"], registry, model.name, alias)
            notes += drift(ledger, aliases.get(alias))
    events.sort(key=lambda event: (event.at, event.kind is not Kind.REGISTERED))
    return History(model.name, version, aliases, tuple(events), tuple(notes))


def _registrations(registry: Registry, name: str) -> Iterator[Event]:
    for version in registry.versions(name):
        at = dt.datetime.fromtimestamp(version.creation_timestamp / 1000, dt.UTC)
        source = str(version.source)
        text = f"a copy of {source}" if re.fullmatch(r"models:/+[^/]+/\d+", source) else ""
        user = str(version.user_id or "")
        yield Event(at, Kind.REGISTERED, str(version.version), "", text, None, user)


def _verdicts(evidence: Sequence[Evidence]) -> Iterator[Event]:
    """An event for each run and version: the gravest gate of its evaluations."""
    for run in by_run(evidence):
        for version in dict.fromkeys(item.version.version for item in run):
            items = [item for item in run if item.version.version == version]
            gravest = max((item.gate.outcome for item in items), key=list(GateOutcome).index)
            first = items[0]
            yield Event(
                # A run that is asked again finishes again.
                first.started_at,
                Kind.VERDICT,
                version,
                gravest.value,
                f"suite {first.suite!r}: {'; '.join(map(_verdict_text, items))}",
                first.run_id,
                first.user,
                tuple(evidence_record(item) for item in items),
            )


def _verdict_text(item: Evidence) -> str:
    counts = ", ".join(
        f"{item.counts[verdict]:,} {verdict.value}"
        for verdict in Verdict
        if item.counts.get(verdict)
    )
    role = "" if item.baseline is None else f" against {_against(item)}"
    data = f"{item.evaluation} on {item.dataset} version {item.dataset_version}"
    return f"{data}{role}: {counts or 'no cell'}"


def _against(item: Evidence) -> str:
    assert item.baseline is not None, "only what is compared"
    if item.baseline.registered_name == item.version.name:
        return f"version {item.baseline.version}"
    return item.baseline.name


def _open(tables: StoreTables, name: str, version: str | None) -> Iterator[Event]:
    for run in open_runs(tables, name, version):
        text = f"suite {run.suite!r}; a run that was stopped goes on with --resume {run.run_id}"
        yield Event(run.started_at, Kind.OPEN, run.version, "", text, run.run_id, run.user)


_KINDS = {
    Step.REFUSED: Kind.REFUSED,
    Step.OVERTAKEN: Kind.OVERTAKEN,
    Step.UNDONE: Kind.UNDONE,
    Step.BEGUN: Kind.BEGUN,
}


def _promotions(
    rows: Sequence[Promotion], whole: Sequence[Promotion] | None = None
) -> Iterator[Event]:
    """An event for the end of each promotion, or for one that has none."""
    unfinished = open_promotions(rows if whole is None else whole)
    for row in rows:
        if row.step is Step.BEGUN and row not in unfinished:
            continue
        kind = _KINDS.get(row.step)
        if kind is None:
            kind = Kind.ROLLED_BACK if row.action is Action.ROLLBACK else Kind.PROMOTED
        yield Event(
            row.at,
            kind,
            row.version,
            row.alias,
            _promotion_text(row),
            row.run_id,
            row.user,
            tuple(row.evidence),
        )


def _promotion_text(row: Promotion) -> str:
    parts = []
    if row.source_model is not None:
        parts.append(f"{row.model} version {row.version} is a copy")
    if row.step is Step.DONE:
        before = (
            "there was none before"
            if row.from_version is None
            else (f"it was version {row.from_version}")
        )
        parts.append(before)
    if row.step is Step.BEGUN:
        parts.append("the next promotion completes it or takes it back")
    return "; ".join([*parts, *([row.reason] if row.reason else [])])
