"""Which columns of a dataset fill a model's inputs."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.vocabulary import ColumnSpec, ModelVersion, Output, TaskKind, TensorSpec
from engine.errors import ModelError
from engine.planning.inputs import fill_inputs
from engine.suite import DatasetSource, Evaluation, ModelSource

BINARY = TaskKind.BINARY


def model(*inputs: Any, features: tuple[str, ...] | None = None) -> ModelVersion:
    names = tuple(spec.name for spec in inputs) if features is None else features
    return ModelVersion(
        "m", "u", None, "d", "p", "pyfunc", BINARY, Output.PROBABILITY, (), inputs, names
    )


def fill(version: ModelVersion, *columns: str, models: Any = (), **dataset: Any) -> ModelVersion:
    source = DatasetSource("delta", "t", "t", BINARY, "y", **dataset)
    evaluation = Evaluation("e", source, models, (), ())
    return fill_inputs(version, evaluation, tuple((name, "double") for name in columns))


SPEND, BONUS = ColumnSpec("spend", "double"), ColumnSpec("bonus", "double", optional=True)


@pytest.mark.parametrize("inputs", [(SPEND, BONUS), (BONUS, SPEND)])
def test_what_a_signature_does_not_require_may_be_lacking(inputs: Any) -> None:
    there = fill(model(*inputs), "spend", "bonus", "y")
    assert there.inputs == inputs and set(there.features) == {"spend", "bonus"}
    lacking = fill(model(*inputs), "spend", "y")
    assert (lacking.inputs, lacking.features) == ((SPEND,), ("spend",))
    with pytest.raises(ModelError, match=r"wants the columns \['spend'\], .* 'Spend'"):
        fill(model(*inputs), "Spend", "bonus", "y")


def test_columns_of_other_uses_are_no_features() -> None:
    stored = (ModelSource("v1", "", None, ("score_v1",), "said_v1"),)
    columns = ("id", "a", "b", "score_v1", "said_v1", "w", "secret", "y")
    found = fill(
        model(features=()), *columns, models=stored, key=("id",), weight="w", sensitive=("secret",)
    )
    assert found.features == ("a", "b")


def test_columns_that_cannot_fill_a_tensor_are_refused() -> None:
    tensor = model(TensorSpec(None, "float32", (3,)), features=("a", "b"))
    with pytest.raises(ModelError, match="3 numbers for each row, and its features are 2 columns"):
        fill(tensor, "a", "b", "y")
