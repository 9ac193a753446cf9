"""A classifier that is to tell the dataset's rows from the reference's, by all columns together.

It is fitted on one half of a sample of both, by a hash of what a row belongs to, and scored on the
other. Boosted trees of scikit-learn with a fixed seed, on one thread: the same rows give the same
figures on any machine.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.core.vocabulary import Numbers
from engine.kinds.questions import MOST_SAMPLE_ROWS, Contrast, SampleRows
from engine.states.columns import numbers_of
from engine.statistics.two_sample_area import area_between, placements

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Fewer rows of either table say nothing; and of either half.
LEAST_ROWS, LEAST_HALF = 50, 10
# A text that one in a hundred rows of the reference has is a value of its own, so many at most.
MIN_SHARE, MOST_VALUES = 0.01, 50
# The code of a text that is none of these, and of null.
OTHER, NULL = 0.0, 1.0
# Numbers beyond stand for infinities, of which trees can make no cuts.
GREATEST = 1e300
# Few and small, so that what they look at is not each other's leavings.
TREES: Mapping[str, Any] = {
    "max_iter": 60, "max_leaf_nodes": 15, "min_samples_leaf": 20, "max_bins": 64,
    "early_stopping": False, "random_state": 0,
}  # fmt: skip
SEED, SHOWN = 20_261_130, 3
# Into so many orders a column's values are put; fewer where there are many columns.
REPEATS, MOST_ORDERS = 3, 300
# Goes up when the same rows are told apart otherwise.
CLASSIFIER_VERSION = 1

AREA, SE, DF, UNITS, REFERENCE, HELD = "auc", "se", "df", "units", "reference", "held_out"
LOOKED_AT = "looked_at"


@dataclass(frozen=True, slots=True)
class DomainContrast(Contrast):
    """The area under the ROC curve of the classifier, and the columns that it looked at most."""

    columns: tuple[str, ...]
    rows: int = MOST_SAMPLE_ROWS

    @property
    def key(self) -> str:
        return f"domain classifier {CLASSIFIER_VERSION}, scikit-learn {library_version()}"

    def run(
        self, rows: SampleRows, reference: SampleRows
    ) -> tuple[Numbers, Mapping[str, str | None]]:
        numbers = {REFERENCE: float(reference.table.num_rows)}
        sides = (rows, reference)
        halves = [_first_half(side) for side in sides]
        few = min(side.table.num_rows for side in sides) < LEAST_ROWS
        if few or min(min(half.sum(), (~half).sum()) for half in halves) < LEAST_HALF:
            return numbers, {}
        encoder = Encoder.of(reference.table.filter(pa.array(halves[1])), self.columns)
        held_out = [~half for half in halves]
        known, unknown = (
            [encoder.encode(side.table.filter(pa.array(which))) for side, which in
             zip(sides, some, strict=True)]
            for some in (halves, held_out)
        )  # fmt: skip
        scores = _Scores(fit(known, encoder.is_text), unknown)
        units = [side.units[which] for side, which in zip(sides, held_out, strict=True)]
        area = area_between(*scores.of(unknown), (units[0], units[1]))
        numbers |= {
            HELD: float(len(units[0])), f"{HELD}_{REFERENCE}": float(len(units[1])),
            AREA: area.value, SE: area.se, DF: area.df, UNITS: area.units,
        }  # fmt: skip
        finite = {name: x if np.isfinite(x) else None for name, x in numbers.items()}
        return finite, {LOOKED_AT: json.dumps(scores.rank_columns(self.columns, area.value))}


def library_version() -> str | None:
    """The version of what the classifier is fitted with; None where it is not installed."""
    try:
        return version("scikit-learn")
    except PackageNotFoundError:
        return None


def _first_half(sample: SampleRows) -> Bools:
    """The rows that are learned from: a unit is wholly in one half, in both tables."""
    return np.asarray(sample.units & 1 == 0)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Columns as numbers: of texts the codes of those that are frequent in the reference."""

    frequent: Mapping[str, pa.Array | None]

    @classmethod
    def of(cls, table: pa.Table, names: Sequence[str]) -> Encoder:
        """What is learned of the reference's rows; None of a column that is no text."""
        return cls({name: _frequent_texts(_whole(table.column(name))) for name in names})

    @property
    def is_text(self) -> list[bool]:
        """Which columns are codes."""
        return [texts is not None for texts in self.frequent.values()]

    def encode(self, table: pa.Table) -> Floats:
        """The numbers of rows: [row, column]."""
        columns = [
            _numbers(_whole(table.column(name))) if texts is None
            else _codes(_whole(table.column(name)), texts)
            for name, texts in self.frequent.items()
        ]  # fmt: skip
        return np.column_stack(columns)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, texts by their bytes: what a table has for texts need not be any."""
    pieces = column.chunks
    whole = pa.concat_arrays(pieces) if pieces else pa.array([], column.type)
    is_text = pa.types.is_string(whole.type) or pa.types.is_large_string(whole.type)
    return pc.cast(whole, pa.large_binary()) if is_text else whole


def _frequent_texts(column: pa.Array) -> pa.Array | None:
    if not pa.types.is_large_binary(column.type):
        return None
    counts = [(-n.as_py(), value.as_py()) for value, n in _value_counts(column)]
    least = max(MIN_SHARE * len(column), 2)
    values = [value for n, value in sorted(counts) if -n >= least][:MOST_VALUES]
    return pa.array(values, pa.large_binary())


def _value_counts(column: pa.Array) -> list[tuple[Any, Any]]:
    counted = pc.value_counts(column.drop_null())
    return list(zip(counted.field("values"), counted.field("counts"), strict=True))


def _codes(column: pa.Array, texts: pa.Array) -> Floats:
    places = pc.fill_null(pc.index_in(column, value_set=texts), -1)
    codes = np.asarray(places.to_numpy(zero_copy_only=False), np.float64) + 2
    codes = np.where(codes == 1, OTHER, codes)
    return np.where(column.is_null().to_numpy(zero_copy_only=False), NULL, codes)


def _numbers(column: pa.Array) -> Floats:
    """Numbers, truth values, days or microseconds; NaN where there is none."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    return np.clip(numbers_of(column)[0], -GREATEST, GREATEST)


def fit(sides: Sequence[Floats], is_text: Sequence[bool]) -> Any:
    """Boosted trees that tell rows of the first side from those of the second."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    trees = HistGradientBoostingClassifier(
        **TREES, categorical_features=list(is_text) if any(is_text) else None
    )
    label = np.repeat([1, 0], [len(side) for side in sides])
    known = np.concatenate(sides)
    # Of a column that is null in all rows scikit-learn can make no bins.
    known[:, np.isnan(known).all(axis=0)] = 0.0
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trees.fit(known, label)


@dataclass(frozen=True, slots=True)
class _Scores:
    """What fitted trees say of the rows that were held out."""

    trees: Any
    sides: Sequence[Floats]

    def of(self, sides: Sequence[Floats]) -> tuple[Floats, Floats]:
        """The scores of the rows of both sides: how much they look like the dataset's."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            scores = self.trees.decision_function(np.concatenate(sides))
        return scores[: len(sides[0])], scores[len(sides[0]) :]

    def rank_columns(self, columns: Sequence[str], area: float) -> list[tuple[str, float]]:
        """The columns without which the area is the smallest, each with what is lost, the first.

        Without a column is with its values in any order, over both sides.
        """
        lost = []
        for place, name in enumerate(columns):
            rng, areas = np.random.default_rng([SEED, place]), []
            for _ in range(max(1, min(REPEATS, MOST_ORDERS // len(columns)))):
                whole = np.concatenate(self.sides)
                whole[:, place] = rng.permutation(whole[:, place])
                first, second = self.of(np.split(whole, [len(self.sides[0])]))
                areas.append(float(placements(first, second).mean()))
            lost.append((name, area - float(np.mean(areas))))
        lost.sort(key=lambda pair: -pair[1])
        return [(name, round(much, 6)) for name, much in lost[:SHOWN] if much > 0]
