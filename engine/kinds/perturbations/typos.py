"""`typos`: slips of the fingers on a keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engine.kinds.perturbations.base import PERTURBATIONS
from engine.kinds.perturbations.words import WordPerturbation

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# The keys beside a letter in its row.
NEIGHBOURS = {
    letter: row[max(at - 1, 0) : at] + row[at + 1 : at + 2]
    for row in _ROWS
    for at, letter in enumerate(row)
}


class Typos(WordPerturbation):
    """One slip in 5, 10, 20, 30 or 50 % of the words, each word by itself.

    Two letters change places, one is left out, one is there twice, or a key beside it is hit (of
    a QWERTY keyboard), each with the same chance. Words of one character stay. HELM (Liang et al.
    2022) has shares of .05, .2 and .5 for words that are misspelled.
    """

    key = "typos"
    description = "A slip of the fingers in a share of the words."
    shares: ClassVar[Mapping[int, float]] = {1: 0.05, 2: 0.1, 3: 0.2, 4: 0.3, 5: 0.5}

    def change(self, word: str, drawn: float, other: float) -> str:
        if len(word) < 2:
            return word
        at = int(other * (len(word) - 1))
        before, one, two, after = word[:at], word[at], word[at + 1], word[at + 2 :]
        beside = NEIGHBOURS.get(one.lower(), "")
        if drawn < 0.25 and one != two:
            return before + two + one + after
        if drawn < 0.5:
            return before + two + after
        if drawn < 0.75 or not beside:
            return before + one + one + two + after
        hit = beside[int(4 * (drawn - 0.75) * len(beside))]
        return before + (hit.upper() if one.isupper() else hit) + two + after


PERTURBATIONS.add("typos", Typos())
