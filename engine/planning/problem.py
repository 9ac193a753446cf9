"""What is predicted: the classes that models and labels agree on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.core.vocabulary import Label, ModelVersion, TaskKind
from engine.errors import DataError, ModelError
from engine.fields.wording import list_text
from engine.metrics import Problem


def make_problem(
    task: TaskKind,
    models: Sequence[ModelVersion],
    *,
    labels: Sequence[Label],
    positive_label: Label | None,
) -> Problem:
    """The problem of an evaluation: its classes come from the models, else from the labels.

    Labels that are the same number are the same label: 1, 1.0 and True. In a multilabel task
    there is a label for each entry of the data's arrays, and the classes are their names.

    Raises:
        ModelError: when models disagree on the classes.
        DataError: when the labels are not among the classes, or the positive one is not.
    """
    if task in (TaskKind.REGRESSION, TaskKind.RANKING):
        return Problem(task)
    if task is TaskKind.MULTILABEL:
        return Problem(task, _names(models, labels))
    classes = _classes(models, labels)
    known = {same_label(label) for label in classes}
    unknown = [label for label in labels if same_label(label) not in known]
    if unknown:
        raise DataError(
            f"the label column holds {list_text(unknown)}, which the models do not know; "
            f"expected their classes {list_text(classes)}"
        )
    if task is TaskKind.MULTICLASS:
        return Problem(task, classes)
    if len(classes) != 2:
        raise DataError(f"a binary task has 2 classes, found {len(classes)}: {list_text(classes)}")
    return Problem(task, classes, _positive(classes, positive_label))


def _classes(models: Sequence[ModelVersion], labels: Sequence[Label]) -> tuple[Label, ...]:
    named = [model for model in models if model.classes]
    if not named:
        return tuple(sorted(labels, key=lambda label: (str(type(label)), label)))
    first = named[0]
    for model in named[1:]:
        if [same_label(class_label) for class_label in model.classes] != [
            same_label(class_label) for class_label in first.classes
        ]:
            raise ModelError(
                f"models of one evaluation must have the same classes: {first.name!r} has "
                f"{list_text(first.classes)}, {model.name!r} has {list_text(model.classes)}"
            )
    return first.classes


def _names(models: Sequence[ModelVersion], labels: Sequence[Label]) -> tuple[Label, ...]:
    """The names of the labels of a multilabel task, one for each entry of the data's arrays."""
    names = _classes(models, ()) or tuple(labels)
    if len(names) != len(labels):
        raise DataError(
            f"the label column has arrays of {len(labels)} entries, and the models have "
            f"{len(names)} labels, {list_text(names)}; expected an entry for each label"
        )
    return names


def _positive(classes: Sequence[Label], positive_label: Label | None) -> int:
    if positive_label is None:
        return 1
    same = [same_label(label) for label in classes]
    if same_label(positive_label) not in same:
        raise DataError(
            f"positive_label is {positive_label!r}, expected one of the classes "
            f"{list_text(classes)}"
        )
    return same.index(same_label(positive_label))


def same_label(label: Label | Decimal) -> str:
    """A text that labels share when they are the same: 1, 1.0 and True; '1' is another."""
    if isinstance(label, str):
        return f"text {label}"
    # Not by way of float, which has no room for the last digits of long numbers.
    whole = math.isfinite(label) and label == int(label)
    return f"number {int(label)}" if whole else f"number {float(label)!r}"


def label_codes(problem: Problem) -> Mapping[str, int]:
    """The class index of each label, by the text that `same_label` gives it."""
    return {same_label(label): k for k, label in enumerate(problem.classes)}
