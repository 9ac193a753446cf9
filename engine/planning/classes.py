"""Which of the evaluation's classes each score of a model is of, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.core.labels import match_labels, same_label
from engine.core.vocabulary import Label, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.fields.wording import list_text
from engine.metrics import Problem
from engine.models import class_columns, has_columns, suggested_output

SORTED = "the sorted labels of the data"
NAMED = "dataset.classes"


def fit_classes(model: ModelVersion, problem: Problem, named: Sequence[Label] = ()) -> ModelVersion:
    """The model with the evaluation's classes, and which of them each of its own is.

    Raises:
        ModelError: when its classes are not those of the evaluation, or when nothing says which of
            the columns that it returns are their scores.
    """
    classes, own = problem.classes, model.classes
    if not classes:
        _check_single(model)
        return model
    if own and problem.task is TaskKind.MULTILABEL:
        _check_names(model, classes)
        return replace(model, classes=classes)
    if own:
        places = _own_places(model, classes, named)
        if model.own_classes or [*map(same_label, own)] != [*map(same_label, classes)]:
            model = replace(model, own_classes=model.own_classes or own, places=places)
        return replace(model, classes=classes)
    model = replace(model, classes=classes)
    return replace(model, class_source=_source(model, classes, named))


def _check_names(model: ModelVersion, names: Sequence[Label]) -> None:
    """Refuses names of labels that are not one for each of a model's, in its order."""
    own, named = [*map(str, model.classes)], [*map(str, names)]
    if len(own) != len(named) or (own != named and set(own) == set(named)):
        raise ModelError(
            f"model {model.name!r} has the labels {list_text(model.classes)}, expected are "
            f"{list_text(names)}; leave dataset.classes out, or name each label in the model's "
            "order"
        )


def _own_places(
    model: ModelVersion, classes: Sequence[Label], named: Sequence[Label]
) -> tuple[int, ...]:
    """Which of the evaluation's classes each of a model's is: by their names, else by their places.

    The suite may call classes otherwise than a model does; then none has a name of the model's in
    another place.
    """
    own = model.classes
    if len(own) == len(classes):
        places, _ = match_labels(own, classes)
        if places is not None:
            return places
        names = [same_label(label) for label in classes]
        elsewhere = any(
            same_label(label) in names and names.index(same_label(label)) != place
            for place, label in enumerate(own)
        )
        if named and not elsewhere:
            return tuple(range(len(own)))
    if named:
        raise ModelError(
            f"model {model.name!r} has the classes {list_text(own)}, dataset.classes are "
            f"{list_text(named)}; name each of the model's classes, in any order, or give each a "
            "name of your own, in the model's order"
        )
    raise ModelError(
        f"models of one evaluation must have the same classes: expected {list_text(classes)}, "
        f"{model.name!r} has {list_text(own)}"
    )


def _source(model: ModelVersion, classes: Sequence[Label], named: Sequence[Label]) -> str:
    """How it is known which column is which class, of a model that has no classes of its own."""
    if model.output is Output.LABEL:
        return "the labels that it returns"
    chosen = list(model.score_columns) or [spec.name for spec in model.outputs]
    if class_columns(chosen, classes) is not None:
        return "the names of its columns"
    if len(chosen) > 1:
        numbers = all(spec.type in ("double", "float") for spec in model.outputs)
        if model.score_columns and len(chosen) == len(classes):
            return "the order of the suite's scores"
        if not numbers or len(chosen) != len(classes) or has_columns(chosen, classes):
            there = ", ".join(map(repr, chosen))
            raise ModelError(
                f"model {model.name!r} returns the columns {there}; expected a score for each of "
                f"the classes {list_text(classes)}; say {suggested_output(model.outputs)} in the "
                "suite"
            )
    return NAMED if named else SORTED


def _check_single(model: ModelVersion) -> None:
    """Refuses several columns where a number is wanted."""
    names = [spec.name for spec in model.outputs]
    if len(names) > 1 and not model.score_columns:
        numbers = [spec.name for spec in model.outputs if spec.type in ("double", "float")]
        raise ModelError(
            f"model {model.name!r} returns the columns {', '.join(map(repr, names))}, expected one "
            f"number for each row; say output: {{scores: {(numbers or names)[0]}}} in the suite"
        )
