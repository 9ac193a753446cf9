"""One look at a registry: which versions lack a verdict, their evaluation, their challenger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.commands.context import open_run
from engine.commands.evaluation_run import complete_run
from engine.commands.outcome import tracking_uri
from engine.commands.watch_verdict import NO_VERDICT, VersionVerdict, stored_verdict
from engine.core.locations import Store
from engine.core.vocabulary import ModelVersion
from engine.errors import DataError, InputError
from engine.lifecycle.candidates import (
    CHALLENGER,
    champion_alias,
    registered_names,
    suite_of,
)
from engine.lifecycle.evidence import data_of
from engine.lifecycle.versions import RegisteredModel, read_model
from engine.models.registry import Registry
from engine.planning import EvaluationPlan
from engine.planning.model_finder import ModelFinder, short_waits
from engine.planning.planner import prepare
from engine.spark.lazy_session import LazySession
from engine.store.tables import StoreTables
from engine.store.turns import turn
from engine.suite import Suite, dump_suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Say = Callable[[str], None]
Pin = tuple[Any, ...]

# An evaluation of two hours is no reason to give up waiting for it.
_PATIENCE = 7 * 86_400.0


@dataclass(slots=True)
class Watcher:
    """Looks at a registry, and evaluates what has no verdict.

    Attributes:
        suite: the suite as its file has it.
        say: is told what is done, in lines.
        older: whether versions that are older than the champion are looked at.
        spark: the caller's session.
    """

    suite: Suite
    say: Say
    older: bool = False
    spark: SparkSession | None = None
    _settled: dict[tuple[str, Pin], VersionVerdict] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    @property
    def store(self) -> Store:
        return Store(self.suite.store)

    @property
    def tracking_uri(self) -> str:
        return tracking_uri(self.suite, self.store)

    @property
    def tables(self) -> StoreTables:
        """The store's tables, by the session that is there now."""
        return StoreTables(self.store, LazySession(self.spark, log_file=self.store.log_file))

    def look(self, name: str | None = None, version: str | None = None) -> list[VersionVerdict]:
        """The verdicts on the versions that are to be judged; those that lack one are evaluated.

        Args:
            name: a registered model of the suite; all of them by default.
            version: the only version to look at, whatever its number.

        Raises:
            InputError: when there is no such model or version.
            TrackingError: when the registry cannot be reached.
            StoreError: when the machinery failed.
        """
        names = self._names(name)
        if version is not None and len(names) > 1:
            listed = ", ".join(map(repr, names))
            raise InputError(
                f"found the version {version!r} and no model's name, expected one of {listed}"
            )
        verdicts = []
        for own in names:
            model = read_model(self.tracking_uri, own)
            verdicts += self._look_at(model, version)
        return [replace(verdict, is_asked=version is not None) for verdict in verdicts]

    def _names(self, name: str | None) -> list[str]:
        names = registered_names(self.suite)
        if not names:
            raise InputError(
                f"the suite {self.suite.name!r} evaluates no registered model; expected one by "
                "models:/<name>/<version> or models:/<name>@<alias>"
            )
        if name is None:
            return names
        # Says which there are, where it is none of them.
        suite_of(self.suite, name, "1", {})
        return [name]

    def _look_at(self, model: RegisteredModel, version: str | None) -> list[VersionVerdict]:
        pins: dict[str, Pin] = {}
        verdicts = []
        for number in self._choose(model, version):
            verdicts.append(self._judge(model, number, pins))
            if verdicts[-1].is_new:
                # A suite that promotes may have another champion now.
                model = read_model(self.tracking_uri, model.name)
        self._mark(read_model(self.tracking_uri, model.name), verdicts)
        return verdicts

    def _choose(self, model: RegisteredModel, version: str | None) -> Sequence[int]:
        """The versions to look at, in their order, the champion last: it stands beside the others.

        Without a champion that is all of them.
        """
        if version is not None:
            return [_number_of(model, version)]
        champion = model.number(champion_alias(self.suite, model.name))
        if model.pending:
            self._tell(f"{model.name}: not ready yet: {_numbers(model.pending)}")
        if champion is None:
            return model.versions
        older = [number for number in model.versions if number < champion]
        if older and not self.older:
            self._tell(
                f"{model.name}: older than the champion, left out: {_numbers(older)}; --older "
                "takes them"
            )
        newer = [number for number in model.versions if number > champion]
        own = [champion] if champion in model.versions else []
        return [*(older if self.older else ()), *newer, *own]

    def _judge(self, model: RegisteredModel, number: int, pins: dict[str, Pin]) -> VersionVerdict:
        """The verdict on a version: a run's that has finished, or one that is made now."""
        suite = suite_of(self.suite, model.name, str(number), model.aliases)
        text = dump_suite(suite)
        if all(evaluation.name in pins for evaluation in suite.evaluations):
            known = self._settled.get((text, _pins(pins, suite)))
            if known is not None:
                return known.as_known()
        try:
            verdict = self._evaluate(suite, model.name, str(number), pins)
        except DataError:
            # Which is as wrong for all other versions.
            raise
        except InputError as error:
            self._tell(f"{model.name}/{number}: {error}")
            return VersionVerdict(model.name, str(number), NO_VERDICT, str(error))
        self._settled[text, _pins(pins, suite)] = verdict
        return verdict

    def _evaluate(
        self, suite: Suite, name: str, version: str, pins: dict[str, Pin]
    ) -> VersionVerdict:
        # Who waited for another watcher's evaluation finds its verdict.
        own_turn = f"watch {_short_digest(self.suite.name)}"
        with turn(self.store, own_turn, patience=_PATIENCE, doing="evaluates new versions"):
            plans = self._plans(suite)
            pins.update({plan.name: _pin(plan) for plan in plans})
            own = _model_of(plans, name, version)
            verdict = stored_verdict(self.tables, suite, plans, own)
            if verdict is not None:
                return verdict
            run_id = _run_id(suite, plans)
            self.say(f"{name}/{version}: no verdict yet, evaluating")
            with open_run(suite, run_id=run_id, spark=self.spark) as context:
                result = complete_run(context)
            verdict = stored_verdict(self.tables, suite, plans, own)
        if verdict is None:
            # The data or an alias moved between the look at them and the run.
            return VersionVerdict(
                name,
                version,
                NO_VERDICT,
                f"the data changed while the run {run_id} began",
            )
        return verdict.as_new(result.tracking_error)

    def _plans(self, suite: Suite) -> list[EvaluationPlan]:
        """What a run of the suite would pin now."""
        short_waits()
        finder = ModelFinder(suite)
        try:
            prepared = prepare(self.tables.session, suite, finder=finder)
        finally:
            finder.stop()
        return [item.plan for item in prepared]

    def _mark(self, model: RegisteredModel, verdicts: Sequence[VersionVerdict]) -> None:
        """Lets the alias `challenger` name the newest version that passed, beyond the champion."""
        champion = model.number(champion_alias(self.suite, model.name)) or 0
        judged = {int(verdict.version): verdict for verdict in verdicts}
        passed = [n for n, verdict in judged.items() if verdict.passes and n > champion]
        current = model.number(CHALLENGER)
        fell = current in judged and current not in passed
        best = max(passed, default=None)
        registry = Registry(self.tracking_uri)
        if best is not None and best != current and (current is None or fell or best > current):
            registry.set_alias(model.name, CHALLENGER, str(best))
            now = registry.alias(model.name, CHALLENGER)
            before = "" if current is None else f", which was {current}"
            self.say(f"{model.name}: {CHALLENGER} is {now}{before}")
        elif best is None and fell:
            registry.remove_alias(model.name, CHALLENGER)
            self.say(f"{model.name}: {current} is no {CHALLENGER} any more: it has not passed")

    def _tell(self, text: str) -> None:
        """Says something once, however often it is found."""
        if text not in self._told:
            self._told.add(text)
            self.say(text)


def _number_of(model: RegisteredModel, version: str) -> int:
    """The number of a version that somebody names."""
    if model.has(version):
        return int(version)
    listed = _numbers(model.versions) or "none"
    known = version.isascii() and version.isdigit() and int(version) in model.pending
    problem = "is not ready" if known else "is not there"
    raise InputError(
        f"the version {version!r} of the registered model {model.name!r} {problem}; those that "
        f"are: {listed}"
    )


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _pin(plan: EvaluationPlan) -> Pin:
    """Which data a plan is about, those of its reference with them."""
    return plan.name, data_of(plan), data_of(plan.reference)


def _pins(pins: dict[str, Pin], suite: Suite) -> Pin:
    return tuple(pins[evaluation.name] for evaluation in suite.evaluations)


def _model_of(plans: Sequence[EvaluationPlan], name: str, version: str) -> ModelVersion:
    """The version as the plans have it."""
    return next(
        model
        for plan in plans
        for model in plan.models
        if (model.registered_name, model.version) == (name, version)
    )


def _run_id(suite: Suite, plans: Sequence[EvaluationPlan]) -> str:
    """The id of the run that judges these models on these data by this suite: always the same.

    So a run that was stopped goes on, and nobody begins it twice.
    """
    about = [
        dump_suite(suite),
        [[*_pin(plan), [model.digest for model in plan.models]] for plan in plans],
    ]
    return f"watch-{_short_digest(json.dumps(about))}"


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]
