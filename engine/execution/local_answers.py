"""Answers questions where no Spark is there: queries by Arrow, the rest in processes of our own.

The answers are those of Spark, so that either takes what the other has kept. What only Spark knows
is left to it, with the reason; where none may be started it is refused before the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from engine.core.vocabulary import DatasetVersion
from engine.data.table_rows import TableRows
from engine.errors import InputError
from engine.execution.kernel.probes import probe_tasks
from engine.execution.local_pool import LocalPool
from engine.execution.local_tasks import (
    answer_contrast_here,
    check_contrast,
    probe_models_here,
    probe_sampling,
)
from engine.execution.query_answers import check_size, slice_answer
from engine.execution.table_columns import HeldColumns, RowSlices, place_here, rows_of_table
from engine.kinds import COUNT, Contrast, Figures, Probe, Query, SlicedRows
from engine.pieces import NotThisWay
from engine.pieces.opening import UnreachableError, UnreadableError, is_file_there
from engine.planning import EvaluationPlan, Question, QuestionPlace
from engine.planning.slices import Slicer, slice_key
from engine.spark.lazy_session import LazySession
from engine.store.answers import Answer

AnswerList = Sequence[tuple[Question, Answer]]
# Questions that only Spark answers, each with the reason.
Left = list[tuple[Question, str]]


@dataclass(slots=True)
class LocalAnswers:
    """What this process answers of an evaluation; the columns that it has read are held."""

    session: LazySession
    plan: EvaluationPlan
    _held: dict[DatasetVersion, HeldColumns] = field(default_factory=dict)

    def check(self, question: Question) -> None:
        """Looks whether a question is one to answer here; no row is read.

        Raises:
            NotThisWay: where only Spark can.
        """
        content, ours = question.content, self._of(self.plan.dataset)
        if isinstance(content, Contrast):
            check_contrast(self.plan, content, self._tables())
        elif isinstance(content, Probe):
            probe_sampling(self.plan, probe_tasks(self.plan, [question])).check(ours.rows)
        else:
            slices = RowSlices.of(Slicer([question.slice_set]), ours.rows)
            ours.types(slices.columns)
            _run(content, *self._no_rows(content, ours))

    def answer(self, question: Question, pool: LocalPool) -> Answer:
        """The answer to a query or a contrast.

        Raises:
            NotThisWay: where only Spark can tell it.
            UnreadableError: for a file that cannot be read here.
        """
        content = question.content
        if isinstance(content, Contrast):
            return answer_contrast_here(self.plan, content, self._tables(), pool)
        assert isinstance(content, Query), "probes are answered together"
        return self._answer_query(question, content)

    def probe(
        self, asked: Sequence[Question], pool: LocalPool
    ) -> Iterator[list[tuple[QuestionPlace, Answer]]]:
        """The answers of probes, those of a job together.

        Raises:
            NotThisWay: where only Spark can take their sample.
            UnreadableError: for a file that cannot be read here.
        """
        tasks = probe_tasks(self.plan, asked)
        rows = self._of(self.plan.dataset).rows
        yield from probe_models_here(self.plan, tasks, rows, pool)

    def _tables(self) -> dict[DatasetVersion, TableRows]:
        """The tables of a contrast."""
        sides = filter(None, (self.plan, self.plan.reference))
        return {side.dataset: self._of(side.dataset).rows for side in sides}

    def _answer_query(self, question: Question, query: Query) -> Answer:
        ours = self._of(self.plan.dataset)
        slices = RowSlices.of(Slicer([question.slice_set]), ours.rows)
        rows, beside = slices.cut(ours, query.columns), dict[str, SlicedRows]()
        if query.reads_reference:
            beside["reference"] = self._reference(query)
        before = self._before(slices, query) if query.reads_before else None
        if before is not None:
            beside["before"] = before
        alone = query.reads_before and before is None
        figures = {COUNT: rows.sizes()} if alone else _run(query, rows, beside)
        (index,) = slices.slicer.indices
        # A slice set of all rows, or of a predicate's, is there without any.
        there = {*np.flatnonzero(rows.sizes()).tolist()}
        there |= set() if before is None else {*np.flatnonzero(before.sizes()).tolist()}
        keys = [slice_key(index.keys[number]) for number in sorted(there)]
        columns = {
            name: [values[number] for number in sorted(there)] for name, values in figures.items()
        }
        try:
            check_size(len(keys), self.plan, question.slice_set)
            return slice_answer(keys, columns, query)
        except InputError as error:
            return Answer(failure=f"the query failed: {error}")

    def _of(self, dataset: DatasetVersion) -> HeldColumns:
        if dataset not in self._held:
            self._held[dataset] = HeldColumns(rows_of_table(self.session, dataset))
        return self._held[dataset]

    def _no_rows(
        self, query: Query, ours: HeldColumns
    ) -> tuple[SlicedRows, Mapping[str, SlicedRows]]:
        """The rows that a query reads, but none of them."""
        sides = {"rows": ours, "before": ours}
        if query.reads_reference:
            assert self.plan.reference is not None, "its kind reads a reference"
            sides["reference"] = self._of(self.plan.reference.dataset)
        none = np.zeros(0, np.int64)
        sliced = {
            name: SlicedRows(held.types(query.columns), none, 0) for name, held in sides.items()
        }
        return sliced.pop("rows"), sliced

    def _reference(self, query: Query) -> SlicedRows:
        """The rows of the reference; what slices they are in is not asked."""
        assert self.plan.reference is not None, "its kind reads a reference"
        held = self._of(self.plan.reference.dataset)
        table = held.read(query.columns)
        return SlicedRows(table, np.zeros(held.count, np.int64), 1)

    def _before(self, slices: RowSlices, query: Query) -> SlicedRows | None:
        """The rows of the version before; None where none is kept, or it lacks their columns."""
        dataset = self.plan.dataset
        if dataset.version < 1:
            return None
        number = dataset.version - 1
        log = f"{place_here(self.session, dataset)}/_delta_log/{number:020}"
        if not any(is_file_there(f"{log}.{end}") for end in ("json", "checkpoint.parquet")):
            return None
        held = HeldColumns(rows_of_table(self.session, replace(dataset, version=number)))
        listing, now = held.rows.listing, self._of(dataset).rows.listing
        for name in [*query.columns, *slices.columns]:
            if name not in listing.columns:
                return None
            if listing.columns[name].type != now.columns[name].type:
                raise NotThisWay(f"the column {name!r} was of another type in the version before")
        if not all(is_file_there(piece.file.path) for piece in held.rows.pieces):
            return None
        return slices.cut(held, query.columns)


def _run(query: Query, rows: SlicedRows, beside: Mapping[str, SlicedRows]) -> Figures:
    if query.here is None:
        raise NotThisWay("it is asked in Spark's SQL")
    return query.here(rows, beside)


def answer_here(
    session: LazySession,
    plan: EvaluationPlan,
    asked: Sequence[Question],
    keep: Callable[[AnswerList], None],
) -> Left:
    """Answers questions, and hands over each answer as soon as it is known.

    Returns:
        Those that only Spark can answer, and why.
    """
    answers, left = LocalAnswers(session, plan), Left()
    probes = {question.place: question for question in asked if isinstance(question.content, Probe)}
    with LocalPool() as pool:
        for question in asked:
            if question.place in probes:
                continue
            try:
                answer = answers.answer(question, pool)
            except UnreachableError:
                raise
            except (NotThisWay, UnreadableError) as reason:
                left.append((question, str(reason)))
            else:
                keep([(question, answer)])
        try:
            for together in answers.probe(list(probes.values()), pool) if probes else ():
                keep([(probes.pop(place), answer) for place, answer in together])
        except UnreachableError:
            raise
        except (NotThisWay, UnreadableError) as reason:
            left += [(question, str(reason)) for question in probes.values()]
    return left


def without_spark(left: Left, remedy: str) -> AnswerList:
    """What is said where none may be started of questions that only Spark answers."""
    return [
        (question, Answer(failure=f"it has no answer without Spark: {reason}; {remedy}"))
        for question, reason in left
    ]
