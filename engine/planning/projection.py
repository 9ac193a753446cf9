"""The columns that a scan reads: the model's, the slices', the bucket, the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.core.vocabulary import PredictionsTable, SliceSet
from engine.kinds import kind_of, loss_columns
from engine.models import stored_columns
from engine.planning import EvaluationPlan
from engine.planning.scan_columns import BUCKET_COLUMN, KEY_COLUMN, ROW_COLUMN
from engine.planning.slices import where_column
from engine.spark import tables
from engine.spark.api import F, T
from engine.spark.tables import column
from engine.states import BUCKETS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType, StructField


def column_names(plan: EvaluationPlan) -> list[str]:
    """The columns that the scan reads, the bucket and the predicates among them."""
    columns = plan.columns
    names = {columns.label: None}
    for model in (*plan.models, *plan.trivial):
        names.update(dict.fromkeys(model.features))
    for name in (columns.weight, columns.query):
        if name is not None:
            names[name] = None
    for slice_set in plan.scanned_sets:
        names.update({dimension.column: None for dimension in slice_set.dimensions})
    for test in plan.tests:
        for family in kind_of(test).column_families(test):
            names[family.column] = None
        names.update(dict.fromkeys(loss_columns(test, plan.problem)))
    key = [KEY_COLUMN] if plan.keep else []
    row = [ROW_COLUMN] if plan.variants else []
    return [*names, *predicates(plan), BUCKET_COLUMN, *key, *row]


def predicates(plan: EvaluationPlan) -> dict[str, str]:
    """The predicates of the slice sets by the name of the column that holds them."""
    return {
        where_column(number): slice_set.where
        for number, slice_set in enumerate(plan.scanned_sets)
        if slice_set.where is not None
    }


def select_columns(frame: DataFrame, plan: EvaluationPlan) -> DataFrame:
    """The columns that the scan reads and no others, under the names `c0`, `c1`, ...

    Spark looks a frame's columns up by names in which a dot or a backtick means something.
    """
    derived: dict[str, Column] = {
        name: F.expr(where).cast("boolean") for name, where in predicates(plan).items()
    }
    derived[BUCKET_COLUMN] = _bucket(frame, plan)
    if plan.keep:
        derived[KEY_COLUMN] = key_text(*plan.columns.key)
    if plan.variants:
        derived[ROW_COLUMN] = _row(frame, plan)
    elsewhere = _columns_elsewhere(plan)
    columns = {
        f"c{place}": derived[name] if name in derived else F.col(column(name))
        for place, name in enumerate(column_names(plan))
        if name not in elsewhere
    }
    own = [expression.alias(name) for name, expression in columns.items()]
    return _join_predictions(frame, own, plan) if elsewhere else frame.select(*own)


def _columns_elsewhere(plan: EvaluationPlan) -> set[str]:
    """The columns that the dataset has not: those of tables of predictions."""
    return {name for model in plan.models if model.table is not None for name in model.features}


def _join_predictions(frame: DataFrame, own: Sequence[Column], plan: EvaluationPlan) -> DataFrame:
    """The columns of a dataset's rows, and the predictions that tables have for their keys."""
    names = column_names(plan)
    by_table: dict[PredictionsTable, dict[str, str]] = {}
    for model in plan.models:
        if model.table is not None:
            columns = dict(zip(model.features, stored_columns(model), strict=True))
            by_table.setdefault(model.table, {}).update(columns)
    keys = [
        [F.col(column(key)).alias(f"t{at}k{place}") for place, key in enumerate(table.key)]
        for at, table in enumerate(by_table)
    ]
    joined = frame.select(*own, *[key for keys_of_table in keys for key in keys_of_table])
    for (table, columns), key in zip(by_table.items(), keys, strict=True):
        there = tables.read(frame.sparkSession, table.uri, table.version)
        scores = [
            F.col(column(name)).alias(f"c{names.index(known_as)}")
            for known_as, name in columns.items()
        ]
        predictions = there.select(*key, *scores)
        joined = joined.join(predictions, predictions.columns[: len(key)], "left")
    return joined.select(*[f"c{place}" for place in range(len(names))])


def sample_rows(
    frame: DataFrame,
    plan: EvaluationPlan,
    names: Sequence[str],
    rows: int,
    more: Sequence[Column] = (),
) -> DataFrame:
    """The rows with the smallest hash of the key, the same on any partitioning, in no order.

    They have the columns `names` and those in `more` as `c0`, `c1`, ... and two hashes more by
    which they are ordered: of the key, and where keys are equal of the columns `names`.
    """
    chosen = [F.col(column(name)) for name in names]
    rest = F.xxhash64(*[hashable(frame.schema[name]) for name in names])
    every = [*chosen, *more, _row(frame, plan), rest]
    sample = frame.select(*[value.alias(f"c{place}") for place, value in enumerate(every)])
    return sample.orderBy(*sample.columns[-2:]).limit(rows)


def unit_hash(frame: DataFrame, plan: EvaluationPlan, names: Sequence[str]) -> Column:
    """A hash of what a row belongs to: its cluster, its query, its key; else of these columns.

    Of texts, so that whole numbers of another size are the same in another table.
    """
    columns = plan.columns
    single = columns.cluster or columns.query
    unit = columns.key or names if single is None else (single,)
    return F.xxhash64(*[hashable(frame.schema[name]).cast("string") for name in unit])


def slice_column(frame: DataFrame, slice_set: SliceSet) -> Column:
    """What tells the slices of a set apart: a struct of `d0`, `d1`, ... and `matches`.

    The values of a dimension are the column's, or of bins the lower edge of each (minus infinity
    for the first), so that they are placed as the rows are. `matches` is the set's predicate.
    """
    parts = [
        _dimension(frame.schema[dimension.column], dimension.edges).alias(f"d{place}")
        for place, dimension in enumerate(slice_set.dimensions)
    ]
    where = F.lit(True) if slice_set.where is None else F.expr(slice_set.where).cast("boolean")
    return F.struct(*parts, F.coalesce(where, F.lit(False)).alias("matches"))


def _dimension(field: StructField, edges: Sequence[float] | None) -> Column:
    value = F.col(column(field.name))
    if edges is None:
        # One zero and one NaN, as `hashable` has them, of the column's own type.
        return hashable(field).cast(field.dataType)
    number = value.cast("double")
    lower = F.when(number.isNull() | F.isnan(number), number)
    for edge in reversed(edges):
        lower = lower.when(number >= F.lit(float(edge)), F.lit(float(edge)))
    return lower.otherwise(F.lit(float("-inf")))


def key_text(*names: str) -> Column:
    """The key of a row as one text, under which its predictions are kept."""
    return F.to_json(F.struct(*[F.col(column(name)) for name in names]))


def projected_column(plan: EvaluationPlan, name: str) -> str:
    """The name that a column has in a projected frame."""
    return f"c{column_names(plan).index(name)}"


def _bucket(frame: DataFrame, plan: EvaluationPlan) -> Column:
    """The bucket of a row, by a hash of what it belongs to: its cluster, its query, its key."""
    hashed = F.xxhash64(*[hashable(frame.schema[name]) for name in plan.bucket_columns])
    return F.pmod(hashed, F.lit(BUCKETS)).cast("int")


def _row(frame: DataFrame, plan: EvaluationPlan) -> Column:
    """A hash of a row's key, or of all of it, by which its perturbations are drawn."""
    return F.xxhash64(*[hashable(frame.schema[name]) for name in plan.row_columns])


def hashable(field: StructField) -> Column:
    """A column whose equal values have equal bytes: one zero, one NaN, no maps at any depth.

    What Spark has no hash for stands as its JSON.
    """
    value = F.col(column(field.name))
    if isinstance(field.dataType, (T.DoubleType, T.FloatType)):
        return F.when(F.isnan(value), F.lit(float("nan"))).otherwise(value + F.lit(0.0))
    return F.to_json(F.struct(value)) if _needs_json(field.dataType) else value


def _needs_json(kind: DataType) -> bool:
    """Whether a type is a map or a variant, or has such a part."""
    if isinstance(kind, T.StructType):
        return any(_needs_json(part.dataType) for part in kind.fields)
    if isinstance(kind, T.ArrayType):
        return _needs_json(kind.elementType)
    return isinstance(kind, (T.MapType, T.VariantType))
