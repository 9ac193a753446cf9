"""What a scan reads of pieces of its table: the same columns as Spark would select for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from engine.pieces import NotThisWay
from engine.pieces.expressions import Expression, columns_of
from engine.pieces.json_text import has_json
from engine.pieces.listing import Listing
from engine.pieces.reading import ReadColumn
from engine.pieces.row_hash import is_hashable
from engine.pieces.scanning import Derived, PieceReader
from engine.planning import EvaluationPlan
from engine.planning.projection import column_names, predicates
from engine.planning.scan_columns import BUCKET_COLUMN, KEY_COLUMN, ROW_COLUMN


def piece_reader(plan: EvaluationPlan, listing: Listing, zone: str) -> PieceReader:
    """How the batches of a plan's scan are made of pieces of its dataset's table.

    Args:
        plan: the evaluation.
        listing: the files of its dataset's version.
        zone: the time zone of the session.

    Raises:
        NotThisWay: where only Spark can make them.
    """
    if any(model.table is not None for model in plan.models):
        raise NotThisWay("predictions of another table are joined to them")
    names, wheres = tuple(column_names(plan)), predicates(plan)
    derived = {BUCKET_COLUMN: Derived("bucket", plan.bucket_columns)}
    if plan.keep:
        derived[KEY_COLUMN] = Derived("key", plan.columns.key)
    if plan.variants:
        derived[ROW_COLUMN] = Derived("row", plan.row_columns)
    types = listing.plain_types(zone)
    for name, where in wheres.items():
        derived[name] = Derived("predicate", predicate=read_predicate(where, types))
    own = [name for name in names if name not in derived]
    made_of = [name for column in derived.values() for name in column.columns]
    conditions = [name for column in derived.values() for name in columns_of(column.predicate)]
    read = dict.fromkeys([*own, *made_of, *conditions])
    columns = tuple(
        ReadColumn(name, listing.name_in_files(name), listing.arrow_type(name, zone))
        for name in read
    )
    types = {column.name: column.type for column in columns}
    _check_derived(derived.values(), types)
    query = plan.columns.query
    if query is not None and not is_hashable(types[query]):
        raise NotThisWay(f"the queries are {types[query]}")
    return PieceReader(names, columns, tuple(derived.items()))


def read_predicate(where: str, types: Mapping[str, pa.DataType]) -> Expression:
    """A predicate over columns of these types.

    Raises:
        NotThisWay: for what only Spark reads.
    """
    # The parser takes a fifth of a second to import, and most suites have no predicate.
    from engine.pieces.predicates import parse_predicate

    return parse_predicate(where, types)


def _check_derived(derived: Iterable[Derived], types: Mapping[str, pa.DataType]) -> None:
    for column in derived:
        is_known = has_json if column.kind == "key" else is_hashable
        for name in column.columns:
            if not is_known(types[name]):
                raise NotThisWay(f"a hash or a text of the column {name!r} of {types[name]}")
