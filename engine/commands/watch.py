"""`evalmatrix watch`: new versions of registered models are evaluated beside the champion."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.redacted import redacted
from engine.errors import EvalMatrixError, InputError, StoreError
from engine.planning.suites import read_suite
from engine.store.reach import check_store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.watch_exec import Announcer
    from engine.commands.watch_round import Watcher
    from engine.commands.watch_verdict import VersionVerdict
    from engine.lifecycle.listener import Nudges

SECRET = "EVALMATRIX_WEBHOOK_SECRET"
"""The variable of the environment that has the secret of MLflow's webhooks."""

Say = Callable[[str], None]


@redacted()
def watch(
    suite: str | Path | Mapping[str, Any],
    *,
    once: bool = False,
    model_name: str | None = None,
    model_version: str | None = None,
    command: str | None = None,
    listen: bool = False,
    address: str = "127.0.0.1:8765",
    every: float = 60.0,
    older: bool = False,
    overrides: Sequence[str] = (),
    spark: SparkSession | None = None,
    say: Say | None = None,
) -> list[VersionVerdict]:
    """Evaluates the versions of registered models that have no verdict yet, beside the champion.

    A version is judged once for a suite, the data's versions and its baseline. What passed and is
    newer than the champion gets the alias `challenger`. Killed anywhere, it goes on; two at once
    evaluate once.

    Args:
        suite: the suite file, or what stands in one as a mapping.
        once: looks once, and ends with the exit code of `run`.
        model_name: the registered model to look at; by default those that the suite evaluates.
        model_version: the one version to look at, once; its verdict is told again.
        command: a command to run for each verdict, which it gets by EVALMATRIX_* in its
            environment and as JSON on its standard input; until it ends with code 0.
        listen: takes MLflow's webhooks as nudges to look at once; their secret is in the
            environment, as EVALMATRIX_WEBHOOK_SECRET.
        address: where it listens: HOST:PORT.
        every: seconds from one look to the next.
        older: looks at versions that are older than the champion, too.
        overrides: `dotted.key=value` texts over the suite, as `--set`.
        spark: the session to use; else one is started where rows must be read.
        say: is told each verdict in a line as it comes, but with `once`.

    Returns:
        The verdicts, once it has looked; without `once` it looks until it is stopped.

    Raises:
        InputError: when the suite, an argument or the data are wrong.
        StoreError: when the machinery failed; what was finished is in the store.
    """
    loaded = read_suite(suite, tuple(overrides))
    _check_arguments(once=once, listen=listen, every=every)
    # A mistake in the suite is told before all that a run takes is imported.
    from engine.commands.audit_trail import note_act
    from engine.commands.progress import Reporter
    from engine.commands.watch_exec import Announcer, split_command
    from engine.commands.watch_round import Watcher
    from engine.store.audit import Act

    report = Reporter().say
    words = () if command is None else split_command(command)
    announcer = Announcer(words, loaded.name, report) if words else None
    watcher = Watcher(loaded, report, older, spark)
    check_store(watcher.store)
    about = {"once": once or model_version is not None, "command": words[0] if words else None}
    note_act(watcher.tables, Act("watch", loaded.name, about=about))
    if once or model_version is not None:
        verdicts = watcher.look(model_name, model_version)
        _announce(watcher, announcer, verdicts)
        return verdicts
    with ExitStack() as stack:
        nudges = stack.enter_context(_listen(address)) if listen else None
        if nudges is not None:
            report(f"listening at {address} for webhooks of MLflow")
        _watch(watcher, announcer, _Loop(model_name, every, nudges, say or report))
    return []


def _check_arguments(*, once: bool, listen: bool, every: float) -> None:
    if listen and once:
        raise InputError("found --listen with --once, expected one of the two")
    if listen and not os.environ.get(SECRET):
        raise InputError(
            f"found --listen and no {SECRET} in the environment; expected the secret with which "
            "the webhook was created"
        )
    if not 1 <= every <= 86_400:
        raise InputError(f"found --every {every:g}, expected 1 to 86,400 seconds")


def _listen(address: str) -> AbstractContextManager[Nudges]:
    from engine.lifecycle.listener import listen

    host, colon, port = address.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise InputError(f"found --address {address!r}, expected HOST:PORT, as 127.0.0.1:8765")
    return listen(host.removeprefix("[").removesuffix("]"), int(port), os.environ[SECRET])


def _announce(
    watcher: Watcher, announcer: Announcer | None, verdicts: Sequence[VersionVerdict]
) -> None:
    """Tells the other system, if there is one, of what it does not know.

    Raises:
        StoreError: when it did not take all of it.
    """
    if announcer is None:
        return
    taken = [announcer.tell(watcher.tables, verdict) for verdict in verdicts]
    if not all(taken):
        raise StoreError(
            f"{taken.count(False)} of {len(taken)} verdicts were not taken by "
            f"{announcer.command[0]!r}; they are in the store, and are told again at the next look"
        )


def _watch(watcher: Watcher, announcer: Announcer | None, loop: _Loop) -> None:
    """Looks until somebody stops it; what goes wrong after the first look is told."""
    is_first = True
    while True:
        try:
            verdicts = watcher.look(loop.name)
            for verdict in verdicts:
                loop.tell(verdict)
            _announce(watcher, announcer, verdicts)
        except InputError as error:
            if is_first:
                raise
            watcher.say(f"{error}; looking again in {loop.every:g} s")
        except EvalMatrixError as error:
            watcher.say(f"{error}; looking again in {loop.every:g} s")
        is_first = False
        loop.wait()


@dataclass(slots=True)
class _Loop:
    """When it looks again, and who is told of what."""

    name: str | None
    every: float
    nudges: Nudges | None
    say: Say
    _told: set[tuple[str, str, str]] = field(default_factory=set)

    def tell(self, verdict: VersionVerdict) -> None:
        """Says a verdict, once."""
        key = (verdict.model, verdict.version, verdict.run_id or verdict.reason)
        if key not in self._told:
            self._told.add(key)
            self.say(verdict.line)

    def wait(self) -> None:
        """Waits until the next look, or a nudge."""
        if self.nudges is None:
            time.sleep(self.every)
        else:
            self.nudges.wait(self.every)
