"""Cells of tests that ask beside the scan, from the answers to their queries and probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from engine.core.vocabulary import Cell, ModelTest, Numbers, RowCounts, Slice, SliceSet
from engine.evaluation.cells import Judge
from engine.kinds import COUNT
from engine.metrics import RowsOf, Slices
from engine.planning.slices import from_key, slice_key
from engine.states import BUCKETS
from engine.store.answers import Answer, Answers

_NONE = Answer(failure="there is no answer to what the test asks")


def answered_cells(judge: Judge, answers: Answers, others: Sequence[Cell]) -> Iterator[Cell]:
    """The cells of all tests that ask, by slice set, slice and subject.

    `others` are cells of the evaluation, whose slices are those of a query that found none.
    """
    known: dict[str, dict[Slice, None]] = {}
    for cell in others:
        known.setdefault(cell.slice.set_name, {}).setdefault(cell.slice)
    for test in judge.plan.tests:
        asked = judge.questions.get(test.name, ())
        for name in test.slice_sets if asked else ():
            here = [question for question in asked if question.slice_set.name == name]
            by_subject = {q.subject.number: answers.get(q.place, _NONE) for q in here}
            yield from _on_set(
                judge, test, here[0].slice_set, by_subject, list(known.get(name, ()))
            )


def _on_set(
    judge: Judge,
    test: ModelTest,
    slice_set: SliceSet,
    by_subject: Mapping[int, Answer],
    known: Sequence[Slice],
) -> Iterator[Cell]:
    """The cells of one test on the slices of a set; `known` are those that others have."""
    keys = sorted({key for answer in by_subject.values() for key in answer.slices})
    if not slice_set.dimensions:
        # All rows are a slice, and so are those of a predicate, whether there are any or none.
        keys = [slice_key(())]
    slices = [from_key(judge.plan.sets_by_name, slice_set.name, key) for key in keys]
    if not slices and any(answer.failure is not None for answer in by_subject.values()):
        # Which slices there are only the answer would have told.
        slices = list(known) or [Slice(slice_set.name, slice_set.kind, slice_set.name)]
        keys = [""] * len(slices)
    for first in range(0, len(slices), judge.at_once):
        some = slice(first, first + judge.at_once)
        states = {number: _read(judge, answer, keys[some]) for number, answer in by_subject.items()}
        for number, own in states.items():
            reference = judge.subjects[number].reference
            other = None if reference is None else states.get(reference)
            own.baseline = None if other is None or other.failure is not None else other
        yield from judge.judge_tests([test], slices[some], states)


def _read(judge: Judge, answer: Answer, keys: Sequence[str]) -> Slices:
    """The answers on slices as kinds read them; there are no states."""
    numbers: list[Numbers] = [answer.slices.get(key, {}) for key in keys]
    counts = [RowCounts(int(n), float(n)) for n in (own.get(COUNT) or 0 for own in numbers)]
    rows = RowsOf(counts, np.zeros((len(keys), BUCKETS)))
    slices = Slices(rows, {}, sampling=judge.plan.data_sampling)
    slices.answers, slices.failure = numbers, answer.failure
    slices.texts = [answer.texts.get(key, {}) for key in keys]
    return slices
