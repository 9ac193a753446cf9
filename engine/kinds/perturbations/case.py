"""`case`: words in capitals, or without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engine.kinds.perturbations.base import PERTURBATIONS
from engine.kinds.perturbations.words import WordPerturbation


class Case(WordPerturbation):
    """10, 25, 50, 75 or 100 % of the words in capitals, those that are in capitals in none."""

    key = "case"
    description = "A share of the words in capitals, or without them."
    shares: ClassVar[Mapping[int, float]] = {1: 0.1, 2: 0.25, 3: 0.5, 4: 0.75, 5: 1.0}

    def change(self, word: str, drawn: float, other: float) -> str:
        upper = word.upper()
        return word.lower() if word == upper else upper


PERTURBATIONS.add("case", Case())
