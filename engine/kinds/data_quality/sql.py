"""The queries of checks that do not add up, as texts in Spark SQL.

A NaN is a null and there is one zero, as everywhere. Rows that break a check are counted by group
first, so that `squares` tells how many of them go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.kinds.data_quality.check import BAD, SQUARES, base_type, is_float
from engine.kinds.questions import MARK, column_sql

Types = Mapping[str, str]

# What the queries for keys call the rows that break a check.
BAD_ROWS = "bad_rows"
LONGEST_KEY = 200

# Whole rows by slice, beside what was counted of those that break a check.
_BESIDE = f"""
    SELECT whole._slice, whole.n, coalesce(broken.{BAD}, 0) AS {BAD},
        coalesce(broken.{SQUARES}, 0) AS {SQUARES}
    FROM (SELECT _slice, count(*) AS n FROM {{rows}} GROUP BY _slice) whole
    LEFT JOIN (
        SELECT _slice, sum(size) AS {BAD}, sum(double(size) * size) AS {SQUARES}
        FROM sizes GROUP BY _slice
    ) broken ON whole._slice <=> broken._slice
"""


def value_sql(column: str, types: Types) -> str:
    """A column whose NaN is null, and whose zeros are one."""
    name, kind = column_sql(column), types.get(column, "")
    if not is_float(kind):
        return name
    return f"IF(isnan({name}), NULL, {name} + CAST(0 AS {kind}))"


def bad_repeats(columns: Sequence[str], types: Types, key: Sequence[str], *, nulls: bool) -> str:
    """The rows that `repeats` counts, as `bad_rows` reads them."""
    return f"""
        WITH {_candidates(columns, types, nulls=nulls, key=key)},
        {BAD_ROWS} AS (
            SELECT _slice, key FROM (
                SELECT *, count(*) OVER (PARTITION BY compared) AS times FROM candidates
            ) WHERE times > 1
        )
    """


def bad_conflicts(columns: Sequence[str], types: Types, key: Sequence[str], label: str) -> str:
    """The rows that `conflicts` counts, as `bad_rows` reads them."""
    return f"""
        WITH {_candidates(columns, types, nulls=True, label=label, key=key)},
        {BAD_ROWS} AS (
            SELECT _slice, key FROM (
                SELECT *, min(label) OVER (PARTITION BY compared) AS least,
                    max(label) OVER (PARTITION BY compared) AS most FROM candidates
            ) WHERE least <> most
        )
    """


def bad_exceptions(sources: Sequence[str], column: str, types: Types, key: Sequence[str]) -> str:
    """The rows that `exceptions` counts, as `bad_rows` reads them."""
    chosen = _selection([*sources, column], types)
    places, value = _places(sources), f"c{len(sources)}"
    return f"""
        WITH chosen AS (SELECT _slice, {chosen}, {key_sql(key)} AS key FROM {{rows}}),
        {BAD_ROWS} AS (
            SELECT _slice, key FROM (
                SELECT *, first_value({value}) OVER (
                    PARTITION BY {places} ORDER BY support DESC, {value}
                ) AS usual FROM (
                    SELECT *, count(*) OVER (PARTITION BY {places}, {value}) AS support
                    FROM chosen WHERE {_nonnull(len(sources) + 1)}
                )
            ) WHERE {value} <> usual
        )
    """


def bad_marked(key: Sequence[str]) -> str:
    """The rows that are marked for the query."""
    rows = f"SELECT _slice, {key_sql(key)} AS key FROM {{rows}} WHERE {MARK}"
    return f"WITH {BAD_ROWS} AS ({rows})"


def bad_rows(text: str, most: int) -> str:
    """How many bad rows slices have, and the keys of some: those with the smallest hash of it.

    `text` gives them, with `_slice` and `key`; so the rows are the same on any partitioning.
    """
    return f"""
        {text}
        SELECT whole._slice, whole.n, coalesce(shown.bad, 0) AS {BAD}, shown.keys
        FROM (SELECT _slice, count(*) AS n FROM {{rows}} GROUP BY _slice) whole
        LEFT JOIN (
            SELECT _slice, max(size) AS bad, to_json(
                transform(array_sort(collect_list(struct(place, key))), pair -> pair.key)
            ) AS keys
            FROM (
                SELECT *, count(*) OVER (PARTITION BY _slice) AS size, row_number() OVER (
                    PARTITION BY _slice ORDER BY xxhash64(key), key
                ) AS place FROM {BAD_ROWS}
            ) WHERE place <= {most} GROUP BY _slice
        ) shown ON whole._slice <=> shown._slice
    """


def key_sql(key: Sequence[str]) -> str:
    """The key of a row as a text, of several columns as JSON; cut where it is long."""
    names = ", ".join(map(column_sql, key))
    text = f"to_json(struct({names}))" if len(key) > 1 else f"CAST({names} AS STRING)"
    return f"left(coalesce({text}, 'null'), {LONGEST_KEY})"


def repeats(columns: Sequence[str], types: Types, *, nulls: bool) -> str:
    """Rows whose values of some columns other rows have as well, anywhere in the table.

    `nulls` tells whether a null is a value like others; else rows with one are left out. Rows are
    told apart by a hash first, and only those whose hash stands twice are compared.
    """
    return f"""
        WITH {_candidates(columns, types, nulls=nulls)},
        grouped AS (
            SELECT _slice, compared, count(*) AS size FROM candidates
            GROUP BY _slice, compared
        ),
        sizes AS (
            SELECT _slice, size FROM (
                SELECT *, sum(size) OVER (PARTITION BY compared) AS times FROM grouped
            ) WHERE times > 1
        )
        {_BESIDE}
    """


def conflicts(columns: Sequence[str], label: str, types: Types) -> str:
    """Rows whose values of some columns other rows have as well, with another label.

    Rows without a label are left out; nulls of the columns are values like others.
    """
    return f"""
        WITH {_candidates(columns, types, nulls=True, label=label)},
        grouped AS (
            SELECT _slice, compared, label, count(*) AS size FROM candidates
            GROUP BY _slice, compared, label
        ),
        sizes AS (
            SELECT _slice, sum(size) AS size FROM (
                SELECT *, min(label) OVER (PARTITION BY compared) AS least,
                    max(label) OVER (PARTITION BY compared) AS most
                FROM grouped
            ) WHERE least <> most GROUP BY _slice, compared
        )
        {_BESIDE}
    """


def exceptions(sources: Sequence[str], column: str, types: Types) -> str:
    """Rows that have not the value of a column that most rows with their sources' values have.

    That is how few rows must change so that the sources determine the column (g3 of Kivinen and
    Mannila 1995). Of values that are as frequent the least is the usual one. Rows with a null in
    any of the columns are left out.
    """
    chosen = _selection([*sources, column], types)
    places, value = _places(sources), f"c{len(sources)}"
    return f"""
        WITH counted AS (
            SELECT _slice, {places}, {value}, count(*) AS size
            FROM (SELECT _slice, {chosen} FROM {{rows}})
            WHERE {_nonnull(len(sources) + 1)} GROUP BY _slice, {places}, {value}
        ),
        supported AS (
            SELECT *, sum(size) OVER (PARTITION BY {places}, {value}) AS support FROM counted
        ),
        sizes AS (
            SELECT _slice, sum(size) AS size FROM (
                SELECT *, first_value({value}) OVER (
                    PARTITION BY {places} ORDER BY support DESC, {value}
                ) AS usual FROM supported
            ) WHERE {value} <> usual GROUP BY _slice, {places}
        )
        {_BESIDE}
    """


def constants(columns: Sequence[str], types: Types) -> str:
    """Whether columns have at most one value, `c0`, `c1`, ...; nulls are none."""
    values = (value_sql(column, types) for column in columns)
    flags = (
        f"double(coalesce(min({value}) = max({value}), true)) AS c{place}"
        for place, value in enumerate(values)
    )
    return f"SELECT _slice, count(*) AS n, {', '.join(flags)} FROM {{rows}} GROUP BY _slice"


def newest(column: str, types: Types) -> str:
    """The newest value of a column of dates or timestamps, in seconds since 1970 in UTC."""
    name = column_sql(column)
    kind = base_type(types.get(column, ""))
    if kind == "date":
        seconds = "86400D * unix_date(newest)"
    elif kind == "timestamp":
        seconds = "unix_micros(newest) / 1e6D"
    else:
        # As it is written: no zone is asked.
        clock = "3600D * hour(newest) + 60 * minute(newest) + second(newest)"
        seconds = f"86400D * unix_date(to_date(newest)) + {clock}"
    return f"""
        SELECT _slice, n, {seconds} AS seconds FROM (
            SELECT _slice, count(*) AS n, max({name}) AS newest FROM {{rows}} GROUP BY _slice
        )
    """


def counts_before() -> str:
    """The rows of slices now and in the version before, of those that are in either."""
    return """
        SELECT coalesce(here._slice, there._slice) AS _slice, coalesce(here.n, 0) AS n,
            coalesce(there.n, 0) AS before
        FROM (SELECT _slice, count(*) AS n FROM {rows} GROUP BY _slice) here
        FULL OUTER JOIN (SELECT _slice, count(*) AS n FROM {before} GROUP BY _slice) there
        ON here._slice <=> there._slice
    """


def _candidates(
    columns: Sequence[str],
    types: Types,
    *,
    nulls: bool,
    label: str | None = None,
    key: Sequence[str] = (),
) -> str:
    """Rows whose hash of some columns others have as well: all that are equal are among them."""
    # One struct: Spark's optimizer takes exponentially long over a hash of many renamed columns.
    chosen = f"struct({_selection(columns, types)}) AS compared"
    names = [f"compared.c{place}" for place in range(len(columns))]
    known = "true" if nulls else " AND ".join(f"{name} IS NOT NULL" for name in names)
    if label is not None:
        chosen += f", {value_sql(label, types)} AS label"
        known = "label IS NOT NULL"
    if key:
        chosen += f", {key_sql(key)} AS key"
    # Spark's hash passes nulls over, so which values are null is hashed as well. Texts that a
    # collation takes for equal have hashes of their own.
    hashed = [
        name for name, column in zip(names, columns, strict=True)
        if "collate" not in types.get(column, "")
    ]  # fmt: skip
    masks = [f"{name} IS NULL" for name in names] if nulls else []
    parts = ", ".join([*hashed, *masks]) or "0"
    return f"""
        marked AS (
            SELECT *, xxhash64({parts}) AS hash FROM (SELECT _slice, {chosen} FROM {{rows}})
            WHERE {known}
        ),
        twice AS (SELECT hash FROM marked GROUP BY hash HAVING count(*) > 1),
        candidates AS (SELECT * FROM marked LEFT SEMI JOIN twice ON marked.hash = twice.hash)
    """


def _selection(columns: Sequence[str], types: Types) -> str:
    return ", ".join(
        f"{value_sql(column, types)} AS c{place}" for place, column in enumerate(columns)
    )


def _places(columns: Sequence[str]) -> str:
    return ", ".join(f"c{place}" for place in range(len(columns)))


def _nonnull(count: int) -> str:
    return " AND ".join(f"c{place} IS NOT NULL" for place in range(count))
