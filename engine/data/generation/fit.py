"""From the rows of a source to the population that rows like them are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.data.generation.copula import (
    Floats,
    continuous,
    hermite,
    latent_correlations,
    level_scores,
    pairwise_correlations,
    root_of,
)
from engine.data.generation.levels import normal_scores, order_levels, texts_as_levels
from engine.data.generation.marginals import (
    Levels,
    Marginal,
    is_number,
    number_levels,
    quantiles_of,
    to_numbers,
)
from engine.data.generation.population import Group, Latent, Population
from engine.errors import DataError

Bools = np.ndarray

# A group of fewer rows has the distributions of all rows, and only its own share.
LEAST_GROUP = 30
MOST_GROUPS = 200
# Greater whole numbers are not told apart as doubles.
_EXACT = 2**53
# A label of so few values makes a group of each; one of more is a number like others.
MOST_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Settings:
    """What a population is made of.

    Attributes:
        label: its classes make groups; where it is a number it is a column like others.
        by: columns whose values make groups too.
        key: the column that numbers the rows.
        least: values that fewer rows have, or reach, are not made.
    """

    label: str | None = None
    by: tuple[str, ...] = ()
    key: str | None = None
    least: int = 5


def fit(table: pa.Table, settings: Settings) -> Population:
    """The population of a source's rows.

    Args:
        table: the rows; the columns are those that are made.
        settings: what makes groups, what is the key, what is too rare.

    Raises:
        DataError: when there are no rows, too many groups, or columns that cannot be modelled:
            all of them, with what to do.
    """
    if not table.num_rows:
        raise DataError("the source has no rows; expected at least one")
    table = table.combine_chunks()
    names = [name for name in table.column_names if name != settings.key]
    if not names:
        raise DataError("the source has no column but its key, of which no rows can be made")
    grouped = [name for name in group_columns(table, settings) if name in names]
    own = [name for name in names if name not in grouped]
    check_modelled(table, own)
    if settings.key is not None:
        check_key(table.schema.field(settings.key))
    source = _Source.read(table, own, settings.least)
    pooled = _fit_rows(source, np.ones(table.num_rows, bool), None)
    groups, notes = [], list(source.notes)
    for fixed, rows in _groups(table, grouped):
        fitted = pooled if rows.sum() < LEAST_GROUP else _fit_rows(source, rows, pooled)
        groups.append(
            Group(float(rows.mean()), fixed, fitted.marginals, fitted.nulls, root_of(fitted.latent))
        )
    small = [group for group in groups if group.share * table.num_rows < LEAST_GROUP]
    if small and len(groups) > 1:
        notes.append(
            f"{len(small)} of {len(groups)} groups have fewer than {LEAST_GROUP} rows: their "
            "columns are distributed as those of all rows"
        )
    return Population(
        table.schema, tuple(groups), tuple(source.latents), settings.key, tuple(notes)
    )


def group_columns(table: pa.Table, settings: Settings) -> list[str]:
    """The columns whose values make groups: `by`, and a label of classes."""
    grouped = list(settings.by)
    if settings.label is not None and settings.label not in grouped:
        values = pc.count_distinct(table.column(settings.label)).as_py()
        kind = table.schema.field(settings.label).type
        if not pa.types.is_floating(kind) and not pa.types.is_decimal(kind):
            is_class = values <= MOST_CLASSES or not is_number(kind)
        else:
            whole = pc.all(
                pc.equal(pc.floor(table.column(settings.label)), table.column(settings.label))
            )
            is_class = values <= MOST_CLASSES and bool(whole.as_py())
        grouped += [settings.label] if is_class else []
    return grouped


def check_modelled(table: pa.Table, names: Sequence[str]) -> None:
    """Refuses columns whose values have parts or no meaning for us, all at once."""
    odd = [
        f"{name!r} is {table.schema.field(name).type}"
        for name in names
        if not _can_be_modelled(table.schema.field(name).type)
    ]
    if odd:
        raise DataError(
            f"columns that cannot be modelled: {'; '.join(odd)}; expected numbers, texts, truth "
            "values, dates or times; name them in `leave_out`"
        )


def check_key(key: pa.Field) -> None:
    """Refuses a key that no numbers can be.

    Raises:
        DataError: with its type.
    """
    kind = key.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_decimal(kind)):
        raise DataError(
            f"the key {key.name!r} is {kind}, expected whole numbers or text, which can number rows"
        )


def _can_be_modelled(kind: pa.DataType) -> bool:
    return (
        is_number(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """The rows as numbers.

    Attributes:
        numbers: [row, column]: values, or the places of levels; NaN where there is none.
        nulls: [row, column].
        levels: the levels of a column that has no numbers.
        latents: the columns, and the nulls of columns, that are random at all.
    """

    names: list[str]
    kinds: list[pa.DataType]
    numbers: Floats
    nulls: Bools
    levels: list[pa.Array | None]
    latents: list[Latent]
    least: int
    notes: list[str]

    @classmethod
    def read(cls, table: pa.Table, names: list[str], least: int) -> _Source:
        notes: list[str] = []
        numbers, levels = _read_columns(table, names, least, notes)
        order_levels(numbers, levels)
        nulls = np.isnan(numbers)
        # A rare category is no null: it is as if the row had not said anything of this column.
        told = [
            table.column(name).combine_chunks().is_null().to_numpy(zero_copy_only=False)
            for name in names
        ]
        absent = np.column_stack(told) if told else nulls
        floats = [pa.types.is_floating(table.schema.field(name).type) for name in names]
        absent = np.where(floats, nulls, absent) if names else absent
        latents = [
            Latent(name)
            for place, name in enumerate(names)
            if np.unique(numbers[~nulls[:, place], place]).size > 1
        ]
        latents += [
            Latent(name, True)
            for place, name in enumerate(names)
            if 0 < absent[:, place].mean() < 1
        ]
        kinds = [table.schema.field(name).type for name in names]
        return cls(names, kinds, numbers, absent, levels, latents, least, notes)


def _read_columns(
    table: pa.Table, names: list[str], least: int, notes: list[str]
) -> tuple[Floats, list[pa.Array | None]]:
    """[row, column]: numbers, or the places of levels; and the levels of each column."""
    columns: list[Floats] = []
    levels: list[pa.Array | None] = []
    rare: list[str] = []
    for name in names:
        column = table.column(name).combine_chunks()
        if is_number(column.type):
            numbers = to_numbers(column)
            if pa.types.is_integer(column.type) and np.nanmax(np.abs(numbers), initial=0) > _EXACT:
                rare.append(
                    f"the column {name!r} has whole numbers beyond 2^53, whose last digits no "
                    "distribution keeps; name it as `key` or in `leave_out`"
                )
            columns.append(_finite(name, numbers, column, notes))
            levels.append(None)
            continue
        try:
            places, values = texts_as_levels(name, column, least, notes)
        except DataError as error:
            rare.append(str(error))
            continue
        columns.append(places)
        levels.append(values)
    if rare:
        raise DataError("; ".join(rare))
    numbers = np.column_stack(columns) if columns else np.empty((table.num_rows, 0))
    return numbers, levels


def _finite(name: str, numbers: Floats, column: pa.Array, notes: list[str]) -> Floats:
    """Numbers without NaN and infinities, of which is told what becomes of them."""
    nans = int(np.isnan(numbers).sum()) - column.null_count
    if nans:
        notes.append(f"{name!r}: NaN of {nans:,} rows is made as null")
    infinite = np.isinf(numbers)
    if infinite.any():
        if infinite.all():
            raise DataError(f"the column {name!r} has no finite number; name it in `leave_out`")
        notes.append(f"{name!r}: infinities of {int(infinite.sum()):,} rows are made as null")
    return np.where(infinite, np.nan, numbers)


@dataclass(frozen=True, slots=True)
class _Fitted:
    marginals: dict[str, Marginal | None]
    nulls: dict[str, float]
    latent: Floats


def _fit_rows(source: _Source, rows: Bools, pooled: _Fitted | None) -> _Fitted:
    """The distributions of some rows; of few, correlations lean on those of all rows."""
    marginals: dict[str, Marginal | None] = {}
    nulls: dict[str, float] = {}
    for place, name in enumerate(source.names):
        numbers = source.numbers[rows, place]
        there = numbers[~np.isnan(numbers)]
        marginals[name] = _marginal(source, place, there) if len(there) else None
        absent = source.nulls[rows, place]
        if absent.any() and not absent.all():
            nulls[name] = float(absent.mean())
    scores, coefficients = [], []
    for latent in source.latents:
        place = source.names.index(latent.column)
        if latent.tells_nulls:
            own, terms = _null_scores(source.nulls[rows, place])
        else:
            own, terms = _value_scores(marginals[latent.column], source.numbers[rows, place])
        scores.append(own)
        coefficients.append(terms)
    if not scores:
        return _Fitted(marginals, nulls, np.eye(0))
    measured = pairwise_correlations(np.column_stack(scores))
    latent_r = latent_correlations(measured, np.stack(coefficients))
    if pooled is not None:
        few, many = len(latent_r), int(rows.sum())
        latent_r = (many * latent_r + few * pooled.latent) / (many + few)
    return _Fitted(marginals, nulls, latent_r)


def _marginal(source: _Source, place: int, numbers: Floats) -> Marginal:
    levels = source.levels[place]
    if levels is None:
        kind = source.kinds[place]
        return number_levels(numbers, kind, source.least) or quantiles_of(
            numbers, kind, source.least
        )
    counts = np.bincount(numbers.astype(np.int64), minlength=len(levels)).astype(np.float64)
    kept = np.flatnonzero(counts)
    return Levels(levels.take(pa.array(kept)), counts[kept] / counts.sum())


def _null_scores(absent: Bools) -> tuple[Floats, Floats]:
    share = float(absent.mean())
    if not 0 < share < 1:
        return np.full(len(absent), np.nan), continuous()
    shares = np.array([1 - share, share])
    scores = level_scores(shares)
    return scores[absent.astype(np.int64)], hermite(shares, scores)


def _value_scores(marginal: Marginal | None, numbers: Floats) -> tuple[Floats, Floats]:
    if marginal is None:
        return np.full(len(numbers), np.nan), continuous()
    return normal_scores(numbers), marginal.hermite()


def _groups(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[dict[str, pa.Scalar], Bools]]:
    """The groups with their rows, in the order of their values."""
    if not names:
        yield {}, np.ones(table.num_rows, bool)
        return
    coded, places = [], []
    for name in names:
        column = table.column(name).combine_chunks().dictionary_encode()
        # By the values, so that the order of rows decides nothing.
        order = np.argsort([str(value) for value in column.dictionary.to_pylist()], kind="stable")
        ranks = np.append(np.argsort(order), -1)
        coded.append(column.dictionary.take(pa.array(order)))
        places.append(ranks[pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)])
    keys, inverse = np.unique(np.column_stack(places), axis=0, return_inverse=True)
    if len(keys) > MOST_GROUPS:
        raise DataError(
            f"{', '.join(map(repr, names))} make {len(keys):,} groups of rows, expected at most "
            f"{MOST_GROUPS}; name fewer columns in `by`"
        )
    for number, key in enumerate(keys):
        fixed = {
            name: pa.scalar(None, table.schema.field(name).type) if code < 0 else values[code]
            for name, values, code in zip(names, coded, key.tolist(), strict=True)
        }
        yield fixed, inverse.reshape(-1) == number
