"""What is predicted: the classes that the suite, the models and the labels agree on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.core.labels import (
    in_order,
    is_number,
    loose_label,
    match_labels,
    of_one_type,
    same_label,
)
from engine.core.vocabulary import Label, ModelVersion, TaskKind
from engine.errors import DataError
from engine.fields.wording import list_text
from engine.metrics import Problem


def make_problem(
    task: TaskKind,
    models: Sequence[ModelVersion],
    *,
    labels: Sequence[Label],
    positive_label: Label | None,
    classes: Sequence[Label] = (),
) -> Problem:
    """The problem of an evaluation: its classes are the suite's, else the models', else the labels.

    Labels that are the same number are the same label: 1, 1.0 and True. Where types differ, '1' and
    1 are matched as long as there is one way only, and the classes are written as the data have
    them. In a multilabel task there is a label for each entry of the data's arrays, and the classes
    are their names.

    Args:
        task: what is predicted.
        models: with the classes that they name themselves.
        labels: those that the data have.
        positive_label: the one that counts as positive in a binary task.
        classes: what the suite calls them, in its order.

    Raises:
        ModelError: when models disagree on the classes.
        DataError: when the labels are not among the classes, or the positive one is not.
    """
    if task in (TaskKind.REGRESSION, TaskKind.RANKING):
        return Problem(task)
    if task is TaskKind.MULTILABEL:
        return Problem(task, _names(models, classes, labels))
    known, is_ordered = _classes(models, classes, labels)
    places, by_text = match_labels(labels, known)
    if places is None:
        raise _unknown_labels(labels, known, classes)
    if by_text:
        known = of_one_type(known, labels)
        known = tuple(_put(known, dict(zip(places, labels, strict=True))))
    if task is TaskKind.MULTICLASS:
        return Problem(task, known, is_ordered=is_ordered)
    if len(known) != 2:
        raise DataError(f"a binary task has 2 classes, found {len(known)}: {list_text(known)}")
    return Problem(task, known, _positive(known, positive_label), is_ordered=is_ordered)


def _put(classes: Sequence[Label], by_place: Mapping[int, Label]) -> list[Label]:
    return [by_place.get(place, label) for place, label in enumerate(classes)]


def _classes(
    models: Sequence[ModelVersion], named: Sequence[Label], labels: Sequence[Label]
) -> tuple[tuple[Label, ...], bool]:
    """The classes in their order, and whether that order is meant: named, or of numbers."""
    if named:
        return tuple(named), True
    own = next((model.classes for model in models if model.classes), None)
    known = tuple(in_order(labels)) if own is None else own
    numbers = all(isinstance(label, str) and is_number(label) for label in known)
    by_value = numbers and list(known) == in_order(known)
    return known, by_value or not any(isinstance(label, str) for label in known)


def _unknown_labels(
    labels: Sequence[Label], classes: Sequence[Label], named: Sequence[Label]
) -> DataError:
    there = {same_label(label) for label in classes}
    unknown = [label for label in labels if same_label(label) not in there]
    loose = {loose_label(label) for label in classes}
    unknown = [label for label in unknown if loose_label(label) not in loose] or unknown
    whose = "dataset.classes are" if named else "expected their classes"
    hint = (
        ""
        if named
        else (
            "; where they go by other names, say so in the model's `classes`, in the order of these"
        )
    )
    who = "none of the classes" if named else "which the models do not know"
    return DataError(
        f"the label column holds {list_text(unknown)}, {who}; {whose} {list_text(classes)}{hint}"
    )


def _names(
    models: Sequence[ModelVersion], named: Sequence[Label], labels: Sequence[Label]
) -> tuple[Label, ...]:
    """The names of the labels of a multilabel task, one for each entry of the data's arrays."""
    own = next((model.classes for model in models if model.classes), ())
    names = tuple(named) or tuple(own) or tuple(labels)
    if len(names) != len(labels):
        whose = "dataset.classes have" if named else "the models have"
        raise DataError(
            f"the label column has arrays of {len(labels)} entries, and {whose} {len(names)} "
            f"labels, {list_text(names)}; expected an entry for each label"
        )
    return names


def _positive(classes: Sequence[Label], positive_label: Label | None) -> int:
    if positive_label is None:
        return 1
    places, _ = match_labels([positive_label], classes)
    if places is None:
        raise DataError(
            f"positive_label is {positive_label!r}, expected one of the classes "
            f"{list_text(classes)}"
        )
    return places[0]


def label_codes(problem: Problem) -> Mapping[str, int]:
    """The class index of each label, by the text that `same_label` gives it."""
    return {same_label(label): k for k, label in enumerate(problem.classes)}
