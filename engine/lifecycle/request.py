"""What is asked of a promotion, where it is made, and what became of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.lifecycle.evidence import Evidence, RegisteredVersion
from engine.lifecycle.moving import Ledger
from engine.models.registry import ModelName, Registry
from engine.store.promotions import Action
from engine.store.tables import StoreTables
from engine.suite import Suite


class Ending(StrEnum):
    """How a promotion ended."""

    PROMOTED = "promoted"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: which version, which alias, and what it must have shown.

    `to_model` is another registered model that gets a copy of the version. `reason` is what the
    user says why, `by_run` the run that promotes because its suite says so.
    """

    model: ModelName
    alias: str
    to_model: str | None = None
    max_age: dt.timedelta = dt.timedelta(days=7)
    undecided: float = 0.1
    first: bool = False
    dry_run: bool = False
    reason: str = ""
    user: str = ""
    by_run: str | None = None


@dataclass(frozen=True, slots=True)
class Office:
    """Where promotions are made: the suite whose verdicts count, its store, the registry.

    `folder` is for what has to be downloaded; it is empty at first, since what lay there could be
    older than what the registry has now.
    """

    suite: Suite
    tables: StoreTables
    registry: Registry
    folder: Path

    def ledger(self, model: str, alias: str) -> Ledger:
        """The promotions of an alias of a model."""
        return Ledger(self.tables["promotions"], self.registry, model, alias)

    def version(self, model: str, number: str) -> RegisteredVersion:
        """A version with the digest of its artifact as it is now."""
        return RegisteredVersion(model, number, self.registry.digest(model, number, self.folder))


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """What became of a request; of a dry run, what would become of it.

    `version` is the version's number in `model`, `from_version` what the alias pointed to before.
    `reasons` say why it was refused, `notes` what else was seen. `source` is the version that was
    judged, where another model has its copy.
    """

    ending: Ending
    action: Action
    model: str
    alias: str
    version: str | None
    from_version: str | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    dry_run: bool = False
    promotion_id: str | None = None
    source: str | None = None

    @property
    def exit_code(self) -> int:
        """0 where the alias points to the version, or would; 1 where it was refused."""
        return 1 if self.ending is Ending.REFUSED else 0
