"""What is asked of `init`, and what is known once models and tables were looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.core.vocabulary import Label, TaskKind
from engine.data.table_profile import Spread, TableProfile
from engine.models.look import ModelLook


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user says of the columns; None and empty where it is to be found."""

    label: str | None = None
    task: str | None = None
    key: tuple[str, ...] = ()
    positive_label: str | None = None
    cluster: str | None = None
    weight: str | None = None
    sensitive: tuple[str, ...] = ()
    stored: tuple[tuple[str, ...], ...] = ()

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """The columns that have predictions."""
        return tuple(name for columns in self.stored for name in columns)


@dataclass(frozen=True, slots=True)
class Roles:
    """What the columns are for, with what is to be told of how that was found."""

    label: str
    task: TaskKind
    key: tuple[str, ...]
    positive_label: Label | None = None
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a draft is made of before anything is measured.

    `dataset` and `reference` are as a suite has them, `models` likewise, the champion first;
    `version` is that of the dataset which is measured.
    """

    name: str
    dataset: Mapping[str, Any]
    models: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...]
    looks: tuple[ModelLook, ...]
    roles: Roles
    wishes: Wishes
    table: TableProfile
    version: int
    spread: Spread | None = None
    reference: Mapping[str, Any] | None = None
    training: TableProfile | None = None
    gives_scores: bool = True

    @property
    def champion(self) -> str:
        return self.names[0]

    @property
    def rows(self) -> int:
        return self.table.rows

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that models read, in the order of the first that reads them."""
        names = dict.fromkeys(name for look in self.looks for name in look.features)
        return tuple(name for name in names if name in self.table.columns)

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """The columns of which a suite may show values, and that are no key and no prediction."""
        wishes, roles = self.wishes, self.roles
        hidden = {*wishes.sensitive, *wishes.stored_columns, *roles.key, wishes.weight}
        return tuple(name for name in self.table.columns if name not in {*hidden, wishes.cluster})


@dataclass(frozen=True, slots=True)
class Entry:
    """A test as the suite has it, and what speaks for it."""

    test: Mapping[str, Any]
    why: str


@dataclass(slots=True)
class Draft:
    """The suite so far: slices, tests by their headings, and what was left out and why."""

    slices: list[Entry] = field(default_factory=list)
    tests: dict[str, list[Entry]] = field(default_factory=dict)
    omissions: list[str] = field(default_factory=list)

    def add(self, heading: str, test: Mapping[str, Any], why: str) -> None:
        self.tests.setdefault(heading, []).append(Entry(test, why))

    def omit(self, what: str) -> None:
        self.omissions.append(what)
