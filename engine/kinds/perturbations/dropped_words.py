"""`dropped_words`: words that are not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engine.kinds.perturbations.base import PERTURBATIONS
from engine.kinds.perturbations.words import WordPerturbation


class DroppedWords(WordPerturbation):
    """5, 10, 20, 30 or 50 % of the words left out; a text of which none would be left stays.

    The shares are those of random deletion in EDA (Wei and Zou 2019).
    """

    key = "dropped_words"
    description = "A share of the words left out."
    shares: ClassVar[Mapping[int, float]] = {1: 0.05, 2: 0.1, 3: 0.2, 4: 0.3, 5: 0.5}

    def change(self, word: str, drawn: float, other: float) -> str:
        return ""


PERTURBATIONS.add("dropped_words", DroppedWords())
