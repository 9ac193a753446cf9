"""Models that a server answers for: as a candidate of an evaluation, and as what it should answer.

A server of MLflow's answers with what the method of the model returns that was chosen when it was
logged: for scikit-learn `predict` by default, and so labels, where a scan has probabilities.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from engine.core.vocabulary import ENDPOINT, Endpoint, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.models.artifact import read_artifact
from engine.models.flavors.base import Runner
from engine.serving import Client, Unreachable, rows_of, shown_url

# For so long a server that was out of reach is not asked again by this process.
DOWN_SECONDS = 60.0
_DOWN: dict[str, tuple[float, str]] = {}

_NUMBERS = (TaskKind.REGRESSION, TaskKind.RANKING)
_OUTPUTS = {"predict_proba": Output.PROBABILITY, "decision_function": Output.LOGIT}


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A served model as a suite asks for it.

    Attributes:
        name: what it is called.
        endpoint: where it is, and how it is asked.
        task: what is predicted.
        output: what it returns, where the suite says it.
        score_columns: which of several columns it returns have the scores.
        label_column: which of them has the label.
        features: the columns that it reads, where the suite names them.
        like: a model whose inputs and classes it has.
        token: stands for this moment in the digest of a server that tells no version.
    """

    name: str
    endpoint: Endpoint
    task: TaskKind
    output: Output | None = None
    score_columns: Sequence[str] = ()
    label_column: str | None = None
    features: Sequence[str] | None = None
    like: ModelVersion | None = None
    token: str = ""


def resolve_endpoint(request: ServedRequest) -> ModelVersion:
    """What is known of a served model; its server is asked which version answers.

    A server that is out of reach is none of a run's mistakes: its cells will say so. What one
    version answered is used again for that version alone; where the server tells none, for nothing.

    Raises:
        ModelError: when nothing says what it returns, or a header lacks its variable.
    """
    client, like = Client(request.endpoint), request.like
    try:
        version = client.version()
    except Unreachable:
        version = None
    endpoint = request.endpoint
    told = ["version", version] if version is not None else ["at", request.token]
    about = [endpoint.url, endpoint.protocol, endpoint.model, *told]
    base = ModelVersion(
        name=request.name,
        uri=shown_url(endpoint.url),
        version=version,
        digest=hashlib.sha256(f"endpoint {json.dumps(about)}".encode()).hexdigest(),
        path="",
        flavor=ENDPOINT,
        task=request.task,
        output=Output.VALUE,
        features=tuple(request.features or (() if like is None else like.features)),
        endpoint=endpoint,
        score_columns=tuple(request.score_columns),
        label_column=request.label_column,
    )
    if like is not None:
        base = replace(
            base, inputs=like.inputs, features=like.features, classes=like.classes,
            own_classes=like.own_classes, places=like.places, class_source=like.class_source,
        )  # fmt: skip
    return _with_output(base, request)


def _with_output(model: ModelVersion, request: ServedRequest) -> ModelVersion:
    """The model with what it returns: as the suite says, or as its like is served."""
    by_value = request.task in _NUMBERS
    if request.score_columns or request.label_column is not None:
        of_scores = Output.VALUE if by_value else Output.PROBABILITY
        decides = bool(request.score_columns) and request.label_column is not None
        output = of_scores if request.score_columns else Output.LABEL
        return replace(model, output=output, decides=decides)
    if request.output is not None:
        return replace(model, output=request.output)
    if request.like is not None:
        like = as_served(request.like)
        return replace(
            model, output=like.output, outputs=like.outputs, squashed=like.squashed,
            score_columns=like.score_columns, label_column=like.label_column,
            decides=bool(like.score_columns) and like.label_column is not None,
        )  # fmt: skip
    if by_value:
        return model
    raise ModelError(
        f"the endpoint {request.name!r} does not tell what its numbers are; expected output: "
        "probability, logit or label, or like: a model of the evaluation with a uri"
    )


def as_served(model: ModelVersion) -> ModelVersion:
    """The model as a server of MLflow's answers for it: by the one method that it was logged with.

    Raises:
        ModelError: for a method whose numbers no output stands for.
    """
    if model.flavor != "sklearn" or not model.path:
        return model
    function = read_artifact(Path(model.path)).flavors.get("python_function", {})
    method = str(function.get("predict_fn", "predict"))
    if method == "predict":
        if model.output is Output.VALUE:
            return model
        return replace(model, output=Output.LABEL, decides=False, unsure=False, squashed=False)
    if method not in _OUTPUTS:
        raise ModelError(
            f"the model {model.name!r} is served by its method {method!r}, expected one of predict,"
            f" {', '.join(_OUTPUTS)}; say so when it is logged (pyfunc_predict_fn)"
        )
    output = _OUTPUTS[method]
    same = output is model.output
    return replace(model, output=output, decides=False, unsure=False,
                   squashed=same and model.squashed)  # fmt: skip


def endpoint_runner(model: ModelVersion) -> Runner:
    """Asks the server for the rows of each table."""
    assert model.endpoint is not None, "it is served"
    client = Client(model.endpoint)

    def run(table: pa.Table) -> Any:
        # One failure is enough for a model's cells: the other parts of a scan need not wait for it.
        at, why = _DOWN.get(model.digest, (-math.inf, ""))
        if time.monotonic() - at < DOWN_SECONDS:
            raise Unreachable(why)
        try:
            return client.predict(rows_of(table, model))
        except Unreachable as error:
            _DOWN[model.digest] = (time.monotonic(), str(error))
            raise

    return run
