"""A trivial model as a model version, and how it predicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit, softmax

from engine.core.vocabulary import TRIVIAL, Label, ModelVersion, Output, TaskKind
from engine.models.flavors.base import Runner
from engine.models.trivial.encoding import InputColumn, encode, from_json

# What has all scores at once, one for each class or one value.
CONSTANT = "constant"
Content = Mapping[str, Any]


def trivial_version(
    kind: str, digest: str, content: Content, task: TaskKind, classes: Sequence[Label] = ()
) -> ModelVersion:
    """A trivial model as the version of a model.

    Args:
        kind: what it is: `majority`, `mean`, `stump`, `linear`.
        digest: SHA-256 of all that it was fitted on and with. Its numbers would not do: the last
            digit of a sum depends on the order in which Spark adds.
        content: what `engine.models.trivial.fitting` found, and `fitted`, on what, in words.
        task: what is predicted.
        classes: the evaluation's classes, of which it has a score each; none of a regression.
    """
    return ModelVersion(
        name=f"trivial {kind}",
        uri=f"{TRIVIAL}:{kind}",
        version=None,
        digest=digest,
        path="",
        flavor=TRIVIAL,
        task=task,
        output=Output.VALUE if task is TaskKind.REGRESSION else Output.PROBABILITY,
        classes=tuple(classes),
        features=tuple(column["name"] for column in content.get("columns", ())),
        content=json.dumps(dict(content), sort_keys=True),
    )


def fitted_text(model: ModelVersion) -> str:
    """On what a trivial model is fitted, in words."""
    text: str = json.loads(model.content)["fitted"]
    return text


def trivial_runner(model: ModelVersion) -> Runner:
    """Predicts with the numbers of a trivial model: values, or a probability of each class."""
    content, columns = _read(model.content)

    def run(table: pa.Table) -> Any:
        if CONSTANT in content:
            scores = np.asarray(content[CONSTANT], np.float64)
            return np.broadcast_to(scores, (table.num_rows, *scores.shape)).copy()
        inputs = encode(table, columns)
        return _tree(inputs, content) if "threshold" in content else _line(inputs, content)

    return run


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[dict[str, Any], list[InputColumn]]:
    content = json.loads(text)
    return content, from_json(content.get("columns", ()))


def _tree(inputs: np.ndarray, content: Content) -> np.ndarray:
    """The scores of the side of the threshold on which each row lies.

    As scikit-learn's trees have it, which compare in 32 bits.
    """
    below = inputs[:, content["at"]].astype(np.float32) <= content["threshold"]
    low, high = (np.asarray(content[side], np.float64) for side in ("low", "high"))
    return np.asarray(np.where(below.reshape(-1, *(1 for _ in low.shape)), low, high))


def _line(inputs: np.ndarray, content: Content) -> np.ndarray:
    """The values of a linear model; of classes their probabilities."""
    values = inputs @ np.asarray(content["weights"], np.float64).T + content["intercepts"]
    if "places" not in content:
        return np.asarray(values[:, 0])
    if values.shape[1] == 1:
        # Of two classes it is that of the second.
        probabilities = np.hstack([expit(-values), expit(values)])
    else:
        probabilities = softmax(values, axis=1)
    scores = np.zeros((len(values), content["classes"]))
    scores[:, content["places"]] = probabilities
    return scores
