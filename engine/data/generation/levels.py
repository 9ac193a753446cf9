"""Columns of categories: which are made, and in which order a copula has them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtri
from scipy.stats import rankdata

from engine.data.generation.copula import Floats
from engine.errors import DataError

# Of a column whose frequent values are fewer of the rows nothing could be made.
LEAST_COVERED = 0.5
# Of other columns of categories so many values tell of an order.
_TELLING_LEVELS = 20


def texts_as_levels(
    name: str, column: pa.Array, least: int, notes: list[str]
) -> tuple[Floats, pa.Array]:
    """The places of values among those that are made, and these.

    Args:
        name: of the column.
        column: [row], texts or truth values.
        least: categories of fewer rows are not made.
        notes: get a sentence where some are left out.

    Returns:
        [row], NaN where there is no value or one that is too rare; [level].

    Raises:
        DataError: where most values are too rare: it is a name or a text, no category.
    """
    coded = column.dictionary_encode()
    values = coded.dictionary
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    common = counts >= least
    covered = counts[common].sum() / max(counts.sum(), 1)
    if len(values) and covered < LEAST_COVERED:
        raise DataError(
            f"the column {name!r} cannot be modelled: it has {len(values):,} values in "
            f"{len(column):,} rows, and those that {least} rows have are {covered:.0%} of them; "
            "name it as `key`, in `leave_out`, or ask for fewer `least_rows`"
        )
    if not common.all():
        notes.append(
            f"{name!r}: {int((~common).sum()):,} values of fewer than {least} rows are not made "
            f"({1 - covered:.2%} of the rows)"
        )
    # The most frequent first, of equal ones by their names: the order of rows decides nothing.
    names = np.array([str(value) for value in values.to_pylist()], object)
    order = sorted(range(len(values)), key=lambda place: (-counts[place], names[place]))
    kept = np.array([place for place in order if common[place]], np.int64)
    new = np.full(len(values) + 1, np.nan)
    new[kept] = np.arange(len(kept))
    return new[codes], values.take(pa.array(kept))


def order_levels(numbers: Floats, levels: list[pa.Array | None]) -> None:
    """Puts the levels of categories in the order in which the other columns differ the most.

    A copula knows categories by their order alone, and carries nothing where that is by chance.
    The means of the other columns by level have a first direction; the levels are ordered along it
    (as correspondence analysis does with a table of counts).

    Args:
        numbers: [row, column], the places of levels are changed here.
        levels: of each column; None of numbers. Changed here.
    """
    nominal = [
        place for place, values in enumerate(levels) if values is not None and len(values) > 2
    ]
    if not nominal:
        return
    told = [
        _standard_scores(numbers[:, place])
        for place, values in enumerate(levels)
        if place not in nominal
    ]
    parts = {place: _indicators(numbers[:, place]) for place in nominal}
    for place in nominal:
        others = [*told, *(parts[other] for other in nominal if other != place)]
        values = levels[place]
        if not others or values is None:
            continue
        order = _order(numbers[:, place], np.column_stack(others), len(values))
        there = ~np.isnan(numbers[:, place])
        numbers[there, place] = np.argsort(order)[numbers[there, place].astype(np.int64)]
        levels[place] = values.take(pa.array(order))


def _order(places: Floats, others: Floats, count: int) -> np.ndarray:
    """[level]: the levels along the direction in which their means differ the most."""
    there = ~np.isnan(places)
    own = places[there].astype(np.int64)
    counts = np.bincount(own, minlength=count).astype(np.float64)
    means = np.zeros((count, others.shape[1]))
    np.add.at(means, own, others[there])
    means /= np.maximum(counts, 1)[:, None]
    centre = counts @ means / counts.sum()
    weighted = (means - centre) * np.sqrt(counts)[:, None]
    _, _, directions = np.linalg.svd(weighted, full_matrices=False)
    along = (means - centre) @ directions[0]
    # Of both ends the one is first that has the more frequent level.
    along = along if along[0] <= 0 else -along
    return np.argsort(along, kind="stable")


def _standard_scores(numbers: Floats) -> Floats:
    return np.nan_to_num(normal_scores(numbers))


def _indicators(places: Floats) -> Floats:
    """[row, level]: the frequent levels as columns of variance 1."""
    codes = np.nan_to_num(places, nan=-1).astype(np.int64)
    top = min(int(codes.max(initial=-1)) + 1, _TELLING_LEVELS)
    columns = codes[:, None] == np.arange(top)[None, :]
    shares = columns.mean(axis=0)
    spread = np.sqrt(np.maximum(shares * (1 - shares), 1e-12))
    scaled: Floats = (columns - shares) / spread
    return scaled


def normal_scores(numbers: Floats) -> Floats:
    """[row]: normal scores by midranks, NaN where there is no number."""
    scores = np.full(len(numbers), np.nan)
    there = np.isfinite(numbers)
    rows = int(there.sum())
    if rows:
        scores[there] = ndtri((rankdata(numbers[there]) - 0.5) / rows)
    return scores
