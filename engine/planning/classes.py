"""Which of the evaluation's classes each score of a model is of, and how that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.core.labels import match_labels, same_label
from engine.core.vocabulary import Label, ModelVersion, Output, TaskKind
from engine.errors import ModelError
from engine.fields.wording import list_text
from engine.metrics import Problem
from engine.models.output_columns import (
    BY_CLASSES,
    BY_LABELS,
    BY_MODEL,
    BY_NAME,
    BY_NAMES,
    BY_SCORES,
    BY_SORTING,
    class_columns,
    names_some,
    single_class,
    suggested_output,
)


def with_classes(model: ModelVersion, classes: Sequence[Label]) -> ModelVersion:
    """The model with the labels that the suite gives it, in the order of its own scores.

    Raises:
        ModelError: when it names another number of them itself.
    """
    if not classes or model.task in (TaskKind.REGRESSION, TaskKind.RANKING):
        return model
    own = model.classes
    if own and len(own) != len(classes):
        raise ModelError(
            f"model {model.name!r} has the classes {list_text(own)}, its classes in the suite are "
            f"{list_text(classes)}; expected one for each"
        )
    named = replace(model, classes=tuple(classes), class_source=BY_MODEL)
    if not own:
        return named
    return replace(named, own_classes=own, places=tuple(range(len(own))))


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
        _check_names_of_columns(model)
        if model.own_classes or [*map(same_label, own)] != [*map(same_label, classes)]:
            model = replace(model, own_classes=model.own_classes or own, places=places)
        return replace(model, classes=classes)
    model = replace(model, classes=classes)
    source = _source(model, classes, named)
    if source != BY_NAME:
        _check_single_score(model, problem)
    return replace(model, class_source=source)


def _check_single_score(model: ModelVersion, problem: Problem) -> None:
    """Refuses one stored score of nobody knows which class, where the positive one is the first.

    Whoever names a positive label most probably means its score; one score is the second class's.
    """
    single = model.is_stored and len(model.score_columns) == 1
    if single and problem.task is TaskKind.BINARY and problem.positive == 0:
        first, second = problem.classes
        raise ModelError(
            f"model {model.name!r} has one score, {model.score_columns[0]!r}, which would be that "
            f"of {second!r}, and the positive label is {first!r}; say which it is of: by the "
            f"model's classes, [{second}, {first}] where it is of {first!r} and [{first}, "
            f"{second}] where it is of {second!r}"
        )


def _check_names_of_columns(model: ModelVersion) -> None:
    """Refuses columns of which some have a class's name, where the model's order is another."""
    chosen = list(model.score_columns) or [spec.name for spec in model.outputs]
    if model.class_source == BY_MODEL or len(chosen) < 2:
        return
    classes = model.classes
    if class_columns(chosen, classes) is None and names_some(chosen, classes):
        raise _no_classes(model, chosen, classes, as_many=len(chosen) == len(classes))


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
    """How it is known which column is which class, of a model that has no classes of its own.

    Raises:
        ModelError: where columns have names, and neither they nor the suite say it.
    """
    if model.output is Output.LABEL:
        return BY_LABELS
    chosen = list(model.score_columns) or [spec.name for spec in model.outputs]
    by_order = BY_SCORES if model.score_columns else BY_CLASSES if named else BY_SORTING
    if not chosen:
        return BY_CLASSES if named else BY_SORTING
    if len(chosen) == 1:
        known = single_class(chosen[0], classes) is not None
        return BY_NAME if known else BY_CLASSES if named else BY_SORTING
    if class_columns(chosen, classes) is not None:
        return BY_NAMES
    of_numbers = model.task is not TaskKind.MULTILABEL
    numbers = all(spec.type in ("double", "float") or not of_numbers for spec in model.outputs)
    as_many = len(chosen) == len(classes) and (numbers or bool(model.score_columns))
    by_place = model.task is TaskKind.MULTILABEL or by_order != BY_SORTING
    if as_many and by_place and not names_some(chosen, classes):
        return by_order
    raise _no_classes(model, chosen, classes, as_many=as_many)


def _no_classes(
    model: ModelVersion, chosen: Sequence[str], classes: Sequence[Label], *, as_many: bool
) -> ModelError:
    """What is told of columns that have other names than the classes, with what helps."""
    there, known = ", ".join(map(repr, chosen)), list_text(classes)
    if as_many:
        listed = ", ".join(map(str, classes))
        help_ = (
            f"say which are which by the model's `classes` in the order of its columns, such as "
            f"classes: [{listed}]"
        )
    elif model.score_columns or not any(
        spec.type not in ("double", "float") for spec in model.outputs
    ):
        help_ = (
            "name a column for each class in the suite's output, and all classes in "
            "dataset.classes where the data lack some"
        )
    else:
        help_ = f"say {suggested_output(model.outputs)} in the suite"
    return ModelError(
        f"model {model.name!r} returns the columns {there}; expected a score for each of the "
        f"classes {known}; {help_}"
    )


def _check_single(model: ModelVersion) -> None:
    """Refuses several columns where a number is wanted."""
    names = [spec.name for spec in model.outputs]
    if len(names) > 1 and not model.score_columns:
        numbers = [spec.name for spec in model.outputs if spec.type in ("double", "float")]
        raise ModelError(
            f"model {model.name!r} returns the columns {', '.join(map(repr, names))}, expected one "
            f"number for each row; say output: {{scores: {(numbers or names)[0]}}} in the suite"
        )
