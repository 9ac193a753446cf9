"""Another system is told of a verdict: by a command, once for each, until it takes it."""

from __future__ import annotations

import datetime as dt
import json
import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from engine.commands.watch_verdict import NO_VERDICT, VersionVerdict
from engine.core.signals import exit_signal_text
from engine.errors import InputError
from engine.store.announcements import Announcement, is_announced, keep_announcement
from engine.store.tables import StoreTables

PATIENCE = 600.0
"""Seconds that a command may take."""


@dataclass(frozen=True, slots=True)
class Announcer:
    """Runs a command for each verdict that it has not taken yet.

    The verdict stands in the command's environment and, as JSON, on its standard input; none of it
    becomes part of the command line. A command that ends with another code than 0 is run again at
    the next look, and so may be one whose watcher was killed meanwhile: the run's id tells it.
    """

    command: tuple[str, ...]
    suite: str
    say: Callable[[str], None]

    def tell(self, tables: StoreTables, verdict: VersionVerdict) -> bool:
        """Whether the other system knows now.

        Raises:
            StoreError: when the store cannot keep that it was told.
        """
        if verdict.gate == NO_VERDICT:
            return True
        known = Announcement(
            verdict.run_id, self.suite, verdict.model, verdict.version, verdict.gate
        )
        table = tables["announcements"]
        if is_announced(table, known):
            return True
        problem = self._run(verdict)
        if problem is not None:
            self.say(f"{verdict.model}/{verdict.version}: --exec {self.command[0]}: {problem}")
            return False
        keep_announcement(table, known, dt.datetime.now(dt.UTC))
        return True

    def _run(self, verdict: VersionVerdict) -> str | None:
        """Runs the command; gives what went wrong."""
        told = {key.upper(): str(value) for key, value in verdict.to_json().items()}
        named = {f"EVALMATRIX_{key}": value for key, value in told.items()}
        environment = {**os.environ, **named, "EVALMATRIX_SUITE": self.suite}
        try:
            done = subprocess.run(
                self.command,
                input=json.dumps({"suite": self.suite, **verdict.to_json()}),
                env=environment,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it took longer than {PATIENCE:,.0f} s, and was ended"
        except OSError as error:
            return f"it could not be run: {error.strerror or error}"
        if done.returncode < 0:
            return exit_signal_text(-done.returncode)
        return None if done.returncode == 0 else f"it ended with the code {done.returncode}"


def split_command(command: str) -> tuple[str, ...]:
    """A command line as its words, as a shell splits it; nothing else of a shell is in it.

    Raises:
        InputError: when it has no words, or a quote is left open.
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise InputError(f"found --exec {command!r}: {error}; expected a command line") from error
    if not words:
        raise InputError("found an empty --exec, expected a command line")
    return words
