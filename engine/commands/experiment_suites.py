"""The suites of an experiment: checked before anything runs, each run once for the same inputs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.commands.plan import plan
from engine.commands.run import run
from engine.core.locations import Store
from engine.errors import Mistake, SuiteError
from engine.planning import dump_plans
from engine.planning.suites import read_suite
from engine.suite import dump_suite
from engine.training import Trained
from engine.training.experiments.config import (
    EXPERIMENT_FILE,
    REGISTERED,
    Experiment,
    SuiteRun,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from engine.commands.run_result import RunResult


def check_suites(experiment: Experiment, store: Store) -> None:
    """Reads every suite, with the overrides that it will have.

    Raises:
        SuiteError: with the mistakes of all.
    """
    mistakes = []
    model = experiment.model
    uri = "" if model is None else f"models:/{model[1].name}/1"
    for path, suite in experiment.suites:
        try:
            read_suite(path, _overrides(experiment, store, suite, uri))
        except SuiteError as error:
            mistakes += [Mistake(suite.path, str(mistake)) for mistake in error.mistakes]
    if mistakes:
        raise SuiteError(str(experiment.folder / EXPERIMENT_FILE), mistakes)


def run_suites(
    experiment: Experiment, store: Store, trained: Trained | None, spark: SparkSession | None
) -> Iterator[RunResult]:
    """Runs the suites, in their order.

    The id of a run is made of all that is pinned for it: the versions of data and models, the tests
    and their code. So the same inputs have one run, which answers when it is asked again.
    """
    uri = "" if trained is None else trained.uri
    for path, suite in experiment.suites:
        overrides = _overrides(experiment, store, suite, uri)
        pinned = [evaluation.plan for evaluation in plan(path, overrides=overrides, spark=spark)]
        text = dump_suite(read_suite(path, overrides)) + dump_plans(pinned)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        name = re.sub(r"[^a-zA-Z0-9_-]+", "-", f"{experiment.name}-{path.stem}").strip("-")[:60]
        yield run(path, overrides=overrides, run_id=f"{name}-{digest}", spark=spark)


def _overrides(experiment: Experiment, store: Store, suite: SuiteRun, uri: str) -> tuple[str, ...]:
    """The store and the server of the experiment, then the suite's own overrides."""
    texts = [f"store={store.root}"]
    if experiment.config.tracking_uri is not None:
        texts.append(f"mlflow.tracking_uri={experiment.config.tracking_uri}")
    return (*texts, *(text.replace(REGISTERED, uri) for text in suite.overrides))
