"""Rows that have a near duplicate in the reference: found by MinHash, then compared themselves.

A row is the set of what it says: of each input the value, of each text its words, each told apart
by its column. Rows with all inputs alike are looked at once. Of each distinct row there are 20
buckets (`minhash`), made by workers; rows that meet in a bucket are candidates, and the likeliest
of a row are compared by their sets, read anew. So no row is reported that is not near.

All is bounded, whatever the rows are: a bucket compares a row with at most `CROWD` distinct rows of
the reference, a row with at most `LIKELIEST`. A row that finds most of its buckets more crowded
than that, and no near duplicate, is counted as crowded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from engine.kinds.arrow_rows import Here
from engine.kinds.leakage.arrow_near import (
    CROWD,
    CROWDED,
    LIKELIEST,
    NUMBER_BITS,
    count_near,
)
from engine.kinds.leakage.checks import LEAKED, Asked, Rows
from engine.kinds.leakage.minhash import (
    BANDS,
    BITS,
    NAME,
    SKETCH_DDL,
    least_bits,
    sketch_sets,
)
from engine.kinds.questions import COUNT, SKETCH, SLICE, Query, Sketch, column_sql, text_sql

_NUMBER = (1 << NUMBER_BITS) - 1
_TEXTS = r"(string|varchar|char)\b.*"
_FLOATS = "float|double"
_SPACE = r"[\s\p{Z}]+"
# What stands in SQL for a value of the column at a place.
Token = Callable[[int, str], str]


class NearRows(Rows):
    """Rows of which the reference has one with much the same inputs."""

    description = "rows of which the reference has a near duplicate"
    metric = "near_rows"

    def columns(self, asked: Asked) -> Sequence[str]:
        # A copy with another label is one as well.
        return asked.inputs

    def here(self, asked: Asked) -> Here:
        assert asked.near is not None, "a test of near duplicates says how near"
        return partial(count_near, columns=asked.inputs, near=asked.near)

    def query(self, asked: Asked) -> Query:
        names = [column_sql(name) for name in asked.inputs]
        hashes = _set_sql(asked, names, _hash_sql)
        buckets = Sketch(_number_sql(names), hashes, NAME, SKETCH_DDL, sketch_sets)
        return replace(super().query(asked), sketch=buckets)

    def text(self, asked: Asked) -> str:
        assert asked.near is not None, "a test of near duplicates says how near"
        names = [column_sql(name) for name in asked.inputs]
        ours, theirs = (
            _set_sql(asked, [f"{side}.cells.c{n}" for n in range(len(names))], _token_sql)
            for side in "rt"
        )
        # Of each bucket some rows of the reference, others in another bucket.
        some = "row_number() OVER (PARTITION BY bucket ORDER BY id ^ bucket, id)"
        bits = "bit_count(r.bits ^ t.bits)"
        likely = f"t.place <= {CROWD} AND {bits} <= {BITS - least_bits(asked.near)}"
        likeness = f"shiftleft(CAST({BITS} - {bits} AS BIGINT), {NUMBER_BITS}) + t.id"
        alike = "size(array_intersect(ours, theirs)) / nullif(size(array_union(ours, theirs)), 0)"
        return f"""
            WITH crowds AS (
                SELECT * FROM (
                    SELECT *, {some} AS place FROM ({_buckets_sql("sketched_reference")})
                ) WHERE place - 1 <= {CROWD}
            ),
            met AS (
                SELECT /*+ MERGE(t) */ r.bucket, r.id,
                    max(CASE WHEN {likely} THEN {likeness} END) AS likeliest,
                    max(int(t.place > {CROWD})) AS is_crowded
                FROM ({_buckets_sql("sketched")}) r JOIN crowds t ON r.bucket = t.bucket
                GROUP BY r.bucket, r.id
            ),
            candidates AS (
                SELECT id, sum(is_crowded) AS crowded,
                    slice(sort_array(collect_set(likeliest), FALSE), 1, {LIKELIEST}) AS likeliest
                FROM met GROUP BY id
            ),
            pairs AS (
                SELECT id, crowded, likely & {_NUMBER} AS other
                FROM candidates LATERAL VIEW OUTER explode(likeliest) AS likely
            ),
            judged AS (
                SELECT id, second,
                    max(coalesce({alike}, 1) >= {asked.near!r}D AND other_is_known) AS is_near,
                    max(crowded) > {BANDS} / 2 AS is_crowded
                FROM (
                    SELECT r.id, r.second, p.crowded, t.id IS NOT NULL AS other_is_known,
                        {ours} AS ours, {theirs} AS theirs
                    FROM ({_distinct_sql("rows", names)}) r JOIN pairs p ON r.id = p.id
                    LEFT JOIN ({_distinct_sql("reference", names)}) t ON p.other = t.id
                ) GROUP BY id, second
            )
            SELECT r.{SLICE}, count(*) AS {COUNT}, count_if(j.is_near) AS {LEAKED},
                count_if(NOT j.is_near AND j.is_crowded) AS {CROWDED}
            FROM (
                SELECT {SLICE}, {_number_sql(names)} AS id, {_second_sql(names)} AS second
                FROM {{rows}}
            ) r LEFT JOIN judged j ON r.id = j.id AND r.second = j.second
            GROUP BY r.{SLICE}
        """


def _buckets_sql(sketched: str) -> str:
    """The buckets of each distinct row, a line each."""
    distinct = f"SELECT DISTINCT id, {SKETCH} FROM {{{sketched}}}"
    return (
        f"SELECT id, {SKETCH}.bits AS bits, explode({SKETCH}.buckets) AS bucket FROM ({distinct})"
    )


def _distinct_sql(rows: str, names: Sequence[str]) -> str:
    """Each distinct row once, in the order of its number."""
    cells = ", ".join(f"{name} AS c{n}" for n, name in enumerate(names))
    return f"""
        SELECT id, second, first(cells) AS cells FROM (
            SELECT /*+ REPARTITION(id) */ * FROM (
                SELECT {_number_sql(names)} AS id, {_second_sql(names)} AS second,
                    struct({cells}) AS cells
                FROM {{{rows}}}
            )
        ) GROUP BY id, second
    """


def _number_sql(names: Sequence[str]) -> str:
    return f"(xxhash64(1, {_row_sql(names)}) & {_NUMBER})"


def _second_sql(names: Sequence[str]) -> str:
    return f"xxhash64(2, {_row_sql(names)})"


def _row_sql(names: Sequence[str]) -> str:
    """All that tells rows apart: Spark's hashes skip null, so they are told where it is."""
    return ", ".join(f"{name} IS NULL, {name}" for name in names)


def _set_sql(asked: Asked, names: Sequence[str], token: Token) -> str:
    """The set of a row, from its inputs under these names; null says nothing."""
    cells = [
        (place, asked.setting.types[column], name)
        for place, (column, name) in enumerate(zip(asked.inputs, names, strict=True))
    ]
    texts = [(place, name) for place, kind, name in cells if re.fullmatch(_TEXTS, kind)]
    values = [
        f"CASE WHEN {name} IS NOT NULL THEN {token(place, _value_sql(kind, name))} END"
        for place, kind, name in cells
        if not re.fullmatch(_TEXTS, kind)
    ]
    arrays = [
        f"array_compact(array({', '.join(values)}))",
        *(
            f"coalesce(transform({_words_sql(name)}, word -> {token(place, 'word')}), array())"
            for place, name in texts
        ),
    ]
    return f"concat({', '.join(arrays if values else arrays[1:])})"


def _value_sql(kind: str, name: str) -> str:
    """A value of which -0 is 0, as a sum with 0 makes it."""
    return f"(CAST({name} AS DOUBLE) + 0D)" if re.fullmatch(_FLOATS, kind) else name


def _words_sql(name: str) -> str:
    return f"array_remove(split(lower({name}), {text_sql(_SPACE)}), '')"


def _token_sql(place: int, value: str) -> str:
    return f"'{place}:' || CAST({value} AS STRING)"


def _hash_sql(place: int, value: str) -> str:
    """A token's hash, which takes a tenth of the time that its text does."""
    return f"xxhash64({place}, {value})"
