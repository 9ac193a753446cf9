"""Which labels are the same, though one is a number and the other its text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

from engine.core.vocabulary import Label

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")


def same_label(label: Label | Decimal) -> str:
    """A text that labels share when they are the same: 1, 1.0 and True; '1' is another."""
    if isinstance(label, str):
        return f"text {label}"
    # Not by way of float, which has no room for the last digits of long numbers.
    whole = math.isfinite(label) and label == int(label)
    return f"number {int(label)}" if whole else f"number {float(label)!r}"


def loose_label(label: Label | Decimal) -> str:
    """A text that labels share when they may be meant as the same: 1, True, '1' and 'true'."""
    if not isinstance(label, str):
        return same_label(label)
    text = label.strip()
    if text.lower() in ("true", "false"):
        return same_label(text.lower() == "true")
    return same_label(Decimal(text)) if is_number(text) else same_label(label)


def match_labels(
    labels: Sequence[Label], classes: Sequence[Label]
) -> tuple[tuple[int, ...] | None, bool]:
    """The place among classes of each label, and whether types had to be looked past.

    Labels that are the same are matched. Where some label is none of the classes, those are that
    may be meant as the same, if no two of the labels and no two of the classes may. The places are
    None where there is no such way.
    """
    places = _places([same_label(label) for label in labels], [same_label(c) for c in classes])
    if places is not None:
        return places, False
    loose = [loose_label(label) for label in labels]
    known = [loose_label(label) for label in classes]
    if len(set(loose)) < len(loose) or len(set(known)) < len(known):
        return None, False
    places = _places(loose, known)
    return places, places is not None


def _places(labels: Sequence[str], classes: Sequence[str]) -> tuple[int, ...] | None:
    by_class = {label: place for place, label in enumerate(classes)}
    places = [by_class.get(label, -1) for label in labels]
    return None if -1 in places else tuple(places)


def is_number(text: str) -> bool:
    """Whether a text is that of a number."""
    return _NUMBER.fullmatch(text.strip()) is not None


def in_order(labels: Sequence[Label]) -> list[Label]:
    """Labels sorted: numbers by value, texts by the alphabet, or by value where all are numbers."""
    texts = [label for label in labels if isinstance(label, str)]
    by_value = bool(texts) and all(map(is_number, texts))

    def key(label: Label) -> tuple[str, Decimal, Label]:
        value = Decimal(label.strip()) if by_value and isinstance(label, str) else Decimal(0)
        return str(type(label)), value, label

    return sorted(labels, key=key)


def of_one_type(classes: Sequence[Label], labels: Sequence[Label]) -> tuple[Label, ...]:
    """Classes as labels of the type that other labels have, where it can hold them."""
    kinds = {type(label) for label in labels}
    kind = kinds.pop() if len(kinds) == 1 else None
    return tuple(_as_type(label, kind) for label in classes)


def _as_type(label: Label, kind: type | None) -> Label:
    if kind is str:
        return str(label)
    meaning, _, value = loose_label(label).partition(" ")
    if kind is None or meaning == "text":
        return label
    number = float(value)
    if kind is bool:
        return bool(number) if number in (0, 1) else label
    return int(value) if kind is int and number.is_integer() else number
