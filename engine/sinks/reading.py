"""How a model's outputs were read, in words: which score is of which class, and who decides."""

from __future__ import annotations

from engine.core.vocabulary import EvaluationResult, Label, ModelVersion, Output
from engine.sinks import format as fmt

_MOST_CLASSES = 12


def reading_text(model: ModelVersion) -> str:
    """One line on how a model's outputs were read; "" where there is nothing to tell."""
    parts = [_columns_text(model), _classes_text(model)]
    if model.asked_twice:
        parts.append("labels by its own predict, asked beside its scores")
    if model.squashed:
        parts.append("the scores of a decision function, no probabilities")
    return "; ".join(part for part in parts if part)


def clipped_texts(evaluation: EvaluationResult) -> list[str]:
    """A sentence for each model of which scores were beyond 0 or 1 by rounding."""
    return [
        f"{fmt.plural(count, 'score')} of {fmt.one_line(name, 60)} lay beyond 0 or 1 by rounding "
        "and were clipped."
        for name, count in evaluation.clipped.items()
    ]


def _columns_text(model: ModelVersion) -> str:
    label = [] if model.label_column is None else [f"the label from {model.label_column!r}"]
    scores = [f"the scores from {', '.join(map(repr, model.score_columns))}"]
    return ", ".join([*label, *(scores if model.score_columns else [])])


def _classes_text(model: ModelVersion) -> str:
    """The classes in the order in which the model has them, and how that is known."""
    if not model.classes or not model.class_source:
        return ""
    own: tuple[Label, ...] = model.own_classes or model.classes
    named = [_class_text(label, model, place) for place, label in enumerate(own)]
    more = f", and {len(named) - _MOST_CLASSES} more" if len(named) > _MOST_CLASSES else ""
    what = "labels" if model.output is Output.LABEL else "scores of"
    return f"{what} {', '.join(named[:_MOST_CLASSES])}{more}, by {model.class_source}"


def _class_text(label: Label, model: ModelVersion, place: int) -> str:
    """A class as the model calls it, and what it is called in the evaluation where that differs."""
    text = fmt.one_line(repr(label), 60)
    if not model.places:
        return text
    here = fmt.one_line(repr(model.classes[model.places[place]]), 60)
    return text if here == text else f"{text} for {here}"
