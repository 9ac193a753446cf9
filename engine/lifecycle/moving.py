"""Moving an alias so that nothing is lost, whenever the process is killed, whoever else moves it.

A move has steps: `begun` is written with all that is to be done; the alias of the previous version
is set; the alias is looked at once more, set, and read back; `done` is written. What a process that
was killed has left is settled by the next one: where the alias was set it completes the move, where
it was not it takes it back. MLflow has no compare-and-set, so somebody else's move between the look
and the setting, some milliseconds, would be lost; all others are seen and told.
"""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from engine.core.locks import sole_writer
from engine.errors import InputError, StoreError
from engine.fields.names import PREVIOUS, target_alias_problem
from engine.lifecycle.candidates import CHALLENGER, CHAMPION
from engine.models.mlflow_client import database_path, real_uri
from engine.models.registry import Registry
from engine.store.promotions import (
    Action,
    Promotion,
    Step,
    open_promotions,
    read_promotions,
    write_promotion,
)
from engine.store.tables import StoreTable

# After so long nobody is at it any more, who cannot be asked.
_ABANDONED = dt.timedelta(minutes=15)


def previous_alias(alias: str) -> str:
    """The alias of the version that another one had before."""
    return PREVIOUS if alias == CHAMPION else f"{PREVIOUS}-{alias}"


def check_target(alias: str) -> None:
    """Refuses an alias that cannot be moved.

    Raises:
        InputError: always then.
    """
    if problem := target_alias_problem(alias):
        raise InputError(f"found the alias {alias!r}, expected {problem}")


def place_of(registry: Registry) -> str:
    """The registry as the table names it: without a password, and the same from every folder."""
    database = database_path(registry.tracking_uri)
    if database is not None:
        return f"sqlite:///{database.absolute()}"
    parts = urlsplit(real_uri(registry.tracking_uri))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The promotions of an alias of a registered model, and the registry that has it."""

    table: StoreTable
    registry: Registry
    model: str
    alias: str

    def rows(self) -> list[Promotion]:
        """What is on record of it, the oldest first."""
        place = place_of(self.registry)
        rows = read_promotions(self.table, self.model, self.alias)
        return [row for row in rows if row.registry == place]

    def target(self) -> str | None:
        """The version that the alias points to now."""
        return self.registry.alias(self.model, self.alias)

    def previous(self) -> str | None:
        """The version that it had before, by its own alias."""
        return self.registry.alias(self.model, previous_alias(self.alias))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Lets no other process of this machine promote by this store while the block runs."""
        folder = self.table.folder
        # Not the table's own lock, which the block takes to write.
        with sole_writer(None if folder is None else folder.with_name(f"{folder.name}-turn")):
            yield


def settle(ledger: Ledger) -> list[str]:
    """Completes or takes back what processes that were killed have left; says what was done.

    Raises:
        StoreError: where another machine may still be at it.
    """
    notes = []
    for row in open_promotions(ledger.rows()):
        check_abandoned(ledger, row)
        notes.append(_settle(ledger, row))
    return notes


def open_notes(ledger: Ledger) -> list[str]:
    """What `settle` would do something about, in words."""
    return [
        f"a promotion of {row.model!r} version {row.version} to {row.alias!r} was begun at "
        f"{row.at:%Y-%m-%d %H:%M} UTC and stopped; the next call settles it"
        for row in open_promotions(ledger.rows())
    ]


def check_abandoned(ledger: Ledger, row: Promotion) -> None:
    """Refuses to touch a promotion that another process may be making.

    One of this machine would hold the lock; of others nobody knows, until some time has passed.

    Raises:
        StoreError: where that may be.
    """
    has_lock = ledger.table.folder is not None and row.host == socket.gethostname()
    if not has_lock and dt.datetime.now(dt.UTC) - row.at < _ABANDONED:
        raise StoreError(
            f"{row.user or 'somebody'} on {row.host} began to promote version {row.version} of "
            f"{row.model!r} to {row.alias!r} at {row.at:%H:%M:%S} UTC, and has not finished; "
            f"nothing was changed; try again, at the latest after "
            f"{_ABANDONED.total_seconds() / 60:.0f} minutes"
        )


def move(ledger: Ledger, intent: Promotion) -> Promotion:
    """Moves the alias as intended: the row of its end, `done` or `overtaken`.

    Raises:
        StoreError: when the store or the registry is out of reach, or another process moves it.
        TrackingError: when the registry refuses.
    """
    begun = write_promotion(ledger.table, intent, Step.BEGUN)
    # Where there is no lock two may have begun at once. Then each sees the other, or at least the
    # later one does, and takes its own back.
    for other in open_promotions(ledger.rows()):
        if other.promotion_id != begun.promotion_id:
            write_promotion(ledger.table, begun, Step.UNDONE, reason="another one was going on")
            check_abandoned(ledger, other)
            raise StoreError(f"another promotion of {ledger.model!r} goes on; try again")
    _point(ledger, previous_alias(ledger.alias), begun.previous_version)
    now = ledger.target()
    if now != begun.from_version:
        _point(ledger, previous_alias(ledger.alias), begun.previous_before)
        return _tell_overtaken(ledger, begun, now)
    ledger.registry.set_alias(ledger.model, ledger.alias, begun.version)
    return _complete(ledger, begun)


def _complete(ledger: Ledger, begun: Promotion, note: str = "") -> Promotion:
    _leave_challenger(ledger, begun)
    now = ledger.target()
    if now != begun.version:
        return _tell_overtaken(ledger, begun, now)
    reason = "; ".join(filter(None, [begun.reason, note]))
    return write_promotion(ledger.table, begun, Step.DONE, reason=reason)


def _leave_challenger(ledger: Ledger, begun: Promotion) -> None:
    """A version that became the champion challenges no more."""
    if ledger.alias != CHAMPION or begun.action is not Action.PROMOTE:
        return
    if ledger.registry.alias(ledger.model, CHALLENGER) == begun.version:
        ledger.registry.remove_alias(ledger.model, CHALLENGER)


def _tell_overtaken(ledger: Ledger, begun: Promotion, now: str | None) -> Promotion:
    stands = "removed it" if now is None else f"set it to version {now}"
    reason = (
        f"somebody else moved {ledger.alias!r} of {ledger.model!r} meanwhile: it was "
        f"{_version(begun.from_version)} when this promotion began, and they {stands}, which was "
        "left as it is"
    )
    return write_promotion(ledger.table, begun, Step.OVERTAKEN, reason=reason)


def _settle(ledger: Ledger, row: Promotion) -> str:
    what = f"version {row.version} of {row.model!r} to {row.alias!r}"
    now = ledger.target()
    if now == row.version:
        _point(ledger, previous_alias(ledger.alias), row.previous_version)
        ended = _complete(ledger, row, "completed by a later call, since the process was stopped")
        return (
            f"a promotion of {what} that was stopped is completed"
            if (ended.step is Step.DONE)
            else ended.reason
        )
    if now == row.from_version:
        if ledger.previous() == row.previous_version:
            _point(ledger, previous_alias(ledger.alias), row.previous_before)
        reason = "it was stopped before the alias was set, and taken back by a later call"
        write_promotion(ledger.table, row, Step.UNDONE, reason=reason)
        return f"a promotion of {what} that was stopped before it took effect is taken back"
    return _tell_overtaken(ledger, row, now).reason


def _point(ledger: Ledger, alias: str, version: str | None) -> None:
    """Lets an alias point to a version, or to none, if it does not yet."""
    now = ledger.registry.alias(ledger.model, alias)
    if now == version:
        return
    if version is None:
        ledger.registry.remove_alias(ledger.model, alias)
    else:
        ledger.registry.set_alias(ledger.model, alias, version)


def _version(version: str | None) -> str:
    return "not there" if version is None else f"version {version}"
