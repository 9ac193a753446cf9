"""A look at a dataset's rows before its scan: by this process, or by Spark where only Spark can.

Both ways tell the same. Of a table in a folder of this machine no JVM is started for it.
"""

from __future__ import annotations

from engine.data import profile
from engine.data.arrow_profile import aggregate_here, torn_queries_here
from engine.data.arrow_table_profile import profile_here, spread_here
from engine.data.profile import Profile, Stats, make_profile
from engine.data.profile_updates import updated_here, updated_stats
from engine.data.source import Source
from engine.data.table_profile import Spread, TableProfile, profile_by_spark, spread_by_spark
from engine.data.table_rows import either_way
from engine.suite import Evaluation


def check_predicates(source: Source, evaluation: Evaluation) -> None:
    """Refuses a `where` that cannot be read as a predicate over the dataset's columns.

    Raises:
        InputError: with the place, and what Spark says of it.
    """
    either_way(
        source.session,
        lambda: _check_here(source, evaluation),
        lambda: profile.check_predicates(source.frame(), evaluation),
    )


def _check_here(source: Source, evaluation: Evaluation) -> None:
    wheres = [rule.where for rule in evaluation.slices if rule.where is not None]
    if not wheres:
        return
    # The parser takes a fifth of a second to import, and most suites have no predicate.
    from engine.pieces.predicates import parse_predicate

    types = source.rows_here().plain_types()
    for where in wheres:
        parse_predicate(where, types)


def look_at(source: Source, evaluation: Evaluation) -> Stats:
    """What one look at the label and slice columns tells of a dataset's rows."""
    return either_way(
        source.session,
        lambda: aggregate_here(source.rows_here(), evaluation),
        lambda: profile.aggregate(source.frame(), evaluation),
    )


def update_look(
    source: Source, version: int, evaluation: Evaluation, before: Stats
) -> Stats | None:
    """What is known of the rows, from what was of those at an older version of the table.

    None where rows went or were rewritten since, or where what is asked does not add up.
    """
    versions = (version, source.version)

    def by_spark() -> Stats | None:
        return updated_stats(source.session.get(), source.table, versions, evaluation, before)

    return either_way(
        source.session, lambda: updated_here(source, version, evaluation, before), by_spark
    )


def profile_of(source: Source, stats: Stats, evaluation: Evaluation) -> Profile:
    """The profile of a dataset's rows from what a look at them told.

    Raises:
        DataError: for a dataset without rows or labels, a bad weight, or too many slices.
    """

    def torn() -> int:
        return either_way(
            source.session,
            lambda: torn_queries_here(source.rows_here(), evaluation),
            lambda: profile.torn_queries(source.frame(), evaluation),
        )

    return make_profile(stats, evaluation, torn)


def count_rows(source: Source) -> int:
    """How many rows a dataset has: as many as the table's log says, where it says it."""
    return either_way(
        source.session, lambda: source.rows_here().listing.rows, lambda: source.frame().count()
    )


def profile_table(source: Source) -> TableProfile:
    """What all columns of a table's version are like."""
    return either_way(
        source.session, lambda: profile_here(source), lambda: profile_by_spark(source)
    )


def spread_of(source: Source, name: str) -> Spread:
    """How far a column's finite numbers lie from their mean, and from their median."""
    return either_way(
        source.session, lambda: spread_here(source, name), lambda: spread_by_spark(source, name)
    )
