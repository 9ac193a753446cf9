"""A dataset's columns and their types, held against what an evaluation asks of them.

Types are texts as Spark writes them: `bigint`, `array<int>`, `struct<a:string>`.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.registry import nearest
from engine.core.vocabulary import TaskKind
from engine.delta.head import Schema
from engine.errors import DataError
from engine.suite import Evaluation

_WITH_PARTS = ("array<", "map<", "struct<", "variant", "vector", "matrix", "interval", "udt",
               "geometry", "geography", "object")  # fmt: skip
_NUMBERS = frozenset({"tinyint", "smallint", "int", "bigint", "float", "double"})


def is_number(kind: str) -> bool:
    return kind in _NUMBERS or kind.startswith("decimal(")


def is_array(kind: str) -> bool:
    return kind.startswith("array<")


def is_compound(kind: str) -> bool:
    """Whether a value has parts, or is none that names a slice.

    An array, a map, a struct; a variant, a vector, a matrix, an interval, a place on earth.
    """
    return kind.startswith(_WITH_PARTS)


def near_column(name: str, columns: Iterable[str]) -> str:
    """The column that a name most probably means, to go behind it; "" where none is near."""
    every = list(columns)
    for column in every:
        if column != name and column.strip() == name.strip():
            return f" (there is {column!r}: mind the blanks around the name)"
        if column != name and column.lower() == name.lower():
            return f" (there is {column!r}: mind the capitals)"
    close = nearest(name, every)
    return f" (nearest: {close!r})" if close else ""


def check_columns(schema: Schema, evaluation: Evaluation) -> None:
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
    said = ((dataset.sensitive, "sensitive"), (dataset.public, "public"))
    for names, use in (*several, *said):
        wanted.update({name: use for name in names if name not in wanted})
    for rule in evaluation.slices:
        wanted.update({d.column: "slice" for d in rule.dimensions if d.column not in wanted})
    columns = [name for name, _ in schema]
    missing = []
    for name, use in wanted.items():
        if name not in columns:
            missing.append(f"{use} column {name!r}{near_column(name, columns)}")
    if missing:
        raise DataError(
            f"evaluation {evaluation.name!r}: the dataset {dataset.name!r} lacks "
            f"{', '.join(missing)}; it has {', '.join(map(repr, columns[:50]))}"
        )
    _check_types(schema, evaluation)


def _check_types(schema: Schema, evaluation: Evaluation) -> None:
    types = dict(schema)
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
            elif is_compound(kind):
                raise DataError(
                    f"{where}: rows cannot be sliced by {dimension.column!r}, which is "
                    f"{kind}; expected a column of plain values"
                )
    for test in evaluation.tests:
        if test.group is not None and is_compound(types[test.group]):
            raise DataError(
                f"{where}: the group column {test.group!r} is {types[test.group]}, "
                "expected plain values, one for each group"
            )
    for use, name in numeric:
        if not is_number(types[name]):
            raise DataError(
                f"{where}: the {use} column {name!r} is {types[name]}, expected numbers"
            )
    _check_label_type(types[evaluation.dataset.label], evaluation)
    query = evaluation.dataset.query
    if query is not None and is_compound(types[query]):
        raise DataError(
            f"{where}: the query column {query!r} is {types[query]}, expected plain "
            "values, one for each query"
        )


def _check_label_type(label: str, evaluation: Evaluation) -> None:
    message = (
        f"evaluation {evaluation.name!r}: the label column {evaluation.dataset.label!r} is {label}"
    )
    if evaluation.dataset.task is TaskKind.MULTILABEL:
        entry = label.removeprefix("array<").removesuffix(">") if is_array(label) else ""
        if not (is_number(entry) or entry == "boolean"):
            raise DataError(
                f"{message}; the task multilabel expects an array with a 0 or a 1 for each label, "
                "such as array<int>"
            )
    elif not (is_number(label) or label in ("string", "boolean")):
        hint = ""
        if is_array(label):
            hint = "; arrays with a 0 or a 1 for each label are for the task multilabel"
        raise DataError(f"{message}, expected numbers, text or booleans{hint}")
