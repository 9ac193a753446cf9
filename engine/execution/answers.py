"""Finds what an evaluation asks beside its scan: queries by Spark SQL, the rest on the workers.

A query gives a row for each slice, others a few numbers: nothing else comes to the driver. What a
question finds is written as soon as it is known, so that a run that is killed keeps it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.core.disk_errors import Kind, disk_error_of
from engine.core.vocabulary import SliceSet
from engine.errors import EvalMatrixError, InputError
from engine.execution.contrasts import answer_contrast
from engine.execution.kernel.probes import (
    ORDER,
    PROBED_DDL,
    ProbeTask,
    probe,
    probe_jobs,
    probe_tasks,
    sample_columns,
)
from engine.execution.query_answers import check_size, slice_answer
from engine.kinds import (
    COUNT,
    MARK,
    SKETCH,
    SKETCHED,
    SKETCHED_REFERENCE,
    SLICE,
    Contrast,
    Query,
    Sketch,
)
from engine.models.isolation.limits import die_first
from engine.planning import EvaluationPlan, Question, QuestionPlace
from engine.planning.projection import sample_rows, slice_column
from engine.planning.slices import Slicer, slice_key, where_column
from engine.spark import table_errors
from engine.spark.api import F, T, spark_errors, sql
from engine.spark.error_messages import first_line
from engine.spark.internals import job_description
from engine.spark.tables import column
from engine.store.answers import Answer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


AnswerList = Sequence[tuple[Question, Answer]]

_ROWS_ALONE = f"SELECT {SLICE}, count(*) AS {COUNT} FROM {{rows}} GROUP BY {SLICE}"
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "decimal")
# How Spark says that a job was cancelled: that is no fault of the query.
_CANCELLED = ("cancelled", "canceled", "OPERATION_CANCELED")


def answer_questions(
    spark: SparkSession,
    plan: EvaluationPlan,
    asked: Sequence[Question],
    frames: Callable[[EvaluationPlan], DataFrame],
    keep: Callable[[AnswerList], None],
) -> None:
    """Answers questions, and hands over each answer, or those of a job, as soon as it is known.

    Args:
        spark: the session.
        plan: the evaluation.
        asked: what has no answer.
        frames: gives the rows that a plan has pinned.
        keep: is given what was found.

    Raises:
        StoreError: when the data cannot be read, or the machinery fails.
    """
    for question in asked:
        if isinstance(question.content, Query):
            with job_description(spark, f"{plan.name}: the query of {question.test.name}"):
                keep([(question, _answer_query(spark, plan, question, frames))])
        elif isinstance(question.content, Contrast):
            with job_description(spark, f"{plan.name}: the contrast of {question.test.name}"):
                try:
                    answer = answer_contrast(plan, question, frames)
                except Exception as error:
                    raise _read_error(error, plan) from error
                keep([(question, answer)])
    by_place = {question.place: question for question in asked}
    tasks = probe_tasks(plan, asked)
    if not tasks:
        return
    with _sample(frames(plan), plan, tasks) as sample:
        for together in probe_jobs(tasks):
            names = ", ".join(dict.fromkeys(task.model.name for task in together))
            with job_description(spark, f"{plan.name}: probes of {names}"):
                answers = _probe_models(sample, plan, together)
            keep([(by_place[place], answer) for place, answer in answers])


def step_of(answers: AnswerList) -> str:
    """The step of a run under which answers are written."""
    text = json.dumps(sorted(question.place for question, _ in answers))
    return f"answers {hashlib.sha256(text.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class _Sample:
    """The rows that models are tried with, and what their columns are called for the models."""

    frame: DataFrame
    names: tuple[str, ...]


@contextmanager
def _sample(
    frame: DataFrame, plan: EvaluationPlan, tasks: Sequence[ProbeTask]
) -> Iterator[_Sample]:
    """The sample of all probes, which is held where more than one reads it."""
    names = sample_columns(tasks)
    rows = sample_rows(frame, plan, names, max(task.rows for task in tasks))
    if len(tasks) > 1:
        rows = rows.persist()
    try:
        yield _Sample(rows, (*names, *ORDER))
    finally:
        if len(tasks) > 1:
            rows.unpersist()


def _probe_models(
    sample: _Sample, plan: EvaluationPlan, tasks: Sequence[ProbeTask]
) -> list[tuple[QuestionPlace, Answer]]:
    """What probes found, in one job with a partition for each model."""
    rows = sample.frame.coalesce(1)
    parts = [
        rows.mapInArrow(partial(_probe, task=t, names=sample.names), PROBED_DDL) for t in tasks
    ]
    try:
        answers = reduce(sql.DataFrame.unionByName, parts).toArrow()
    except Exception as error:
        raise _read_error(error, plan) from error
    places = (tuple(json.loads(text)) for text in answers["place"].to_pylist())
    payloads = (Answer.decode(payload) for payload in answers["payload"].to_pylist())
    return list(zip(places, payloads, strict=True))


def _probe(
    batches: Iterable[pa.RecordBatch], task: ProbeTask, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    die_first()
    return probe((batch.rename_columns(list(names)) for batch in batches), task)


def _answer_query(
    spark: SparkSession,
    plan: EvaluationPlan,
    question: Question,
    frames: Callable[[EvaluationPlan], DataFrame],
    *,
    without_before: bool = False,
) -> Answer:
    query, slice_set = question.content, question.slice_set
    assert isinstance(query, Query), "it is asked of the rows"
    given: dict[str, Any] = {"rows": _rows(frames(plan), query, slice_set)}
    if query.reads_reference:
        assert plan.reference is not None, "its kind reads a reference"
        given["reference"] = _rows(frames(plan.reference), query, slice_set)
    if query.sketch is not None:
        given |= make_sketches(query.sketch, given)
    text = query.text
    if query.reads_before:
        before = None if without_before else _rows_before(plan, question, frames)
        text = _ROWS_ALONE if before is None else text
        given |= {} if before is None else {"before": before}
    try:
        answer = spark.sql(text, **given)
        _check_columns(answer, given["rows"], query)
        return _slices(answer, plan, slice_set, query)
    except InputError as error:
        return Answer(failure=f"the query failed: {error}")
    except spark_errors() as error:
        fault = disk_error_of(error)
        if fault is not None and fault.kind is Kind.GONE and "before" in given:
            # Files that only the version before had are gone.
            return _answer_query(spark, plan, question, frames, without_before=True)
        # What is wrong with the data or with Spark is no fault of the query.
        if disk_error_of(error) is not None or any(word in str(error) for word in _CANCELLED):
            raise _read_error(error, plan) from error
        return Answer(failure=f"the query failed: {first_line(error)}")
    except Exception as error:
        raise _read_error(error, plan) from error


def _rows_before(
    plan: EvaluationPlan, question: Question, frames: Callable[[EvaluationPlan], DataFrame]
) -> DataFrame | None:
    """The rows of the Delta version before; None where none is kept, or it lacks their columns."""
    dataset, query = plan.dataset, question.content
    assert isinstance(query, Query), "it is asked of the rows"
    if dataset.version < 1:
        return None
    try:
        frame = frames(replace(plan, dataset=replace(dataset, version=dataset.version - 1)))
        rows = _rows(frame, query, question.slice_set)
        # A client of Spark Connect asks the server only now.
        rows.schema  # noqa: B018
    except spark_errors(EvalMatrixError, KeyError):
        return None
    return rows


def _read_error(error: Exception, plan: EvaluationPlan) -> EvalMatrixError:
    named = f"evaluation {plan.name!r}: dataset {plan.dataset.name!r}"
    return table_errors.read_error(error, named, under_way=True)


def _rows(frame: DataFrame, query: Query, slice_set: SliceSet) -> DataFrame:
    """The rows that a query reads: its columns, and that of the slice."""
    columns = [F.col(column(name)) for name in dict.fromkeys(query.columns)]
    rows = frame.select(*columns, slice_column(frame, slice_set).alias(SLICE))
    if query.mark is None:
        return rows
    # Spark looks a frame's columns up by names in which a dot or a backtick means something.
    names = rows.columns
    plain = rows.toDF(*[f"c{place}" for place in range(len(names))])
    place = names.index(query.mark.column)
    mark_rows = partial(_mark_rows, place=place, function=query.mark.function)
    fields = [*plain.schema.fields, T.StructField(MARK, T.BooleanType())]
    marked = plain.mapInArrow(mark_rows, T.StructType(fields))
    return marked.toDF(*names, MARK)


def _mark_rows(
    batches: Iterable[pa.RecordBatch], place: int, function: Callable[[pa.Array], Any]
) -> Iterator[pa.RecordBatch]:
    """The rows with a truth value more."""
    for batch in batches:
        marked = pa.array(np.asarray(function(batch.column(place))) > 0)
        names = [*batch.schema.names, MARK]
        yield pa.RecordBatch.from_arrays([*batch.columns, marked], names)


def make_sketches(sketch: Sketch, given: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    """What a sketch makes of the rows, and of the reference's where they are read."""
    names = {"rows": SKETCHED, "reference": SKETCHED_REFERENCE}
    return {
        names[name]: _sketch_frame(sketch, frame) for name, frame in given.items() if name in names
    }


def _sketch_frame(sketch: Sketch, rows: DataFrame) -> DataFrame:
    # As in the text of a query, a brace stands twice in an expression.
    given = rows.selectExpr(f"{sketch.key} AS id".format(), f"{sketch.given} AS {SKETCH}".format())
    ddl = f"id bigint, {SKETCH} {sketch.ddl}"
    return given.mapInArrow(partial(_sketch_rows, function=sketch.function), ddl)


def _sketch_rows(
    batches: Iterable[pa.RecordBatch], function: Callable[[pa.Array], pa.Array]
) -> Iterator[pa.RecordBatch]:
    """What a function makes of the second column of rows, beside the first."""
    for batch in batches:
        key, given = batch.columns
        yield pa.RecordBatch.from_arrays([key, function(given)], batch.schema.names)


def _check_columns(answer: DataFrame, rows: DataFrame, query: Query) -> None:
    """Refuses an answer that is none.

    Raises:
        InputError: for a column that is missing, stands twice, or is no number.
    """
    names, types = answer.columns, dict(answer.dtypes)
    if len(set(names)) < len(names) or not {SLICE, COUNT} <= set(names):
        raise InputError(
            f"it gave the columns {names}, expected {SLICE!r}, {COUNT!r} and numbers, each once"
        )
    if types[SLICE] != dict(rows.dtypes)[SLICE]:
        raise InputError(f"its column {SLICE!r} is not that of the rows, expected it as it is")
    for name in names:
        is_text = name in query.text_columns
        if is_text and types[name] != "string":
            raise InputError(f"its column {name!r} is of type {types[name]}, expected a text")
        if not is_text and name != SLICE and types[name].partition("(")[0] not in _NUMBERS:
            raise InputError(f"its column {name!r} is of type {types[name]}, expected a number")


def _slices(answer: DataFrame, plan: EvaluationPlan, slice_set: SliceSet, query: Query) -> Answer:
    """The numbers and texts of each slice by its key; runs the query.

    Raises:
        InputError: when they are not a row for each slice.
    """
    names = [name for name in answer.columns if name != SLICE]
    dimensions = [dimension.column for dimension in slice_set.dimensions]
    of_slice = [F.col(f"{SLICE}.d{place}") for place in range(len(dimensions))]
    figures = [
        F.col(column(name))
        .cast("string" if name in query.text_columns else "double")
        .alias(f"c{n}")
        for n, name in enumerate(names)
    ]
    matching = answer.where(F.col(f"{SLICE}.matches")).select(*of_slice, *figures)
    table = matching.limit(plan.max_slices + 1).toArrow().combine_chunks()
    check_size(table.num_rows, plan, slice_set)
    if not table.num_rows:
        return Answer()
    (batch,) = table.to_batches()
    keys = _keys(batch.columns[: len(dimensions)], slice_set, batch.num_rows)
    columns = [values.to_pylist() for values in batch.columns[len(dimensions) :]]
    return slice_answer(keys, dict(zip(names, columns, strict=True)), query)


def _keys(values: Sequence[pa.Array], slice_set: SliceSet, rows: int) -> list[str]:
    """The keys of slices, from the values of their dimensions as the scan would place them."""
    columns = {d.column: array for d, array in zip(slice_set.dimensions, values, strict=True)}
    columns[where_column(0)] = pa.array([True] * rows)
    slicer = Slicer([slice_set])
    (placed,) = slicer.place(pa.RecordBatch.from_pydict(columns))
    (index,) = slicer.indices
    return [slice_key(index.keys[group]) for group in placed.groups.tolist()]
