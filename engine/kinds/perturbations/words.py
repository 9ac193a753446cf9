"""What perturbations of text have in common: words of a text, and a share of them that is drawn."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from engine.fields.values import Columns
from engine.kinds.perturbations.base import (
    TEXTS,
    Perturbation,
    change_column,
    type_misfits,
    uniform_numbers,
)
from engine.kinds.setting import Setting
from engine.states import Floats, Ints

Words = Sequence[re.Match[str]]

_WORD = re.compile(r"\S+")
# SplitMix64's own step from one number of a stream to the next.
_STEP = np.uint64(0x9E3779B97F4A7C15)


class WordPerturbation(Perturbation):
    """A change of a share of each text's words, each drawn by itself.

    A word is what stands between spaces; the spaces stay, and null and texts without a word.

    Attributes:
        shares: the share of words that are changed, by severity.
    """

    field = Columns
    shares: ClassVar[Mapping[int, float]]

    @abstractmethod
    def change(self, word: str, drawn: float, other: float) -> str:
        """What becomes of a word, by two uniform numbers in [0, 1); "" to drop it."""

    def columns(self, asked: Sequence[str]) -> Sequence[str]:
        return asked

    def parameters(
        self, asked: Sequence[str], severity: int, facts: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        return {"columns": list(asked), "share": self.shares[severity]}

    def misfits(self, asked: Sequence[str], setting: Setting) -> Iterator[str]:
        return type_misfits(self.key, asked, setting, TEXTS, "columns of text")

    def apply(
        self, batch: pa.RecordBatch, rows: Ints, parameters: Mapping[str, Any]
    ) -> pa.RecordBatch:
        for name in parameters["columns"]:
            change = partial(self._change_texts, rows=rows, salt=name, share=parameters["share"])
            batch = change_column(batch, name, change)
        return batch

    def _change_texts(self, column: pa.Array, *, rows: Ints, salt: str, share: float) -> pa.Array:
        texts = column.to_pylist()
        spans = [[] if text is None else list(_WORD.finditer(text)) for text in texts]
        draws = [
            draw_by_word(rows, [len(words) for words in spans], self.key, salt, part)
            for part in ("chosen", "change", "other")
        ]
        first, changed = 0, []
        for text, words in zip(texts, spans, strict=True):
            last = first + len(words)
            own = [drawn[first:last] for drawn in draws]
            changed.append(self._change_text(text, words, own, share))
            first = last
        return pa.array(changed, column.type)

    def _change_text(
        self,
        text: str | None,
        words: Sequence[re.Match[str]],
        draws: Sequence[Floats],
        share: float,
    ) -> str | None:
        chosen = np.flatnonzero(draws[0] < share)
        if text is None or not len(chosen):
            return text
        parts, end = [], 0
        for place in chosen.tolist():
            word = words[place]
            new = self.change(word.group(), float(draws[1][place]), float(draws[2][place]))
            parts += [text[end : word.start()], new]
            end = word.end()
            if not new and end < len(text):
                end += 1  # with a word goes the space behind it
        whole = "".join([*parts, text[end:]])
        # A text of which no word is left says nothing that a label could be of.
        return whole if whole.strip() else text


def draw_by_word(rows: Ints, counts: Sequence[int], *salt: str) -> Floats:
    """A number in [0, 1) for each word of each text: the same for the same row, place and salt."""
    of_row = np.repeat(rows.astype(np.uint64), counts)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place = (np.arange(len(of_row)) - starts).astype(np.uint64)
    with np.errstate(over="ignore"):
        of_word = (of_row + (place + np.uint64(1)) * _STEP).astype(np.int64)
    return uniform_numbers(of_word, *salt)
