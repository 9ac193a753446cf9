"""Predictions in a table of their own: pinned, and held against the rows that they are of.

A row's predictions are found by its key, so each row with a label must have one row of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, replace
from itertools import chain
from typing import TYPE_CHECKING

from engine.core.json_cache import keep, read_kept
from engine.core.locations import Store
from engine.core.vocabulary import PredictionsTable
from engine.data.columns import is_compound, near_column
from engine.data.kept_profiles import digest_of, kept_file
from engine.data.prediction_epochs import epoch_of
from engine.data.source import Source, pin_table
from engine.data.stored_scores import ScoreColumns, probabilities_of
from engine.delta.head import Schema
from engine.errors import DataError, EvalMatrixError
from engine.spark import table_errors, tables
from engine.spark.api import F
from engine.spark.lazy_session import LazySession
from engine.spark.tables import column
from engine.suite import Evaluation, ModelSource, PredictionsSource

if TYPE_CHECKING:
    from pyspark.sql import Column


_INTEGERS = frozenset({"tinyint", "smallint", "int", "bigint"})
_ROWS, _MISSING, _DOUBLED = "rows", "missing", "doubled"


def pin_predictions(
    session: LazySession, store: Store, wanted: PredictionsSource, dataset: Source
) -> tuple[PredictionsTable, Schema]:
    """Pins a table of predictions of a dataset's version, and gives its columns.

    Raises:
        DataError: for a table that is missing, has no such version, or lacks the key.
    """
    try:
        there = pin_table(session, wanted.uri, wanted.version)
    except EvalMatrixError:
        raise
    except Exception as error:
        raise table_errors.read_error(error, f"predictions {wanted.uri!r}") from error
    _check_key(wanted, there, dataset)
    table = PredictionsTable(there.table, there.version, there.table_id, wanted.key, "")
    return replace(table, epoch=epoch_of(store, table, there, dataset)), there.schema


def _check_key(wanted: PredictionsSource, there: Source, dataset: Source) -> None:
    """Refuses a key that one of the two lacks, or that has another type in each."""
    types, own = dict(there.schema), dict(dataset.schema)
    for name in wanted.key:
        for schema, what in ((types, f"the predictions {wanted.uri!r}"), (own, "the dataset")):
            if name not in schema:
                raise DataError(
                    f"{what} lack{'s' if schema is own else ''} the key {name!r}"
                    f"{near_column(name, schema)}; expected a column of both, by which the "
                    "predictions of a row are found"
                )
        pair = {types[name], own[name]}
        if is_compound(types[name]) or (len(pair) > 1 and not pair <= _INTEGERS):
            raise DataError(
                f"the key {name!r} is {types[name]} in the predictions {wanted.uri!r} and "
                f"{own[name]} in the dataset; expected plain values of one type"
            )


def check_predictions(
    store: Store,
    dataset: Source,
    evaluation: Evaluation,
    table: PredictionsTable,
    models: Sequence[ModelSource],
) -> None:
    """Refuses a table that has not one prediction for each row with a label, or no probabilities.

    What was right of two versions is not looked at again.

    Args:
        store: where that is kept.
        dataset: the rows.
        evaluation: the evaluation whose rows they are.
        table: the predictions.
        models: those of the evaluation that are columns of the table.

    Raises:
        DataError: with how many rows have none, or several.
    """
    asked = [probabilities_of(evaluation, model) for model in models]
    scores = [columns for columns in asked if columns is not None]
    label = evaluation.dataset.label
    about = ["predictions", dataset.table_id, dataset.table, dataset.version, label]
    about += [
        dataset.timestamp.isoformat(),
        asdict(table),
        [astuple(columns) for columns in scores],
    ]
    file = kept_file(store, digest_of(about))
    if read_kept(file) is not None:
        return
    named = f"evaluation {evaluation.name!r}"
    try:
        counts = _count_faults(dataset, label, table, scores)
    except Exception as error:
        raise table_errors.read_error(error, f"predictions {table.uri!r}") from error
    _check_rows(counts, table, f"{named}: the model {models[0].name!r}")
    for columns in scores:
        columns.check(counts, counts[_ROWS], named)
    keep(file, counts)


def _count_faults(
    dataset: Source, label: str, table: PredictionsTable, scores: Sequence[ScoreColumns]
) -> dict[str, int]:
    """How many rows with a label have no predictions, several, or some that cannot be."""
    spark = dataset.session.get()
    keys = [F.col(column(name)).alias(f"k{at}") for at, name in enumerate(table.key)]
    names = [f"k{at}" for at in range(len(keys))]
    names_of_scores = (of_model.names for of_model in scores)
    columns = list(dict.fromkeys(chain.from_iterable(names_of_scores)))
    rows = dataset.frame().select(*keys, _has_label(dataset, label).alias("l"))
    there = tables.read(spark, table.uri, table.version).select(
        *keys, *[F.col(column(name)).alias(f"s{at}") for at, name in enumerate(columns)]
    )
    of_key = there.groupBy(*names).agg(
        F.count(F.lit(1)).alias("n"),
        *[F.first(f"s{at}").alias(f"s{at}") for at in range(len(columns))],
    )
    joined = rows.join(of_key, names, "left")
    faults = [
        fault
        for of_model in scores
        for fault in of_model.faults(
            [F.col(f"s{columns.index(name)}") for name in of_model.names], F.col("l")
        )
    ]
    counted = joined.agg(
        F.count_if("l").alias(_ROWS),
        F.count_if(F.col("l") & F.col("n").isNull()).alias(_MISSING),
        F.count_if(F.col("n") > 1).alias(_DOUBLED),
        *faults,
    )
    counts: dict[str, int] = counted.collect()[0].asDict()
    return counts


def _has_label(dataset: Source, label: str) -> Column:
    """Whether a row has a label, which null and NaN are not."""
    value = F.col(column(label))
    if dict(dataset.schema)[label] in ("float", "double"):
        return value.isNotNull() & ~F.isnan(value)
    return value.isNotNull()


def _check_rows(counts: Mapping[str, int], table: PredictionsTable, named: str) -> None:
    rows, missing, doubled = counts[_ROWS], counts[_MISSING], counts[_DOUBLED]
    key = " and ".join(map(repr, table.key))
    if missing:
        lead = f"{missing:,} of {rows:,}" if missing < rows else f"none of {rows:,}"
        has = "have no prediction" if missing < rows else "have a prediction"
        raise DataError(
            f"{named}: {lead} labelled rows {has} in {table.uri!r}, by the key {key}; expected "
            "one for each; add them, or make a dataset of the rows that have some"
        )
    if doubled:
        raise DataError(
            f"{named}: {doubled:,} rows of the dataset have several predictions in "
            f"{table.uri!r}, by the key {key}; expected one for each; name more columns in the "
            "key, or keep one of them"
        )
