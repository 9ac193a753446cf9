"""Finds a suite's models while Spark starts and the data is read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from engine.core.daemons import start_daemon
from engine.core.locations import Store
from engine.core.vocabulary import ModelVersion
from engine.errors import EvalMatrixError, TrackingError
from engine.models import (
    Describe,
    ModelRequest,
    ServedRequest,
    describe_model,
    resolve,
    resolve_endpoint,
    stored_predictions,
)
from engine.planning.classes import with_classes
from engine.suite import Evaluation, ModelSource, Suite


def short_waits() -> None:
    """Lets MLflow give up on a server that is down within seconds, where nobody wants otherwise.

    One that takes a request and never answers is given up after two minutes. MLflow's own defaults
    are some four minutes, and a quarter of an hour.
    """
    for name, value in (("MAX_RETRIES", "3"), ("BACKOFF_FACTOR", "1"), ("TIMEOUT", "30")):
        os.environ.setdefault(f"MLFLOW_HTTP_REQUEST_{name}", value)


class ModelFinder:
    """Finds the models of a suite in a thread of its own, while Spark starts and reads data.

    Most of that time goes into importing MLflow and the models' frameworks. `describe` opens models
    that have to say themselves what they return.
    """

    def __init__(self, suite: Suite, describe: Describe = describe_model) -> None:
        waiting: list[tuple[Future[Any], Callable[[], object]]] = []

        def submit(call: Callable[[], object]) -> Future[Any]:
            waiting.append((Future(), call))
            return waiting[-1][0]

        self._found: dict[str, list[Future[ModelVersion]]] = {
            evaluation.name: [
                submit(partial(_model, suite, evaluation, source, describe))
                for source in evaluation.models
            ]
            for evaluation in suite.evaluations
        }
        self._waiting = waiting
        start_daemon(self._work)

    def _work(self) -> None:
        for future, call in self._waiting:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)

    def models(self, evaluation: Evaluation) -> list[ModelVersion]:
        """The models of an evaluation, in its order; waits until they are found.

        Raises:
            ModelError: for a model that is not found, or does not fit the task.
            TrackingError: when the tracking server cannot be reached.
        """
        futures: list[Future[ModelVersion]] = self._found[evaluation.name]
        try:
            return [future.result() for future in futures]
        except TrackingError as error:
            raise TrackingError(
                f"evaluation {evaluation.name!r}: {error}; nothing was evaluated"
            ) from error
        except EvalMatrixError as error:
            raise type(error)(f"evaluation {evaluation.name!r}: {error}") from error

    def stop(self) -> None:
        """Looks for no more models, where something else went wrong."""
        for future, _ in self._waiting:
            future.cancel()


def _endpoint(
    suite: Suite, evaluation: Evaluation, source: ModelSource, describe: Describe
) -> ModelVersion:
    """A served model, with the inputs and classes of the one that it is like."""
    assert source.endpoint is not None, "it is served"
    name = source.like or evaluation.baseline
    others = [other for other in evaluation.models if other.name == name and other.uri]
    request = ServedRequest(
        source.name,
        source.endpoint,
        evaluation.dataset.task,
        source.output,
        source.scores,
        source.label,
        evaluation.dataset.features,
        _model(suite, evaluation, others[0], describe) if others else None,
        # Of a server that tells no version nothing holds beyond this run.
        secrets.token_hex(16),
    )
    return resolve_endpoint(request)


def _model(
    suite: Suite, evaluation: Evaluation, source: ModelSource, describe: Describe
) -> ModelVersion:
    dataset, store = evaluation.dataset, Store(suite.store)
    if source.endpoint is not None:
        return with_classes(_endpoint(suite, evaluation, source, describe), source.classes)
    if not source.uri:
        stored = stored_predictions(
            source.name, dataset.task, source.scores, source.label, source.output
        )
        return with_classes(stored, source.classes)
    request = ModelRequest(
        uri=source.uri,
        task=dataset.task,
        tracking_uri=suite.mlflow.tracking_uri or store.tracking_uri,
        cache_dir=store.files / "cache" / "models",
        name=source.name,
        output=source.output,
        score_columns=source.scores,
        label_column=source.label,
        features=dataset.features,
        descriptions=store.files / "cache" / "descriptions",
        trust=suite.trust,
    )
    return with_classes(resolve(request, describe), source.classes)
