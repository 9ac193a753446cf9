"""What must be known of a dataset version before its scan, from its label and slice columns only.

One small aggregation answers what would otherwise be found after hours: no rows, labels that no
model knows, weights that cannot be, a slice column that has as many values as rows, and the
quantiles at which the suite cuts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    MapType,
    NumericType,
    StringType,
    StructType,
)

from engine.core.registry import nearest
from engine.core.vocabulary import Label, SliceSet, TaskKind
from engine.errors import DataError, InputError
from engine.spark.error_messages import first_line
from engine.spark.tables import column
from engine.suite import Evaluation, SliceRule

MAX_LABELS = 10_000


@dataclass(frozen=True, slots=True)
class Profile:
    """Rows of a dataset version, its labels, its slice sets, and how many slices these make.

    `labels` are the distinct ones of a classification, and the places in the arrays of a multilabel
    task as texts. In a ranking, `rows_per_cluster` counts queries. `values` is about how many
    values the columns have by which rows are sliced or grouped.
    """

    rows: int
    labels: tuple[Label, ...]
    slice_sets: tuple[SliceSet, ...]
    slices: int
    rows_per_cluster: float = 1.0
    values: Mapping[str, int] = field(default_factory=dict)


def check_columns(frame: DataFrame, evaluation: Evaluation) -> None:
    """Refuses an evaluation whose columns the dataset lacks or has in another type.

    Raises:
        DataError: with all that is missing, and the nearest column for each.
    """
    dataset = evaluation.dataset
    wanted: dict[str, str] = {dataset.label: "label"}
    single = ((dataset.weight, "weight"), (dataset.cluster, "cluster"), (dataset.query, "query"))
    groups = ((test.group, "group") for test in evaluation.tests)
    for name, use in (*single, *groups):
        if name is not None:
            wanted.setdefault(name, use)
    several = ((dataset.key, "key"), (dataset.features or (), "feature"))
    # Of a name that no column has nothing would be kept from sight.
    for names, use in (*several, (dataset.sensitive, "sensitive")):
        wanted.update({name: use for name in names if name not in wanted})
    for rule in evaluation.slices:
        wanted.update({d.column: "slice" for d in rule.dimensions if d.column not in wanted})
    missing = []
    for name, use in wanted.items():
        if name not in frame.columns:
            close = nearest(name, frame.columns)
            hint = f" (nearest: {close!r})" if close else ""
            missing.append(f"{use} column {name!r}{hint}")
    if missing:
        raise DataError(
            f"evaluation {evaluation.name!r}: the dataset {dataset.name!r} lacks "
            f"{', '.join(missing)}; it has {', '.join(map(repr, frame.columns[:50]))}"
        )
    _check_types(frame, evaluation)


_COMPOUND = (ArrayType, MapType, StructType)


def _check_types(frame: DataFrame, evaluation: Evaluation) -> None:
    types = {field.name: field.dataType for field in frame.schema.fields}
    where = f"evaluation {evaluation.name!r}"
    numeric = [("weight", evaluation.dataset.weight)] if evaluation.dataset.weight else []
    if evaluation.dataset.task in (TaskKind.REGRESSION, TaskKind.RANKING):
        numeric.append(("label", evaluation.dataset.label))
    for rule in evaluation.slices:
        cut = {name for name, _ in rule.quantiles}
        for dimension in rule.dimensions:
            kind = types[dimension.column]
            if dimension.edges is not None or dimension.column in cut:
                numeric.append(("slice", dimension.column))
            elif isinstance(kind, _COMPOUND):
                raise DataError(
                    f"{where}: rows cannot be sliced by {dimension.column!r}, which is "
                    f"{kind.simpleString()}; expected a column of plain values"
                )
    for test in evaluation.tests:
        if test.group is not None and isinstance(types[test.group], _COMPOUND):
            raise DataError(
                f"{where}: the group column {test.group!r} is {types[test.group].simpleString()}, "
                "expected plain values, one for each group"
            )
    for use, name in numeric:
        if not isinstance(types[name], NumericType):
            raise DataError(
                f"{where}: the {use} column {name!r} is {types[name].simpleString()}, expected "
                "numbers"
            )
    _check_label_type(types[evaluation.dataset.label], evaluation)
    query = evaluation.dataset.query
    if query is not None and isinstance(types[query], _COMPOUND):
        raise DataError(
            f"{where}: the query column {query!r} is {types[query].simpleString()}, expected plain "
            "values, one for each query"
        )


def _check_label_type(label: DataType, evaluation: Evaluation) -> None:
    message = (
        f"evaluation {evaluation.name!r}: the label column {evaluation.dataset.label!r} is "
        f"{label.simpleString()}"
    )
    if evaluation.dataset.task is TaskKind.MULTILABEL:
        entry = label.elementType if isinstance(label, ArrayType) else None
        if not isinstance(entry, (NumericType, BooleanType)):
            raise DataError(
                f"{message}; the task multilabel expects an array with a 0 or a 1 for each label, "
                "such as array<int>"
            )
    elif not isinstance(label, (NumericType, StringType, BooleanType)):
        hint = ""
        if isinstance(label, ArrayType):
            hint = "; arrays with a 0 or a 1 for each label are for the task multilabel"
        raise DataError(f"{message}, expected numbers, text or booleans{hint}")


def check_predicates(frame: DataFrame, evaluation: Evaluation) -> None:
    """Refuses a `where` that Spark cannot read as a predicate over the dataset's columns."""
    for rule in evaluation.slices:
        if rule.where is None:
            continue
        place = f"evaluation {evaluation.name!r}: the slice {rule.name!r} has where: {rule.where!r}"
        if "${" in rule.where and _substitutes(frame):
            raise InputError(
                f"{place}, in which Spark would replace what stands in '${{...}}'; set "
                "spark.sql.variable.substitute to false, or write concat('$', '{...}')"
            )
        try:
            predicate = F.expr(rule.where)
            kind = _analyze(frame.select(predicate.alias("found")))["found"].dataType
            if not isinstance(kind, BooleanType):
                raise InputError(
                    f"{place}, which is {kind.simpleString()}; expected a predicate, true or false"
                )
            # What is no question to a single row, such as count(*) > 1, is refused by this only.
            _analyze(frame.where(predicate))
        except PySparkException as error:
            raise InputError(f"{place}, which Spark cannot read: {first_line(error)}") from error


def _substitutes(frame: DataFrame) -> bool:
    """Whether Spark puts settings and the environment into SQL, as it does by default."""
    setting = frame.sparkSession.conf.get("spark.sql.variable.substitute", "true")
    return str(setting).lower() != "false"


def _analyze(frame: DataFrame) -> StructType:
    """The schema of a frame: Spark Connect finds out what is wrong with it only when asked."""
    return frame.schema


def profile(frame: DataFrame, evaluation: Evaluation) -> Profile:
    """Counts the rows, lists the labels, cuts the quantiles, and estimates the slices.

    Raises:
        DataError: for a dataset without rows or labels, a bad weight, or too many slices.
    """
    dataset = evaluation.dataset
    named = f"evaluation {evaluation.name!r}: the dataset {dataset.name!r}"
    label = F.col(column(dataset.label))
    sums: list[Column] = [F.count(F.lit(1)).alias("rows"), F.count(label).alias("labelled")]
    if dataset.task in (TaskKind.BINARY, TaskKind.MULTICLASS):
        sums.append(F.collect_set(label).alias("labels"))
        sums.append(F.approx_count_distinct(label).alias("n_labels"))
    elif dataset.task is TaskKind.MULTILABEL:
        sums += _array_sums(label)
    if dataset.weight is not None:
        weight = F.col(column(dataset.weight)).cast("double")
        bad = weight.isNull() | F.isnan(weight) | (weight < 0) | (weight == float("inf"))
        sums.append(F.count_if(bad).alias("bad_weights"))
    whole = [name for name in dict.fromkeys((dataset.cluster, dataset.query)) if name is not None]
    for number, name in enumerate(whole):
        sums.append(F.count_if(F.col(column(name)).isNull()).alias(f"null_{number}"))
        sums.append(F.approx_count_distinct(F.col(column(name))).alias(f"units_{number}"))
    groups = sorted({test.group for test in evaluation.tests if test.group is not None})
    for number, name in enumerate(groups):
        value = F.col(column(name))
        distinct = F.approx_count_distinct(value) + F.max(value.isNull().cast("int"))
        sums.append(distinct.alias(f"group_{number}"))
    cuts = _quantile_cuts(evaluation.slices)
    for number, (name, parts) in enumerate(cuts):
        shares = [part / parts for part in range(1, parts)]
        value = F.col(column(name)).cast("double")
        usable = F.when(~F.isnan(value), value)
        sums.append(F.percentile(usable, F.array(*map(F.lit, shares))).alias(f"cut_{number}"))
    by = sorted({d.column for rule in evaluation.slices for d in rule.dimensions if not d.edges})
    for number, name in enumerate(by):
        sums.append(F.approx_count_distinct(F.col(column(name))).alias(f"by_{number}"))
    stats = frame.agg(*sums).collect()[0].asDict()
    if stats["rows"] == 0:
        raise DataError(f"{named} has no rows at this version")
    if stats["labelled"] == 0:
        raise DataError(f"{named} has no label in {stats['rows']:,} rows of {dataset.label!r}")
    if dataset.weight is not None and stats["bad_weights"]:
        raise DataError(
            f"{named} has {stats['bad_weights']:,} rows whose weight {dataset.weight!r} is null, "
            "NaN, infinite or negative; expected finite numbers >= 0"
        )
    for number, name in enumerate(whole):
        use = "cluster" if name == dataset.cluster else "query"
        if stats[f"null_{number}"]:
            raise DataError(
                f"{named} has {stats[f'null_{number}']:,} rows without a value in the {use} column "
                f"{name!r}; expected one in every row"
            )
    for number, name in enumerate(groups):
        if stats[f"group_{number}"] < 2:
            raise DataError(
                f"{named} has one value only in the group column {name!r}; fairness compares two "
                "or more"
            )
    edges = {
        (name, parts): _distinct(stats[f"cut_{number}"], name, named)
        for number, (name, parts) in enumerate(cuts)
    }
    sets = tuple(_slice_set(rule, edges) for rule in evaluation.slices)
    values = {name: int(stats[f"by_{number}"]) for number, name in enumerate(by)}
    per_cluster = 1.0
    if dataset.cluster is not None:
        units = stats["rows"]
        if dataset.query is not None:
            units = stats[f"units_{whole.index(dataset.query)}"]
            _check_query_clusters(frame, evaluation, named)
        per_cluster = max(units / stats[f"units_{whole.index(dataset.cluster)}"], 1.0)
    multilabel = dataset.task is TaskKind.MULTILABEL
    return Profile(
        int(stats["rows"]),
        _places(stats, evaluation, named) if multilabel else _labels(stats, named),
        sets,
        _count(sets, values, evaluation),
        per_cluster,
        {**values, **{name: int(stats[f"group_{number}"]) for number, name in enumerate(groups)}},
    )


def _labels(stats: Mapping[str, Any], named: str) -> tuple[Label, ...]:
    labels = stats.get("labels", [])
    if len(labels) > MAX_LABELS:
        raise DataError(f"{named} has {len(labels):,} different labels; expected classes")
    real = [label for label in labels if label == label]
    return tuple(sorted(real, key=lambda label: (str(type(label)), label)))


def _array_sums(label: Column) -> list[Column]:
    """How long the arrays of a multilabel task are, and how many hold anything but 0 and 1."""

    def odd(entry: Column) -> Column:
        return entry.isNull() | ~entry.cast("double").isin(0.0, 1.0)

    return [
        F.min(F.array_size(label)).alias("shortest"),
        F.max(F.array_size(label)).alias("longest"),
        F.count_if(F.exists(label, odd)).alias("odd"),
    ]


def _places(stats: Mapping[str, Any], evaluation: Evaluation, named: str) -> tuple[Label, ...]:
    """The places in the arrays of a multilabel task, which are the labels' names without better."""
    column, short, long = evaluation.dataset.label, stats["shortest"], stats["longest"]
    if short != long or long == 0:
        sizes = f"arrays of {short} to {long} entries" if long else "empty arrays only"
        raise DataError(
            f"{named} has {sizes} in {column!r}; expected an entry for each label in every row"
        )
    if long > MAX_LABELS:
        raise DataError(f"{named} has arrays of {long:,} entries in {column!r}; expected labels")
    if stats["odd"]:
        raise DataError(
            f"{named} has {stats['odd']:,} rows with an entry of {column!r} that is null, NaN or "
            "another number; expected a 0 or a 1 for each label"
        )
    return tuple(map(str, range(long)))


def _check_query_clusters(frame: DataFrame, evaluation: Evaluation, named: str) -> None:
    """Refuses queries of several clusters: a query is one unit, so it belongs to one."""
    cluster, query = str(evaluation.dataset.cluster), str(evaluation.dataset.query)
    if cluster == query:
        return
    key = F.xxhash64(F.col(column(cluster)))
    of_query = frame.groupBy(F.col(column(query))).agg(F.min(key).alias("a"), F.max(key).alias("b"))
    torn = of_query.where(F.col("a") != F.col("b")).count()
    if torn:
        raise DataError(
            f"{named} has {torn:,} queries of {query!r} with rows in several clusters of "
            f"{cluster!r}; expected all rows of a query in one cluster, as the query is the unit"
        )


def _quantile_cuts(rules: Sequence[SliceRule]) -> list[tuple[str, int]]:
    return sorted({cut for rule in rules for cut in rule.quantiles})


def _distinct(edges: list[float] | None, name: str, named: str) -> tuple[float, ...]:
    if edges is None:
        raise DataError(f"{named} has no number in {name!r}, of which quantiles are asked")
    return tuple(sorted({float(edge) for edge in edges}))


def _slice_set(rule: SliceRule, edges: dict[tuple[str, int], tuple[float, ...]]) -> SliceSet:
    return rule.make_slice_set({name: edges[name, parts] for name, parts in rule.quantiles})


def _count(sets: Sequence[SliceSet], values: dict[str, int], evaluation: Evaluation) -> int:
    """About how many slices there are; refuses a set with far more than allowed."""
    total = 0
    for slice_set in sets:
        widest = 1
        for dimension in slice_set.dimensions:
            count = len(dimension.edges) + 1 if dimension.edges else values[dimension.column]
            widest = max(widest, count)
        # The estimate errs by some 5 %; only what is surely too many is refused here.
        if widest > 1.2 * evaluation.max_slices:
            raise DataError(
                f"evaluation {evaluation.name!r}: slices by {slice_set.name!r} would be about "
                f"{widest:,}, more than max_slices ({evaluation.max_slices:,}); slice by a column "
                "of fewer values or by quantiles, or raise max_slices"
            )
        total += widest
    return total
