"""Sending to MLflow what it lacks of a store's runs; what it has already is not sent again.

MLflow itself is asked what it has. The store's `runs` table says which runs there are, and its
states are what a run is measured from again; nothing is predicted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from engine.commands.outcome import look_back, rebuild_outcome, send
from engine.commands.progress import Reporter
from engine.commands.redacted import redacted
from engine.commands.stored_runs import find_finished_run, open_store
from engine.core.environment import hide_logins
from engine.core.locations import DEFAULT_STORE, Store
from engine.core.vocabulary import GateOutcome, RunOutcome
from engine.errors import InputError, TrackingError
from engine.models.mlflow_client import unreachable
from engine.planning.model_finder import short_waits
from engine.planning.suites import stored_suite
from engine.sinks import format as fmt
from engine.sinks import mlflow
from engine.sinks.files import write_report
from engine.states.codec import CodecError
from engine.store.runs import FINISHED, correct_exit_codes, find_run, list_runs
from engine.store.tables import StoreTables
from engine.suite import Outline, outline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Sent(StrEnum):
    """How a run stands with MLflow after `sync`."""

    SENT = "sent"
    """It was lacking, wholly or in part, and is complete now."""
    THERE = "there"
    """It was complete already."""
    UNFINISHED = "unfinished"
    """It goes on or was stopped; there is nothing to send before it is completed."""
    LOST = "lost"
    """The store no longer has what it was measured from."""
    REFUSED = "refused"
    """MLflow did not take it."""


@dataclass(frozen=True, slots=True)
class SyncedRun:
    """A run and how it stands with MLflow; `parents` are the runs of its evaluations there."""

    run_id: str
    state: Sent
    tracking_uri: str
    reason: str = ""
    parents: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.state is Sent.SENT:
            what = fmt.plural(len(self.parents), "evaluation")
            return f"{self.run_id}: {what} sent to {self.tracking_uri}"
        if self.state is Sent.THERE:
            return f"{self.run_id}: {self.tracking_uri} has it already"
        return f"{self.run_id}: not sent: {self.reason}"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What `sync` did: the runs that it looked at, in the order in which they began.

    `errors` are the servers that could not be asked, each with the reason.
    """

    runs: tuple[SyncedRun, ...]
    errors: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when all that can be sent is sent; 4 when MLflow did not take it, or did not answer."""
        refused = any(run.state is Sent.REFUSED for run in self.runs)
        return 4 if self.errors or refused else 0

    def in_state(self, state: Sent) -> list[SyncedRun]:
        """The runs that stand so."""
        return [run for run in self.runs if run.state is state]

    def __str__(self) -> str:
        """A line for each run that was not there already."""
        lines = [str(run) for run in self.runs if run.state is not Sent.THERE]
        if not (self.errors or self.in_state(Sent.SENT) or self.in_state(Sent.REFUSED)):
            lines.append(
                "nothing is missing" if not self.in_state(Sent.LOST) else "nothing can be sent"
            )
        return "\n".join(lines)


@dataclass(slots=True)
class Sync:
    """A store whose runs are sent, and what has been found on the way.

    `tracking_uri` is where MLflow is now; None is where each run's suite says. `down` are the
    servers that do not answer, each with the reason: none is asked twice.
    """

    tables: StoreTables
    tell: Reporter
    tracking_uri: str | None = None
    down: dict[str, str] = field(default_factory=dict)

    def place(self, suite: Outline) -> str:
        """Where MLflow is for the runs of a suite."""
        return self.tracking_uri or suite.tracking_uri or self.store.tracking_uri

    @property
    def store(self) -> Store:
        return self.tables.store


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of the store's table, with the outline of its suite and where MLflow is for it."""

    row: Mapping[str, Any]
    suite: Outline
    uri: str

    @property
    def id(self) -> str:
        return str(self.row["run_id"])

    @property
    def is_finished(self) -> bool:
        return bool(self.row["status"] == FINISHED)

    def stands(self, state: Sent, reason: str = "", **more: Any) -> SyncedRun:
        return SyncedRun(self.id, state, hide_logins(self.uri), reason, **more)


def sync_runs(sync: Sync, rows: Iterable[Mapping[str, Any]]) -> SyncResult:
    """Sends what MLflow lacks of some runs of a store, those that began first before the others.

    Args:
        sync: the store, and where MLflow is.
        rows: the runs, as `results_sink.list_runs` gives them.
    """
    read = cache(outline)
    runs = []
    for row in rows:
        suite = read(str(row["suite_resolved"]))
        runs.append(_Run(row, suite, sync.place(suite)))
    lacking = _find_lacking(sync, [run for run in runs if run.is_finished])
    done = [_sync_run(sync, run, lacking) for run in runs]
    codes = {
        run.id: GateOutcome(run.row["gate"]).exit_code
        for run, synced in zip(runs, done, strict=True)
        if synced is not None and synced.state in (Sent.SENT, Sent.THERE)
    }
    wrong = {run.id: codes[run.id] for run in runs if run.id in codes and run.row["exit_code"] == 4}
    correct_exit_codes(sync.tables["runs"], wrong)
    return SyncResult(
        tuple(synced for synced in done if synced is not None), tuple(sync.down.values())
    )


def _find_lacking(sync: Sync, runs: Sequence[_Run]) -> dict[str, bool]:
    """Whether MLflow lacks something of each run; those of a server that is down are left out."""
    groups: dict[tuple[str, str], list[_Run]] = defaultdict(list)
    for run in runs:
        groups[run.uri, run.suite.name].append(run)
    lacking: dict[str, bool] = {}
    for (uri, experiment), alike in groups.items():
        if uri in sync.down:
            continue
        what = f"{fmt.plural(len(alike), 'run')} of {experiment!r}"
        sync.tell.say(f"looking for {what} in {hide_logins(uri)}")
        wanted = {run.id: run.suite.evaluations for run in alike}
        try:
            absent = mlflow.incomplete_runs(uri, experiment, wanted)
        except Exception as error:  # whatever a transport, a database or the server raises
            sync.down[uri] = _down(uri, error)
            continue
        lacking |= {run.id: run.id in absent for run in alike}
    return lacking


def _sync_run(sync: Sync, run: _Run, lacking: Mapping[str, bool]) -> SyncedRun | None:
    """How a run stands after it was sent where need be; None where MLflow could not be asked."""
    if not run.is_finished:
        return run.stands(
            Sent.UNFINISHED,
            "it is not finished; complete it with `evalmatrix run SUITE.yml --resume "
            f"{run.id}`, which sends it",
        )
    if run.id not in lacking:
        return None
    if not lacking[run.id]:
        return run.stands(Sent.THERE)
    if run.uri in sync.down:
        return run.stands(Sent.REFUSED, sync.down[run.uri])
    sync.tell.say(f"sending {run.id}")
    try:
        return run.stands(Sent.SENT, parents=_send_run(sync, run))
    except TrackingError as error:
        _ask_again(sync, run)
        return run.stands(Sent.REFUSED, str(error))
    except (InputError, CodecError, ValueError) as error:
        return run.stands(Sent.LOST, " ".join(str(error).split()))


def _send_run(sync: Sync, run: _Run) -> dict[str, str]:
    row = find_run(sync.tables["runs"], run.id)
    assert row is not None, "the runs are the table's own"
    suite = stored_suite(str(row["suite_resolved"]))
    outcome = rebuild_outcome(sync.tables, suite, row)
    _complete_report(sync, outcome)
    return send(outcome, suite, sync.store, run.uri)


def _complete_report(sync: Sync, outcome: RunOutcome) -> None:
    """Writes the report where files of it are not on this machine."""
    folder = sync.store.report_folder(outcome.info.run_id)
    if not all((folder / name).is_file() for name in mlflow.FILES):
        sync.tell.say(f"writing the report of {outcome.info.run_id}")
        write_report(look_back(sync.tables, outcome), folder)


def _ask_again(sync: Sync, run: _Run) -> None:
    """Finds out whether a server refused one run, or is down for all."""
    try:
        mlflow.reach(run.uri, run.suite.name)
    except Exception as error:  # whatever a transport, a database or the server raises
        sync.down[run.uri] = _down(run.uri, error)


def _down(uri: str, error: Exception) -> str:
    return f"{unreachable(uri, error)}; all results are safe in the store"


@redacted()
def sync(
    *,
    store: str = DEFAULT_STORE,
    run: str = "all",
    tracking_uri: str | None = None,
    spark: SparkSession | None = None,
) -> SyncResult:
    """Sends to MLflow what it lacks of the runs in a store; what it has is not sent again.

    Args:
        store: the store's root.
        run: a run's id, `latest`, or `all`.
        tracking_uri: where MLflow is now; default: where each run's suite says.
        spark: the session to use.

    Raises:
        InputError: when there is no such store or run, or when a single run cannot be sent.
        StoreError: when a table or a report cannot be written.
    """
    short_waits()
    tables = open_store(store, spark)
    rows = list_runs(tables["runs"]) if run == "all" else [find_finished_run(tables, run)]
    result = sync_runs(Sync(tables, Reporter(), tracking_uri), rows)
    for synced in result.runs if run != "all" else ():
        if synced.state is Sent.LOST:
            raise InputError(f"the run {synced.run_id!r} cannot be sent to MLflow: {synced.reason}")
    return result
