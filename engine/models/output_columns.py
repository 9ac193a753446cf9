"""Which of the columns that a model returns is the score of which class, by their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.core.labels import loose_label, match_labels
from engine.core.vocabulary import ColumnSpec, Label

_NUMBERS = ("double", "float")


def class_columns(names: Sequence[str], classes: Sequence[Label]) -> tuple[int, ...] | None:
    """For each class the place of its column; None where the names are not those of the classes.

    A column has a class's name, or all have one with the same words around it: `p0` and `p1`,
    `proba_wolf` and `proba_ant`. A single column has the name of nothing.
    """
    if len(names) != len(classes) or len(set(names)) < len(names) or len(names) < 2:
        return None
    for inner in _cores(names, classes):
        places, _ = match_labels(list(classes), inner)
        if places is not None:
            return places
    return None


def _cores(names: Sequence[str], classes: Sequence[Label]) -> Iterator[list[Label]]:
    """The names, then what is left of them without the same words around."""
    yield list(names)
    first = names[0]
    for label in map(str, classes):
        start = first.find(label)
        while label and start >= 0:
            before, after = first[:start], first[start + len(label) :]
            if all(
                name.startswith(before)
                and name.endswith(after)
                and len(name) > len(before) + len(after)
                for name in names
            ):
                yield [name[len(before) : len(name) - len(after)] for name in names]
            start = first.find(label, start + 1)


def has_columns(names: Sequence[str], classes: Sequence[Label]) -> bool:
    """Whether some of several columns have a class's name, so that their order is no order.

    Numbers from 0 on are what a frame calls columns that have no names.
    """
    if [*names] == [str(place) for place in range(len(names))]:
        return False
    known = {loose_label(label) for label in classes}
    return len(names) > 1 and any(loose_label(name) in known for name in names)


def suggested_output(outputs: Sequence[ColumnSpec]) -> str:
    """How a suite could name columns of these: `output: {label: predict, scores: [p0, p1]}`."""
    scores = [spec.name for spec in outputs if spec.type in _NUMBERS]
    labels = [spec.name for spec in outputs if spec.type not in _NUMBERS]
    parts = [f"label: {labels[0]}"] if labels else []
    if scores:
        listed = ", ".join(scores)
        parts.append(f"scores: [{listed}]" if len(scores) > 1 else f"scores: {listed}")
    return f"output: {{{', '.join(parts)}}}"
