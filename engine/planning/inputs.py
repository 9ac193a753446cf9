"""Which columns of a dataset fill a model's inputs, and which models they cannot fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.core.vocabulary import ColumnSpec, ModelVersion, TensorSpec
from engine.data.columns import is_number, near_column
from engine.delta.head import Schema
from engine.errors import ModelError
from engine.models import check_inputs
from engine.suite import Evaluation


def fill_inputs(model: ModelVersion, evaluation: Evaluation, schema: Schema) -> ModelVersion:
    """The model with the columns that feed it, all of which the dataset has but optional ones.

    What has its predictions in a table of their own reads none.
    """
    if model.table is not None:
        return model
    columns = [name for name, _ in schema]
    if not model.features:
        dataset = evaluation.dataset
        single = (dataset.label, dataset.weight, dataset.cluster, dataset.query)
        # What is a prediction already is no input of a model.
        stored = [own for own in evaluation.models if own.is_stored and own.table is None]
        said = [name for own in stored for name in (*own.scores, own.label)]
        used = {*single, *dataset.key, *dataset.sensitive, *said}
        model = replace(model, features=tuple(c for c in columns if c not in used))
    if model.refusal:
        # Nobody asks it, so it may want what there is not.
        return replace(model, features=tuple(c for c in model.features if c in set(columns)))
    model = _without_optional(model, columns)
    missing = check_inputs(model, columns)
    if missing:
        near = near_column(missing[0], columns)
        hint = f"; {missing[0]!r}{near}" if near else ""
        raise ModelError(
            f"evaluation {evaluation.name!r}: the model {model.name!r} ({model.uri}) wants the "
            f"columns {missing}, which the dataset {evaluation.dataset.name!r} lacks; it has "
            f"{', '.join(map(repr, columns[:50]))}{hint}"
        )
    _check_size(model, evaluation)
    if model.is_stored:
        check_scores(model, dict(schema))
    return model


def check_scores(model: ModelVersion, types: dict[str, str]) -> None:
    """Refuses stored scores that are no numbers.

    Raises:
        ModelError: with the column, its type and what was expected.
    """
    for name in model.score_columns:
        if not is_number(types[name]):
            raise ModelError(
                f"the model {model.name!r} has its scores in {name!r}, which is {types[name]}; "
                "expected numbers"
            )


def _without_optional(model: ModelVersion, columns: Sequence[str]) -> ModelVersion:
    """The model without the inputs that its signature does not require and the data lack."""
    if len(model.inputs) != len(model.features):
        return model
    pairs = [
        (spec, name)
        for spec, name in zip(model.inputs, model.features, strict=True)
        if name in columns or not (isinstance(spec, ColumnSpec) and spec.optional)
    ]
    if len(pairs) == len(model.inputs):
        return model
    inputs = tuple(spec for spec, _ in pairs if isinstance(spec, ColumnSpec))
    return replace(model, inputs=inputs, features=tuple(name for _, name in pairs))


def _check_size(model: ModelVersion, evaluation: Evaluation) -> None:
    """Refuses scalar columns that cannot fill the one tensor of a signature."""
    tensors = [spec for spec in model.inputs if isinstance(spec, TensorSpec)]
    if len(tensors) != 1 or len(model.features) < 2 or -1 in tensors[0].shape:
        return
    size = 1
    for extent in tensors[0].shape:
        size *= extent
    if size != len(model.features):
        raise ModelError(
            f"evaluation {evaluation.name!r}: the model {model.name!r} wants a tensor of shape "
            f"{tensors[0].shape}, {size} numbers for each row, and its features are "
            f"{len(model.features)} columns; name the right ones in dataset.features"
        )
