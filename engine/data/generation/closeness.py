"""How much made rows are like those of the source, beside what two halves of the source are.

The similarities are those of SDMetrics (KSComplement, TVComplement, CorrelationSimilarity,
ContingencySimilarity), of all pairs of columns: it leaves out pairs that are independent in the
source, by which dependence that was made up goes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import rankdata

from engine.data.generation.copula import Floats, pairwise_correlations
from engine.data.generation.marginals import is_number, to_numbers
from engine.kinds.drift.classifier import AREA, SE, DomainContrast
from engine.kinds.questions import SampleRows

# Rows of each side that are compared, and that the classifier sees.
MOST_ROWS, CLASSIFIER_ROWS = 50_000, 20_000
# Bins of numbers in a table of two columns, and categories with a row of their own.
_BINS, _CATEGORIES = 10, 20
_SEED = 20_261_130

Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Closeness:
    """Similarities of two tables, from 0 to 1, and whether a classifier tells them apart.

    Attributes:
        columns: of each column's distribution.
        pairs: of how each two columns go together.
        area: of a classifier between them; .5 where it cannot tell, None of too few rows.
        area_se: its standard error.
        rows: of both that were compared.
    """

    columns: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]
    area: float | None
    area_se: float | None
    rows: tuple[int, int]

    def summary(self) -> dict[str, float | str | None]:
        """Means and worst, for a table."""
        worst = min(self.columns, key=self.columns.__getitem__) if self.columns else ""
        pair = min(self.pairs, key=self.pairs.__getitem__) if self.pairs else ("", "")
        return {
            "columns, mean": float(np.mean(list(self.columns.values()))) if self.columns else None,
            "columns, worst": self.columns.get(worst), "worst column": worst,
            "pairs, mean": float(np.mean(list(self.pairs.values()))) if self.pairs else None,
            "pairs, worst": self.pairs.get(pair), "worst pair": " and ".join(filter(None, pair)),
            "classifier": self.area,
        }  # fmt: skip


def compare(real: pa.Table, synthetic: pa.Table) -> Closeness:
    """Compares the columns that both have, of at most MOST_ROWS rows of each.

    Args:
        real: rows of the source, in no order that matters.
        synthetic: rows to hold beside them.
    """
    names = [
        name for name in real.column_names
        if name in synthetic.column_names and _is_comparable(real.schema.field(name).type)
    ]  # fmt: skip
    sides = tuple(
        table.slice(0, MOST_ROWS).select(names).combine_chunks() for table in (real, synthetic)
    )
    columns = {
        name: _column_similarity(*(side.column(name).combine_chunks() for side in sides))
        for name in names
    }
    area, spread = _area(sides, names)
    counts = (sides[0].num_rows, sides[1].num_rows)
    return Closeness(columns, _pair_similarities(sides, names), area, spread, counts)


def halves(real: pa.Table) -> Closeness:
    """The floor: two halves of the source beside each other."""
    count = min(real.num_rows, 2 * MOST_ROWS)
    order = np.random.default_rng(_SEED).permutation(real.num_rows)[:count]
    first, second = order[: count // 2], order[count // 2 :]
    return compare(real.take(pa.array(first)), real.take(pa.array(second)))


def _is_comparable(kind: pa.DataType) -> bool:
    return is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind)


def _column_similarity(real: pa.Array, synthetic: pa.Array) -> float:
    """`1 - KS` of numbers, `1 - TV` of categories; times that of the share of nulls."""
    nulls = 1 - abs(
        real.null_count / max(len(real), 1) - synthetic.null_count / max(len(synthetic), 1)
    )
    if is_number(real.type):
        own, other = (np.sort(_finite(column)) for column in (real, synthetic))
        if not len(own) or not len(other):
            return float(nulls) if len(own) == len(other) else 0.0
        places = np.concatenate([own, other])
        gaps = np.searchsorted(own, places, side="right") / len(own)
        gaps = gaps - np.searchsorted(other, places, side="right") / len(other)
        return float((1 - np.abs(gaps).max()) * nulls)
    counts = [_shares(column) for column in (real, synthetic)]
    known = counts[0].keys() | counts[1].keys()
    moved = sum(abs(counts[0].get(value, 0.0) - counts[1].get(value, 0.0)) for value in known) / 2
    return float((1 - moved) * nulls)


def _finite(column: pa.Array) -> Floats:
    numbers = to_numbers(column)
    return numbers[np.isfinite(numbers)]


def _shares(column: pa.Array) -> dict[Any, float]:
    column = column.drop_null()
    counted = pc.value_counts(column)
    return {
        value.as_py(): count.as_py() / len(column)
        for value, count in zip(counted.field("values"), counted.field("counts"), strict=True)
    }


def _pair_similarities(
    sides: Sequence[pa.Table], names: Sequence[str]
) -> dict[tuple[str, str], float]:
    """Of two columns of numbers by their rank correlations, of others by the table of both."""
    numeric = [name for name in names if is_number(sides[0].schema.field(name).type)]
    ranks = [pairwise_correlations(_ranks(side, numeric)) for side in sides]
    similar = 1 - np.abs(ranks[0] - ranks[1]) / 2 if numeric else np.eye(0)
    coders = {name: _coder(sides[0].column(name).combine_chunks()) for name in names}
    codes = [
        {name: coders[name](side.column(name).combine_chunks()) for name in names} for side in sides
    ]
    pairs = {}
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if first in numeric and second in numeric:
                value = similar[numeric.index(first), numeric.index(second)]
            else:
                tables = [_joint(side[first], side[second]) for side in codes]
                value = 1 - np.abs(tables[0] - tables[1]).sum() / 2
            pairs[first, second] = float(value)
    return pairs


def _ranks(side: pa.Table, names: Sequence[str]) -> Floats:
    columns = []
    for name in names:
        numbers = to_numbers(side.column(name).combine_chunks())
        there = np.isfinite(numbers)
        ranks = np.full(len(numbers), np.nan)
        ranks[there] = rankdata(numbers[there])
        columns.append(ranks)
    return np.column_stack(columns) if columns else np.empty((side.num_rows, 0))


_CODES = _CATEGORIES + 2


def _coder(real: pa.Array) -> Any:
    """What makes codes of a column: 0 for null, 1 for what is rare, others for bins and values."""
    if is_number(real.type):
        numbers = _finite(real)
        places = np.arange(1, _BINS) / _BINS
        cuts: Floats = np.unique(np.quantile(numbers, places)) if len(numbers) else np.empty(0)

        def by_bins(column: pa.Array) -> Ints:
            values = to_numbers(column)
            codes = np.searchsorted(cuts, values, side="right") + 2
            return np.where(np.isfinite(values), codes, 0)

        return by_bins
    shares = _shares(real)
    top = pa.array(
        sorted(shares, key=lambda value: (-shares[value], str(value)))[:_CATEGORIES], real.type
    )

    def by_values(column: pa.Array) -> Ints:
        places = pc.fill_null(pc.index_in(column, value_set=top), -1)
        codes = places.to_numpy(zero_copy_only=False) + 2
        return np.where(column.is_null().to_numpy(zero_copy_only=False), 0, codes)

    return by_values


def _joint(first: Ints, second: Ints) -> Floats:
    counts = np.bincount(first * _CODES + second, minlength=_CODES**2)
    return counts / max(len(first), 1)


def _area(sides: Sequence[pa.Table], names: Sequence[str]) -> tuple[float | None, float | None]:
    if not names:
        return None, None
    rng = np.random.default_rng(_SEED)
    samples = []
    for side in sides:
        rows = side.slice(0, CLASSIFIER_ROWS)
        samples.append(SampleRows(rows, rng.integers(-(2**62), 2**62, rows.num_rows)))
    numbers, _ = DomainContrast(tuple(names), CLASSIFIER_ROWS).run(samples[0], samples[1])
    return numbers.get(AREA), numbers.get(SE)
