"""What must be known of a dataset version before its scan, from its label and slice columns only.

One small aggregation answers what would otherwise be found after hours: no rows, labels that no
model knows, weights that cannot be, a slice column that has as many values as rows, and the
quantiles at which the suite cuts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.core.vocabulary import Label, SliceSet, TaskKind
from engine.data.column_values import collect_values, known_values
from engine.data.stored_scores import probability_columns
from engine.errors import DataError, InputError
from engine.kinds import ColumnValues, Ranges, kind_of
from engine.spark.api import F, T, spark_errors
from engine.spark.error_messages import first_line
from engine.spark.tables import column
from engine.suite import Evaluation, SliceRule

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType


MAX_LABELS = 10_000
MOMENTS = "moments of "
RANGE = "range of "


@dataclass(frozen=True, slots=True)
class Profile:
    """Rows of a dataset version, its labels, its slice sets, and how many slices these make.

    `labels` are the distinct ones of a classification, and the places in the arrays of a multilabel
    task as texts. In a ranking, `rows_per_cluster` counts queries. `values` is about how many
    values the columns have by which rows are sliced or grouped, `spreads` the standard deviation of
    the numbers in columns of which a test asks it, None where there are no two of them; `ranges`
    likewise the least and the greatest of them, `column_values` the values, with their weights, of
    columns of which a test asks those.
    """

    rows: int
    labels: tuple[Label, ...]
    slice_sets: tuple[SliceSet, ...]
    slices: int
    rows_per_cluster: float = 1.0
    values: Mapping[str, int] = field(default_factory=dict)
    spreads: Mapping[str, float | None] = field(default_factory=dict)
    ranges: Ranges = field(default_factory=dict)
    column_values: Mapping[str, ColumnValues] = field(default_factory=dict)


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
            if not isinstance(kind, T.BooleanType):
                raise InputError(
                    f"{place}, which is {kind.simpleString()}; expected a predicate, true or false"
                )
            # What is no question to a single row, such as count(*) > 1, is refused by this only.
            _analyze(frame.where(predicate))
        except spark_errors() as error:
            raise InputError(f"{place}, which Spark cannot read: {first_line(error)}") from error


def _substitutes(frame: DataFrame) -> bool:
    """Whether Spark puts settings and the environment into SQL, as it does by default."""
    setting = frame.sparkSession.conf.get("spark.sql.variable.substitute", "true")
    return str(setting).lower() != "false"


def _analyze(frame: DataFrame) -> StructType:
    """The schema of a frame: Spark Connect finds out what is wrong with it only when asked."""
    return frame.schema


Stats = Mapping[str, Any]


def aggregate(frame: DataFrame, evaluation: Evaluation) -> Stats:
    """What one aggregation of the label and slice columns tells of rows."""
    dataset = evaluation.dataset
    label = F.col(column(dataset.label))
    sums: list[Column] = [F.count(F.lit(1)).alias("rows"), F.count(label).alias("labelled")]
    if dataset.task in (TaskKind.BINARY, TaskKind.MULTICLASS):
        sums.append(F.collect_set(label).alias("labels"))
    elif dataset.task is TaskKind.MULTILABEL:
        sums += _array_sums(label)
    if dataset.weight is not None:
        weight = F.col(column(dataset.weight)).cast("double")
        bad = weight.isNull() | F.isnan(weight) | (weight < 0) | (weight == float("inf"))
        sums.append(F.count_if(bad).alias("bad_weights"))
    for number, name in enumerate(unit_columns(evaluation)):
        sums.append(F.count_if(F.col(column(name)).isNull()).alias(f"null_{number}"))
        sums.append(F.approx_count_distinct(F.col(column(name))).alias(f"units_{number}"))
    for number, name in enumerate(group_columns(evaluation)):
        value = F.col(column(name))
        distinct = F.approx_count_distinct(value) + F.max(value.isNull().cast("int"))
        sums.append(distinct.alias(f"group_{number}"))
    for number, (name, parts) in enumerate(quantile_cuts(evaluation.slices)):
        shares = [part / parts for part in range(1, parts)]
        value = F.col(column(name)).cast("double")
        usable = F.when(~F.isnan(value), value)
        sums.append(F.percentile(usable, F.array(*map(F.lit, shares))).alias(f"cut_{number}"))
    for name in _number_columns(frame, asked_ranges(evaluation)):
        sums.append(_range(F.col(column(name)).cast("double")).alias(f"{RANGE}{name}"))
    for name in _number_columns(frame, asked_spreads(evaluation)):
        sums.append(_moments(F.col(column(name)).cast("double")).alias(f"{MOMENTS}{name}"))
    for number, name in enumerate(by_columns(evaluation)):
        sums.append(F.approx_count_distinct(F.col(column(name))).alias(f"by_{number}"))
    for scores in probability_columns(evaluation):
        sums += scores.faults([F.col(column(name)) for name in scores.names], label.isNotNull())
    stats: dict[str, Any] = frame.agg(*sums).collect()[0].asDict()
    return {**stats, **collect_values(frame, evaluation, int(stats["rows"]))}


def asked_spreads(evaluation: Evaluation) -> list[str]:
    """The columns whose spread tests ask for."""
    names = {name for test in evaluation.tests for name in kind_of(test).spreads(test)}
    # Nothing is kept of those: that they are asked for is refused when the tests are looked at.
    return sorted(names - set(evaluation.dataset.sensitive))


def asked_ranges(evaluation: Evaluation) -> list[str]:
    """The columns whose range tests ask for."""
    names = {name for test in evaluation.tests for name in kind_of(test).ranges(test)}
    return sorted(names - set(evaluation.dataset.sensitive))


def _number_columns(frame: DataFrame, names: Sequence[str]) -> list[str]:
    """Those that are numbers; what others there are is told when the tests are looked at."""
    kinds = {field.name: field.dataType for field in frame.schema.fields} if names else {}
    return [name for name in names if isinstance(kinds.get(name), T.NumericType)]


def _moments(value: Column) -> Column:
    """How many finite numbers there are, their mean and the sum of squares around it."""
    finite = F.when(F.abs(value) < float("inf"), value)
    count = F.count(finite).cast("double")
    return F.array(count, F.avg(finite), F.var_pop(finite) * count)


def _range(value: Column) -> Column:
    """The least and the greatest finite number; null where there is none."""
    finite = F.when(F.abs(value) < float("inf"), value)
    return F.array(F.min(finite), F.max(finite))


def unit_columns(evaluation: Evaluation) -> list[str]:
    """The columns whose values stand for rows that belong together."""
    dataset = evaluation.dataset
    names = dict.fromkeys((dataset.cluster, dataset.query))
    return [name for name in names if name is not None]


def group_columns(evaluation: Evaluation) -> list[str]:
    """The columns of the groups that tests hold against each other."""
    return sorted({test.group for test in evaluation.tests if test.group is not None})


def by_columns(evaluation: Evaluation) -> list[str]:
    """The columns by whose values rows are sliced."""
    return sorted({d.column for rule in evaluation.slices for d in rule.dimensions if not d.edges})


def make_profile(
    stats: Stats, evaluation: Evaluation, torn: Callable[[], int] | None = None
) -> Profile:
    """The profile of rows from what was aggregated of them.

    Args:
        stats: what was aggregated.
        evaluation: what is asked of them.
        torn: counts the queries with rows in several clusters, where that is asked.

    Raises:
        DataError: for a dataset without rows or labels, a bad weight, or too many slices.
    """
    dataset = evaluation.dataset
    named = f"evaluation {evaluation.name!r}: the dataset {dataset.name!r}"
    if stats["rows"] == 0:
        raise DataError(f"{named} has no rows at this version")
    if stats["labelled"] == 0:
        raise DataError(f"{named} has no label in {stats['rows']:,} rows of {dataset.label!r}")
    if dataset.weight is not None and stats["bad_weights"]:
        raise DataError(
            f"{named} has {stats['bad_weights']:,} rows whose weight {dataset.weight!r} is null, "
            "NaN, infinite or negative; expected finite numbers >= 0"
        )
    for scores in probability_columns(evaluation):
        scores.check(stats, stats["labelled"], f"evaluation {evaluation.name!r}")
    units = unit_columns(evaluation)
    for number, name in enumerate(units):
        use = "cluster" if name == dataset.cluster else "query"
        if stats[f"null_{number}"]:
            raise DataError(
                f"{named} has {stats[f'null_{number}']:,} rows without a value in the {use} column "
                f"{name!r}; expected one in every row"
            )
    groups = group_columns(evaluation)
    for number, name in enumerate(groups):
        if stats[f"group_{number}"] < 2:
            raise DataError(
                f"{named} has one value only in the group column {name!r}; fairness compares two "
                "or more"
            )
    edges = {
        (name, parts): _distinct(stats[f"cut_{number}"], name, named)
        for number, (name, parts) in enumerate(quantile_cuts(evaluation.slices))
    }
    sets = tuple(_slice_set(rule, edges) for rule in evaluation.slices)
    values = {
        name: int(stats[f"by_{number}"]) for number, name in enumerate(by_columns(evaluation))
    }
    per_cluster = 1.0
    if dataset.cluster is not None:
        whole = stats["rows"]
        if dataset.query is not None:
            whole = stats[f"units_{units.index(dataset.query)}"]
            if dataset.cluster != dataset.query:
                assert torn is not None, "queries are looked at in the rows"
                _check_query_clusters(torn(), evaluation, named)
        per_cluster = max(whole / stats[f"units_{units.index(dataset.cluster)}"], 1.0)
    multilabel = dataset.task is TaskKind.MULTILABEL
    return Profile(
        int(stats["rows"]),
        _places(stats, evaluation, named) if multilabel else _labels(stats, named),
        sets,
        _count(sets, values, evaluation),
        per_cluster,
        {**values, **{name: int(stats[f"group_{number}"]) for number, name in enumerate(groups)}},
        {
            name.removeprefix(MOMENTS): _spread(*moments)
            for name, moments in stats.items()
            if name.startswith(MOMENTS)
        },
        {
            name.removeprefix(RANGE): None if ends[0] is None else (ends[0], ends[1])
            for name, ends in stats.items()
            if name.startswith(RANGE)
        },
        known_values(stats),
    )


def _spread(count: float, _: float | None, squares: float | None) -> float | None:
    """The standard deviation of numbers; None where there are no two of them."""
    if count < 2 or squares is None or not math.isfinite(squares):
        return None
    return math.sqrt(squares / (count - 1))


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


def _check_query_clusters(torn: int, evaluation: Evaluation, named: str) -> None:
    """Refuses queries of several clusters: a query is one unit, so it belongs to one."""
    if torn:
        raise DataError(
            f"{named} has {torn:,} queries of {evaluation.dataset.query!r} with rows in several "
            f"clusters of {evaluation.dataset.cluster!r}; expected all rows of a query in one "
            "cluster, as the query is the unit"
        )


def torn_queries(frame: DataFrame, evaluation: Evaluation) -> int:
    """How many queries have rows in several clusters."""
    cluster, query = str(evaluation.dataset.cluster), str(evaluation.dataset.query)
    key = F.xxhash64(F.col(column(cluster)))
    of_query = frame.groupBy(F.col(column(query))).agg(F.min(key).alias("a"), F.max(key).alias("b"))
    return int(of_query.where(F.col("a") != F.col("b")).count())


def quantile_cuts(rules: Sequence[SliceRule]) -> list[tuple[str, int]]:
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
