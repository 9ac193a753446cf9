"""`punctuation`: marks left out, or put where none was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engine.kinds.perturbations.base import PERTURBATIONS
from engine.kinds.perturbations.words import WordPerturbation

MARKS = ".,;:!?'\"()-"
ADDED = ".,;!?"


class Punctuation(WordPerturbation):
    """5, 10, 20, 30 or 50 % of the words: one with marks loses them, one without gets one behind.

    A word that is nothing but marks stays.
    """

    key = "punctuation"
    description = "Marks left out of a share of the words, or put behind them."
    shares: ClassVar[Mapping[int, float]] = {1: 0.05, 2: 0.1, 3: 0.2, 4: 0.3, 5: 0.5}

    def change(self, word: str, drawn: float, other: float) -> str:
        bare = "".join(letter for letter in word if letter not in MARKS)
        if bare == word:
            return word + ADDED[int(drawn * len(ADDED))]
        return bare or word


PERTURBATIONS.add("punctuation", Punctuation())
