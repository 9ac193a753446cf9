"""From the arguments of `init` to a suite: look, measure once, choose, write, read it again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.commands.authoring.behaviour_tests import add_behaviour_tests
from engine.commands.authoring.data_tests import add_data_tests
from engine.commands.authoring.document import Heading, suite_text
from engine.commands.authoring.model_tests import add_model_tests
from engine.commands.authoring.trial import trial_suite
from engine.commands.authoring.wishes import Draft, Situation
from engine.commands.evaluate_alone import evaluate_alone
from engine.commands.first_look import Wanted, look
from engine.commands.progress import Reporter
from engine.core.locations import Store
from engine.core.signals import cut_waits
from engine.core.vocabulary import EvaluationResult
from engine.errors import InputError, StoreError
from engine.execution.local_pool import begin_worker
from engine.planning.model_finder import short_waits
from engine.planning.suites import read_suite
from engine.spark.lazy_session import LazySession
from engine.store.reach import check_store
from engine.suite import dump_suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, slots=True)
class Drafted:
    """A suite that was written: its text, its file, what was guessed, and what was left out."""

    text: str
    out: Path | None
    told: tuple[str, ...]
    omissions: tuple[str, ...]
    tests: int

    def __str__(self) -> str:
        return self.text


def draft_suite(wanted: Wanted, *, spark: SparkSession | None) -> Drafted:
    """Writes the suite.

    Raises:
        InputError: when an argument, a model or the data are wrong; nothing was written.
        StoreError: when the machinery failed.
    """
    if wanted.out is not None and wanted.out.exists() and not wanted.force:
        raise InputError(
            f"{str(wanted.out)!r} is there already; give --force to overwrite it, or another --out"
        )
    tell, store = Reporter(), Store(wanted.store)
    check_store(store)
    short_waits()
    session = LazySession(
        spark,
        executor="auto",
        log_file=store.log_file,
        say=tell.say,
        begin_local=begin_worker,
    )
    with cut_waits():
        situation = look(wanted, session, tell)
        for line in situation.roles.told:
            tell.say(line)
        result = _measure(situation, wanted, session, tell)
    draft = Draft()
    add_model_tests(draft, situation, result.cells)
    add_data_tests(draft, situation, result.cells)
    add_behaviour_tests(draft, situation, result.cells)
    heading = Heading(wanted.store, wanted.tracking_uri, situation.roles.told)
    meaning, text = suite_text(situation, draft, heading)
    _write(text, meaning, wanted)
    count = sum(map(len, draft.tests.values()))
    return Drafted(text, wanted.out, situation.roles.told, tuple(draft.omissions), count)


def _measure(
    situation: Situation, wanted: Wanted, session: LazySession, tell: Reporter
) -> EvaluationResult:
    """The trial: one evaluation in a store that is gone afterwards."""
    tell.say(f"measuring {situation.champion} on {situation.rows:,} rows")
    uri = wanted.tracking_uri or Store(wanted.store).tracking_uri
    folder = tempfile.mkdtemp(prefix="evalmatrix-init-")
    try:
        suite = read_suite(trial_suite(situation, folder, uri))
        return evaluate_alone(suite, session, tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(text: str, meaning: Mapping[str, Any], wanted: Wanted) -> None:
    """Writes the suite, once it is read again as what was meant."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "suite.yml"
        draft.write_text(text, encoding="utf-8", newline="")
        if dump_suite(read_suite(draft)) != dump_suite(read_suite(meaning)):
            raise StoreError("the suite reads as another one than was meant; nothing was written")
    if wanted.out is None:
        return
    try:
        wanted.out.parent.mkdir(parents=True, exist_ok=True)
        new = wanted.out.with_name(f".{wanted.out.name}.new")
        new.write_text(text, encoding="utf-8", newline="")
        new.replace(wanted.out)
    except OSError as error:
        raise InputError(
            f"{str(wanted.out)!r} cannot be written: {error.strerror or error}"
        ) from error
