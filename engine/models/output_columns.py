"""Which of the columns that a model returns is the score of which class, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from engine.core.labels import loose_label
from engine.core.vocabulary import ColumnSpec, Label

# How it is known which score is of which class, of a model that has no classes of its own.
BY_NAMES = "the names of its columns"
BY_NAME = "the name of its column"
BY_SCORES = "the order of the suite's scores"
BY_MODEL = "the model's classes in the suite"
BY_CLASSES = "dataset.classes"
BY_SORTING = "the sorted labels of the data"
BY_LABELS = "the labels that it returns"

_NUMBERS = ("double", "float")
_NOTHING = re.compile(r"[\W_]+")
# What a number with a point has behind it where it is a whole one: 1.0 is 1, and not 10.
_ZEROS = re.compile(r"(?<=\d)\.0+(?!\d)")
# What may stand before the number of a class in the name of a single column.
_BEFORE_NUMBERS = {"", "p", "prob", "proba", "probability", "class", "pclass", "probclass"}
_DENIALS = {"not", "non", "no", "un", "without"}


def class_columns(names: Sequence[str], classes: Sequence[Label]) -> tuple[int, ...] | None:
    """For each class the place of its column; None where the names are not those of the classes.

    A column has a class's name, or all have one with the same words around it: `p0` and `p1`,
    `proba_wolf` and `proba_ant`. Capitals and what is no letter or digit make no difference, nor do
    types: `p_true` is the column of True, of 1 and of "1.0".
    """
    if len(names) != len(classes) or len(names) < 2:
        return None
    by_form = _by_form(classes)
    for cores in _cores(names):
        places = [by_form.get(core, -1) for core in cores]
        if sorted(places) == list(range(len(classes))):
            return tuple(places.index(place) for place in range(len(classes)))
    return None


def names_some(names: Sequence[str], classes: Sequence[Label]) -> bool:
    """Whether some of several columns have a class's name, so that their order is no order."""
    by_form = _by_form(classes)
    return any(any(core in by_form for core in cores) for cores in _cores(names))


def single_class(name: str, classes: Sequence[Label]) -> int | None:
    """Which of two classes the name of a single column is of; None where it says nothing.

    A text may stand anywhere in it (`p_fraud`, `fraud_score`), a number behind what means
    probability or class only: `score_v0` is the name of a version.
    """
    words = _words(name)
    by_form = _by_form(classes)
    if len(classes) != 2 or (_DENIALS - by_form.keys()) & set(words):
        return None
    squashed = "".join(words)
    places = set()
    for form, place in by_form.items():
        if form.isdigit():
            before = squashed.removesuffix(form)
            if squashed.endswith(form) and before in _BEFORE_NUMBERS and squashed != form:
                places.add(place)
        elif any(
            "".join(words[start:end]) == form
            for start in range(len(words))
            for end in range(start + 1, len(words) + 1)
        ):
            places.add(place)
    return places.pop() if len(places) == 1 else None


def say_something(names: Sequence[object]) -> bool:
    """Whether names are more than the numbers that a frame gives to columns without names."""
    return [*names] != [*range(len(names))]


def _by_form(classes: Sequence[Label]) -> dict[str, int]:
    """The place of each class by what it may be written as; of what two may be, none."""
    places: dict[str, set[int]] = {}
    for place, label in enumerate(classes):
        for form in _forms(label):
            places.setdefault(form, set()).add(place)
    return {form: at.pop() for form, at in places.items() if len(at) == 1}


def _forms(label: Label) -> set[str]:
    forms = {_squash(str(label))}
    meaning, _, value = loose_label(label).partition(" ")
    if meaning == "number":
        forms.add(_squash(value))
        forms |= {"0": {"false"}, "1": {"true"}}.get(value, set())
    return {form for form in forms if form}


def _squash(text: str) -> str:
    return "".join(_words(text))


def _words(text: str) -> list[str]:
    return [word for word in _NOTHING.split(_ZEROS.sub("", text.casefold())) if word]


def _cores(names: Sequence[str]) -> Iterator[list[str]]:
    """What is left of the names without the same letters around, in each way that leaves some."""
    squashed = [_squash(name) for name in names]
    shortest = min(map(len, squashed), default=0)
    before, after = _prefix_length(squashed), _prefix_length([name[::-1] for name in squashed])
    for start in range(before + 1):
        for end in range(min(after, shortest - start - 1) + 1):
            yield [name[start : len(name) - end] for name in squashed]


def _prefix_length(names: Sequence[str]) -> int:
    """How many letters all of the names begin with."""
    letters = zip(*names, strict=False)
    return sum(1 for _ in takewhile(lambda at: len(set(at)) == 1, letters))


def suggested_output(outputs: Sequence[ColumnSpec]) -> str:
    """How a suite could name columns of these: `output: {label: predict, scores: [p0, p1]}`."""
    scores = [spec.name for spec in outputs if spec.type in _NUMBERS]
    labels = [spec.name for spec in outputs if spec.type not in _NUMBERS]
    usual = [name for name in labels if re.match(r"(?i)pred|label|class", name)]
    parts = [f"label: {(usual or labels)[0]}"] if labels else []
    if scores:
        listed = ", ".join(scores)
        parts.append(f"scores: [{listed}]" if len(scores) > 1 else f"scores: {listed}")
    return f"output: {{{', '.join(parts)}}}"
