"""What is known of the columns of CSV files, held against how an evaluation uses them.

A column of numbers in which `NA` stands is text, and is refused where it is used as numbers: who
reads it with a mark of null, or as text, says so in the suite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.core.vocabulary import ColumnSpec, ModelVersion
from engine.data.files.decision import mark_columns, zero_columns
from engine.data.files.values import MARKS
from engine.data.source import Source
from engine.errors import DataError
from engine.kinds import kind_of
from engine.metrics import METRICS
from engine.spark.api import F
from engine.spark.tables import column
from engine.suite import Evaluation


def check_marks(source: Source, evaluation: Evaluation, models: Sequence[ModelVersion]) -> None:
    """Refuses columns that are used as values of a type and that have marks of missing ones.

    Raises:
        DataError: with the column, the marks, how many there are, and what to say in the suite.
    """
    if source.files is None:
        return
    kinds = mark_columns(source.files.known, source.files.schema)
    for name in dict.fromkeys(_typed_uses(evaluation, models)):
        if name in kinds:
            raise DataError(
                f"evaluation {evaluation.name!r}: {_marks_text(source, name, kinds[name])}"
            )


def _typed_uses(evaluation: Evaluation, models: Sequence[ModelVersion]) -> Iterator[str]:
    """The columns whose values matter as such, and not only as names of slices or keys."""
    dataset = evaluation.dataset
    yield dataset.label
    for name in (dataset.weight, dataset.query):
        if name is not None:
            yield name
    for model in models:
        columns = [spec for spec in model.inputs if isinstance(spec, ColumnSpec)]
        texts = {
            name
            for name, spec in zip(model.features, columns, strict=False)
            if spec.type == "string"
        }
        yield from (name for name in model.features if name not in texts)
    for test in evaluation.tests:
        yield from (family.column for family in kind_of(test).column_families(test))
        metric = METRICS.find(test.metric)
        yield from () if metric is None else metric.needs_columns
    for rule in evaluation.slices:
        cut = {name for name, _ in rule.quantiles}
        yield from (d.column for d in rule.dimensions if d.edges is not None or d.column in cut)
        if rule.where is not None:
            yield from re.findall(r"\w+", rule.where)


def _marks_text(source: Source, name: str, kind: str) -> str:
    text = F.trim(F.col(column(name)))
    counted = source.frame().where(text.isin(*MARKS)).groupBy(text.alias("mark")).count()
    counts = {row["mark"]: row["count"] for row in counted.collect()}
    marks = sorted(counts, key=lambda mark: (-counts[mark], mark))
    listed = ", ".join(f'"{mark}"' for mark in marks)
    total = sum(counts.values())
    return (
        f"the column {name!r} is {kind} but for {total:,} {'mark' if total == 1 else 'marks'} of "
        f"missing values ({listed}); say `null_values: {{{name}: [{listed}]}}` in the dataset "
        f"where they mean null, `null_values: [{listed}]` where they do in every column, or "
        f"`columns: {{{name}: string}}` where the column is text"
    )


def zeros_note(source: Source, models: Sequence[ModelVersion]) -> str | None:
    """That a column is text by its leading zeros, where a model reads it without a signature."""
    if source.files is None:
        return None
    texts = zero_columns(source.files.known, source.files.schema)
    read = sorted({name for model in models if not model.inputs for name in model.features} & texts)
    if not read:
        return None
    listed = ", ".join(map(repr, read))
    return (
        f"{listed}: text, since numbers have a leading zero there; with `columns: {{{read[0]}: "
        "bigint}` it is a column of numbers"
    )
