"""States: the sums from which every figure of evalmatrix is computed.

A metric is a state plus a pure function of it. Because the state of two batches together is the
sum of their states, one pass over the data serves all models, slices and tests, partitions need no
order, and a later version of the data costs what is new. This package holds the protocol, the
handful of families that all metrics share, and the one codec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.states import codec
from engine.states.base import (
    BUCKETS,
    Bools,
    Family,
    Floats,
    Ints,
    NotInvertible,
    Scored,
    States,
    sum_by_key,
    sums_by_cell,
    with_left_out,
)
from engine.states.columns import (
    ColumnBatch,
    ColumnCategories,
    ColumnFamily,
    ColumnHistogram,
    ColumnMean,
    ColumnSums,
    column_nulls,
)
from engine.states.dense import (
    ROW_COLUMNS,
    SCORE_EDGES,
    Maxima,
    MaximaView,
    Maximum,
    Mean,
    Moments,
    MomentsView,
    PredictionCounts,
    RowFlags,
    Sums,
    rows_of,
)
from engine.states.labels import Labels, LabelsView, LabelTally
from engine.states.one_vs_one import PairScores
from engine.states.pairs import (
    ChangedRows,
    Pair,
    PairedChange,
    PairedHits,
    PairedHitsOf,
    PairedMean,
    PairedView,
    PairFamily,
    PairMean,
    PairTally,
)
from engine.states.queries import PairedQueryMean, Queries, QueryMean
from engine.states.rank_pairs import RankPairs, RankPairsView, Ranks
from engine.states.row_columns import (
    NO_COLUMNS,
    Column,
    RowColumns,
    add_columns,
    column_tuple,
)
from engine.states.score_histogram import EXACT_SCORES, ScoreHistogram, Scores, TopScores
from engine.states.score_pairs import PairedScores, ScorePairs, ScorePairsView
from engine.states.score_views import ScoreBlock, ScoresView, score_blocks
from engine.states.tally import Confusion, ConfusionView, Tally
from engine.states.value_counts import ColumnValues, ValueCounts
from engine.states.value_histogram import (
    PredictedValues,
    PredictionHistogram,
    ValueHistogram,
    Values,
    ValuesView,
    relative_bins,
)

__all__ = [
    "BUCKETS",
    "EXACT_SCORES",
    "NO_COLUMNS",
    "ROW_COLUMNS",
    "SCORE_EDGES",
    "Bools",
    "ChangedRows",
    "Column",
    "ColumnBatch",
    "ColumnCategories",
    "ColumnFamily",
    "ColumnHistogram",
    "ColumnMean",
    "ColumnSums",
    "ColumnValues",
    "Confusion",
    "ConfusionView",
    "Family",
    "Floats",
    "Ints",
    "LabelTally",
    "Labels",
    "LabelsView",
    "Maxima",
    "MaximaView",
    "Maximum",
    "Mean",
    "Moments",
    "MomentsView",
    "NotInvertible",
    "Pair",
    "PairFamily",
    "PairMean",
    "PairScores",
    "PairTally",
    "PairedChange",
    "PairedHits",
    "PairedHitsOf",
    "PairedMean",
    "PairedQueryMean",
    "PairedScores",
    "PairedView",
    "PredictedValues",
    "PredictionCounts",
    "PredictionHistogram",
    "Queries",
    "QueryMean",
    "RankPairs",
    "RankPairsView",
    "Ranks",
    "RowColumns",
    "RowFlags",
    "ScoreBlock",
    "ScoreHistogram",
    "ScorePairs",
    "ScorePairsView",
    "Scored",
    "Scores",
    "ScoresView",
    "States",
    "Sums",
    "Tally",
    "TopScores",
    "ValueCounts",
    "ValueHistogram",
    "Values",
    "ValuesView",
    "add_columns",
    "column_nulls",
    "column_tuple",
    "decode",
    "relative_bins",
    "rows_of",
    "score_blocks",
    "sum_by_key",
    "sums_by_cell",
    "view",
    "view_of_groups",
    "with_left_out",
]

_KINDS: Mapping[str, Any] = {
    kind.kind: kind
    for kind in (
        Sums,
        Maxima,
        Moments,
        Tally,
        PairTally,
        LabelTally,
        ScoreHistogram,
        ScorePairs,
        RankPairs,
        ValueHistogram,
        PredictionHistogram,
        ValueCounts,
    )
}
_VIEWS: Mapping[str, Any] = {
    "maxima": MaximaView.of,
    "moments": MomentsView.of,
    "tally": ConfusionView.of,
    "pairs": PairedView.of,
    "labels": LabelsView.of,
    "scores": ScoresView.of,
    "values": ValuesView.of,
    "rank_pairs": RankPairsView.of,
}
# Of kinds whose groups are read many at once too; histograms of scores by `score_blocks`.
_VIEWS_OF_GROUPS: Mapping[str, Any] = {
    "moments": MomentsView.of_groups,
    "tally": ConfusionView.of_groups,
    "pairs": PairedView.of_groups,
    "score_pairs": ScorePairsView.of_groups,
}


def decode(payload: bytes) -> States:
    """The states that `payload` encodes, of all their groups.

    Raises:
        CodecError: when it is damaged, or of a kind that this version does not know.
    """
    kind, params, arrays = codec.decode(payload)
    if kind not in _KINDS:
        raise codec.CodecError(f"a state of kind {kind!r} is none of {sorted(_KINDS)}")
    states: States = _KINDS[kind].from_arrays(params, arrays)
    return states


def view(states: States) -> Any:
    """What a metric's function reads: sums over all buckets, then with each bucket left out."""
    make = _VIEWS.get(states.kind)
    return make(states) if make else states


def view_of_groups(states: States, first: int, last: int) -> Any:
    """The view of the groups from `first` to before `last`: as of one, with an axis of groups.

    Raises:
        TypeError: for states that are read one by one only.
    """
    if states.kind not in _VIEWS_OF_GROUPS:
        raise TypeError(f"states of the kind {states.kind!r} have no view of many groups")
    return _VIEWS_OF_GROUPS[states.kind](states, first, last)
